import numpy as np
import pytest

from geometries import flipped, oblique
from promisam.app.display import Display
from promisam.core import Grid
from promisam.core.errors import InvalidPrompt

GRIDS = [
    oblique(),
    oblique(flips=(-1, -1, -1)),
    oblique((4, 6, 8), angles=(1.5, 0.1, -1.4)),
    oblique((4, 6, 8), angles=(0.1, 1.6, 3.0), flips=(1, 1, -1)),
    flipped(oblique((3, 5, 4), angles=(0, 0, 0)), 1),
]


@pytest.mark.parametrize("grid", GRIDS)
def test_the_page_sees_every_sample_where_it_lies_in_the_patient(grid):
    display = Display.of(grid)
    values = np.arange(np.prod(grid.shape)).reshape(grid.shape)
    turned, seen = display.array(values), display.grid(grid)
    assert list(reversed(turned.shape)) == display.size
    for index in np.ndindex(*grid.shape):
        x, y, z = (int(n) for n in display.on_page(index))
        assert turned[z, y, x] == values[index]
        np.testing.assert_allclose(display.place([x, y, z]), index)
        np.testing.assert_allclose(seen.to_mm(np.array([[z, y, x]])), grid.to_mm(np.array([index])), atol=1e-9)


@pytest.mark.parametrize("grid", GRIDS)
def test_its_axes_are_those_nearest_to_right_anterior_superior(grid):
    steps = np.diag([-1, -1, 1]) @ Display.of(grid).grid(grid).affine[:3, :3][:, ::-1]  # columns x, y, z in RAS
    steps = steps / np.linalg.norm(steps, axis=0)
    assert (np.diag(steps) > 0).all()
    assert np.trace(steps) > 1.5


@pytest.mark.parametrize("grid", GRIDS)
def test_parts_and_planes(grid):
    display = Display.of(grid)
    values = np.arange(np.prod(grid.shape)).reshape(grid.shape)
    span = tuple((1, n - 1) for n in grid.shape)
    (x, y, z), (w, h, d) = display.span(span)
    part = display.array(values[tuple(slice(a, b) for a, b in span)])
    np.testing.assert_array_equal(part, display.array(values)[z : z + d, y : y + h, x : x + w])
    for number, letter in enumerate("xyz"):
        at = [1.2, 0.8, 1.4]
        axis, index = display.plane(letter, at)
        assert axis == display.axes[number]
        assert index == round(display.place(at)[axis])
    assert display.spacing(grid) == [grid.spacing[axis] for axis in display.axes]


def test_pictures_are_seen_as_they_lie_and_wrong_places_are_refused():
    display = Display.of(Grid.of_picture((30, 50)))
    assert display.size == [50, 30]
    assert display.place([7, 3]) == [3, 7]
    assert display.plane(None, [7, 3]) is None
    with pytest.raises(InvalidPrompt, match="3 numbers"):
        display.place([1, 2, 3])
    volume = Display.of(oblique())
    with pytest.raises(InvalidPrompt, match="plane"):
        volume.plane(None, [1, 1, 1])
    with pytest.raises(InvalidPrompt, match="slice"):
        volume.plane("z", [1, 1, 99])
