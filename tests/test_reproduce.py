"""Published experiments in their public layouts, on a few drawn pictures."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image as Picture
from safetensors.torch import save_file

import tiny_sam
from command_line import promisam
from promisam.core.errors import InvalidConfig, UnreadableFile
from promisam.reproduce import study
from promisam.reproduce.data import find

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
    assert "published were 1450" in done.text
    assert "opening" in done.text  # the differences of protocol
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
    scored = ["reproduce", "promise2d", "polyps", str(polyps), "-o", str(tmp_path / "other"), "--run", str(out / "run")]
    done = promisam(capsys, *scored, "--draws", "2", "--device", "cpu")
    assert done.status == 0, done.text
    assert json.loads((tmp_path / "other/results.json").read_text())["rows"] == rows
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
