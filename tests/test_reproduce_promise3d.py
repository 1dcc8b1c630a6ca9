"""The experiments of ProMISe-3D in their public layouts, on a few drawn volumes."""

from __future__ import annotations

import csv
import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from command_line import promisam
from data_maker import OBLIQUE, volume
from promisam.core.errors import InvalidConfig, UnreadableFile, UnsupportedFile
from promisam.io import open_examples
from promisam.methods import METHODS
from promisam.methods.promise3d.config import Config
from promisam.reproduce import study
from promisam.reproduce.data import find, write_table
from promisam.reproduce.values import Facts
from promisam.runs.log import Log
from promisam.store import check_options
from promisam.training.recipe import Recipe
from tiny_sam import tiny

PAPER = {  # table 2: Dice, surface Dice
    "msd-colon": {
        "": (66.81, 81.24),
        "two adapters": (61.61, 73.88),
        "up-conv": (62.92, 77.62),
        "baseline": (57.32, 73.65),
        "ProMISe-R": (63.67, 79.96),
        "ProMISe-R-B": (64.75, 79.77),
        "ProMISe-C": (64.76, 77.59),
    },
    "msd-pancreas": {
        "": (57.46, 79.76),
        "two adapters": (56.08, 77.89),
        "up-conv": (55.37, 77.38),
        "baseline": (54.41, 77.88),
        "ProMISe-R": (55.15, 79.02),
        "ProMISe-R-B": (56.57, 79.46),
        "ProMISe-C": (56.35, 78.01),
    },
}
TEN = {
    "msd-colon": {"": (67.28, 81.63), "baseline": (63.09, 79.97)},
    "msd-pancreas": {"": (58.05, 80.36), "baseline": (55.94, 79.18)},
}


def scan(image, mask, seed, *, organ=0, tumour=1):
    """An oblique volume of 0.7 x 0.9 x 2.5 mm with an ellipsoid, in a larger one where there is an organ."""
    x, y, z = np.indices((20, 18, 8))
    away = np.hypot(np.hypot((x - 9 - seed % 3) * 0.7, (y - 9) * 0.9), (z - 4) * 2.5)
    labels = np.where(away < 4.5, tumour, np.where(away < 6.5, organ, 0)).astype(np.uint8)
    noise = np.random.default_rng(seed).normal(40, 20, x.shape)
    volume(image, (noise + 80 * labels).astype(np.int16), OBLIQUE)
    volume(mask, labels, OBLIQUE)


def colon(folder, numbers=range(1, 8)):
    for n in numbers:
        scan(folder / f"imagesTr/colon_{n:03d}.nii.gz", folder / f"labelsTr/colon_{n:03d}.nii.gz", n)
        (folder / "imagesTr" / f"._colon_{n:03d}.nii.gz").write_text("what a Mac leaves in archives")
    return folder


def pancreas(folder, numbers=range(1, 8)):
    for n in numbers:
        case = folder / f"Training/pancreas_{n:03d}"
        scan(case / "image.nii.gz", case / "segmentation.nii.gz", n, organ=1, tumour=2)
    return folder


def listed(name, numbers):
    if name == "colon":
        return {f"colon_{n:03d}": [f"imagesTr/colon_{n:03d}.nii.gz", f"labelsTr/colon_{n:03d}.nii.gz"] for n in numbers}
    places = {f"pancreas_{n:03d}": f"Training/pancreas_{n:03d}" for n in numbers}
    return {case: [f"{at}/image.nii.gz", f"{at}/segmentation.nii.gz"] for case, at in places.items()}


def split(folder, name, protocol=4, train=(1, 3, 5), val=(2,), test=(4, 6, 7)):
    """Five folds, of which the first counts."""
    first = {part: listed(name, numbers) for part, numbers in (("train", train), ("val", val), ("test", test))}
    (folder / "split.pkl").write_bytes(
        pickle.dumps([first, *({"train": first["test"], "val": first["val"], "test": first["train"]},) * 4], protocol)
    )


