"""The HTTP interface in process, with a segmenter that answers at once."""

import base64
import io
import json
import zlib
from urllib.parse import quote

import nibabel
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image as Picture

from geometries import oblique
from promisam.app.display import Display
from promisam.app.guard import Rules
from promisam.app.jobs import Jobs, Options
from promisam.app.office import SESSIONS, Office
from promisam.app.server import create_app
from promisam.core import Segmentation
from promisam.io import read, read_segmentation, write
from promisam.session import Bench, Project
from session.fake_segmenter import FakeSegmenter

TOKEN = "0123456789abcdef"  # noqa: S105 - of a server that lives for a test
HOME = "http://127.0.0.1:8000"
SHAPE = (60, 90)
VOLUME = (7, 40, 30)


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "study"
    (place / "sub").mkdir(parents=True)
    rows = np.broadcast_to(np.arange(SHAPE[0])[:, None], SHAPE)
    for number in range(2):
        Picture.fromarray(rows.astype(np.uint8) + number).save(place / f"case {number}.png")
    values = np.random.default_rng(0).integers(0, 900, VOLUME)
    write(place / "scan.nii.gz", Segmentation(values.astype(np.uint16), oblique(VOLUME)))
    (tmp_path / "secret.png").write_bytes((place / "case 0.png").read_bytes())
    return place


def served(folder, token=TOKEN, **method):
    project = Project.open(folder)
    office = Office(project, Bench(FakeSegmenter(**method), "fake"))
    app = create_app(office, Jobs(project, lambda _run: None, Options()), Rules.of(TOKEN, "127.0.0.1", 8000))
    headers = {"X-Promisam-Token": token} if token else {}
    return TestClient(app, base_url=HOME, headers=headers, raise_server_exceptions=False)


@pytest.fixture
def client(folder):
    with served(folder) as client:
        yield client


def entered(client, image):
    number = client.post("/api/sessions").json()["session"]
    view = client.post(f"/api/sessions/{number}/open", json={"image": image})
    assert view.status_code == 200, view.text
    return f"/api/sessions/{number}", view.json()


def painted(shown, view):
    """What the page does with a patch."""
    patch = view["labels"]
    if all(patch["size"]):
        values = np.frombuffer(zlib.decompress(base64.b64decode(patch["data"])), np.uint8).reshape(patch["size"][::-1])
        place = tuple(slice(a, a + n) for a, n in zip(patch["start"][::-1], patch["size"][::-1], strict=True))
        shown[place] = values
    return shown


def test_from_a_click_to_a_file(client, folder):
    there = client.get("/api/project").json()
    assert [one["name"] for one in there["images"]] == ["case 0", "case 1", "scan"]
    assert there["method"] == {"name": "fake", "accepts": ["box", "mask", "points"], "automatic": False, "classes": []}
    session, view = entered(client, "case 0")
    shown = painted(np.full(SHAPE, 99, np.uint8), view)
    assert shown.max() == 0
    for action in (
        {"do": "click", "at": [40, 30]},
        {"do": "click", "at": [46, 30], "positive": False},
        {"do": "box", "low": [80, 50], "high": [60, 40]},
        {"do": "brush", "path": [[5, 5], [20, 5]], "radius": 2},
        {"do": "scribble", "path": [[30, 50], [40, 50]]},
        {"do": "move", "index": 0, "to": [38, 30]},
        {"do": "undo"},
        {"do": "redo"},
        {"do": "accept"},
    ):
        answer = client.post(f"{session}/actions", json=action)
        assert answer.status_code == 200, answer.text
        shown = painted(shown, answer.json())
    assert answer.json()["object"] is False
    saved = client.post(f"{session}/save", json={}).json()
    assert saved == {"saved": "masks/case 0.png", "next": "case 1"}
    np.testing.assert_array_equal(read_segmentation(folder / saved["saved"]).labels, shown)
    assert shown[30, 38] == shown[5, 10] == shown[45, 70] == 1
    again = client.get(session).json()
    np.testing.assert_array_equal(painted(np.zeros(SHAPE, np.uint8), again), shown)
    assert client.get("/api/project").json()["images"][0]["state"] == "done"


