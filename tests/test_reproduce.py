"""Published experiments in their public layouts, on a few drawn pictures."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image as Picture
from safetensors.torch import save_file

import tiny_sam
from command_line import promisam
from promisam.core import Task
from promisam.core.errors import InvalidConfig, UnreadableFile
from promisam.methods.promise2d.config import Config
from promisam.reproduce import study
from promisam.reproduce.checks import UNKNOWN, Seen, check_seen, examples_of
from promisam.reproduce.data import find
from promisam.reproduce.values import Facts
from promisam.runs.record import DataRecord
from promisam.training.checkpoint import Header, write_checkpoint
from promisam.training.recipe import Recipe

SETS = ("Kvasir", "CVC-ClinicDB", "CVC-ColonDB", "ETIS-LaribPolypDB", "CVC-300")


def draw(image, mask, seed):
    generator = np.random.default_rng(seed)
    y, x = np.indices((40, 52))
    inside = (y - generator.integers(15, 25)) ** 2 + (x - generator.integers(15, 35)) ** 2 < 90
    pixels = np.clip(generator.normal(90, 20, (40, 52, 3)) + 90 * inside[..., None], 0, 255).astype(np.uint8)
    for path, array in ((image, pixels), (mask, (255 * inside).astype(np.uint8))):
        path.parent.mkdir(parents=True, exist_ok=True)
        Picture.fromarray(array).save(path)


@pytest.fixture
def polyps(tmp_path):
    """As PraNet's authors hand the sets out: singular names in training, plural ones in the tests."""
    data = tmp_path / "polyps"
    for n in (1, 2, 25, 26, 60, 61):
        draw(data / f"TrainDataset/image/{n}.png", data / f"TrainDataset/mask/{n}.png", n)
    for n in range(4):
        draw(data / f"TrainDataset/image/cju{n}.png", data / f"TrainDataset/mask/cju{n}.png", 100 + n)
    for i, name in enumerate(SETS):
        for n in range(2):
            draw(data / f"TestDataset/{name}/images/{n}.png", data / f"TestDataset/{name}/masks/{n}.png", 200 + 2 * i + n)
    return data


@pytest.fixture
def isic(tmp_path):
    data = tmp_path / "isic"
    for part, count in (("Training", 3), ("Validation", 2), ("Test", 2)):
        for n in range(count):
            name = f"ISIC_{len(part)}{n}"
            mask = data / f"ISIC2018_Task1_{part}_GroundTruth/{name}_segmentation.png"
            draw(data / f"ISIC2018_Task1-2_{part}_Input/{name}.jpg", mask, 10 * len(part) + n)
        (data / f"ISIC2018_Task1-2_{part}_Input/ATTRIBUTION.txt").write_text("words")
    return data


@pytest.fixture
def words(tmp_path):
    sam = tmp_path / "tiny.safetensors"
    save_file({k: v.contiguous() for k, v in tiny_sam.tiny().state_dict().items()}, sam)
    keep = ["--keep", str(tmp_path / "kept"), "--weights", str(sam), "--like", "sam_vit_b", "--device", "cpu"]
    return [*keep, "--set", "epochs=1", "--set", "batch=2", "--set", "variants=1", "--draws", "2"]


