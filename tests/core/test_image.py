"""Image: what it refuses, and that parts of it stay in their place."""

from __future__ import annotations

import numpy as np
import pytest

from geometries import oblique
from promisam.core import Grid, Image, Window
from promisam.core.errors import GeometryError, InvalidImage


def ramp(shape, channels=1, dtype=np.int16):
    return np.arange(channels * int(np.prod(shape))).reshape(channels, *shape).astype(dtype)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_values_that_are_not_finite_are_refused_and_counted(value, dtype):
    pixels = np.zeros((1, 3, 4), dtype)
    pixels[0, 1, 2] = pixels[0, 2, 3] = value
    with pytest.raises(InvalidImage, match="2 NaN or infinite of 12 values"):
        Image(pixels, Grid.of_picture((3, 4)))


@pytest.mark.parametrize("dtype", [np.complex64, object, "U3", "datetime64[s]"])
def test_pixels_that_are_not_real_numbers_are_refused(dtype):
    with pytest.raises(InvalidImage, match="real numbers"):
        Image(np.zeros((1, 3, 4), np.int64).astype(dtype), Grid.of_picture((3, 4)))


@pytest.mark.parametrize("shape", [(3, 4), (1, 4, 3), (1, 3, 4, 1), (0, 3, 4), (1, 1, 3, 4)])
def test_pixels_that_disagree_with_their_grid_are_refused_with_both_shapes(shape):
    with pytest.raises(GeometryError) as caught:
        Image(np.zeros(shape, np.uint8), Grid.of_picture((3, 4)))
    assert str(shape) in str(caught.value)
    assert "(3, 4)" in str(caught.value)


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int16, np.uint16, np.int64, np.float32])
def test_raw_values_and_type_are_kept(dtype):
    pixels = np.array([[[0, 1], [1, 0], [1, 1]]]).astype(dtype)
    image = Image(pixels, Grid.of_picture((3, 2)))
    assert image.pixels.dtype == dtype
    assert np.array_equal(image.pixels, pixels)
    assert image.channels == 1


def test_pixels_are_read_only_and_those_given_stay_writable():
    given = ramp((3, 4))
    image = Image(given, Grid.of_picture((3, 4)))
    with pytest.raises(ValueError, match="read-only"):
        image.pixels[0, 0, 0] = 7
    assert given.flags.writeable


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slice_takes_pixels_and_grid_together(axis):
    pixels = ramp((3, 4, 5), channels=2)
    image = Image(pixels, oblique((3, 4, 5)))
    for index in range(image.grid.shape[axis]):
        picture = image.slice(axis, index)
        assert np.array_equal(picture.pixels, np.take(pixels, index, axis + 1))
        assert picture.grid == image.grid.slice(axis, index)


def test_slice_of_a_single_slice_volume():
    image = Image(ramp((1, 4, 5)), oblique((1, 4, 5)))
    assert np.array_equal(image.slice(0, 0).pixels, image.pixels[:, 0])
    with pytest.raises(GeometryError):
        image.slice(0, 1)
    with pytest.raises(GeometryError):
        image.slice(0, -1)


def test_crop_takes_pixels_and_grid_together():
    pixels = ramp((3, 4, 5), channels=3)
    image = Image(pixels, oblique((3, 4, 5)))
    part = image.crop((1, 0, 2), (3, 1, 5))
    assert np.array_equal(part.pixels, pixels[:, 1:3, 0:1, 2:5])
    assert part.grid == image.grid.crop((1, 0, 2), (3, 1, 5))
    with pytest.raises(GeometryError):
        image.crop((1, 0, 2), (3, 1, 6))


def test_parts_remember_the_window_that_they_went_through():
    shown = Window(20.0, 40.0).apply(Image(ramp((3, 4, 5)), oblique((3, 4, 5))))
    assert shown.levels is not None
    assert shown.slice(1, 2).levels == shown.crop((0, 0, 0), (1, 1, 1)).levels == shown.levels
