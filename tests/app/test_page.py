"""The page in a real browser, the real server and the real weights: click, see, correct, undo, save."""

import io
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from promisam.io import read, read_segmentation

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# WebGL without a graphics card, and nothing that calls out.
FLAGS = [
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ARTEFACTS = Path(os.environ.get("PROMISAM_ARTEFACTS", "page-out"))
PATIENCE = 180_000  # milliseconds, on a machine with other work

pytestmark = [
    pytest.mark.weights,
    pytest.mark.skipif(BROWSER is None, reason="needs Chromium: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def images(tmp_path_factory, shared):
    folder = tmp_path_factory.mktemp("page") / "study"
    folder.mkdir()
    shutil.copy(
        shared / "data/hc18/images" / sorted(p.name for p in (shared / "data/hc18/images").iterdir())[20], folder / "a_head.png"
    )
    shutil.copy(shared / "data/msd_hippocampus/hippocampus_003/image.nii.gz", folder / "b_brain.nii.gz")
    return folder


class Server:
    """`promisam annotate` as a person starts it."""

    def __init__(self, folder):
        words = ["annotate", str(folder), "--no-browser", "--offline"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "promisam", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.said = []
        for line in self.process.stdout:
            self.said.append(line)
            found = re.search(r"http://\S+token=\S+", line)
            if found:
                self.url = found.group(0)
                return
        raise RuntimeError("".join(self.said))

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def server(images):
    server = Server(images)
    yield server
    server.kill()


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(server, browser):
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("console", lambda line: page.faults.append(line.text) if line.type == "error" else None)
    page.asked = []
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(server.url)
    ready(page)
    yield page
    outside = [url for url in page.asked if not url.startswith((server.url.partition("?")[0], "blob:", "data:"))]
    assert outside == []
    assert page.faults == []
    context.close()


def ready(page):
    waited(lambda: page.evaluate("document.body.dataset.ready === 'true'"))


def revised(page, act):
    """Do something and wait until the page shows its answer."""
    before = page.evaluate("document.body.dataset.revision")
    act()
    waited(lambda: page.evaluate("document.body.dataset.revision") != before)
    page.wait_for_timeout(150)


def place(page, at, plane=None):
    return page.evaluate("([at, plane]) => window.promisam.toScreen(at, plane)", [at, plane])


def click(page, at, plane=None, **more):
    where = place(page, at, plane)
    revised(page, lambda: page.mouse.click(where["x"], where["y"], **more))


def seen(page):
    return np.asarray(Picture.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(int)


def opened(page, name):
    chosen = page.get_by_test_id("images").locator("[aria-selected=true]")
    if name not in chosen.inner_text():
        page.get_by_test_id("images").get_by_text(name, exact=True).first.click()
    waited(lambda: name in chosen.inner_text())
    ready(page)


def kept(page, name):
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTEFACTS / f"{name}.png")


def test_a_picture_from_the_first_click_to_the_saved_mask(page, images):
    opened(page, "a_head")
    image = read(images / "a_head.png")
    height, width = image.grid.shape
    middle = [width // 2, height // 2]
    before = seen(page)
    click(page, middle)
    first = seen(page)
    where = place(page, [middle[0] - 30, middle[1] - 20])
    x, y = int(where["x"]), int(where["y"])
    assert np.abs(first[y - 3 : y + 4, x - 3 : x + 4] - before[y - 3 : y + 4, x - 3 : x + 4]).mean() > 5  # tinted
    kept(page, "picture")
    click(page, [width - 8, height - 8], button="right")
    revised(page, lambda: page.keyboard.press("Control+z"))
    again = seen(page)
    assert np.abs(again[y, x] - first[y, x]).max() <= 2
    corners = [place(page, at) for at in ([width * 0.2, height * 0.2], [width * 0.85, height * 0.85])]
    page.mouse.move(corners[0]["x"], corners[0]["y"])
    page.mouse.down()
    page.mouse.move(corners[1]["x"], corners[1]["y"], steps=5)
    revised(page, page.mouse.up)
    kept(page, "box")
    page.get_by_test_id("save").click()
    saved = images / "masks/a_head.png"
    waited(saved.is_file)
    labels = read_segmentation(saved).labels
    assert labels.shape == image.grid.shape
    assert labels[middle[1], middle[0]] == 1
    assert 0.02 < (labels > 0).mean() < 0.9


def test_a_volume_from_a_click_in_a_plane_to_the_saved_mask(page, images):
    opened(page, "b_brain")
    image = read(images / "b_brain.nii.gz")
    from promisam.app.display import Display

    display = Display.of(image.grid)
    index = [n // 2 for n in image.grid.shape]
    at = [round(n) for n in display.on_page(index)]
    before = seen(page)
    click(page, at, "z")
    after = seen(page)
    assert np.abs(after - before).sum() > 0
    kept(page, "volume")
    revised(page, lambda: page.keyboard.press("f"))
    kept(page, "followed")
    page.get_by_test_id("save").click()
    saved = images / "masks/b_brain.nii.gz"
    waited(saved.is_file)
    found = read_segmentation(saved)
    assert found.grid.matches(image.grid)
    assert found.labels[tuple(index)] == 1
    axis = display.axes[2]
    assert np.count_nonzero(found.labels.any(axis=tuple(a for a in range(3) if a != axis))) >= 1


def test_a_killed_server_loses_nothing_and_the_page_goes_on(browser, images, tmp_path):
    folder = tmp_path / "again"
    folder.mkdir()
    shutil.copy(images / "a_head.png", folder)
    server = Server(folder)
    try:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(server.url)
        ready(page)
        height, width = read(folder / "a_head.png").grid.shape
        click(page, [width // 2, height // 2])
        beside = place(page, [width // 2 + 12, height // 2 + 12])
        x, y = int(beside["x"]), int(beside["y"])
        drawn = seen(page)[y - 2 : y + 3, x - 2 : x + 3]
        server.kill()
        server = Server(folder)
        page.goto(server.url)
        ready(page)
        page.wait_for_timeout(300)
        assert np.abs(seen(page)[y - 2 : y + 3, x - 2 : x + 3] - drawn).max() <= 3
        revised(page, lambda: page.keyboard.press("Control+z"))
        assert np.abs(seen(page)[y - 2 : y + 3, x - 2 : x + 3] - drawn).mean() > 5
        page.close()
    finally:
        server.kill()


def waited(true, seconds=180):
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.1)