def test_polyps_from_the_folder_to_the_table(capsys, tmp_path, polyps, words):
    out = tmp_path / "out"
    command = ["reproduce", "promise2d", "polyps", str(polyps), "-o", str(out), *words]
    done = promisam(capsys, *command)
    assert done.status == 0, done.text
    rows = json.loads((out / "results.json").read_text())["rows"]
    assert [row["part"] for row in rows] == list(SETS)
    assert all(row["cases"] == 2 and row["from_truth"] and row["dice"]["sd"] is not None for row in rows)
    beside = {row["part"]: row["published"] and (row["published"]["dice"], row["published"]["iou"]) for row in rows}
    assert beside == {"Kvasir": (0.911, 0.851), "CVC-ColonDB": (0.874, 0.789)} | dict.fromkeys(
        ("CVC-ClinicDB", "ETIS-LaribPolypDB", "CVC-300")
    )
    assert "published were 1450" in (out / "results.md").read_text()
    assert max(map(len, done.out.splitlines())) <= 80
    said = " ".join(done.out.split())
    assert "ETIS-LaribPolypDB" in said
    assert "0.911/0.851" in said
    assert "Ours: 1 epoch of AdamW at 0.001, cosine" in said  # what was used, and not what is usual
    assert "--set optimizer=adam --set learning_rate=1e-05" in said
    assert "like sam_vit_b" in said
    assert "tenth of the training images" in said
    with (out / "benchmark/Kvasir/benchmark.csv").open() as file:
        answers = list(csv.DictReader(file))
    by_draw = [np.mean([float(r["iou"]) for r in answers if r["draw"] == d]) for d in "12"]
    assert rows[0]["iou"]["mean"] == pytest.approx(np.mean(by_draw))
    run = json.loads((out / "run/run.json").read_text())["data"]["split"]
    assert set(run["test"]).isdisjoint({*run["train"], *run["val"]})
    assert len(run["train"]) + len(run["val"]) == 10
    again = promisam(capsys, *command)
    assert again.status == 2
    assert "--resume" in again.text
    resumed = promisam(capsys, *command, "--resume")
    assert resumed.status == 0, resumed.text
    assert json.loads((out / "results.json").read_text())["rows"] == rows
    table = (out / "dataset.csv").read_text()
    fewer = promisam(capsys, *command, "--resume", "--limit", "2")
    assert fewer.status == 2
    assert "begun with other cases" in fewer.text
    mask = polyps / "TrainDataset/mask/26.png"
    before = mask.read_bytes()
    mask.write_bytes((polyps / "TrainDataset/mask/1.png").read_bytes())
    changed = promisam(capsys, *command, "--resume")
    mask.write_bytes(before)
    assert changed.status == 2
    assert "1 case changed: train_26" in changed.text
    assert (out / "dataset.csv").read_text() == table
    known = out / "run/run.json"
    record = json.loads(known.read_text())
    record["data"]["split"]["train"].append("Kvasir_0")
    record["data"]["split"]["val"].append("Kvasir_1")
    known.write_text(json.dumps(record))
    scored = ["reproduce", "promise2d", "polyps", str(polyps), "-o", str(tmp_path / "other"), "--run", str(out / "run")]
    leak = promisam(capsys, *scored, "--draws", "2", "--device", "cpu")
    assert leak.status == 2
    assert "1 of 10 test cases that the run was trained on, by name, content or group: Kvasir_0" in leak.text
    assert not (tmp_path / "other").exists()
    done = promisam(capsys, *scored, "--draws", "2", "--device", "cpu", "--allow-training-cases")
    assert done.status == 0, done.text
    assert "promisam: warning: the run was trained on 1 of 10 test cases" in done.err
    assert "trained on 1 of 10 test cases, such as Kvasir_0" in (tmp_path / "other/results.md").read_text()
    results = json.loads((tmp_path / "other/results.json").read_text())
    assert results["rows"] == rows
    assert len(results["warnings"]) == 1
    assert "chosen by its scores on 1 of 10 test cases, such as Kvasir_1" in results["run"][0]
    assert "`--set" not in " ".join(results["differences"])
    assert "tenth of the training images" not in " ".join(results["differences"])
    refused = promisam(capsys, *scored[:5], str(tmp_path / "third"), *scored[6:], "--set", "epochs=2")
    assert refused.status == 2
    assert not (tmp_path / "third").exists()


def test_isic_with_its_own_validation_part_and_an_automatic_method(capsys, tmp_path, isic, words):
    out = tmp_path / "out"
    light = ["--set", "mode=apm+ips", "--set", "form=light"]
    done = promisam(capsys, "reproduce", "promise2d", "isic2018", str(isic), "-o", str(out), *words, *light)
    assert done.status == 0, done.text
    rows = json.loads((out / "results.json").read_text())["rows"]
    assert [(row["prompt"], row["from_truth"], row["published"] is None) for row in rows] == [
        ("auto", False, True),
        ("points:16", True, False),
    ]
    split = json.loads((out / "run/run.json").read_text())["data"]["split"]
    assert [len(split[part]) for part in ("train", "val", "test")] == [3, 2, 2]


def test_neighbouring_frames_are_of_one_group(polyps):
    groups = {line.name: line.group for line in find(study("promise2d", "polyps"), polyps).lines}
    assert groups["train_1"] == groups["train_2"] == groups["train_25"] != groups["train_26"]
    assert groups["train_cju0"] == ""


def test_a_limit_and_a_leak_are_said(polyps):
    (polyps / "TestDataset/Kvasir/images/0.png").write_bytes((polyps / "TrainDataset/image/60.png").read_bytes())
    (polyps / "TrainDataset/mask/61.png").unlink()
    found = find(study("promise2d", "polyps"), polyps)
    assert any("train_60 = Kvasir_0" in note for note in found.notes)
    assert any("without a mask" in note and "61" in note for note in found.notes)
    limited = find(study("promise2d", "polyps"), polyps, 2)
    assert len(limited.lines) == 12
    with pytest.raises(InvalidConfig):
        find(study("promise2d", "polyps"), polyps, 1)


def test_one_case_is_no_plural_and_masks_without_an_image_are_said(polyps):
    kvasir = polyps / "TestDataset/Kvasir"
    (kvasir / "images/1.png").unlink()
    notes = find(study("promise2d", "polyps"), polyps).notes
    assert "Kvasir: 1 image with masks; published were 100" in notes
    assert "Kvasir: 1 mask without an image is left out: 1" in notes


@pytest.mark.parametrize("other", ["0.jpg", "0_mask.png"])
def test_two_masks_of_one_image_are_refused(polyps, other):
    masks = polyps / "TestDataset/Kvasir/masks"
    draw(polyps / "spare.png", masks / other, 1)
    with pytest.raises(UnreadableFile, match=r"two masks of 0, .*0(_mask)?\.\w+ and 0(_mask)?\.\w+"):
        find(study("promise2d", "polyps"), polyps)