def cases(found, part):
    return [line.name for line in found.lines if line.split == part]


@pytest.fixture
def words(tmp_path, monkeypatch):
    """The method is a toy with the options of the real one."""
    monkeypatch.setitem(METHODS, "promise3d", "toy_clicks:Ball")
    return ["--keep", tmp_path / "kept", "--device", "cpu", "--draws", "3", "--set", "epochs=1", "--set", "preview_every=0"]


def results(out):
    return json.loads((out / "results.json").read_text())


def reproduced(capsys, name, data, out, *more):
    return promisam(capsys, "reproduce", "promise3d", name, data, "-o", out, *more)


def test_the_real_method_from_the_folder_to_the_table(capsys, tmp_path):
    """On a SAM of a few thousand weights, in sizes for tests."""
    data, out, sam = colon(tmp_path / "colon"), tmp_path / "out", tmp_path / "sam.pth"
    split(data, "colon", test=(4,))
    torch.save(tiny().state_dict(), sam)
    small = {"epochs": 1, "validate_every": 1, "preview_every": 0, "patch": 16, "neck": 16, "decoder": 8, "prompt_mlp": 16}
    sets = [word for name, value in {**small, "spacing": 2, "cubes": 2}.items() for word in ("--set", f"{name}={value}")]
    stood = ["--weights", sam, "--like", "sam_vit_b", "--side", "80", "--keep", tmp_path / "kept", "--device", "cpu"]
    done = reproduced(capsys, "msd-colon", data, out, *stood, "--draws", "2", *sets)
    assert done.status == 0, done.text
    rows = results(out)["rows"]
    assert {row["prompt"] for row in rows} >= {"inside:1", "inside:10", "inside:5"}
    assert all(row["cases"] == 1 and 0 <= row["dice"]["mean"] <= 1 for row in rows), rows
    scan = data / "imagesTr/colon_004.nii.gz"
    assert promisam(capsys, "segment", scan, "--method", out / "run", "--point", "9,9,4", "-o", out / "mask.nii.gz").status == 0


