"""Prompts: values that refuse what means nothing, and that move through the patient's space."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geometries import every_index, flipped, grids, oblique
from promisam.core import Grid, Prompts
from promisam.core.errors import GeometryError, GridMismatch, InvalidPrompt

QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
pytestmark = pytest.mark.usefixtures("unchecked")  # as users do, these tests write whole numbers as coordinates
PICTURE = Grid.of_picture((6, 9))
VOLUME = oblique((5, 7, 9))


def block(grid, low, high):
    mask = np.zeros(grid.shape, bool)
    mask[tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))] = True
    return mask


def test_click_returns_a_new_value_and_leaves_the_old():
    none = Prompts(PICTURE)
    one = none.click((1.0, 2.5))
    two = one.click((5.0, 8.0), positive=False)
    assert none.points_zyx.shape == (0, 2)
    assert one.points_zyx.tolist() == [[1, 2.5]]
    assert two.points_zyx.tolist() == [[1, 2.5], [5, 8]]
    assert (none.labels.tolist(), one.labels.tolist(), two.labels.tolist()) == ([], [1], [1, 0])
    assert [p.kinds for p in (none, one, two)] == [frozenset(), {"points"}, {"points"}]


def test_box_and_mask_replace_the_former_and_keep_the_rest():
    mask = block(PICTURE, (1, 1), (2, 3))
    first = Prompts(PICTURE).click((0.0, 0.0)).with_box((1.0, 1.0), (3.0, 4.0))
    second = first.with_box((0.0, 2.0), (5.0, 8.0)).with_mask(mask)
    assert first.box_zyx.tolist() == [[1, 1], [3, 4]]
    assert second.box_zyx.tolist() == [[0, 2], [5, 8]]
    assert first.mask is None
    assert np.array_equal(second.mask, mask)
    assert second.kinds == {"points", "box", "mask"}
    assert second.with_mask(None).kinds == {"points", "box"}


def test_a_value_cannot_be_changed_from_either_side():
    points, labels, box = np.array([[1.0, 1.0]]), np.array([1]), np.array([[0.0, 0.0], [2.0, 2.0]])
    mask = block(PICTURE, (1, 1), (2, 3))
    prompts = Prompts(PICTURE, points, labels, box, mask)
    for array in (prompts.points_zyx, prompts.labels, prompts.box_zyx, prompts.mask):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    points[0], labels[0], box[1] = 5, 0, 5
    mask[...] = False
    assert prompts.points_zyx.tolist() == [[1, 1]]
    assert prompts.labels.tolist() == [1]
    assert prompts.box_zyx.tolist() == [[0, 0], [2, 2]]
    assert prompts.mask.sum() == 6


@pytest.mark.parametrize("at", [(-0.6, 0), (6, 0), (0, 8.6), (np.nan, 3), (3, np.inf), (-np.inf, 0)])
def test_clicks_off_the_image_are_refused_in_the_order_of_viewers(at):
    with pytest.raises(InvalidPrompt, match="off the image") as caught:
        Prompts(PICTURE).click(at)
    assert f"{at[1]:g},{at[0]:g}" in caught.value.given
    assert "x 0 to 8, y 0 to 5" in caught.value.expected


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        ((3, 1), (1, 4), "inverted"),
        ((1, 1), (1, 4), "empty"),
        ((2, 2), (2, 2), "empty"),
        ((1, 1), (6, 4), "off the image"),
        ((np.nan, 1), (3, 4), "off the image"),
        ((1, 1), (3, np.nan), "off the image"),
    ],
)
def test_boxes_that_mean_nothing_are_refused(low, high, word):
    with pytest.raises(InvalidPrompt, match=word):
        Prompts(PICTURE).with_box(low, high)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_box_of_one_slice_is_allowed_in_a_volume_and_a_line_is_not(axis):
    low, high = [1.0, 1.0, 1.0], [3.0, 4.0, 5.0]
    high[axis] = low[axis]
    assert Prompts(VOLUME).with_box(low, high).kinds == {"box"}
    high[(axis + 1) % 3] = 1.0
    with pytest.raises(InvalidPrompt, match="empty"):
        Prompts(VOLUME).with_box(low, high)


@pytest.mark.parametrize("at", [(1,), (1, 2, 3), ()])
def test_a_wrong_number_of_coordinates_is_refused(at):
    with pytest.raises(InvalidPrompt, match=f"a point of {len(at)} coordinates"):
        Prompts(PICTURE).click(at)
    with pytest.raises(InvalidPrompt, match="box corner"):
        Prompts(PICTURE).with_box((0, 0), at)
    with pytest.raises(InvalidPrompt, match="3 axes"):
        Prompts(VOLUME).click((1, 2))


@pytest.mark.parametrize("labels", [[2], [-1], [1, 0], []])
def test_labels_other_than_one_each_of_0_and_1_are_refused(labels):
    with pytest.raises(InvalidPrompt, match="label"):
        Prompts(PICTURE, np.array([[1.0, 1.0]]), np.array(labels, np.int64))


def test_points_of_another_dimension_are_refused():
    with pytest.raises(InvalidPrompt, match="3 coordinates"):
        Prompts(PICTURE, np.ones((1, 3)), np.array([1]))


@pytest.mark.parametrize("mask", [np.ones((9, 6), bool), np.ones((6, 9), np.uint8), np.ones((1, 6, 9), bool)])
def test_masks_of_another_shape_or_type_are_refused(mask, unchecked):
    with pytest.raises(InvalidPrompt, match="a mask prompt of shape") as caught:
        Prompts(PICTURE).with_mask(mask)
    assert str(mask.shape) in caught.value.given
    assert "(6, 9)" in caught.value.expected


def test_an_empty_mask_is_refused():
    with pytest.raises(InvalidPrompt, match="empty mask"):
        Prompts(PICTURE).with_mask(np.zeros((6, 9), bool))


def test_a_mask_of_another_grid_is_refused():
    mask = block(VOLUME, (0, 0, 0), (1, 1, 1))
    with pytest.raises(GridMismatch):
        Prompts(VOLUME).with_mask(mask, flipped(VOLUME, 2))
    assert Prompts(VOLUME).with_mask(mask, oblique((5, 7, 9))).kinds == {"mask"}


def prompts_on(grid):
    """One of each kind, well inside."""
    middle = (np.array(grid.shape) - 1) / 2
    given = Prompts(grid).click(middle.tolist()).click((middle * 0.5).tolist(), positive=False)
    low, high = np.floor(middle * 0.5), np.ceil(middle * 1.5)
    return given.with_box(low, high).with_mask(block(grid, low.astype(int), high.astype(int)))


def assert_same(one, other, tolerance=1e-6):
    assert np.allclose(one.points_zyx, other.points_zyx, atol=tolerance)
    assert np.array_equal(one.labels, other.labels)
    assert np.allclose(one.box_zyx, other.box_zyx, atol=tolerance)
    assert np.array_equal(one.mask, other.mask)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_on_a_flipped_grid_and_back(axis):
    given = prompts_on(VOLUME)
    other = flipped(VOLUME, axis)
    moved = given.on(other)
    expected = given.points_zyx.copy()
    expected[:, axis] = VOLUME.shape[axis] - 1 - expected[:, axis]
    assert np.allclose(moved.points_zyx, expected)
    assert np.array_equal(moved.mask, np.flip(given.mask, axis))
    ends = VOLUME.shape[axis] - 1 - given.box_zyx[::-1, axis]
    assert np.allclose(moved.box_zyx[:, axis], ends)
    assert_same(moved.on(VOLUME), given)


def test_on_a_crop_and_back():
    given = prompts_on(VOLUME)
    part = VOLUME.crop((1, 1, 2), (5, 7, 8))
    moved = given.on(part)
    assert np.allclose(moved.points_zyx, given.points_zyx - (1, 1, 2))
    assert np.allclose(moved.box_zyx, given.box_zyx - (1, 1, 2))
    assert np.array_equal(moved.mask, given.mask[1:5, 1:7, 2:8])
    assert_same(moved.on(VOLUME), given)


@pytest.mark.parametrize("factor", [2, 3])
def test_on_a_finer_grid_and_back(factor):
    given = prompts_on(VOLUME)
    fine = VOLUME.resample([n * factor for n in VOLUME.shape])
    moved = given.on(fine)
    assert np.allclose(moved.points_zyx, (given.points_zyx + 0.5) * factor - 0.5)
    covered = (moved.box_zyx[1] - moved.box_zyx[0] + 1) / factor
    assert np.allclose(covered, given.box_zyx[1] - given.box_zyx[0] + 1)
    assert np.array_equal(moved.mask, given.mask.repeat(factor, 0).repeat(factor, 1).repeat(factor, 2))
    assert_same(moved.on(VOLUME), given)


def test_a_box_of_one_slice_covers_that_slice_on_a_finer_grid_and_lies_in_one_on_a_coarser():
    volume = oblique((6, 12, 12))
    flat = Prompts(volume).with_box((4.0, 3.0, 3.0), (4.0, 8.0, 10.0))
    fine = flat.on(volume.resample((18, 12, 12)))
    assert np.allclose(fine.box_zyx, [[12, 3, 3], [14, 8, 10]])
    coarse = flat.on(volume.resample((2, 12, 12)))
    assert np.allclose(coarse.box_zyx, [[1, 3, 3], [1, 8, 10]], atol=1 / 3)
    assert coarse.box_zyx[0, 0] == coarse.box_zyx[1, 0]
    assert np.allclose(coarse.box_zyx[0, 0], 4.5 / 3 - 0.5)


def test_a_small_box_survives_on_a_coarser_picture():
    picture = Grid.of_picture((40, 60))
    small = Prompts(picture).with_box((11.0, 21.0), (12.0, 22.0))
    coarse = small.on(picture.resample((4, 6)))
    centre = coarse.box_zyx.mean(axis=0)
    assert np.allclose(centre, (np.array([11.5, 21.5]) + 0.5) / 10 - 0.5)


@QUICK
@given(grid=grids, data=st.data())
def test_prompts_on_the_very_border_stay_on_the_image(grid, data):
    corner = [data.draw(st.sampled_from([-0.5, 0.0, n - 1.0, n - 0.5])) for n in grid.shape]
    given = Prompts(grid).click(corner)
    others = [grid.resample([n + 2 for n in grid.shape]), *(flipped(grid, axis) for axis in range(grid.ndim))]
    for other in others:
        moved = given.on(other)
        assert np.allclose(other.to_mm(moved.points_zyx), grid.to_mm(given.points_zyx), atol=1e-6)


def test_on_a_crop_that_misses_them_is_refused():
    part = VOLUME.crop((0, 0, 0), (1, 2, 2))
    with pytest.raises(InvalidPrompt, match="off the image"):
        Prompts(VOLUME).click((4.0, 5.0, 6.0)).on(part)
    with pytest.raises(InvalidPrompt, match="off the image"):
        Prompts(VOLUME).with_box((1.0, 1.0, 1.0), (3.0, 5.0, 5.0)).on(part)
    with pytest.raises(InvalidPrompt, match="empty mask"):
        Prompts(VOLUME).with_mask(block(VOLUME, (3, 3, 3), (4, 5, 5))).on(part)


def test_on_a_grid_of_another_number_of_axes_is_refused():
    with pytest.raises(GeometryError, match="axes"):
        Prompts(VOLUME).click((4.0, 5.0, 6.0)).on(VOLUME.slice(0, 4))
    with pytest.raises(GeometryError, match="axes"):
        Prompts(PICTURE).click((4.0, 5.0)).on(VOLUME)


def test_no_prompts_move_to_no_prompts():
    assert Prompts(VOLUME).on(flipped(VOLUME, 1)).kinds == frozenset()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slice_takes_what_stands_there(axis):
    mask = block(VOLUME, (2, 2, 2), (3, 4, 5))
    inside = np.array([2.0, 3.0, 4.0])
    given = Prompts(VOLUME).click(inside).click(inside + 0.4, positive=False).click((0.0, 0.0, 0.0)).with_mask(mask)
    given = given.with_box((2.0, 2.0, 2.0), (3.0, 4.0, 5.0))
    index = int(inside[axis])
    here = given.slice(axis, index)
    kept = [a for a in range(3) if a != axis]
    assert here.grid == VOLUME.slice(axis, index)
    assert np.allclose(here.points_zyx, np.stack([inside, inside + 0.4])[:, kept])
    assert here.labels.tolist() == [1, 0]
    assert np.array_equal(here.box_zyx, given.box_zyx[:, kept])
    assert np.array_equal(here.mask, np.take(mask, index, axis))
    elsewhere = given.slice(axis, VOLUME.shape[axis] - 1)
    assert elsewhere.kinds == frozenset()
    assert given.slice(axis, 0).kinds == {"points"}


def test_slice_keeps_the_places_in_the_patient():
    given = Prompts(VOLUME).click((2.0, 3.25, 4.5))
    here = given.slice(0, 2)
    assert np.allclose(here.grid.to_mm(here.points_zyx), VOLUME.to_mm(given.points_zyx))


def test_slice_of_prompts_on_a_picture_is_refused():
    with pytest.raises(GeometryError):
        Prompts(PICTURE).slice(0, 0)


def test_one_pixel_takes_a_click():
    grid = Grid.of_picture((1, 1))
    assert Prompts(grid).click((0.0, 0.0)).with_mask(np.ones((1, 1), bool)).kinds == {"points", "mask"}
    assert every_index(grid.shape).tolist() == [[0, 0]]
