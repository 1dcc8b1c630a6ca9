"""The command from a labelled folder to the page, and again."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from command_line import promisam
from data_maker import picture
from promisam import evidence


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    """Ten small pictures of a bright ellipse, not square, 16 bit."""
    folder = tmp_path_factory.mktemp("data") / "heads"
    y, x = np.indices((40, 64))
    for i in range(10):
        inside = ((y - 18 - i % 4) / 10) ** 2 + ((x - 25 - 2 * i) / 14) ** 2 < 1
        picture(folder / "images" / f"h{i}.png", (3000 + 20000 * inside + 300 * ((x * y + i) % 7)).astype(np.uint16))
        picture(folder / "masks" / f"h{i}.png", (255 * inside).astype(np.uint8))
    return folder


@pytest.fixture
def quick(monkeypatch):
    """Few steps, so that it takes seconds."""
    fast = evidence.PROFILES["fast"]
    steps = dict.fromkeys(fast.steps, 2)
    monkeypatch.setitem(evidence.PROFILES, "fast", replace(fast, cases=2, steps=steps, shots=()))


def test_a_folder_becomes_a_report_that_goes_on_and_can_be_made_again(heads, tmp_path, quick, litemedsam, capsys):
    out = tmp_path / "out"
    words = ("report", heads, "-o", out, "--methods", "sam,unet", "--offline", "--device", "cpu")
    first = promisam(capsys, *words)
    assert first.status == 0, first.text
    assert "2 entries on heads" in first.out
    text = (out / "results.md").read_text()
    assert "| heads | plain SAM (LiteMedSAM) | none | box† | 0." in text
    assert "| heads | U-Net | all (2) | none |" in text
    assert "heads.unet.all: learning" in first.out
    assert {one.name for one in (out / "plots").iterdir()} >= {"methods.png"}
    found = evidence.read_tables(out)
    plain = next(f for f in found.summary if f.key == "sam")
    assert plain.dice > 0.8  # ellipses in boxes
    assert plain.test_peak_mb > 100
    assert 0 < plain.encode_seconds < 600
    assert plain.commands.startswith("promisam benchmark litemedsam heads --precision bfloat16 --prompt box")
    assert [pair.other_key for pair in found.comparisons] == ["sam"]

    times = {path: path.stat().st_mtime_ns for path in (out / "entries").rglob("*.*")}
    (out / "entries" / "heads.unet.all" / "fingerprint.txt").unlink()  # as if it had been stopped there
    again = promisam(capsys, *words)
    assert again.status == 0, again.text
    assert "heads.unet.all: learning" not in again.out  # the training is there
    kept = {path: path.stat().st_mtime_ns for path in times if path.exists()}
    assert all(kept[path] == times[path] for path in kept if path.parent.name == "heads.sam.0")
    assert any(kept[path] != times[path] for path in kept if path.parent.name == "heads.unet.all")

    page = (out / "report.html").read_bytes()
    (out / "report.html").unlink()
    assert promisam(capsys, "report", heads, "-o", out, "--render-only").status == 0
    assert (out / "report.html").read_bytes() == page

    (out / "report.html").unlink()
    assert (
        promisam(capsys, *words[:4], "--methods", "sam", *words[6:]).status == 0
    )  # what else is in the folder stays in the page
    assert (out / "report.html").read_bytes() == page

    fast = evidence.PROFILES["fast"]
    evidence.PROFILES["fast"] = replace(fast, steps=dict.fromkeys(fast.steps, 3))  # undone by the fixture
    refused = promisam(capsys, *words)
    assert refused.status == 2
    assert "measured with other settings" in refused.err
    assert (out / "report.html").read_bytes() == page


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--methods", "nnunet"), "nnunet"),
        (("--set", "absent"), "the set absent"),
        (("--render-only",), "summary.csv"),
        (("--shots", "1,few"), "--shots"),
        (("--shots", "0"), "--shots"),
        (("--threads", "0"), "--threads"),
    ],
)
def test_what_cannot_be_reported_is_refused(heads, tmp_path, capsys, words, told):
    answer = promisam(capsys, "report", heads, "-o", tmp_path / "out", *words)
    assert answer.status == 2
    assert told in answer.err
    assert answer.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_what_goes_wrong_in_a_process_is_told_in_one_line(heads, tmp_path, quick, litemedsam, capsys):
    """A test image that is cut short: nothing but a refusal, and nothing half-measured."""
    data = tmp_path / "heads"
    shutil.copytree(heads, data)
    (one,) = evidence.find_sets(data, (), 2)
    image = data / "images" / f"{one.test[1]}.png"
    image.write_bytes(image.read_bytes()[:200])
    answer = promisam(capsys, "report", data, "-o", tmp_path / "out", "--methods", "sam", "--offline", "--device", "cpu")
    assert answer.status == 2
    assert image.name in answer.err
    assert answer.err.count("\n") == 1
    assert not list((tmp_path / "out").rglob("*.csv"))