def test_colon_from_the_folder_to_the_table(capsys, tmp_path, words):
    data, out = colon(tmp_path / "colon"), tmp_path / "out"
    split(data, "colon")
    done = reproduced(capsys, "msd-colon", data, out, *words)
    assert done.status == 0, done.text
    told = results(out)
    rows = [(row["part"], row["cases"], row["prompt"], row["from_truth"]) for row in told["rows"]]
    assert rows == [
        ("test, published", 3, "inside:1", True),
        ("test, published", 3, "inside:10", True),
        ("test, strict", 3, "inside:1", True),
        ("test, strict", 3, "inside:5", True),
    ]
    beside = [row["published"] and (row["published"]["dice"], row["published"]["nsd"]) for row in told["rows"]]
    assert beside == [pytest.approx((0.6681, 0.8124)), pytest.approx((0.6728, 0.8163)), None, None]
    one, _, single, _ = told["rows"]
    assert (one["dice"]["sd"], single["dice"]["sd"] > 0) == (None, True)
    assert list(single["nsd"]) == ["nsd@5mm", "nsd@2mm"]
    assert single["nsd"]["nsd@2mm"]["mean"] < single["nsd"]["nsd@5mm"]["mean"]
    with (out / "benchmark/test/strict/benchmark.csv").open() as file:
        answers = [row for row in csv.DictReader(file) if row["prompt"] == "inside:1"]
    assert {row["draw"] for row in answers} == {"1", "2", "3"}
    assert {row["prompt_from_truth"] for row in answers} == {"yes"}
    by_draw = [np.mean([float(r["nsd@2mm"]) for r in answers if r["draw"] == d]) for d in "123"]
    assert single["nsd"]["nsd@2mm"]["mean"] == pytest.approx(np.mean(by_draw))
    assert one["dice"]["mean"] == pytest.approx(np.mean([float(r["dice"]) for r in answers if r["draw"] == "1"]))
    assert json.loads((out / "benchmark/test/published/benchmark.json").read_text())["source"]["protocol"] == "published"
    page = (out / "results.md").read_text()
    assert "| test part | cases | prompt | Dice | NSD@5mm | NSD@2mm | published Dice | published NSD |" in page
    assert "| test, published | 3 | inside:1 (from the truth) |" in page
    assert "| 0.668 | 0.812 |" in page
    assert "IoU" not in page
    assert "nnU-Net 0.456/0.530" in page
    assert "test: 3 images with masks; published were 26" in page
    assert "at random" not in " ".join(told["data"])
    assert max(map(len, done.out.splitlines())) <= 80
    said = " ".join(done.out.split())
    assert "0.668/0.812" in said
    assert [line.split()[:5] for line in done.out.splitlines() if line.startswith(" test,")] == [
        ["test,", row["part"].split()[1], "3", f"{row['prompt']}*", f"{row['dice']['mean']:.3f}"] for row in told["rows"]
    ]
    assert "prompts made from the truth" in said
    assert "1 epoch of AdamW at 0.0004, constant, no warm-up, weight decay 0.0, batch 1, clip 1.0" in said
    assert "rows `strict` 3 draws" in said
    run = json.loads((out / "run/run.json").read_text())
    assert run["data"]["split"] == {
        "train": ["train_colon_001", "train_colon_003", "train_colon_005"],
        "val": ["val_colon_002"],
        "test": ["test_colon_004", "test_colon_006", "test_colon_007"],
    }
    assert run["task"]["classes"] == ["tumour"]
    training = run["training"]
    assert [training[name] for name in ("batch", "clip", "weight_decay", "warmup")] == [1, 1.0, 0.0, 0.0]
    assert (training["optimizer"], training["learning_rate"], run["options"]["patch"]) == ("adamw", 4e-4, 128)

    other = tmp_path / "other"
    done = reproduced(capsys, "msd-colon", data, other, "--run", out / "run", "--draws", "2", "--device", "cpu")
    assert done.status == 0, done.text
    assert results(other)["rows"][0]["dice"] == one["dice"]
    assert results(other)["rows"][2]["dice"]["mean"] != single["dice"]["mean"]
    split(data, "colon", train=(3, 5), test=(1, 4))
    leak = reproduced(capsys, "msd-colon", data, tmp_path / "leak", "--run", out / "run", "--device", "cpu")
    assert (leak.status, (tmp_path / "leak").exists()) == (2, False)
    assert "trained on" in leak.text


