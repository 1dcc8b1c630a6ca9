"""Training through the command line: interrupted, resumed, on several processes."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch

spec = spec_from_file_location("runs_conftest", Path(__file__).with_name("conftest.py"))
shared_parts = module_from_spec(spec)
spec.loader.exec_module(shared_parts)
arguments, equal, promisam, tensors = (getattr(shared_parts, n) for n in ("arguments", "equal", "promisam", "tensors"))

MODEL = "model.safetensors"
KILL_AT_STEP = """
import os, signal, promisam.training.loop as loop
old = loop._Loop._step
def step(self, number, loader):
    if number == {step}:
        os.kill(os.getpid(), signal.SIGKILL)
    return old(self, number, loader)
loop._Loop._step = step
"""
KILL_IN_WRITE = """
import os, signal, promisam.training.loop as loop, torch
old, calls = torch.save, []
def save(state, path):
    calls.append(path)
    if len(calls) == 3:
        with open(path, "wb") as file:
            file.write(b"half of a checkpoint")
            file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    old(state, path)
torch.save = save
"""
SIGNAL_AT_STEP = """
import os, signal, promisam.training.loop as loop
old = loop._Loop._step
def step(self, number, loader):
    if number == 3 and os.environ.get("RANK", "{rank}") == "{rank}":
        for _ in range({times}):
            os.kill(os.getpid(), signal.{name})
    return old(self, number, loader)
loop._Loop._step = step
"""
SIGNAL_AT_ENCODING = """
import os, signal, promisam.training.loop as loop
old = loop._Loop.precompute
def precompute(self):
    for number, event in enumerate(old(self)):
        if number == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        yield event
        assert number < 1, "it went on"