def test_a_volume_is_shown_and_answered_in_the_patients_axes(client, folder):
    session, view = entered(client, "scan")
    image = read(folder / "scan.nii.gz")
    display = Display.of(image.grid)
    assert (view["size"], view["spacing"]) == (display.size, display.spacing(image.grid))
    sent = nibabel.Nifti1Image.from_bytes(client.get("/api/images/scan/volume").content)
    assert nibabel.aff2axcodes(sent.affine) == ("R", "A", "S")
    np.testing.assert_array_equal(np.asarray(sent.dataobj).T, display.array(image.pixels[0]))
    index = (3, 22, 11)
    at = display.on_page(index)
    letter = "xyz"[display.axes.index(0)]
    shown = painted(np.zeros(display.size[::-1], np.uint8), view)
    view = client.post(f"{session}/actions", json={"do": "click", "at": at, "plane": letter}).json()
    shown = painted(shown, view)
    assert view["prompts"]["points"] == [{"at": at, "positive": True}]
    client.post(f"{session}/save", json={"next": False})
    found = read_segmentation(folder / "masks/scan.nii.gz")
    assert found.grid.matches(image.grid)
    assert found.labels[index] == 1
    assert found.labels[2].max() == 0
    np.testing.assert_array_equal(display.array(found.labels), shown)


def test_pictures_are_sent_with_the_levels_that_are_asked_for(client):
    def shown(query=""):
        return np.asarray(Picture.open(io.BytesIO(client.get(f"/api/images/case%200/picture{query}").content)))

    np.testing.assert_array_equal(shown()[:, 0], np.arange(60))
    levels = shown("?low=10&high=30")
    assert levels[10, 0] == 0
    assert levels[20, 0] in (127, 128)
    assert levels[40, 0] == 255
    assert client.get("/api/images/case%200/picture?low=30&high=10").status_code == 400
    assert client.get("/api/images/scan/picture").status_code == 400
    assert client.get("/api/images/case%200/volume").status_code == 400
    assert max(Picture.open(io.BytesIO(client.get("/api/images/scan/thumbnail").content)).size) <= 96


@pytest.mark.parametrize(
    "path",
    [
        "../secret/picture",
        "..%2fsecret/picture",
        "..%2Fsecret.png/picture",
        "%2e%2e/secret/thumbnail",
        "%2e%2e%2fsecret/thumbnail",
        "/etc/passwd/picture",
        "%2Fetc%2Fpasswd/picture",
        "sub/../../secret/picture",
        "case 0.png/picture",
        "\u0000/picture",
    ],
)
def test_no_path_leads_out_of_the_folder(client, path):
    answer = client.get(f"{HOME}/api/images/{quote(path, safe='/%')}")
    assert answer.status_code in (400, 404), answer.text
    assert b"PNG" not in answer.content
    assert "Traceback" not in answer.text
    for name in (path.removesuffix("/picture"), "../secret", "/etc/passwd", str(client.base_url)):
        number = client.post("/api/sessions").json()["session"]
        assert client.post(f"/api/sessions/{number}/open", json={"image": name}).status_code == 400


@pytest.mark.parametrize(
    "file", ["../server.py", "..%2fserver.py", "%2e%2e/server.py", "server.py", "build.json", "static/page.js"]
)
def test_nothing_but_the_page_is_served_beside_it(client, file):
    answer = client.get(f"{HOME}/{file}")
    assert answer.status_code >= 400
    assert "import" not in answer.text


