"""What goes into the default weights: objects and pictures are what the recipe says that they are."""

from __future__ import annotations

import csv
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from data_maker import OBLIQUE, volume
from promisam.io import read


@pytest.fixture(scope="module")
def recipe():
    spec = importlib.util.spec_from_file_location("click_recipe", Path(__file__).parents[1] / "recipes" / "click.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def square(shape, y, x, side):
    mask = np.zeros(shape, bool)
    mask[y : y + side, x : x + side] = True
    return mask


def test_objects_that_touch_or_hold_each_other_lie_in_different_layers(recipe):
    shape = (30, 40)
    objects = [square(shape, 2, 2, 6), square(shape, 2, 8, 6), square(shape, 0, 0, 20), square(shape, 22, 30, 5)]
    layers = recipe.layered(objects)
    assert len(layers) == 3
    found = [part for layer in layers for part in recipe.objects_of(layer.astype(np.uint8))]
    assert sorted(int(part.sum()) for part in found) == [25, 36, 36, 400]
    assert int(objects[0].sum()) == 36  # what was given is not changed


def test_specks_are_no_objects_and_every_label_has_its_own(recipe):
    truth = np.zeros((256, 256), np.int32)
    truth[10:30, 10:30], truth[30:50, 10:30], truth[100:103, 100:103] = 7, 300, 2
    assert sorted(int(part.sum()) for part in recipe.objects_of(truth)) == [400, 400]


@pytest.mark.parametrize(
    ("box", "quality", "wanted"), [((10, 10, 49, 49), 0.9, True), ((10, 10, 49, 49), 0.5, False), ((0, 0, 99, 99), 0.9, False)]
)
def test_an_answer_is_an_object_if_it_is_sure_and_fits_its_box(recipe, box, quality, wanted):
    logits = np.where(square((100, 100), 10, 10, 40), 5.0, -5.0)
    assert recipe.is_object(logits, quality, np.array(box, float)) is wanted


def test_an_answer_that_moves_with_the_threshold_is_none(recipe):
    y, x = np.indices((100, 100))
    fading = 3 - np.hypot(y - 50, x - 50) / 10
    assert not recipe.is_object(fading, 0.95, recipe.own_box(fading > 0))
    assert recipe.is_object(fading * 9, 0.95, recipe.own_box(fading > 0))


def test_slices_are_pictures_with_their_own_labels(recipe, tmp_path):
    x, y, z = np.indices((50, 40, 30))
    marked = np.hypot(x - 25, y - 20) < 9 - abs(z - 15) / 3
    isotropic = np.diag([1.0, 1.0, 1.0, 1.0])
    volume(tmp_path / "image.nii.gz", (50 + 100 * marked + x).astype(np.int16), isotropic)
    image = read(tmp_path / "image.nii.gz")
    labels = np.moveaxis(marked, (0, 1, 2), (2, 1, 0)).astype(np.uint8)
    found = list(recipe.slices("case", "case", "set", image, labels))
    assert {one.name.split("_")[1][0] for one in found} == set("zyx")
    for one in found:
        assert one.pixels.shape == one.truth.shape
        assert min(one.pixels.shape) >= 24
        assert one.truth.any()
        inside, outside = one.pixels[one.truth > 0].mean(), one.pixels[one.truth == 0].mean()
        assert inside > outside + 50
    volume(tmp_path / "thick.nii.gz", (50 + 100 * marked + x).astype(np.int16), OBLIQUE)
    thick = list(recipe.slices("case", "case", "set", read(tmp_path / "thick.nii.gz"), labels))
    assert {one.name.split("_")[1][0] for one in thick} == {"z"}


def test_large_pictures_shrink_with_their_labels(recipe):
    truth = np.zeros((600, 2048), np.int32)
    truth[:, 1024:] = 70000
    pixels, labels = recipe.shrunk(np.zeros((3, 600, 2048)), truth)
    assert pixels.shape == (150, 512, 3)
    assert labels.shape == (150, 512)
    assert set(np.unique(labels)) == {0, 70000}


def test_pictures_of_one_case_are_on_one_side_of_the_split(recipe, tmp_path):
    rows = [
        (f"c{case}_{n}_{kind}0", "i.png", "m.png", f"case{case}", kind)
        for case in range(30)
        for n in range(3)
        for kind in ("true", "own")
    ]
    recipe.split(tmp_path / "split.csv", rows)
    with (tmp_path / "split.csv").open(newline="") as file:
        parts = {row["name"]: row["split"] for row in csv.DictReader(file)}
    held = {name.split("_")[0] for name, part in parts.items() if part == "val"}
    assert held
    assert all(part == "val" for name, part in parts.items() if name.split("_")[0] in held)
    assert all("true" in name for name, part in parts.items() if part == "val")


def test_own_objects_of_a_picture_with_one_thing_in_it(recipe, litemedsam, monkeypatch):
    from promisam import load

    for name, value in {"SURE": 0.82, "STEADY": 0.78, "FITTING": 0.7, "TRIED": 24}.items():  # milder: one picture, few boxes
        monkeypatch.setattr(recipe, name, value)
    y, x = np.indices((200, 260))
    disc = np.hypot(y - 90, x - 120) < 60
    pixels = np.where(disc, 200, 40).astype(np.uint8) + np.random.default_rng(0).integers(0, 12, disc.shape, np.uint8)
    found = recipe.own_objects(load("litemedsam", device="cpu"), pixels, np.random.default_rng(0))
    assert found
    assert all(one.shape == disc.shape for one in found)
    assert max(2 * np.count_nonzero(one & disc) / (one.sum() + disc.sum()) for one in found) > 0.8
    assert Picture.fromarray(pixels).size == (260, 200)
