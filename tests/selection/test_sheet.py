"""The contact sheet: where each image is, and that its thumbnails are what a viewer shows."""

from __future__ import annotations

import numpy as np
import pytest

from promisam.core import Grid, Image
from promisam.selection import Request, choose, contact_sheet, thumbnail
from promisam.selection.choose import Standing
from promisam.selection.sheet import _CHOSEN, _OUTLIER, _SIDE, _font, _wrapped, spread_out


def of(pixels, spacing=None):
    shape = pixels.shape[1:]
    if spacing is None:
        return Image(pixels, Grid.of_picture(shape))
    return Image(pixels, Grid.from_itk(shape[::-1], spacing, (0.0,) * len(shape), np.eye(len(shape))))


@pytest.mark.parametrize(
    ("shape", "spacing", "expected"),
    [
        ((20, 40), None, (50, 100)),
        ((900, 300), None, (100, 33)),
        ((20, 40), (1.0, 3.0), (100, 67)),
        ((1, 400), None, (1, 100)),
    ],
)
def test_thumbnails_keep_their_proportions(shape, spacing, expected):
    found = thumbnail(of(np.full((1, *shape), 90, np.uint8), spacing), side=100)
    assert found.shape == (*expected, 3)
    assert np.abs(found.astype(int) - 90).max() <= 1


def test_deep_pixels_are_windowed():
    ramp = np.linspace(100, 1100, 1600).reshape(1, 40, 40).astype(np.uint16)
    found = thumbnail(of(ramp), side=40)
    assert found.min() < 10
    assert found.max() > 245
    assert thumbnail(of(ramp), "5000,10", side=40).max() == 0


def test_colours_stay():
    pixels = np.zeros((3, 30, 30), np.uint8)
    pixels[1] = 200
    assert thumbnail(of(pixels), side=30)[15, 15].tolist() == [0, 200, 0]


def test_a_volume_shows_its_middle_slice_as_it_was_windowed_as_a_whole():
    volume = np.zeros((1, 12, 10, 7), np.int16)
    volume[..., :2] = -1000
    volume[..., 2] = -500
    volume[..., 3] = 500  # the middle along x, whose spacing is coarsest
    volume[..., 4:] = 1000
    found = thumbnail(of(volume, (5.0, 1.0, 1.0)), side=60)
    assert found.shape == (60, 50, 3)
    assert len(np.unique(found)) == 1
    assert 150 < found[0, 0, 0] < 230


NAMES = [f"n{i:02d}" for i in range(20)]
COLOURS = {name: ((37 * at) % 200 + 20, (91 * at) % 200 + 20, (53 * at) % 200 + 20) for at, name in enumerate(NAMES)}


def place_of(sheet, name):
    """Top and left of each thumbnail of that image."""
    rows, columns = np.nonzero((sheet == np.array(COLOURS[name])).all(axis=-1))
    if not len(rows):
        return []
    squares = np.unique(np.stack([rows // 8, columns // 8], 1), axis=0)
    places = []
    for row, column in squares * 8:
        near = [p for p in places if 0 <= row - p[0] < _SIDE + 20 and 0 <= column - p[1] < _SIDE + 8]
        if not near:
            places.append((int(row), int(column)))
    return places


@pytest.fixture(scope="module")
def scene():
    points = np.zeros((20, 2))
    points[:12, 0] = np.arange(12) * np.linspace(1, 1.3, 12)  # a long row of twelve
    points[12:19] = np.random.default_rng(0).normal((100, 0), size=(7, 2))
    points[19] = [50, 90]
    selection = choose(NAMES, points, Request(2, exclude=("n19",)))
    sheet = contact_sheet(selection, lambda name: np.full((_SIDE // 2, _SIDE, 3), COLOURS[name], np.uint8))
    return selection, sheet


def test_a_row_for_each_chosen_one_from_near_to_far(scene):
    selection, sheet = scene
    tops = []
    for one in selection.chosen:
        top, left = place_of(sheet, one.name)[0]
        tops.append(top)
        assert left < _SIDE, "on the left"
        members = spread_out(selection.members(one.name))
        assert len(members) == 5
        places = [place_of(sheet, member.name)[0] for member in members]
        assert all(abs(row - top) < 16 for row, _ in places)
        assert [column for _, column in places] == sorted({column for _, column in places})
        assert places[0][1] > left + _SIDE
    assert tops == sorted(set(tops))


def test_outliers_come_last(scene):
    selection, sheet = scene
    assert [one.name for one in selection.outliers] == ["n19"]
    last = max(top for one in selection.images for top, _ in place_of(sheet, one.name))
    assert any(top == last for top, _ in place_of(sheet, "n19"))
    assert (sheet == np.array(_OUTLIER)).all(axis=-1).any()
    assert (sheet == np.array(_CHOSEN)).all(axis=-1).any()


def test_without_outliers_there_is_no_row_for_them(scene):
    points = np.arange(20.0)[:, None]
    plain = contact_sheet(choose(NAMES, points, Request(2)), lambda _name: np.zeros((9, 9, 3), np.uint8))
    assert len(plain) < len(scene[1]) - _SIDE


def test_one_image_alone_and_many_chosen():
    def grey(_name):
        return np.full((5, 5, 3), 7, np.uint8)

    assert contact_sheet(choose(["x"], np.zeros((1, 1)), Request(1)), grey).ndim == 3
    names = [f"{i}" for i in range(90)]
    tall = contact_sheet(choose(names, np.arange(90.0)[:, None], Request(90)), grey)
    assert len(tall) < 61 * (_SIDE + 60) + 200, "bounded"


def test_a_few_of_many_from_the_first_to_the_last():
    members = [Standing(str(i), "x", float(i)) for i in range(23)]
    assert [one.name for one in spread_out(members)] == ["0", "5", "11", "16", "22"]
    assert spread_out(members[:3]) == members[:3]


@pytest.mark.parametrize(
    "name", ["short", "a_very_long_name_of_a_study_" * 4 + "slice_0317", "Ödem_Größe_Ширина", "x\x1b[31m\ny"]
)
def test_names_stay_in_their_place(name):
    font = _font(13, bold=False)
    lines = _wrapped(name, font, 176, 2)
    assert 1 <= len(lines) <= 2
    assert all(font.getlength(line) <= 176 for line in lines)
    assert all(c.isprintable() for c in "".join(lines))
    assert "".join(lines).startswith(name[:1])
    assert "".join(lines).endswith(name[-1:])