def test_pancreas_with_its_components_keeps_the_tumour_alone(capsys, tmp_path, words, monkeypatch):
    monkeypatch.setattr(Log, "curve", lambda _log: None)  # 14 pictures would take ten seconds
    data, out = pancreas(tmp_path / "pancreas"), tmp_path / "out"
    split(data, "pancreas", test=(4, 6))
    done = reproduced(capsys, "msd-pancreas", data, out, *words, "--components")
    assert done.status == 0, done.text
    told = results(out)
    assert len(told["rows"]) == 7 * 4
    beside = {(row["part"], row["prompt"]): row["published"] for row in told["rows"]}
    for prompt, table in (("inside:1", PAPER["msd-pancreas"]), ("inside:10", TEN["msd-pancreas"])):
        found = {part: one for (part, asked), one in beside.items() if asked == prompt and "published" in part and one}
        titles = {f"test, published{f', {name}' if name else ''}": figures for name, figures in table.items()}
        assert {part: (100 * one["dice"], 100 * one["nsd"]) for part, one in found.items()} == {
            part: pytest.approx(figures) for part, figures in titles.items()
        }
    assert not any(one for (part, _), one in beside.items() if "strict" in part)
    means = {row["part"]: row["dice"]["mean"] for row in told["rows"] if row["prompt"] == "inside:1"}
    assert len({means["test, published"], means["test, published, baseline"], means["test, published, ProMISe-C"]}) == 3
    wanted = {
        ".": (2, "transposed", "C", 10.0),
        "components/baseline": (1, "trilinear", "none", 0.0),
        "components/two-adapters": (2, "trilinear", "none", 0.0),
        "components/up-conv": (2, "transposed", "none", 0.0),
        "components/promise-r": (2, "transposed", "R", 0.0),
        "components/promise-r-b": (2, "transposed", "R", 10.0),
        "components/promise-c": (2, "transposed", "C", 0.0),
    }
    for folder, options in wanted.items():
        run = json.loads((out / folder / "run/run.json").read_text())
        assert tuple(run["options"][name] for name in ("adapters", "upsampling", "path", "boundary")) == options
        assert run["data"]["labels"] == [2]
    assert "ProMISe-R-B" in (out / "results.md").read_text()
    table = done.out.splitlines()[: done.out.splitlines().index("* prompts made from the truth")]
    assert sum(line.startswith((" ProMISe-R-B ", " test, strict, ProMISe-R-B")) for line in table) == 4
    assert max(map(len, done.out.splitlines())) <= 80
    (example,) = [one for one in open_examples(out / "dataset.csv", (2,)).examples if one.name == "test_pancreas_004"]
    x, y, z = np.indices((20, 18, 8))
    tumour = np.hypot(np.hypot((x - 10) * 0.7, (y - 9) * 0.9), (z - 4) * 2.5) < 4.5
    assert (example.load().truth.mask() == tumour.transpose()).all()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_the_division_is_that_of_the_first_fold(tmp_path, protocol):
    data = colon(tmp_path)
    split(data, "colon", protocol)
    found = find(study("promise3d", "msd-colon"), data)
    assert cases(found, "train") == ["train_colon_001", "train_colon_003", "train_colon_005"]
    assert cases(found, "val") == ["val_colon_002"]
    assert cases(found, "test") == ["test_colon_004", "test_colon_006", "test_colon_007"]
    assert {line.image.parent.name for line in found.lines} == {"imagesTr"}


def test_the_archive_as_it_unpacks_and_other_arrangements_than_the_split_says(tmp_path):
    data = colon(tmp_path / "a/Task10_Colon").parent
    split(data, "colon")
    found = find(study("promise3d", "msd-colon"), data)  # split.pkl above the archive's folder
    assert cases(found, "test") == ["test_colon_004", "test_colon_006", "test_colon_007"]
    (data / "split.pkl").rename(data / "Task10_Colon/split.pkl")
    assert find(study("promise3d", "msd-colon"), data) == found
    flat = tmp_path / "flat"
    for n in range(1, 8):
        name = f"pancreas_{n:03d}"
        scan(flat / f"imagesTr/{name}_0000.nii.gz", flat / f"labelsTr/{name}.nii.gz", n, organ=1, tumour=2)
    split(flat, "pancreas")  # which names Training/
    found = find(study("promise3d", "msd-pancreas"), flat)
    assert cases(found, "test") == ["test_pancreas_004", "test_pancreas_006", "test_pancreas_007"]
    assert found.lines[0].image.name == "pancreas_001_0000.nii.gz"


def test_without_a_split_the_cases_are_dealt_by_the_seed_and_it_is_said(tmp_path):
    data = colon(tmp_path, range(1, 13))
    experiment = study("promise3d", "msd-colon")
    found = find(experiment, data, seed=4)
    parts = [{line.image.name for line in found.lines if line.split == part} for part in ("train", "val", "test")]
    assert [len(part) for part in parts] == [9, 1, 2]
    assert len(set.union(*parts)) == 12
    assert find(experiment, data, seed=4) == found
    assert find(experiment, data, seed=5).lines != found.lines
    said = [note for note in found.notes if "no split.pkl" in note]
    assert len(said) == 1
    assert "with seed 4, 89:11:26 as published" in said[0]
    (data / "labelsTr/colon_002.nii.gz").unlink()
    assert "1 with an image or a mask only, left out: colon_002" in find(experiment, data).notes


