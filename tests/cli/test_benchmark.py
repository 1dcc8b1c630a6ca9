"""`promisam benchmark` from end to end: on plain weights, on a run folder, and which cases it will not count."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from safetensors.torch import save_file

from promisam.cli.benchmark_cases import Wanted, choose
from promisam.cli.main import run
from promisam.core.errors import InvalidConfig
from promisam.io import open_examples
from promisam.runs.record import DataRecord
from tiny_sam import tiny

SHAPES = [(40, 61), (61, 40), (33, 33)]


def draw(folder: Path, first: int = 0) -> Path:
    """Nine pictures of three patients: bright ellipses, and one picture without any."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for i in range(first, first + 9):
        y, x = np.indices(SHAPES[i % 3])
        h, w = SHAPES[i % 3]
        inside = (((y / h - 0.45) / 0.25) ** 2 + ((x / w - 0.5) / (0.2 + 0.02 * i)) ** 2 < 1) & (i != 4)
        pixels = (60 + 20 * np.sin(x / 3 + i) + 100 * inside).astype(np.uint8)
        Pillow.fromarray(pixels).save(folder / "images" / f"p{i // 3}_{i}.png")
        Pillow.fromarray((inside * 255).astype(np.uint8)).save(folder / "masks" / f"p{i // 3}_{i}.png")
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with `data`, and the weights of a tiny SAM."""
    folder = tmp_path_factory.mktemp("benchmark")
    draw(folder / "data")
    save_file({name: value.contiguous() for name, value in tiny().state_dict().items()}, folder / "tiny.safetensors")
    return folder


@pytest.fixture
def promisam(place, monkeypatch, capsys, tmp_path):
    """The command; returns its status, what it printed and its complaint. `{out}` in its words is an empty folder."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("PROMISAM_CACHE", str(tmp_path / "cache"))

    def call(*words):
        try:
            run(["benchmark", *[str(word).format(out=tmp_path / "out") for word in words]])
            status = 0
        except SystemExit as stop:
            status = stop.code or 0
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return call


TINY = ("tiny.safetensors", "data", "--like", "sam_vit_b", "--device", "cpu", "-o", "{out}")


def test_weights_with_every_prompt(promisam, tmp_path):
    prompts = ["--prompt", "box", "--prompt", "click", "--prompt", "points:5"]
    status, out, err = promisam(*TINY, *prompts, "--jitter", "0.2", "--draws", "2", "--clicks", "3", "--tolerance", "3")
    assert (status, err) == (0, "")
    assert "9 cases: all cases" in out
    lines = [line.split() for line in out.splitlines() if "yes*" in line]
    assert [line[0] for line in lines] == ["box", "click", "click", "click", "points:5"]
    assert [line[1] for line in lines[1:4]] == ["1", "2", "3"]
    assert "NSD@3px" in out
    assert "already knows the answer" in out
    assert "No ground truth was used" not in out
    assert "1 pair of case and class without the class, in no mean: not prompted" in out
    assert "over 2 draws" in out
    assert "seconds to encode" in out
    assert max(map(len, out.splitlines()[1:9])) <= 80
    record = json.loads((tmp_path / "out" / "benchmark.json").read_text(encoding="utf-8"))
    assert [row["scored"] for row in record["rows"]] == [8] * 5
    assert [row["draws"] for row in record["rows"]] == [2, 1, 1, 1, 2]
    assert record["source"]["weights"]["name"] == "tiny"
    assert record["source"]["device"] == "cpu"
    shown = f"{record['rows'][1]['dice']['mean']:.3f}"
    assert shown == lines[1][3]
    rows = list(csv.DictReader((tmp_path / "out" / "benchmark.csv").read_text(encoding="utf-8").splitlines()))
    assert len({row["id"] for row in rows}) == 9
    assert len(rows) == 8 * (2 + 3 + 2) + 2 + 1 + 2


def test_json_is_the_record_and_the_seed_decides(promisam, tmp_path):
    def dice(*more):
        status, out, _ = promisam(*TINY, "--prompt", "points:3", "--json", "--overwrite", *more)
        assert status == 0
        assert json.loads(out) == json.loads((tmp_path / "out" / "benchmark.json").read_text(encoding="utf-8"))
        return json.loads(out)["rows"][0]["dice"]

    assert dice("--seed", "3") == dice("--seed", "3") != dice("--seed", "4")