loop._Loop.precompute = precompute
"""


@pytest.fixture(scope="module")
def whole(place):
    """A training that nothing interrupted."""
    done = promisam(place, *arguments(place, "whole"))
    assert done.returncode == 0, done.stderr
    return place / "whole"


def test_a_run_folder_holds_everything(place, whole):
    record = json.loads((whole / "run.json").read_text())
    assert record["options"]["mode"] == "ips"
    assert record["training"]["epochs"] == 3
    assert record["data"]["split"]["train"]
    assert record["data"]["split"]["val"]
    groups = {part: {name[:2] for name in names} for part, names in record["data"]["split"].items()}
    assert not groups["train"] & groups["val"]
    assert record["backbone"]["fingerprint"]
    assert record["result"]["reason"] == "finished"
    rows = list(csv.DictReader((whole / "metrics.csv").open()))
    assert [int(r["step"]) for r in rows] == list(range(1, len(rows) + 1))
    validations = list(csv.DictReader((whole / "validation.csv").open()))
    assert int(validations[0]["step"]) == 0
    assert {"learning_curve.png", "resume.pt", MODEL} <= {p.name for p in whole.iterdir()}
    assert list((whole / "previews").glob("step_*.png"))
    assert list((whole / "tensorboard").iterdir())


@pytest.mark.parametrize("patch", [KILL_AT_STEP.format(step=2), KILL_IN_WRITE], ids=["in a step", "in a checkpoint's write"])
def test_killed_and_resumed_is_uninterrupted(place, whole, patch, request):
    run = f"killed{abs(hash(request.node.name))}"
    killed = promisam(place, *arguments(place, run), patch=patch)
    assert killed.returncode == -signal.SIGKILL
    done = promisam(place, *arguments(place, run, "--resume"))
    assert done.returncode == 0, done.stderr
    assert equal(tensors(place / run / MODEL), tensors(whole / MODEL))
    states = [torch.load(folder / "resume.pt", weights_only=True) for folder in (place / run, whole)]
    assert equal(states[0]["network"], states[1]["network"])
    for table in ("metrics.csv", "validation.csv"):
        rows = [[{**r, "seconds": ""} for r in csv.DictReader((folder / table).open())] for folder in (place / run, whole)]
        assert rows[0] == rows[1]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_stops_after_the_step_and_nothing_is_lost(place, whole, name):
    run = f"stopped{name}"
    stopped = promisam(place, *arguments(place, run), patch=SIGNAL_AT_STEP.format(rank=0, times=1, name=name))
    assert stopped.returncode == 2
    assert stopped.stderr.splitlines()[-1] == "promisam: stopped after step 4; go on with --resume"
    assert stopped.stdout == ""
    assert torch.load(place / run / "resume.pt", weights_only=True)["standing"]["step"] == 4
    assert not (place / run / ".lock").exists()
    done = promisam(place, *arguments(place, run, "--resume"))
    assert done.returncode == 0, done.stderr
    assert equal(tensors(place / run / MODEL), tensors(whole / MODEL))
    states = [torch.load(folder / "resume.pt", weights_only=True) for folder in (place / run, whole)]
    assert equal(states[0]["network"], states[1]["network"])
    rows = [[{**r, "seconds": ""} for r in csv.DictReader((each / "metrics.csv").open())] for each in (place / run, whole)]
    assert rows[0] == rows[1]


def test_a_second_signal_acts_at_once(place):
    killed = promisam(place, *arguments(place, "twice"), patch=SIGNAL_AT_STEP.format(rank=0, times=2, name="SIGTERM"))
    assert killed.returncode == -signal.SIGTERM
    assert "stopped" not in killed.stderr


def test_a_signal_is_heard_while_encoding(place):
    own = [str(place / "kept_nowhere") if value == "kept" else value for value in arguments(place, "encoding")]
    stopped = promisam(place, *own, patch=SIGNAL_AT_ENCODING)
    assert stopped.returncode == 2
    assert stopped.stderr.splitlines()[-1] == "promisam: stopped while encoding; go on with --resume"
    assert promisam(place, *own, "--resume").returncode == 0


def test_all_processes_stop_after_the_same_step(place):
    """Also when one alone hears the signal, and it is not the first."""
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29657"]
    patch = SIGNAL_AT_STEP.format(rank=1, times=1, name="SIGTERM")
    own = arguments(place, "together", "--set", "batch=1")
    assert promisam(place, *own, patch=patch, module=torchrun).returncode == 1  # torchrun's own, for processes that left with 2
    assert torch.load(place / "together" / "resume.pt", weights_only=True)["standing"]["step"] == 4


def test_a_folder_that_another_training_is_at_is_refused(place, whole):
    from promisam.runs.claim import claimed

    with claimed(place / "whole"):
        begun = promisam(place, *arguments(place, "whole", "--resume"))
    with claimed(place / "fresh"):
        new = promisam(place, *arguments(place, "fresh"))
    for refused in (begun, new):
        assert refused.returncode == 2
        assert "a run that another process is at" in refused.stderr
        assert len(refused.stderr.strip().splitlines()) == 1
    assert not (place / "fresh").exists()
    assert promisam(place, *arguments(place, "whole", "--resume")).returncode == 0


def test_two_processes_are_one_with_the_doubled_batch(place):
    plain = ["--set", "optimizer=sgd", "--set", "learning_rate=0.01"]  # Adam divides by gradients that are nothing but rounding
    one = promisam(place, *arguments(place, "one", "--set", "batch=4", *plain))
    assert one.returncode == 0, one.stderr
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29653"]
    two = promisam(place, *arguments(place, "two", "--set", "batch=2", *plain), module=torchrun)
    assert two.returncode == 0, two.stderr
    assert equal(tensors(place / "two" / MODEL), tensors(place / "one" / MODEL), 1e-5)
    assert json.loads((place / "two" / "run.json").read_text())["processes"] == 2
    scored = [list(csv.DictReader((place / run / "validation.csv").open())) for run in ("one", "two")]
    for alone, shared in zip(*scored, strict=True):
        assert [shared["step"], shared["cases"]] == [alone["step"], alone["cases"]] == [alone["step"], "4"]
        rounding = 5e-3 if int(alone["step"]) else 0  # of weights, by which a pixel of these small masks may change
        assert float(shared["dice"]) == pytest.approx(float(alone["dice"]), abs=rounding)


def test_slurm_variables_are_enough(place):
    common = {
        "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "2",
        "SLURM_NNODES": "1",
        "SLURM_NODEID": "0",
        "SLURM_NODELIST": "127.0.0.1",
        "SLURM_JOB_ID": "4711",
        "SLURM_JOB_NAME": "train",
    }
    script = "import sys\nfrom promisam.cli.main import run\nrun(sys.argv[1:])\n"
    (place / "slurm.py").write_text(script)
    import os

    tasks = [
        subprocess.Popen(
            [sys.executable, "slurm.py", *arguments(place, "slurm", "--set", "batch=2")],
            cwd=place,
            env={**os.environ, **common, "SLURM_PROCID": rank, "SLURM_LOCALID": rank, "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    said = [task.communicate(timeout=300)[1] for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0], said
    assert json.loads((place / "slurm" / "run.json").read_text())["processes"] == 2


def test_what_was_begun_otherwise_is_not_resumed(place, whole):
    other = promisam(place, *arguments(place, "whole", "--resume", "--set", "learning_rate=0.5"))
    assert other.returncode == 2
    assert "learning_rate" in other.stderr
    assert promisam(place, *arguments(place, "whole")).returncode == 2


def test_an_unknown_option_is_refused_with_the_nearest(place):
    refused = promisam(place, *arguments(place, "typo", "--set", "epoch=3"))
    assert refused.returncode == 2
    assert "Did you mean epochs?" in refused.stderr
    assert not (place / "typo").exists()


def test_predict_skips_what_is_done_and_goes_on_after_a_bad_file(place):
    fitted = promisam(place, *arguments(place, "unet", method="unet"))
    assert fitted.returncode == 0, fitted.stderr
    images = place / "mixed"
    images.mkdir()
    for name in ("p0_0.png", "p1_2.png"):
        (images / name).write_bytes((place / "data" / "images" / name).read_bytes())
    (images / "broken.png").write_bytes(b"no picture")
    first = promisam(place, "predict", "unet", "mixed", "-o", "out")
    assert first.returncode == 2
    assert "broken.png" in first.stderr
    assert "2 done, 0 skipped, 1 failed" in first.stdout
    report = {
        Path(r["image"]).name: r["status"] for r in json.loads((place / "out" / "predictions.json").read_text())["predictions"]
    }
    assert report == {"p0_0.png": "done", "p1_2.png": "done", "broken.png": "failed"}
    (images / "broken.png").unlink()
    before = (place / "out" / "p0_0.png").stat().st_mtime_ns
    again = promisam(place, "predict", "unet", "mixed", "-o", "out")
    assert again.returncode == 0
    assert "0 done, 2 skipped" in again.stdout
    assert (place / "out" / "p0_0.png").stat().st_mtime_ns == before
    shards = [promisam(place, "predict", "unet", "mixed", "-o", "shards", "--shard", f"{i}/2").returncode for i in (0, 1)]
    assert shards == [0, 0]
    assert sorted(p.name for p in (place / "shards").glob("*.png")) == ["p0_0.png", "p1_2.png"]


def test_an_automatic_run_segments_without_a_prompt_and_shows_its_points(place):
    own = ["--set", "mode=apm+ips", "--set", "form=light", "--set", "points=3"]
    fitted = promisam(place, *arguments(place, "auto", *own))
    assert fitted.returncode == 0, fitted.stderr
    image = "data/images/p0_0.png"
    found = promisam(
        place, "segment", image, "--method", "auto", "-o", "a.png", "--show-prompts", "found.json", "--preview", "a_view.png"
    )
    assert found.returncode == 0, found.stderr
    shown = json.loads((place / "found.json").read_text())["objects"]
    assert [p.get("positive", True) for p in shown[0]["points"]] == [True, False, False]
    back = promisam(place, "segment", image, "--method", "auto", "-o", "b.png", "--prompts", "found.json")
    assert back.returncode == 0, back.stderr


def test_another_sam_is_refused_with_both_fingerprints(place, whole):
    from safetensors.torch import save_file

    from tiny_sam import tiny

    save_file({n: v.contiguous() for n, v in tiny(seed=5).state_dict().items()}, place / "other.safetensors")
    refused = promisam(
        place, "segment", "data/images/p0_0.png", "--method", "whole", "--weights", "other.safetensors", "--like", "sam_vit_b",
        "--point", "30,16", "-o", "c.png",
    )  # fmt: skip
    assert refused.returncode == 2
    assert refused.stderr.count("fingerprint") == 2