def test_sizes_without_a_split_are_those_that_were_published(tmp_path):
    for name, sizes in (("msd-colon", [89, 11, 26]), ("msd-pancreas", [196, 28, 57])):
        for folder in ("imagesTr", "labelsTr"):
            (tmp_path / name / folder).mkdir(parents=True)
            for n in range(sum(sizes)):
                (tmp_path / name / folder / f"x_{n:03d}.nii.gz").touch()
        divided = study("promise3d", name).divide(tmp_path / name, 0)
        assert [len(divided[part].pairs) for part in ("train", "val", "test")] == sizes


def test_cases_that_are_missing_on_the_disk_are_left_out_and_named(tmp_path):
    data = colon(tmp_path, range(1, 9))
    split(data, "colon", train=(1, 3, 5, 11), test=(4, 6, 7))
    (data / "labelsTr/colon_004.nii.gz").unlink()
    (data / "imagesTr/colon_006.nii.gz").unlink()
    found = find(study("promise3d", "msd-colon"), data)
    assert cases(found, "train") == ["train_colon_001", "train_colon_003", "train_colon_005"]
    assert cases(found, "test") == ["test_colon_007"]
    for note in (
        "train: 1 of split.pkl not on the disk, left out: colon_011",
        "test: 1 image without a mask is left out: colon_004",
        "test: 1 mask without an image is left out: colon_006",
        "1 on the disk and in no part of split.pkl, left out: colon_008",
        "test: 1 image with masks; published were 26",
    ):
        assert found.notes.count(note) == 1
    (data / "imagesTr/colon_007.nii.gz").unlink()
    with pytest.raises(UnreadableFile, match=r"without the part test of colon tumours.*imagesTr/ and labelsTr/ with colon_001"):
        find(study("promise3d", "msd-colon"), data)


class Evil:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


def test_code_in_a_split_is_not_run(capsys, tmp_path):
    data, target = colon(tmp_path / "data"), tmp_path / "made"
    (data / "split.pkl").write_bytes(pickle.dumps([{"train": {}, "val": {}, "test": Evil(target)}]))
    with pytest.raises(UnsupportedFile, match="could run code"):
        find(study("promise3d", "msd-colon"), data)
    done = reproduced(capsys, "msd-colon", data, tmp_path / "out")
    assert (done.status, (tmp_path / "out").exists(), target.exists()) == (2, False, False)
    assert "STACK_GLOBAL could run code" in " ".join(done.text.split())


@pytest.mark.parametrize("name", ["msd-colon", "msd-pancreas"])
def test_other_layouts_are_refused_with_the_tree_that_is_known(tmp_path, name):
    with pytest.raises(UnreadableFile, match=r"imagesTr/ and labelsTr/ with (colon|pancreas)_001.nii.gz") as refused:
        find(study("promise3d", name), tmp_path)
    assert "looked for" not in str(refused.value)


@pytest.mark.parametrize("name", ["msd-colon", "msd-pancreas"])
def test_what_was_published_and_the_options_that_are_asked_for(name):
    experiment = study("promise3d", name)
    assert {one.component: (100 * one.dice, 100 * one.nsd) for one in experiment.published if one.clicks == 1} == {
        part: pytest.approx(figures) for part, figures in PAPER[name].items()
    }
    assert {one.component: (100 * one.dice, 100 * one.nsd) for one in experiment.published if one.clicks == 10} == {
        part: pytest.approx(figures) for part, figures in TEN[name].items()
    }
    assert {one.name for one in experiment.components} == set(PAPER[name]) - {""}
    recipe = check_options(Recipe, {k: v for k, v in experiment.options.items() if k in Recipe.model_fields})
    assert (recipe.epochs, recipe.learning_rate, recipe.weight_decay, recipe.batch, recipe.clip) == (200, 4e-4, 0, 1, 1)
    own = {k: v for k, v in experiment.options.items() if k not in Recipe.model_fields}
    for one in experiment.components:
        options = check_options(Config, {**own, **one.options}).model_dump(mode="json")
        assert experiment.component_of(options) == one.name
    assert experiment.component_of(check_options(Config, own).model_dump(mode="json")) == ""