def test_a_box_is_the_default_where_a_prompt_is_needed(promisam):
    status, out, _ = promisam(*TINY, "--json")
    assert status == 0
    assert [row["prompt"] for row in json.loads(out)["rows"]] == ["box"]


def test_volumes_through_slices(promisam, shared, monkeypatch, place, tmp_path):
    for folder in sorted((shared / "data" / "msd_hippocampus").glob("hippocampus_*"))[:2]:
        for part, name in (("images", "image"), ("masks", "label")):
            (tmp_path / "volumes" / part).mkdir(parents=True, exist_ok=True)
            link = tmp_path / "volumes" / part / f"{folder.name}.nii.gz"
            link.write_bytes((folder / f"{name}.nii.gz").read_bytes())
    words = [tmp_path / "volumes" if word == "data" else word for word in TINY]
    status, out, err = promisam(*words, "--label", "2", "--prompt", "box", "--prompt", "click", "--clicks", "2", "--json")
    assert status == 0, err
    record = json.loads(out)
    assert record["unit"] == "mm"
    assert [row["scored"] for row in record["rows"]] == [2, 2, 2]
    assert 0 < record["rows"][0]["dice"]["mean"] < 1


@pytest.mark.parametrize(
    ("words", "saying"),
    [
        (["--prompt", "auto"], "box, mask, points"),
        (["--prompt", "pts:3"], "points:NUMBER"),
        (["--prompt", "box", "--jitter", "0.9"], "0 to 0.5"),
        (["--part", "test"], "without a split"),
        (["--split", "nowhere.json"], "nowhere.json"),
        (["--tolerance", "-1"], "tolerances -1"),
        (["--label", "7"], "labels 7"),
        (["--group-by", "^q"], "^q"),
    ],
)
def test_refusals_are_one_line_and_leave_nothing(promisam, tmp_path, words, saying):
    status, out, err = promisam(*TINY, *words)
    assert (status, out) == (2, "")
    assert saying in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_earlier_benchmark_is_refused_before_the_work(promisam, tmp_path):
    assert promisam(*TINY)[0] == 0
    status, _, err = promisam("nothing", "nowhere", "-o", "{out}")
    assert status == 2
    assert "--overwrite" in err
    assert promisam(*TINY, "--overwrite")[0] == 0


def test_ratios_choose_the_test_part_by_groups(promisam):
    status, out, _ = promisam(*TINY, "--group-by", r"^p\d", "--split", "40,30,30", "--json")
    assert status == 0
    record = json.loads(out)
    assert len(record["cases"]) == 3
    assert len({name[:2] for name in record["cases"]}) == 1
    assert "part test" in record["source"]["cases"]


