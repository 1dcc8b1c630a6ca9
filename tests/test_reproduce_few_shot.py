"""Published experiments of few-shot methods in their public layouts, on a few drawn pictures."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as Picture
from safetensors.torch import save_file

import promisam as ps
import tiny_sam
from command_line import promisam
from promisam.reproduce import catalogue, study


def drawn(number, size=(40, 52)):
    generator = np.random.default_rng(number)
    y, x = np.indices(size)
    inside = (y - generator.integers(15, 25)) ** 2 + (x - generator.integers(15, 35)) ** 2 < 90
    return np.clip(generator.normal(60, 8, size) + 120 * inside, 0, 255).astype(np.uint8), inside


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Picture.fromarray(array).save(path)


@pytest.fixture
def ultrasound(tmp_path):
    """Seven lesions, one of them in two masks, and three normal images with empty masks."""
    root = tmp_path / "data/Dataset_BUSI_with_GT"
    for number in range(7):
        part = "benign" if number < 4 else "malignant"
        pixels, inside = drawn(number)
        name = f"{part} ({number})"
        save(root / part / f"{name}.png", np.repeat(pixels[..., None], 3, axis=2))
        halves = [inside & (np.indices(inside.shape)[1] < 25), inside & (np.indices(inside.shape)[1] >= 25)]
        for end, mask in zip(("_mask", "_mask_1"), halves if number == 0 else [inside], strict=False):
            save(root / part / f"{name}{end}.png", mask.astype(np.uint8) * 255)
    for number in range(3):
        save(root / "normal" / f"normal ({number}).png", drawn(number)[0] // 2)
        save(root / "normal" / f"normal ({number})_mask.png", np.zeros((40, 52), np.uint8))
    return tmp_path / "data"


@pytest.fixture
def words(tmp_path, monkeypatch):
    """The experiments with a toy in place of the method, and a tiny SAM that chooses."""
    toys = [replace(study("sam_mpa", name), method="toy_few_shot:Toy") for name in ("busi", "chest-xray")]
    monkeypatch.setattr(catalogue, "STUDIES", tuple(toys))
    sam = tmp_path / "tiny.safetensors"
    save_file({k: v.contiguous() for k, v in tiny_sam.tiny().state_dict().items()}, sam)
    return ["--keep", tmp_path / "kept", "--weights", sam, "--like", "sam_vit_b", "--device", "cpu"]


def reproduced(capsys, name, data, out, words, *more):
    return promisam(capsys, "reproduce", "toy_few_shot:Toy", name, data, "-o", out, *words, *more)


def results(out):
    return json.loads((out / "results.json").read_text())


def test_busi_from_the_folder_to_the_table(capsys, tmp_path, ultrasound, words):
    out = tmp_path / "out"
    done = reproduced(capsys, "busi", ultrasound, out, words)
    assert done.status == 0, done.text
    told = results(out)
    assert [(row["part"], row["cases"], row["published"]) for row in told["rows"]] == [("K = 1", 6, None), ("K = 5", 2, None)]
    assert all(row["dice"]["mean"] > 0.9 for row in told["rows"])
    assert any("3 images of normal" in note for note in told["data"])
    assert not any("content of a labelled one" in note for note in told["data"])
    assert any("K = 10 is left out" in note for note in told["data"])
    assert any("7 images with masks; the set has 647" in note for note in told["data"])
    assert max(map(len, done.out.splitlines())) <= 80
    data = json.loads((out / "k5/run/run.json").read_text())["data"]
    assert len(data["split"]["train"]) == 5
    assert len(data["unlabelled"]) == 2  # the queries, without their labels
    assert set(told["setup"]["labelled, K = 5"].split(", ")) == set(data["split"]["train"])
    mask = ps.read_segmentation(out / "masks/benign (0).png").mask()
    np.testing.assert_array_equal(mask, drawn(0)[1])
    said = " ".join(told["differences"])
    for words_of in ("may or may not be", "transductive", "No code was released", "k-medoids"):
        assert words_of in said


def test_the_published_figure_stands_beside_the_largest_k(capsys, tmp_path, ultrasound, words):
    for number in range(10, 16):
        pixels, inside = drawn(number)
        save(ultrasound / f"Dataset_BUSI_with_GT/benign/benign ({number}).png", pixels)
        save(ultrasound / f"Dataset_BUSI_with_GT/benign/benign ({number})_mask.png", inside.astype(np.uint8) * 255)
    out = tmp_path / "out"
    done = reproduced(capsys, "busi", ultrasound, out, words, "--with-empty")
    assert done.status == 0, done.text
    rows = results(out)["rows"]
    assert "K = 1: 0 of 3 images with nothing to find got a mask; in no mean" in results(out)["data"]
    assert [(row["part"], row["cases"]) for row in rows] == [("K = 1", 12), ("K = 5", 9), ("K = 10", 4)]
    assert [row["published"] and row["published"]["dice"] for row in rows] == [None, None, 0.7453]
    assert "0.745 | none found" in (out / "results.md").read_text()


def test_going_on_and_what_is_refused(capsys, tmp_path, ultrasound, words):
    out = tmp_path / "out"
    assert reproduced(capsys, "busi", ultrasound, out, words, "--limit", 6).status == 0
    before = (out / "k1/run/model.safetensors").stat().st_mtime_ns
    told = results(out)
    (out / "results.json").unlink()
    (out / "k5/reached.json").unlink()
    again = reproduced(capsys, "busi", ultrasound, out, words, "--limit", 6)
    assert again.status == 2
    assert "--resume" in again.err
    resumed = reproduced(capsys, "busi", ultrasound, out, words, "--limit", 6, "--resume")
    assert resumed.status == 0, resumed.text
    assert results(out)["rows"] == told["rows"]
    assert (out / "k1/run/model.safetensors").stat().st_mtime_ns == before
    other = reproduced(capsys, "busi", ultrasound, out, words, "--limit", 5, "--resume")
    assert other.status == 2
    assert "begun with other cases" in other.err
    run = reproduced(capsys, "busi", ultrasound, tmp_path / "x", words, "--run", out)
    assert run.status == 2
    assert "--run of a few-shot experiment" in run.err
    nothing = reproduced(capsys, "chest-xray", ultrasound, tmp_path / "x", words)
    assert nothing.status == 2
    assert "Montgomery" in nothing.err
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("layout", ["montgomery", "shenzhen", "plain"])
def test_layouts_of_chest_x_rays(capsys, tmp_path, words, layout):
    data = tmp_path / "set"
    for number in range(4):
        pixels, inside = drawn(number)
        left = inside & (np.indices(inside.shape)[1] < 25)
        save(data / ("images" if layout == "plain" else "CXR_png") / f"X_{number}.png", pixels)
        masks = {
            "montgomery": {f"ManualMask/leftMask/X_{number}.png": left, f"ManualMask/rightMask/X_{number}.png": inside & ~left},
            "shenzhen": {f"mask/X_{number}_mask.png": inside},
            "plain": {f"masks/X_{number}.png": inside},
        }[layout]
        for place, mask in masks.items():
            save(data / place, mask.astype(np.uint8) * 255)
    out = tmp_path / "out"
    done = reproduced(capsys, "chest-xray", data, out, words)
    assert done.status == 0, done.text
    (row,) = results(out)["rows"]
    assert (row["part"], row["cases"]) == ("K = 1", 3)
    assert row["dice"]["mean"] > 0.9