RECIPE = {"epochs": 200, "learning_rate": 4e-4, "weight_decay": 0, "batch": 1, "schedule": "constant", "warmup": 0}
OURS = Facts("sam_vit_b", "", Config().model_dump(), Recipe(**RECIPE).model_dump(), False, 89, 11, 5, 1024)
THEIRS = Config(mode="official", labels=False, cubes=1, boundary_plane="released")


@pytest.mark.parametrize(
    ("facts", "there", "absent"),
    [
        (
            OURS,
            [
                "clicks are drawn at random on the true object",
                "axes mixed up",
                "Ours: labels=True.",
                "three versions",
                "boundary_plane=slices",
                "200 epochs of AdamW at 0.0004, a linear fall",
                "Ours: 0.50 of them, 1 to 10 clicks on it and up to 10 off it",
                "percentiles 0.5 and 99.5",
                "up to 12 cubes for one object; `--set cubes=1`",
                "rows `strict` 5 draws",
                "NSD@2mm is ours",
                "the best on validation cases",
                "`--set mode=official --set boundary_plane=released --set labels=False --set cubes=1` comes closer",
            ],
            ["the SAM", "Ours: a run on", "set epochs"],
        ),
        (
            replace(OURS, options=THEIRS.model_dump()),
            ["axes mixed up", "percentiles"],
            ["labels=", "three versions", "twice", "two thirds", "one cube around the middle", "comes closer"],
        ),
        (
            replace(
                OURS,
                options=Config(adapters=1, path="R", fineness=2, view="volume", click_map=True).model_dump(),
                weights="litemedsam",
            ),
            [
                "two adapters in each block",
                "adapters=1, path=R, fineness=2, labels=True, click_map=True, view=volume",
                "Ours: litemedsam.",
            ],
            ["cubes for one object"],
        ),
        (replace(OURS, given=True), ["a run on 89 cases, chosen by 11"], ["--set"]),
        (
            replace(OURS, given=True, training=None, options=Config(boundary=0).model_dump()),
            ["is not known; perhaps", "labels=True"],
            ["epochs of", "boundary=", "three versions", "two thirds", "--set"],
        ),
    ],
)
def test_differences_are_those_of_what_was_run(facts, there, absent):
    said = " ".join(study("promise3d", "msd-colon").differing(facts))
    assert [one for one in there if one not in said] == []
    assert [one for one in absent if one in said] == []
    assert "label 2, the tumour" in " ".join(study("promise3d", "msd-pancreas").differing(facts))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--with-empty"], "--with-empty"),
        (["--run", "x", "--components"], "--components of promise3d msd-colon with --run"),
        (["--limit", "1"], "a limit of 1"),
    ],
)
def test_what_does_nothing_is_refused_before_anything_is_written(capsys, tmp_path, more, message):
    done = reproduced(capsys, "msd-colon", colon(tmp_path / "data"), tmp_path / "out", *more)
    assert done.status == 2
    assert message in " ".join(done.text.split())
    assert not (tmp_path / "out").exists()


def test_resume_with_another_division_is_refused(capsys, tmp_path, words):
    data, out = colon(tmp_path / "data"), tmp_path / "out"
    split(data, "colon")
    write_table(find(study("promise3d", "msd-colon"), data), out)
    split(data, "colon", train=(1, 3), val=(2, 5))
    done = reproduced(capsys, "msd-colon", data, out, *words, "--resume")
    assert done.status == 2
    assert "begun with other cases" in done.text
    with pytest.raises(InvalidConfig, match="Did you mean promise3d msd-colon"):
        study("promise3d", "colon")
