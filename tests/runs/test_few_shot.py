"""Methods that remember a few labelled images: `promisam fit --support`, through the command line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import promisam as ps
from command_line import promisam
from data_maker import picture, text
from promisam import store
from promisam.core.errors import InvalidConfig, NotFitted
from promisam.runs.fit import Request, fit
from promisam.training.checkpoint import read_header
from toy_few_shot import labelled

TOY = "toy_few_shot:Toy"


def scene(number: int, size: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """A picture with two squares of different brightness, and their labels 1 and 2."""
    drawn = np.zeros((size, size + 6), np.uint8)
    drawn[4:12, 3 + number % 5 : 11 + number % 5] = 1
    drawn[14:20, 16 : 24 - number % 3] = 2
    rest = np.random.default_rng(number).integers(0, 40, drawn.shape)
    return (rest + 90 * drawn).astype(np.uint8), drawn


@pytest.fixture
def place(tmp_path):
    """`few` with three labelled pictures; `many` with one of them, three others and a broken one."""
    labelled(tmp_path / "few", [scene(number) for number in range(3)])
    for number in range(3, 6):
        picture(tmp_path / "many" / f"q{number}.png", scene(number)[0])
    shutil.copy(tmp_path / "few/images/s0.png", tmp_path / "many/again.png")
    return tmp_path


def words(place, *more, run="run"):
    return ["fit", TOY, "--support", place / "few", "--images", place / "many", "-o", place / run, *more]


def record(place, run="run"):
    return json.loads((place / run / "run.json").read_text())


def test_supports_and_others_become_a_run_that_is_opened(capsys, place):
    done = promisam(capsys, *words(place, "--json"))
    assert done.status == 0, done.text
    told = json.loads(done.out)
    assert (told["supports"], told["unlabelled"], told["worked"]) == (["s0", "s1", "s2"], 3, True)  # the copy counts once
    data = record(place)["data"]
    assert data["split"] == {"train": ["s0", "s1", "s2"], "val": [], "test": []}
    assert "all cases are supports" in data["how"]
    assert sorted(Path(path).name for path in data["unlabelled"]) == ["q3.png", "q4.png", "q5.png"]
    assert sorted(p.name for p in (place / "run").iterdir()) == ["model.safetensors", "run.json"]
    assert read_header(place / "run/model.safetensors").facts == {"supports": 3, "unlabelled": 3}
    method = store.load(method=place / "run")
    assert method.network.others[0] == 3
    _, drawn = scene(4)
    found = ps.predict(method, ps.read(place / "many/q4.png"))
    assert (found.labels == drawn).mean() > 0.97


def test_the_positional_data_set_and_the_seed(capsys, place):
    first = promisam(capsys, "fit", TOY, place / "few", "-o", place / "a", "--set", "seed=1")
    second = promisam(capsys, "fit", TOY, place / "few", "-o", place / "b", "--set", "seed=2")
    assert (first.status, second.status) == (0, 0), first.text + second.text
    assert record(place, "a")["training"] == {"seed": 1}
    drawn = [float(store.load(method=place / run).network.drawn) for run in ("a", "b")]
    assert drawn[0] != drawn[1]
    assert record(place, "a")["data"]["unlabelled"] == {}


def test_one_support_is_enough_and_none_is_an_error(capsys, place):
    for number in (1, 2):
        (place / "few/images" / f"s{number}.png").unlink()
        (place / "few/masks" / f"s{number}.png").unlink()
    assert promisam(capsys, *words(place)).status == 0
    (place / "few/masks/s0.png").unlink()
    none = promisam(capsys, *words(place, run="other"))
    assert none.status == 2
    assert "no image has a mask" in none.err
    assert not (place / "other").exists()


def test_a_split_says_which_are_supports(capsys, place):
    split = text(place / "split.json", {"train": ["s0", "s2"]})
    assert promisam(capsys, *words(place, "--split", split)).status == 0
    data = record(place)["data"]
    assert data["split"] == {"train": ["s0", "s2"], "val": [], "test": ["s1"]}
    assert "split.json" in data["how"]


def test_unreadable_others_are_left_out_and_unreadable_supports_stop(capsys, place):
    (place / "many/q4.png").write_bytes(b"no picture")
    done = promisam(capsys, *words(place))
    assert done.status == 2
    assert "left out" in done.err
    assert "q4.png" in done.err
    assert store.load(method=place / "run").network.others[0] == 2
    data = record(place)["data"]
    assert [Path(path).name for path in data["unread"]] == ["q4.png"]
    assert len(data["unlabelled"]) == 2
    (place / "few/images/s1.png").write_bytes(b"no picture")
    stopped = promisam(capsys, *words(place, run="other"))
    assert stopped.status == 2
    assert "s1.png" in stopped.err
    assert not (place / "other").exists()


def test_a_run_is_refused_and_resumed_only_as_it_was(capsys, place):
    promisam(capsys, *words(place))
    model = (place / "run/model.safetensors").stat().st_mtime_ns
    refused = promisam(capsys, *words(place))
    assert refused.status == 2
    assert "--resume" in refused.err
    same = promisam(capsys, *words(place, "--resume"))
    assert same.status == 0, same.text
    assert "nothing to do" in same.out
    assert (place / "run/model.safetensors").stat().st_mtime_ns == model
    other = promisam(capsys, *words(place, "--resume", "--set", "seed=5"))
    assert other.status == 2
    assert "seed 0, now 5" in other.err
    picture(place / "many/new.png", scene(9)[0])
    more = promisam(capsys, *words(place, "--resume"))
    assert more.status == 2
    assert "other images (3, now 4)" in more.err
    (place / "many/new.png").unlink()
    (place / "run/model.safetensors").unlink()  # interrupted between the two files
    assert promisam(capsys, *words(place, "--resume")).status == 0
    assert (place / "run/model.safetensors").is_file()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--support", "few"], "expected one of the two"),
        (["--keep", "kept"], "--keep"),
        (["--set", "wiat=1"], "Did you mean wait?"),
    ],
)
def test_refusals(capsys, place, more, said):
    more = [place / word if word in ("few", "kept") else word for word in more]
    refused = promisam(capsys, "fit", TOY, place / "few", "-o", place / "run", *more)
    assert refused.status == 2
    assert said in refused.err
    assert not (place / "run").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--images", "many"], "--images for unet, which is no few-shot method"),
        (["--support", "few"], "--support for unet"),
        ([], "Missing argument 'DATASET'"),
        (["--weights", "sam_vit_b", "--side", "256"], "--weights and --side for unet, which stands on no SAM"),
    ],
)
def test_methods_that_are_trained_take_a_data_set_only(capsys, place, given, said):
    given = [place / word if word in ("few", "many") else word for word in given]
    refused = promisam(capsys, "fit", "unet", "-o", place / "run", *given)
    assert refused.status == 2
    assert said in refused.err


def test_without_supports_the_advice_is_how_to_give_some(place):
    with pytest.raises(NotFitted, match="promisam fit toy_few_shot:Toy --support DATASET --images FOLDER -o RUN"):
        store.load(method=TOY)
    with pytest.raises(InvalidConfig, match="--support DATASET"):
        next(fit(Request(TOY, place / "few", place / "run")))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_nothing_behind(place, number):
    script = "import sys; from promisam.cli.main import run; run(sys.argv[1:])"
    path = os.pathsep.join(str(Path(part).resolve()) for part in ("tests", "src"))
    command = [sys.executable, "-c", script, *map(str, words(place, "--set", "wait=1"))]
    child = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.PIPE, text=True)
    try:
        while child.poll() is None and not (place / "run/.lock").exists():
            pass
        child.send_signal(number)
        _, err = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == 2, err
    assert "interrupted" in err
    assert not (place / "run").exists()
