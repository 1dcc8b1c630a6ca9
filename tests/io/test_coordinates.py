import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promisam.core import Grid
from promisam.core.errors import InvalidPrompt
from promisam.io import to_xyz, to_zyx

AFFINE = np.array([[0.0, 0.48, 0.8, 7.0], [0.0, 0.64, -0.6, -3.0], [2.5, 0.0, 0.0, 11.0], [0, 0, 0, 1]])
VOLUME = Grid((4, 5, 6), AFFINE)
PLANE = VOLUME.slice(0, 2)
PICTURE = Grid.of_picture((5, 6))
numbers = st.floats(-50, 50)


def test_index_order_is_reversed_once():
    np.testing.assert_array_equal(to_zyx(VOLUME, [(1, 2, 3), (4.5, 0, 1)], world=False), [(3, 2, 1), (1, 0, 4.5)])
    np.testing.assert_array_equal(to_zyx(PICTURE, [(1, 2)], world=False), [(2, 1)])
    assert to_zyx(PICTURE, [], world=False).shape == (0, 2)
    assert to_zyx(VOLUME, [], world=True).shape == (0, 3)


def test_world_millimetres_are_lps():
    np.testing.assert_allclose(to_zyx(VOLUME, [AFFINE[:3, 3]], world=True), [(0, 0, 0)], atol=1e-12)
    np.testing.assert_allclose(to_zyx(VOLUME, [AFFINE[:3, 3] + AFFINE[:3, 2] * 3], world=True), [(0, 0, 3)], atol=1e-12)


@given(st.lists(st.tuples(numbers, numbers, numbers), max_size=4), st.booleans())
def test_there_and_back(points, world):
    points_zyx = np.array(points, np.float64).reshape(-1, 3)
    np.testing.assert_allclose(to_zyx(VOLUME, to_xyz(VOLUME, points_zyx, world=world), world=world), points_zyx, atol=1e-9)


def test_two_coordinates_do_on_a_volume_of_one_slice_only():
    single = VOLUME.crop((2, 0, 0), (3, 5, 6))
    np.testing.assert_array_equal(to_zyx(single, [(1, 2)], world=False), [(0, 2, 1)])
    for grid, point in ((VOLUME, (1, 2)), (PICTURE, (1, 2, 3)), (PICTURE, (1,)), (VOLUME, (1, 2, 3, 4))):
        with pytest.raises(InvalidPrompt, match=f"with {len(point)} coordinates"):
            to_zyx(grid, [point], world=False)


def test_world_points_on_a_plane_in_the_patient():
    here = PLANE.to_mm(np.array([[3.0, 4.0]]))
    np.testing.assert_allclose(to_zyx(PLANE, here, world=True), [(3, 4)], atol=1e-9)
    with pytest.raises(InvalidPrompt, match="4 mm off the picture"):
        to_zyx(PLANE, here + 4 * PLANE.affine[:3, 0], world=True)
    with pytest.raises(InvalidPrompt, match="patient millimetres"):
        to_zyx(PLANE, [(1, 2)], world=True)


def test_world_needs_a_scale():
    with pytest.raises(InvalidPrompt, match="without physical scale"):
        to_zyx(PICTURE, [(1, 2, 0)], world=True)


def test_numbers_must_be_finite():
    with pytest.raises(InvalidPrompt, match="finite"):
        to_zyx(PICTURE, [(1, float("nan"))], world=False)
