"""Windows: from raw values to 0..255."""

from __future__ import annotations

import numpy as np
import pytest

from geometries import oblique
from promisam.core import PRESETS, Grid, Image, Levels, Window
from promisam.core.errors import InvalidConfig


def picture(values, dtype=None):
    pixels = np.asarray(values, dtype)
    pixels = pixels[None] if pixels.ndim == 2 else pixels
    return Image(pixels, Grid.of_picture(pixels.shape[1:]))


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_put_black_and_white_half_a_width_off_the_level(name):
    level, width = PRESETS[name]
    low, high = level - width / 2, level + width / 2
    image = picture([[low - 500, low, level, high, high + 500]], np.float32)
    shown = Window.parse(name).apply(image)
    assert shown.pixels.dtype == np.uint8
    assert shown.pixels[0, 0, [0, 1, 3, 4]].tolist() == [0, 0, 255, 255]
    assert shown.pixels[0, 0, 2] in (127, 128)
    assert shown.levels == Levels(low, high, "window")


def test_a_window_is_linear_and_rounded():
    values = np.linspace(-120, 220, 307, dtype=np.float32).reshape(1, -1)
    expected = np.clip(np.rint((values.astype(np.float64) - (-60)) / 200 * 255), 0, 255)
    shown = Window.parse("40,200").apply(picture(values)).pixels[0].astype(float)
    assert np.abs(shown - expected).max() <= 1  # halves may round either way
    assert (shown != expected).mean() < 0.02


@pytest.mark.parametrize(
    ("text", "window"), [("auto", Window()), ("40,400", Window(40.0, 400.0)), (" -600 , 1500", Window(-600.0, 1500.0))]
)
def test_parse(text, window):
    assert Window.parse(text) == window


@pytest.mark.parametrize(
    "text", ["", "bones", "40", "40,", "40,0", "40,-400", "40,400,1", "nan,400", "40,inf", "40;400", "Auto"]
)
def test_what_cannot_be_parsed_is_refused(text):
    with pytest.raises(InvalidConfig) as caught:
        Window.parse(text)
    assert repr(text) in caught.value.given
    assert "abdomen" in caught.value.expected


@pytest.mark.parametrize("numbers", [(40.0, -400.0), (40.0, 0.0), (40.0, None), (None, 400.0), (np.nan, 400.0), (40.0, np.inf)])
def test_half_a_window_or_an_impossible_one_is_refused(numbers):
    with pytest.raises(InvalidConfig):
        Window(*numbers)


def test_auto_cuts_16_bit_at_percentiles_above_the_background():
    values = np.random.default_rng(0).integers(0, 4000, (60, 83)).astype(np.uint16)
    values[:30] = 0
    low, high = np.percentile(values[values > 0].astype(float), (0.5, 99.5))
    shown = Window().apply(picture(values))
    assert shown.levels == Levels(float(low), float(high), "percentiles")
    expected = np.clip(np.rint((values.astype(np.float64) - low) / (high - low) * 255), 0, 255)
    assert np.abs(shown.pixels[0] - expected).max() <= 1
    assert (shown.pixels[0, :30] == 0).all()


def test_ct_padding_does_not_shift_the_levels():
    body = np.random.default_rng(1).normal(40, 60, (64, 64)).astype(np.int16)
    body = np.maximum(body, -1000)
    padded = np.pad(body, 100, constant_values=-1024)
    low, high = np.percentile(body.astype(float), (0.5, 99.5))
    levels = Window().levels(picture(padded))
    assert (levels.low, levels.high) == pytest.approx((low, high))


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.float32, np.uint8, np.bool_])
def test_constant_images_become_constant_pictures(dtype):
    image = picture(np.ones((3, 4)), dtype)
    shown = Window().apply(image)
    assert shown.pixels.dtype in (np.uint8, np.bool_)
    assert np.unique(shown.pixels).size == 1


def test_two_values_become_black_and_white():
    values = np.zeros((4, 6), np.int32)
    values[1:3, 2:5] = 4095
    assert np.array_equal(Window().apply(picture(values)).pixels[0], np.where(values > 0, 255, 0))


def test_true_and_false_become_black_and_white():
    values = np.zeros((4, 6), bool)
    values[1:3, 2:5] = True
    shown = Window().apply(picture(values))
    assert shown.pixels.dtype == np.uint8
    assert np.array_equal(shown.pixels[0], np.where(values, 255, 0))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_8_bit_passes_unchanged(channels):
    values = np.random.default_rng(2).integers(10, 90, (channels, 5, 7)).astype(np.uint8)
    shown = Window().apply(picture(values))
    assert np.array_equal(shown.pixels, values)
    assert shown.levels == Levels(0.0, 255.0, "8-bit")


def test_8_bit_under_a_named_window_is_windowed():
    shown = Window(50.0, 100.0).apply(picture([[0, 50, 100, 200]], np.uint8))
    assert shown.pixels[0, 0].tolist() == [0, 128, 255, 255]


@pytest.mark.parametrize("first", [Window(), Window(0.0, 100.0)])
@pytest.mark.parametrize("second", [Window(), Window(30.0, 10.0), Window.parse("lung")])
def test_preparing_twice_changes_nothing(first, second):
    once = first.apply(picture(np.arange(-60, 60).reshape(10, 12), np.int16))
    assert second.apply(once) is once


def test_levels_are_one_for_all_slices_and_channels():
    pixels = np.random.default_rng(3).integers(0, 1000, (2, 4, 5, 6)).astype(np.int16)
    pixels[1, 3] *= 5
    image = Image(pixels, oblique((4, 5, 6)))
    shown = Window().apply(image)
    above = pixels[pixels > pixels.min()].astype(float)
    low, high = np.percentile(above, (0.5, 99.5))
    expected = np.clip(np.rint((pixels - low) / (high - low) * 255), 0, 255)
    assert np.abs(shown.pixels - expected).max() <= 1
    assert shown.grid == image.grid


def test_one_pixel():
    assert Window().apply(picture([[300]], np.uint16)).pixels.shape == (1, 1, 1)


def test_a_large_image_is_sampled_without_shifting_its_levels():
    values = np.random.default_rng(4).integers(1, 60000, (2100, 2001)).astype(np.uint16)
    low, high = np.percentile(values.astype(float), (0.5, 99.5))
    levels = Window().levels(picture(values))
    assert abs(levels.low - low) < 60000 / 255 / 2
    assert abs(levels.high - high) < 60000 / 255 / 2


@pytest.mark.parametrize("offset", [0.0, 4e9, 1e12])
def test_a_large_offset_loses_no_contrast(offset):
    picture = Image(np.linspace(0, 100, 64).reshape(1, 8, 8) + offset, Grid.of_picture((8, 8)))
    shown = Window(50.0 + offset, 100.0).apply(picture).pixels
    assert len(np.unique(shown)) == 64
    assert (shown[0, 0, 0], shown[0, -1, -1]) == (0, 255)


def test_a_window_beyond_all_numbers_is_refused():
    with pytest.raises(InvalidConfig, match="window"):
        Window.parse("1e308,1.7e308")