def test_the_page_is_there_and_kept_in_its_place(client):
    answer = client.get("/", headers={"X-Promisam-Token": ""})
    assert answer.status_code == 200
    assert "<html" in answer.text
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["referrer-policy"] == "no-referrer"
    for part in ("page.js", "page.css", "THIRD_PARTY.txt"):
        assert client.get(f"/{part}").status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"X-Promisam-Token": ""}, 401),
        ({"X-Promisam-Token": TOKEN + "0"}, 401),
        ({"X-Promisam-Token": TOKEN, "Host": "evil.example:8000"}, 403),
        ({"X-Promisam-Token": TOKEN, "Host": "127.0.0.1:9"}, 403),
        ({"X-Promisam-Token": TOKEN, "Host": ""}, 403),
        ({"X-Promisam-Token": TOKEN, "Origin": "http://evil.example"}, 403),
        ({"X-Promisam-Token": TOKEN, "Origin": "https://127.0.0.1:8000"}, 403),
        ({"X-Promisam-Token": TOKEN, "Origin": "http://localhost:8000"}, 403),
        ({"X-Promisam-Token": TOKEN, "Origin": "null"}, 403),
        ({"X-Promisam-Token": TOKEN, "Origin": HOME}, 200),
        ({"X-Promisam-Token": TOKEN}, 200),
    ],
)
def test_only_pages_of_this_server_that_know_the_token_are_answered(folder, headers, status):
    with served(folder, token="") as client:
        answers = [client.get("/api/project", headers=headers), client.post("/api/sessions", headers=headers)]
        assert {answer.status_code for answer in answers} == {status}
        assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}


def test_every_route_but_the_page_asks_for_the_token(folder):
    with served(folder, token="") as client:
        routes = [(route.path, method) for route in flat(client.app.routes) for method in route.methods or ()]
        assert len(routes) > 15
        for path, method in routes:
            open_to_all = path in ("/", "/index.html", "/favicon.ico", "/{name}") and method in ("GET", "HEAD")
            status = client.request(method, path.replace("{name}", "page.js")).status_code
            assert (status == 401) != open_to_all, (method, path, status)


def flat(routes):
    for route in routes:
        if hasattr(route, "methods"):
            yield route
        elif hasattr(route, "routes"):
            yield from flat(route.routes)


def test_the_token_may_stand_in_the_address(folder):
    with served(folder, token="") as client:
        assert client.get(f"/api/images/scan/thumbnail?token={TOKEN}").status_code == 200
        assert client.get("/api/images/scan/thumbnail?token=wrong").status_code == 401


@pytest.mark.parametrize(
    "action",
    [
        {},
        {"do": "explode"},
        {"do": "click"},
        {"do": "click", "at": [1]},
        {"do": "click", "at": [1, 2, 3, 4]},
        {"do": "click", "at": ["a", 2]},
        {"do": "click", "at": [1e9, 2]},
        {"do": "click", "at": [1, 2], "colour": "red"},
        {"do": "click", "at": [1, 2, 3]},
        {"do": "brush", "path": [], "radius": 3},
        {"do": "brush", "path": [[1, 2]], "radius": -3},
        {"do": "brush", "path": [[1, 2]], "radius": 1e12},
        {"do": "brush", "path": [[0, 0]] * 20_001, "radius": 1},
        {"do": "move", "index": 4, "to": [1, 2]},
        {"do": "move", "index": -1, "to": [1, 2]},
        {"do": "label", "value": 99},
        {"do": "follow"},
        {"do": "suggest"},
        [],
        "click",
    ],
)
def test_bad_actions_are_refused_and_change_nothing(client, action):
    session, _ = entered(client, "case 0")
    answer = client.post(f"{session}/actions", json=action)
    assert answer.status_code in (400, 422), answer.text
    assert set(answer.json()["error"]) == {"text", "given", "expected", "do"}
    assert "Traceback" not in answer.text
    assert client.get(session).json()["revision"] == 0
    assert client.post(f"{session}/actions", json={"do": "click", "at": [40, 30]}).status_code == 200