def stored_run(folder, method="promise2d", classes=("polyp",)):
    """What is read of a run before its tensors are."""
    header = Header(method, {}, Task(classes, 2, 3, (1.0, 1.0), (40, 52)), None, "0")
    write_checkpoint(folder / "model.safetensors", torch.nn.Linear(1, 1), header)
    return folder


def test_runs_that_cannot_be_scored_are_refused_before_anything_is_written(capsys, tmp_path, polyps):
    words = ["reproduce", "promise2d", "polyps", str(polyps), "-o", str(tmp_path / "out"), "--run"]
    for run, message in (
        (tmp_path / "nowhere", "which is not there"),
        (polyps, "without model.safetensors"),
        (stored_run(tmp_path / "a", "unet"), "of unet"),
        (stored_run(tmp_path / "b", classes=("polyp", "tool")), "learned 2 classes (polyp, tool)"),
    ):
        done = promisam(capsys, *words, str(run))
        assert done.status == 2
        assert message in done.text
        assert not (tmp_path / "out").exists()


def test_a_file_for_a_folder(capsys, tmp_path, polyps):
    (tmp_path / "out").write_text("words")
    done = promisam(capsys, "reproduce", "promise2d", "polyps", str(polyps), "-o", str(tmp_path / "out"), "--resume")
    assert done.status == 2
    assert "which is a file" in done.text


def test_a_run_on_other_data_is_compared_by_content(polyps, tmp_path):
    found = find(study("promise2d", "polyps"), polyps)
    examples = examples_of(found)
    tested = {name: one for name, one in examples.items() if not name.startswith("train")}
    image = examples["Kvasir_0"].image
    record = DataRecord("/x", "", (), "", ("polyp",), {"train": ("1", "2")}, "", (), {"1": "", "2": ""}, {"1": "a", "2": "b"})
    table = tmp_path / "data.csv"
    assert check_seen(tested, examples, table, record, allowed=False) == Seen()
    with pytest.raises(InvalidConfig, match="Kvasir_0"):
        check_seen(tested, examples, table, replace(record, images={"1": "a", "2": image}), allowed=False)
    assert check_seen({}, {}, table, None, allowed=False).notes == (UNKNOWN,)


OURS = Facts("sam_vit_b", "", Config(mode="ips").model_dump(), Recipe().model_dump(), False, 9, 1, 5)
THEIRS = replace(
    OURS,
    options=Config(mode="ips", loss="official", start="random", smooth=False, opening=5).model_dump(),
    training=Recipe(epochs=200, optimizer="adam", learning_rate=1e-5, schedule="constant", warmup=0).model_dump(),
)


@pytest.mark.parametrize(
    ("facts", "there", "absent"),
    [
        (
            OURS,
            ["sigmoid", "random start", "60 epochs of AdamW", "smooth=True", "Ours: none;", "--set epochs=200"],
            ["the SAM"],
        ),
        (THEIRS, ["one of 5 cells", "5 draws"], ["sigmoid", "random start", "epochs", "smooth", "--set", "the SAM"]),
        (replace(OURS, weights="medsam"), ["Ours: medsam."], []),
        (replace(OURS, draws=1), ["1 draw,"], ["draws"]),
        (replace(OURS, validated=0), ["the last, without"], ["the best on validation"]),
        (replace(OURS, given=True), ["a run on 9 cases, chosen by 1", "60 epochs"], ["--set", "tenth"]),
        (
            replace(OURS, given=True, training=None, weights="sam.safetensors", like="sam_vit_b"),
            ["is not known", "came with the weights (like sam_vit_b)"],
            ["sigmoid", "random start", "epochs", "augmented", "--set", "tenth"],
        ),
        (
            replace(OURS, options=Config(form="light", anchored=True).model_dump()),
            ["form=light, anchored=True", "area=picture"],
            [],
        ),
        (replace(OURS, options=Config(mode="ips", form="light").model_dump()), [], ["form=light", "area="]),
    ],
)
def test_differences_are_those_of_what_was_run(facts, there, absent):
    said = " ".join(study("promise2d", "polyps").differing(facts))
    assert "dark border" in said  # always
    assert [one for one in there if one not in said] == []
    assert [one for one in absent if one in said] == []


def test_missing_folders_are_named(capsys, tmp_path, polyps):
    for mask in (polyps / "TestDataset/CVC-300/masks").iterdir():
        mask.unlink()
    with pytest.raises(UnreadableFile, match="CVC-300"):
        find(study("promise2d", "polyps"), polyps)
    done = promisam(capsys, "reproduce", "promise2d", "polyps", str(polyps), "-o", str(tmp_path / "out"))
    assert done.status == 2
    assert not (tmp_path / "out").exists()
    with pytest.raises(InvalidConfig, match="Did you mean promise2d polyps"):
        study("promise2d", "polyp")
