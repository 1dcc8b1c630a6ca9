"""`promisam fit`: what is refused, what has nothing to do, and what is said."""

from __future__ import annotations

import json
import os
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from promisam.cli.main import run as command
from promisam.methods.unet import UNet

SMALL = ["--set", "side=16", "--set", "width=2", "--set", "levels=2", "--set", "batch=2", "--split", "50,50"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder with `data`, to work in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROMISAM_CACHE", str(tmp_path / "cache"))
    draw(tmp_path / "data", 4)
    return tmp_path


def draw(folder, number, empty=()):
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for i in range(number):
        y, x = np.indices((20 + i, 31 - i))
        inside = (abs(y - 9) < 5) & (abs(x - 12 - i) < 6)
        Pillow.fromarray((60 + 3 * x + 90 * inside).astype(np.uint8)).save(folder / "images" / f"p{i}.png")
        Pillow.fromarray((inside * 255 * (i not in empty)).astype(np.uint8)).save(folder / "masks" / f"p{i}.png")


def fit(*more, method="unet", data="data", out="run", epochs=2):
    """What `promisam fit` answers: its exit status."""
    own = SMALL if method == "unet" else []
    try:
        command(["fit", method, data, "-o", out, *own, "--set", f"epochs={epochs}", "--set", "validate_every=1", *more])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def contents(folder):
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in sorted(Path(folder).rglob("*")) if path.is_file()}


def test_a_finished_run_is_left_as_it_is(here, capsys):
    assert fit("--json") == 0
    first = json.loads(capsys.readouterr().out)
    before = contents("run")
    assert fit("--resume") == 0
    assert "nothing to do, it had finished after step 2; best validation Dice" in capsys.readouterr().out
    assert fit("--resume", "--json", "--set", "workers=1", "--set", "preview_every=3") == 0
    assert json.loads(capsys.readouterr().out) == {**first, "worked": False}
    assert contents("run") == before


def test_a_run_that_stopped_early_says_so_and_stays(here, capsys):
    own = ["--set", "patience=1", "--set", "learning_rate=1e-12"]
    assert fit(*own, epochs=9) == 0
    assert "run: stopped early, for lack of a better validation, after step 1" in capsys.readouterr().out
    assert json.loads(Path("run/run.json").read_text())["result"]["reason"] == "early"
    before = contents("run")
    assert fit("--resume", *own, epochs=9) == 0
    assert "nothing to do, it had stopped early" in capsys.readouterr().out
    assert contents("run") == before


def test_the_record_is_that_of_the_beginning(here, monkeypatch):
    def interrupted(self, batch):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(UNet, "loss", interrupted)
        assert fit() == 2
    begun = json.loads(Path("run/run.json").read_text())
    monkeypatch.setattr("sys.argv", ["promisam", "again"])
    assert fit("--resume", "--set", "workers=1") == 0
    ended = json.loads(Path("run/run.json").read_text())
    assert {**ended, "result": {}} == begun
    assert ended["result"]["reason"] == "finished"


def test_a_loss_that_breaks_is_named_and_the_run_goes_on_later(here, capsys, monkeypatch):
    whole = fit(out="whole")
    assert whole == 0
    calls, real = [], UNet.loss

    def breaking(self, batch):
        calls.append(1)
        return {name: value * (torch.nan if len(calls) == 2 else 1) for name, value in real(self, batch).items()}

    with monkeypatch.context() as patch:
        patch.setattr(UNet, "loss", breaking)
        assert fit() == 2
    said = capsys.readouterr().err
    assert "a loss not finite (bce, dice) in step 2, on the cases p" in said
    assert "Traceback" not in said
    assert fit("--resume") == 0
    models = [Path(run, "model.safetensors").read_bytes() for run in ("run", "whole")]
    states = [torch.load(Path(run, "resume.pt"), weights_only=True)["network"] for run in ("run", "whole")]
    assert len(models[0]) == len(models[1])
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[1])


def test_validation_without_objects_keeps_the_last_weights_and_says_so(here, capsys):
    draw(here / "half", 4, empty=(2, 3))
    Path("split.json").write_text(json.dumps({"train": ["p0", "p1"], "val": ["p2", "p3"]}))
    assert fit("--split", "split.json", data="half") == 0
    said = capsys.readouterr()
    assert "step 1: nothing to find in the validation cases" in said.err
    assert "nan" not in said.err
    assert "the last weights are kept, since no validation case has anything to find" in said.out
    assert json.loads(Path("run/run.json").read_text(), parse_constant=pytest.fail)["result"]["best_score"] is None


def test_fp16_on_a_cpu_is_refused_before_anything_is_written(here, capsys):
    assert fit("--set", "mixed_precision=fp16", "--device", "cpu") == 2
    assert "fp16 on a CPU; expected no or bf16" in capsys.readouterr().err
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--set", "epoch=3"], "Did you mean epochs?"),
        (["--set", "sede=3"], "Did you mean side?"),
        (["--set", "batch=many"], "batch = 'many'"),
        (["--set", "batch=true"], "batch = True"),
        (["--set", "batch"], "--set batch; expected name=value"),
        (["--config", "options.yaml"], "the option 'training'"),
        (["--config", "absent.yaml"], "absent.yaml"),
        (["--label", "7"], "7"),
        (["--split", "a,b"], "the split 'a,b'"),
        (["--resume", "--keep", "data/images/p0.png/kept"], "data/images/p0.png/kept"),
        (["-o", "data/images/p0.png"], "data/images/p0.png, which is a file"),
        (["-o", "data/images/p0.png/run"], "data/images/p0.png/run"),
        (["-o", "data"], "the folder data, in which there is something else than a run"),
        (["-o", "data", "--resume"], "Choose another."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_refused_in_one_line(here, capsys, typed, said):
    Path("options.yaml").write_text("training:\n  epochs: 3\n")
    assert fit(*typed) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("promisam: ")]
    assert len(lines) == 1
    assert said in lines[0]


@pytest.mark.parametrize("size", [100, 700, 6000])
def test_a_full_disk_is_said_in_one_line(here, capsys, size):
    """At the record, at the tables or event files, at the checkpoint or the pictures."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        status = fit("--keep", "kept")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    said = capsys.readouterr().err.strip().splitlines()
    assert status == 2
    assert "promisam: the output " in said[-1]
    assert not any("Traceback" in line or "Exception ignored" in line for line in said)
    assert not list(here.rglob(".*.part*"))


def test_the_bar_shows_loss_and_time_to_go(here):
    """On a terminal of its own."""
    import pty
    import subprocess
    import sys

    ours, theirs = pty.openpty()
    typed = ["fit", "unet", "data", "-o", "run", *SMALL, "--set", "epochs=60", "--set", "validate_every=60"]
    script = "import sys; from promisam.cli.main import run; run(sys.argv[1:])"
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", script, *typed], stderr=theirs, stdout=subprocess.DEVNULL, env=environment
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    assert process.wait(60) == 0
    text = shown.decode()
    assert "training, epoch" in text
    assert "loss 0." in text or "loss 1." in text
    assert "/60" in text
    assert "0:00:0" in text
    assert "step 60: validation Dice" in text
    shutil.rmtree("run")


def test_what_speaks_against_a_split_is_said_before_training(here, capsys):
    Path("split.json").write_text('{"train": ["p0", "p1"], "val": ["p2"]}')
    assert fit("--split", "split.json") == 0
    said = capsys.readouterr().err
    assert "2 cases to train on, 1 to validate with, 0 left to test" in said
    assert "promisam: warning: the file split.json gives no part to 1 case: p3" in said