@pytest.mark.parametrize("body", ["{", '{"do":"click","at":[NaN,1]}', '{"do":"click","at":[1e999,1]}', "", "\xff"])
def test_bodies_that_are_no_json_are_refused(client, body):
    session, _ = entered(client, "case 0")
    answer = client.post(f"{session}/actions", content=body.encode("latin-1"), headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    assert "error" in answer.json()


def test_what_is_too_large_is_refused_before_it_is_read(client):
    session, _ = entered(client, "case 0")
    assert client.post(f"{session}/actions", content=b"x" * (17 << 20)).status_code == 413

    def endless():
        for _ in range(20):
            yield b"[" * (1 << 20)

    answer = client.post(f"{session}/actions", content=endless())  # no length is announced
    assert answer.status_code == 413


def test_an_image_that_is_open_elsewhere_can_be_taken_over(client):
    first, _ = entered(client, "case 0")
    second = client.post("/api/sessions").json()["session"]
    refused = client.post(f"/api/sessions/{second}/open", json={"image": "case 0"})
    assert refused.status_code == 409
    assert client.post(f"/api/sessions/{second}/open", json={"image": "case 0", "take": True}).status_code == 200
    assert client.get(first).json() == {"image": None}
    assert client.post(f"{first}/actions", json={"do": "click", "at": [1, 1]}).status_code == 409


def test_a_page_that_was_closed_gives_its_image_back_unless_it_is_heard_of_again(client):
    first, _ = entered(client, "case 0")
    second = client.post("/api/sessions").json()["session"]
    assert client.post(f"{first}/leave").status_code == 200
    assert client.get(f"/api/jobs?session={first.rpartition('/')[2]}").status_code == 200
    assert client.post(f"/api/sessions/{second}/open", json={"image": "case 0"}).status_code == 409
    client.post(f"{first}/leave")
    assert client.post(f"/api/sessions/{second}/open", json={"image": "case 0"}).status_code == 200
    assert client.get("/api/jobs?session=unknown").json() == []


def test_sessions_end_and_are_told_apart(client):
    assert client.get("/api/sessions/unknown").status_code == 404
    first = client.post("/api/sessions").json()["session"]
    for _ in range(SESSIONS):
        client.post("/api/sessions")
    assert client.get(f"/api/sessions/{first}").status_code == 404


def test_labels_are_renamed_and_those_in_use_are_kept(client):
    labels = [{"value": 1, "name": " polyp ", "colour": "#FF0000"}, {"value": 2, "name": "tool", "colour": "#00ff00"}]
    assert client.put("/api/labels", json={"labels": labels}).json()[0] == {"value": 1, "name": "polyp", "colour": "#ff0000"}
    session, _ = entered(client, "case 0")
    client.post(f"{session}/actions", json={"do": "label", "value": 2})
    client.post(f"{session}/actions", json={"do": "click", "at": [40, 30]})
    refused = client.put("/api/labels", json={"labels": labels[:1]})
    assert refused.status_code == 400
    assert "Rename" in refused.json()["error"]["text"]
    for wrong in ([], [{"value": 0, "name": "a", "colour": "#000000"}], [{"value": 1, "name": "a", "colour": "blue"}]):
        assert client.put("/api/labels", json={"labels": wrong}).status_code == 400


def test_a_failure_of_ours_is_told_without_its_traceback(client, monkeypatch, caplog):
    session, _ = entered(client, "case 0")
    monkeypatch.setattr(FakeSegmenter, "decode", lambda *_: 1 / 0)
    answer = client.post(f"{session}/actions", json={"do": "click", "at": [40, 30]})
    assert answer.status_code == 500
    assert "ZeroDivision" not in answer.text
    assert json.loads(answer.text)["error"]["text"]
    assert "ZeroDivisionError" in caplog.text
    assert TOKEN not in caplog.text


def test_a_damaged_image_is_refused_and_the_former_stays_open(folder):
    (folder / "case 1.png").write_bytes(b"\x89PNG broken")
    with served(folder) as client:
        session, _ = entered(client, "case 0")
        answer = client.post(f"{session}/open", json={"image": "case 1"})
        assert answer.status_code == 400
        assert "case 1" in answer.json()["error"]["text"]
        assert client.get(session).json()["image"] == "case 0"
