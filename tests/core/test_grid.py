"""Grid: positions of samples under every operation, against ITK and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from geometries import every_index, flipped, grids, oblique, rotation, volumes
from promisam.core import Grid
from promisam.core.errors import GeometryError

QUICK = settings(max_examples=40, deadline=None)
IDENTITY = np.eye(4)


@QUICK
@given(grid=grids, seed=st.integers(0, 2**31))
def test_index_to_mm_and_back(grid, seed):
    index = np.random.default_rng(seed).uniform(-3, 12, (11, grid.ndim))
    assert np.allclose(grid.to_index(grid.to_mm(index)), index, atol=1e-8)
    assert np.allclose(grid.off_plane(grid.to_mm(index)), 0, atol=1e-8)


@QUICK
@given(volume=volumes)
def test_index_to_mm_is_the_affine(volume):
    index = every_index(volume.shape)
    by_hand = np.array([volume.affine @ (*i, 1.0) for i in index])[:, :3]
    assert np.allclose(volume.to_mm(index), by_hand, atol=1e-9)


@pytest.mark.parametrize("angles", [(0, 0, 0), (0.4, -1.2, 2.5), (np.pi / 2, 0, 0)])
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, -1), (-1, -1, -1)])
@pytest.mark.parametrize("size", [(9, 7, 5), (1, 1, 1), (4, 1, 3)])
def test_from_itk_agrees_with_simpleitk(angles, flips, size):
    reference = SimpleITK.Image(size, SimpleITK.sitkUInt8)
    reference.SetSpacing((0.45, 1.3, 6.0))
    reference.SetOrigin((-101.5, 17.25, 88.0))
    reference.SetDirection((rotation(angles) @ np.diag(flips)).ravel().tolist())
    direction = np.array(reference.GetDirection()).reshape(3, 3)
    grid = Grid.from_itk(reference.GetSize(), reference.GetSpacing(), reference.GetOrigin(), direction)
    index_xyz = np.random.default_rng(3).uniform(-4, 12, (20, 3))
    expected = [reference.TransformContinuousIndexToPhysicalPoint(i.tolist()) for i in index_xyz]
    assert np.allclose(grid.to_mm(index_xyz[:, ::-1]), expected, atol=1e-9)
    back = [reference.TransformPhysicalPointToContinuousIndex(p) for p in expected]
    assert np.allclose(grid.to_index(np.array(expected))[:, ::-1], back, atol=1e-8)
    assert grid.shape == size[::-1]
    assert np.allclose(grid.spacing[::-1], reference.GetSpacing())
    assert grid.origin == reference.GetOrigin()
    assert np.allclose(grid.direction, direction)
    assert grid.sample_size == pytest.approx(0.45 * 1.3 * 6.0)


def test_from_itk_of_a_rotated_picture():
    reference = SimpleITK.Image((6, 4), SimpleITK.sitkUInt8)
    reference.SetSpacing((0.5, 2.0))
    reference.SetOrigin((3.0, -8.0))
    reference.SetDirection(rotation((0, 0, 0.7))[:2, :2].ravel().tolist())
    grid = Grid.from_itk(
        reference.GetSize(), reference.GetSpacing(), reference.GetOrigin(), np.array(reference.GetDirection()).reshape(2, 2)
    )
    index = every_index(grid.shape)
    expected = [reference.TransformContinuousIndexToPhysicalPoint(i[::-1].tolist()) for i in index]
    assert grid.ndim == 2
    assert grid.shape == (4, 6)
    assert grid.spacing == pytest.approx((2.0, 0.5))
    assert grid.sample_size == pytest.approx(1.0)
    assert np.allclose(grid.to_mm(index), np.column_stack([expected, np.zeros(len(index))]))


@QUICK
@given(grid=grids, data=st.data())
def test_crop_keeps_every_sample_in_its_place(grid, data):
    start = [data.draw(st.integers(0, n - 1)) for n in grid.shape]
    stop = [data.draw(st.integers(a + 1, n)) for a, n in zip(start, grid.shape, strict=True)]
    part = grid.crop(start, stop)
    assert part.shape == tuple(b - a for a, b in zip(start, stop, strict=True))
    assert np.allclose(part.to_mm(every_index(part.shape)), grid.to_mm(every_index(part.shape) + start), atol=1e-9)


@QUICK
@given(grid=grids, data=st.data())
def test_pad_keeps_every_sample_in_its_place_and_crop_undoes_it(grid, data):
    before = [data.draw(st.integers(0, 4)) for _ in grid.shape]
    after = [data.draw(st.integers(0, 4)) for _ in grid.shape]
    padded = grid.pad(before, after)
    index = every_index(grid.shape)
    assert np.allclose(padded.to_mm(index + before), grid.to_mm(index), atol=1e-9)
    again = padded.crop(before, [b + n for b, n in zip(before, grid.shape, strict=True)])
    assert again.shape == grid.shape
    assert np.allclose(again.affine, grid.affine, atol=1e-9)


@QUICK
@given(grid=grids, data=st.data())
def test_resample_keeps_the_outer_borders_and_the_unit(grid, data):
    shape = tuple(data.draw(st.integers(1, 9)) for _ in grid.shape)
    other = grid.resample(shape)
    corners = every_index([2] * grid.ndim)
    assert other.shape == shape
    assert other.unit == grid.unit
    assert np.allclose(
        other.to_mm(corners * shape - 0.5), grid.to_mm(corners * np.array(grid.shape) - 0.5), atol=1e-8 * max(1, *grid.shape)
    )
    assert np.allclose(other.resample(grid.shape).affine, grid.affine, atol=1e-9)


def test_resample_to_half_puts_each_sample_between_two():
    grid = oblique((4, 6, 8))
    half = grid.resample((2, 3, 4))
    assert np.allclose(half.to_mm(every_index(half.shape)), grid.to_mm(every_index(half.shape) * 2 + 0.5))


@pytest.mark.parametrize("shape", [(0, 4, 4), (4, -1, 4)])
def test_resample_to_nothing_is_refused(shape):
    with pytest.raises(GeometryError, match="at least one sample"):
        oblique().resample(shape)


@QUICK
@given(volume=volumes, axis=st.integers(0, 2), data=st.data())
def test_slices_lie_where_they_lay_in_the_volume(volume, axis, data):
    index = data.draw(st.integers(0, volume.shape[axis] - 1))
    picture = volume.slice(axis, index)
    inside = every_index(picture.shape)
    assert picture.ndim == 2
    assert np.allclose(picture.to_mm(inside), volume.to_mm(np.insert(inside, axis, index, axis=1)), atol=1e-9)
    assert np.isclose(np.linalg.norm(picture.affine[:3, 0]), 1)
    step = np.delete(np.asarray(volume.spacing), axis)
    assert np.allclose(picture.spacing, step)


@pytest.mark.parametrize(("axis", "index"), [(0, 5), (0, -1), (2, 9), (3, 0), (-1, 0)])
def test_slices_that_do_not_exist_are_refused(axis, index):
    with pytest.raises(GeometryError, match=f"slice {index} along array axis {axis} of shape"):
        oblique((5, 7, 9)).slice(axis, index)


def test_a_picture_has_no_slices():
    with pytest.raises(GeometryError, match="a volume"):
        Grid.of_picture((4, 5)).slice(0, 1)


@pytest.mark.parametrize(("start", "stop"), [((0, 0, 0), (6, 7, 9)), ((-1, 0, 0), (2, 2, 2)), ((2, 0, 0), (2, 3, 3))])
def test_crops_beyond_the_image_or_of_nothing_are_refused(start, stop):
    with pytest.raises(GeometryError) as caught:
        oblique((5, 7, 9)).crop(start, stop)
    assert str(stop) in str(caught.value)
    assert "(5, 7, 9)" in str(caught.value)


def test_to_index_of_a_point_off_the_plane_is_its_foot():
    picture = oblique().slice(0, 3)
    normal = picture.affine[:3, 0]
    point = picture.to_mm(np.array([[1.5, 2.0]])) - 2.75 * normal
    assert np.allclose(picture.to_index(point), [[1.5, 2.0]])
    assert np.allclose(picture.off_plane(point), 2.75)
    assert np.array_equal(oblique().off_plane(point), [0.0])


def test_contains_reaches_half_a_sample_beyond_the_centres():
    grid = Grid.of_picture((3, 5))
    inside = [(-0.5, -0.5), (2.5, 4.5), (0, 0), (1.2, 3.9)]
    outside = [(-0.51, 0), (0, 4.51), (2.6, 4.6), (np.nan, 1), (1, np.inf)]
    assert grid.contains(np.array(inside)).tolist() == [True] * 4
    assert grid.contains(np.array(outside)).tolist() == [False] * 5


def moved(grid, column, row=0, by=0.0):
    affine = grid.affine.copy()
    affine[row, column] += by
    return Grid(grid.shape, affine, grid.unit)


def test_matches_within_a_share_of_the_smallest_step():
    grid = oblique(spacing=(0.7, 1.1, 4.0))
    assert grid.matches(moved(grid, 3, by=0.006))  # 1% of 0.7 mm is 0.007
    assert not grid.matches(moved(grid, 3, by=0.008))
    assert grid.matches(moved(grid, 3, by=0.3), tolerance=0.5)
    assert not grid.matches(moved(grid, 0, by=0.1))


def test_matches_sees_every_difference_of_direction_and_shape():
    grid = oblique((5, 7, 9))
    for axis in range(3):
        assert not grid.matches(flipped(grid, axis))
    assert not grid.matches(oblique((5, 7, 10)))
    assert not grid.matches(Grid(grid.shape, grid.affine, "px"))
    assert grid.matches(Grid(grid.shape, grid.affine))
    single = oblique((1, 7, 9))  # the step along an axis of one sample counts too
    assert not single.matches(flipped(single, 0))


def test_matches_tells_neighbouring_slices_apart():
    volume = oblique()
    assert volume.slice(0, 2).matches(volume.slice(0, 2))
    assert not volume.slice(0, 2).matches(volume.slice(0, 3))
    assert not volume.slice(0, 2).matches(volume)


@pytest.mark.parametrize("shape", [(4,), (4, 5, 6, 7), (), (0, 5), (4, 0, 6), (4, -2)])
def test_impossible_shapes_are_refused_with_what_was_given_and_expected(shape):
    with pytest.raises(GeometryError) as caught:
        Grid(shape, IDENTITY)
    assert str(shape) in caught.value.given
    assert "two or three axes" in caught.value.expected


def singular(rows):
    affine = np.eye(4)
    affine[:3, :3] = rows
    return affine


@pytest.mark.parametrize(
    "affine",
    [
        np.zeros((4, 4)),
        singular([[1, 0, 0], [0, 0, 0], [0, 0, 1]]),
        singular([[1, 1, 0], [1, 1, 0], [0, 0, 1]]),
        singular([[1, 1, 0], [1, 1 + 1e-9, 0], [0, 0, 1]]),
        np.where(np.eye(4) > 0, np.nan, 0.0),
        np.diag([1.0, 1.0, np.inf, 1.0]),
        np.diag([1.0, 1.0, 1.0, 2.0]),
        np.eye(4) + np.eye(4)[[3, 0, 1, 2]] * [[0], [0], [0], [1]],
    ],
)
def test_degenerate_affines_are_refused(affine):
    with pytest.raises(GeometryError, match="invertible 4x4"):
        Grid((3, 4, 5), affine)


@pytest.mark.parametrize("affine", [np.eye(3), np.zeros((0, 4)), np.eye(4)[None]])
def test_affines_of_another_shape_are_refused(affine, unchecked):
    with pytest.raises(GeometryError, match="4x4"):
        Grid((3, 4, 5), affine)


def test_tiny_and_large_spacings_are_not_degenerate():
    for spacing in ((1e-6, 1e-6, 1e-6), (1e-4, 500.0, 1.0)):
        assert oblique(spacing=spacing).spacing == pytest.approx(spacing[::-1])


def test_the_affine_cannot_be_changed_from_either_side():
    given_affine = np.diag([2.0, 1.0, 1.0, 1.0])
    grid = Grid((3, 4, 5), given_affine)
    given_affine[0, 3] = 99
    assert grid.origin == (0, 0, 0)
    with pytest.raises(ValueError, match="read-only"):
        grid.affine[0, 3] = 1


def test_equality_and_hash():
    one, same = oblique(), oblique()
    assert one == same
    assert hash(one) == hash(same)
    assert len({one, same, oblique((5, 7, 10))}) == 2
    assert one != moved(one, 3, by=1e-9)
    assert one != Grid(one.shape, one.affine, "px")
    assert one != "grid"


def test_hash_agrees_with_equality_for_negative_zero():
    zero, minus = np.eye(4), np.eye(4)
    minus[0, 3] = -0.0
    assert Grid((2, 2), zero) == Grid((2, 2), minus)
    assert hash(Grid((2, 2), zero)) == hash(Grid((2, 2), minus))


def test_printed_in_the_order_of_viewers():
    assert str(oblique((5, 7, 9))) == "9 x 7 x 5 samples of 0.7 x 1.1 x 4 mm"
    assert str(Grid.of_picture((3, 8))) == "8 x 3 samples of 1 x 1 px"
