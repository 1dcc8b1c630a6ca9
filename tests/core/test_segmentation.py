"""Segmentation: labels stay labels, on every grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geometries import every_index, flipped, oblique, volumes
from promisam.core import Grid, Segmentation
from promisam.core.errors import GeometryError, InvalidSegmentation

GRID = oblique((5, 7, 9))


def scattered(grid, seed=0, values=(0, 1, 7, 300)):
    return Segmentation(np.random.default_rng(seed).choice(values, grid.shape).astype(np.uint16), grid)


@pytest.mark.parametrize(
    "labels",
    [np.full((5, 7, 9), 0.5), np.ones((5, 7, 9), np.float32), np.ones((5, 7, 9), bool), np.full((5, 7, 9), -1, np.int16)],
)
def test_fractional_negative_and_boolean_labels_are_refused(labels, unchecked):
    with pytest.raises(InvalidSegmentation) as caught:
        Segmentation(labels, GRID)
    assert str(labels.dtype) in caught.value.given


@pytest.mark.parametrize("shape", [(9, 7, 5), (5, 7), (1, 5, 7, 9)])
def test_labels_that_disagree_with_their_grid_are_refused_with_both_shapes(shape, unchecked):
    with pytest.raises(GeometryError) as caught:
        Segmentation(np.zeros(shape, np.uint8), GRID)
    assert str(shape) in str(caught.value)
    assert "(5, 7, 9)" in str(caught.value)


def test_values_are_those_present_or_named():
    labels = np.zeros((4, 6), np.int32)
    labels[1, 2] = 9
    found = Segmentation(labels, Grid.of_picture((4, 6)), {2: "liver", 0: "nothing"})
    assert found.values == (2, 9)
    assert (found.name(2), found.name(9)) == ("liver", "label 9")
    assert np.array_equal(found.mask(9), labels == 9)
    assert np.array_equal(found.mask(), labels > 0)
    assert not found.mask(2).any()


def test_empty():
    none = Segmentation(np.zeros((4, 6), np.uint8), Grid.of_picture((4, 6)))
    assert none.values == ()
    assert none.volume(1) == 0
    assert not none.mask().any()


def test_volume_in_cubic_millimetres_and_square_pixels():
    labels = np.zeros(GRID.shape, np.uint8)
    labels[1:3, 2:5, 4:5] = 2
    assert Segmentation(labels, GRID).volume(2) == pytest.approx(6 * 0.7 * 1.1 * 4.0)
    flat = Segmentation(labels[1], GRID.slice(0, 1))
    assert flat.volume(2) == pytest.approx(3 * 0.7 * 1.1)
    assert Segmentation(labels[1], Grid.of_picture((7, 9))).volume(2) == 3


def test_labels_are_read_only_and_names_are_copied():
    names = {1: "a"}
    found = Segmentation(np.ones((2, 3), np.uint8), Grid.of_picture((2, 3)), names)
    names[1] = "b"
    assert found.name(1) == "a"
    with pytest.raises(ValueError, match="read-only"):
        found.labels[0, 0] = 0


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slice_and_crop_take_labels_and_grid_together(axis):
    found = scattered(GRID)
    part = found.slice(axis, 3)
    assert np.array_equal(part.labels, np.take(found.labels, 3, axis))
    assert part.grid == GRID.slice(axis, 3)
    cropped = found.crop((1, 0, 2), (3, 7, 9))
    assert np.array_equal(cropped.labels, found.labels[1:3, :, 2:9])
    assert cropped.grid == GRID.crop((1, 0, 2), (3, 7, 9))


@settings(max_examples=30, deadline=None)
@given(source=volumes, target=volumes, seed=st.integers(0, 99))
def test_resample_equals_asking_sample_by_sample(source, target, seed):
    shift = target.affine.copy()  # bring the two volumes on top of each other
    middle = (np.array(source.shape)[None] - 1) / 2
    shift[:3, 3] += source.to_mm(middle)[0] - target.to_mm((np.array(target.shape)[None] - 1) / 2)[0] + 0.123
    target = Grid(target.shape, shift)
    found = scattered(source, seed)
    moved = found.resample(target)
    inverse = np.linalg.inv(source.affine)
    expected = np.zeros(target.shape, found.labels.dtype)
    unsure = np.zeros(target.shape, bool)
    for index in np.ndindex(*target.shape):
        at = (inverse @ target.affine @ (*index, 1.0))[:3]
        unsure[index] = (np.abs(at - np.floor(at) - 0.5) < 1e-6).any()  # halfway between two samples
        nearest = np.rint(at).astype(int)
        if ((nearest >= 0) & (nearest < source.shape)).all():
            expected[index] = found.labels[tuple(nearest)]
    assert moved.labels.dtype == found.labels.dtype
    assert np.array_equal(moved.labels[~unsure], expected[~unsure])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_resample_onto_a_flipped_grid_is_a_flip(axis):
    found = scattered(GRID)
    moved = found.resample(flipped(GRID, axis))
    assert np.array_equal(moved.labels, np.flip(found.labels, axis))
    assert np.array_equal(moved.resample(GRID).labels, found.labels)


def test_resample_never_invents_labels_and_keeps_names():
    found = Segmentation(scattered(GRID, values=(0, 10, 1000)).labels, GRID, {10: "a", 1000: "b"})
    for shape in ((7, 7, 9), (11, 13, 4), (1, 1, 1), (2, 20, 3)):
        moved = found.resample(GRID.resample(shape))
        assert set(np.unique(moved.labels)) <= {0, 10, 1000}
        assert moved.names == found.names


def test_resample_beyond_the_image_is_background():
    found = Segmentation(np.ones(GRID.shape, np.uint8), GRID)
    moved = found.resample(GRID.pad((2, 0, 1), (0, 3, 1)))
    expected = np.zeros(moved.labels.shape, np.uint8)
    expected[2:, :7, 1:10] = 1
    assert np.array_equal(moved.labels, expected)


def test_resample_of_pictures():
    picture = Grid.of_picture((4, 6))
    found = scattered(picture)
    assert np.array_equal(found.resample(picture.resample((8, 12))).labels, found.labels.repeat(2, 0).repeat(2, 1))
    assert len(every_index(picture.shape)) == 24


def test_resample_between_pictures_and_volumes_is_refused():
    with pytest.raises(GeometryError, match="axes"):
        scattered(GRID.slice(0, 1)).resample(GRID)
    with pytest.raises(GeometryError, match="axes"):
        scattered(GRID).resample(GRID.slice(0, 1))
