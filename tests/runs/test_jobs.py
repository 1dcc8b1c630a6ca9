"""`promisam predict --jobs`: several processes, one report, the same answers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from command_line import promisam
from data_maker import picture
from toy_few_shot import labelled, scene

TOY = "toy_few_shot:Toy"


@pytest.fixture
def place(tmp_path):
    drawn = [scene(number) for number in range(7)]
    labelled(tmp_path / "few", drawn[:2])
    for number, (pixels, _) in enumerate(drawn):
        picture(tmp_path / "many" / f"q{number}.png", pixels)
    return tmp_path


def learned(capsys, place, *more):
    done = promisam(capsys, "fit", TOY, place / "few", "-o", place / "run", *more)
    assert done.status == 0, done.text
    return place / "run"


def report(folder):
    """Without what a clock says, and with the folder's own name taken out."""
    told = json.loads((folder / "predictions.json").read_text())
    rows = [{k: v for k, v in row.items() if k not in ("seconds", "output")} for row in told["predictions"]]
    return told["checkpoint"], rows


def test_the_same_masks_and_the_same_report_as_one_process(capsys, place):
    run = learned(capsys, place)
    (place / "many/q5.png").write_bytes(b"no picture")
    for jobs in (1, 3):
        done = promisam(capsys, "predict", run, place / "many", "-o", place / f"out{jobs}", "--jobs", jobs)
        assert done.status == 2
        assert "q5.png" in done.err
        assert "6 done, 0 skipped, 1 failed" in done.out
    assert report(place / "out1") == report(place / "out3")
    files = [{p.relative_to(place / out) for p in (place / out).rglob("*")} for out in ("out1", "out3")]
    assert files[0] == files[1]
    same = [p for p in files[0] if p.suffix in (".png", ".jpg")]
    assert len(same) == 12
    assert all((place / "out1" / p).read_bytes() == (place / "out3" / p).read_bytes() for p in same)
    again = promisam(capsys, "predict", run, place / "many", "-o", place / "out3", "--jobs", 2)
    assert "0 done, 6 skipped, 1 failed" in again.out


def test_a_process_that_is_killed_is_reported_and_the_others_go_on(capsys, place):
    run = learned(capsys, place, "--set", "deadly=251")
    pixels = scene(1)[0]
    pixels[0, 0] = 251
    picture(place / "many/q1.png", pixels)
    done = promisam(capsys, "predict", run, place / "many", "-o", place / "out", "--jobs", 2)
    assert done.status == 2
    assert "3 images (q1.png, q3.png, q5.png): the process for it was killed by SIGKILL" in done.err
    assert "with 3 images left" in done.err
    rows = {Path(row["image"]).stem: row["status"] for row in report(place / "out")[1]}
    assert rows == {f"q{n}": "done" if n % 2 == 0 else "failed" for n in range(7)}
    picture(place / "many/q1.png", scene(1)[0])
    again = promisam(capsys, "predict", run, place / "many", "-o", place / "out", "--jobs", 2)
    assert again.status == 0, again.text
    assert "3 done, 4 skipped" in again.out
    assert all(row["confidence"] is not None for row in report(place / "out")[1])


def test_what_stops_a_process_before_its_first_image_is_said_once(capsys, place):
    run = learned(capsys, place)
    model = run / "model.safetensors"
    model.write_bytes(model.read_bytes()[:-4])
    done = promisam(capsys, "predict", run, place / "many", "-o", place / "out", "--jobs", 2)
    assert done.status == 2
    assert done.err.count("promisam:") == 1
    assert "model.safetensors" in done.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_and_what_is_done_is_told(capsys, place, number):
    run = learned(capsys, place, "--set", "wait=1")
    script = "import sys; from promisam.cli.main import run\nif __name__ == '__main__': run(sys.argv[1:])"
    path = os.pathsep.join(str(Path(part).resolve()) for part in ("tests", "src"))
    command = [sys.executable, "-c", script, "predict", str(run), str(place / "many"), "-o", str(place / "out"), "--jobs", "2"]
    child = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.PIPE, text=True)
    try:
        until = time.monotonic() + 60
        while child.poll() is None and not list((place / "out").glob("q*.png")) and time.monotonic() < until:
            time.sleep(0.05)
        workers = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
        assert len(workers) == 2
        child.send_signal(number)
        _, err = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == 2, err
    assert "interrupted" in err
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    masks = sorted(p.name for p in (place / "out").glob("q*.png"))
    assert 0 < len(masks) < 7
    assert not list((place / "out").rglob(".*.part*"))
    assert promisam(capsys, "predict", run, place / "many", "-o", place / "out").status == 0


@pytest.mark.parametrize(("more", "said"), [(["--shard", "0/2"], "--jobs 2 with --shard")])
def test_refusals(capsys, place, more, said):
    refused = promisam(capsys, "predict", place, place / "many", "-o", place / "out", "--jobs", 2, *more)
    assert refused.status == 2
    assert said in refused.err