@pytest.fixture(scope="module")
def trained(place):
    """A U-Net that was trained for a moment on the data, one patient held out to test on."""
    split = {"train": ["p0_0", "p0_1", "p0_2"], "val": ["p1_3", "p1_4", "p1_5"], "test": ["p2_6", "p2_7", "p2_8"]}
    (place / "split.json").write_text(json.dumps(split))
    short = ["--set", "epochs=1", "--set", "validate_every=1", "--set", "side=32", "--set", "width=4", "--device", "cpu"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        words = ["--split", "split.json", "--group-by", r"^p\d", "--keep", str(place / "kept")]
        try:
            run(["fit", "unet", "data", "-o", "run", *short, *words])
        except SystemExit as stop:
            assert not stop.code  # noqa: PT017 - the status of the command
    return place / "run"


RUN = ("run", "data", "--device", "cpu", "-o", "{out}", "--overwrite")


def test_a_run_is_tested_on_its_test_part_without_any_truth(promisam, trained, place):
    status, out, err = promisam(*RUN)
    assert status == 0, err
    assert "3 cases: part test of the run's own split" in out
    assert "No ground truth was used" in out
    assert "already knows the answer" not in out
    assert any(line.split()[:1] == ["auto"] and line.split()[-1] == "no" for line in out.splitlines())
    status, out, _ = promisam("run/model.safetensors", *RUN[1:], "--json")
    assert json.loads(out)["cases"] == ["p2_6", "p2_7", "p2_8"]


def test_cases_of_the_training_are_counted_only_when_asked_for(promisam, trained, place):
    (place / "other.json").write_text(json.dumps({"train": ["p2_6"], "val": ["p2_7"], "test": ["p0_1", "p2_8"]}))
    status, out, err = promisam(*RUN, "--split", "other.json")
    assert (status, out) == (2, "")
    assert "1 of 2 cases that the run was trained on" in err
    assert "p0_1" in err
    status, out, err = promisam(*RUN, "--split", "other.json", "--allow-training-cases")
    assert status == 0
    assert "trained on 1 of 2 cases" in err
    status, out, err = promisam(*RUN, "--part", "all")
    assert status == 0
    assert "9 cases: all cases" in out
    assert "trained on 3 of 9 cases" in err
    assert "chosen by its scores on 3 of 9 cases" in err


def test_a_folder_that_is_no_run(promisam, place):
    status, _, err = promisam("data", "data", "-o", "{out}")
    assert status == 2
    assert "run.json" in err


def record_of(found, path, **parts):
    content = {example.name: example.content for example in found.examples}
    return DataRecord(str(path), "", (), "", found.classes, parts, "", (), content)


@pytest.fixture
def data(place):
    return open_examples(place / "data", group_by=r"^p\d")


def names(chosen):
    return [example.name for example in chosen.examples]


def test_a_group_that_was_trained_on_is_seen_whatever_its_cases_are_called(data, place):
    run = record_of(data, place / "data", train=("p0_0", "p1_4"), val=("p1_3",), test=("p0_1", "p2_6"))
    with pytest.raises(InvalidConfig, match="p0_1"):
        choose(data, place / "data", run, Wanted())
    allowed = choose(data, place / "data", run, Wanted(allow_training=True))
    assert names(allowed) == ["p0_1", "p2_6"]
    assert len(allowed.warnings) == 1


def test_renamed_copies_of_training_cases_are_known_by_their_content(data, place, tmp_path):
    for part in ("images", "masks"):
        (tmp_path / "copy" / part).mkdir(parents=True)
        for file in (place / "data" / part).iterdir():
            (tmp_path / "copy" / part / f"new_{file.name}").write_bytes(file.read_bytes())
    copied = open_examples(tmp_path / "copy")
    run = record_of(data, place / "data", train=("p0_0",), val=("p1_3",), test=("p2_6",))
    with pytest.raises(InvalidConfig, match="new_p0_0"):
        choose(copied, tmp_path / "copy", run, Wanted(split="34,33,33", part="test", seed=part_with(copied, "new_p0_0")))


def part_with(found, name):
    """A seed whose test part holds a case."""
    from promisam.io import split_cases

    return next(seed for seed in range(100) if name in split_cases(found.entries, (34, 33, 33), seed).test)


def test_other_data_is_used_whole_though_refused_where_names_coincide(data, place, tmp_path):
    run = record_of(data, place / "data", train=("p0_0",), val=("p1_3",), test=("p2_6",))
    draw(tmp_path / "far", first=20)
    far = open_examples(tmp_path / "far")
    assert names(choose(far, tmp_path / "far", run, Wanted())) == [e.name for e in far.examples]
    draw(tmp_path / "near", first=2)
    near = open_examples(tmp_path / "near")
    coincident = replace(run, path=str(tmp_path / "gone"), split={"train": ("p0_2",)}, content={"p0_2": "1", "case": "2"})
    with pytest.raises(InvalidConfig, match="other data"):
        choose(near, tmp_path / "near", coincident, Wanted())
    assert len(names(choose(near, tmp_path / "near", coincident, Wanted(allow_training=True)))) == 9


def test_parts_that_have_no_case(data, place):
    run = record_of(data, place / "data", train=("p0_0",), val=("p1_3",), test=())
    with pytest.raises(InvalidConfig, match="no case"):
        choose(data, place / "data", run, Wanted())
    chosen = choose(data, place / "data", run, Wanted(part="val"))
    assert names(chosen) == ["p1_3"]
    assert "chosen by its scores on 1 of 1" in chosen.warnings[0]
    assert names(choose(data, place / "data", run, Wanted(part="train"))) == ["p0_0"]
