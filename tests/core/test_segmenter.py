"""The one line of data, over a method that is simple enough to check by hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from geometries import flipped, oblique
from promisam.core import Encoded, Grid, Image, Prompts, Scores, Segmenter, Window, check_ndim, check_prompts, predict
from promisam.core.errors import GeometryError, GridMismatch, InvalidPrompt, UnsupportedPrompt

PICTURE = Grid.of_picture((6, 9))


@dataclass
class Kept:
    grid: Grid
    pixels: np.ndarray


class InBox:
    """Marks the pixels of the box that are brighter than half; without prompts, all that are."""

    def __init__(self, accepts=frozenset({"box"}), ndim=2):
        self.accepts, self.ndim, self.calls = accepts, ndim, []
        self.automatic, self.classes = not accepts, ()

    def prepare(self, image):
        self.calls.append("prepare")
        return Window(50.0, 100.0).apply(image)

    def check(self, grid, prompts):
        check_prompts(self.accepts, grid, prompts, "Take other weights.", automatic=self.automatic)

    def encode(self, image):
        self.calls.append("encode")
        return Kept(image.grid, image.pixels[0].astype(np.float32))

    def decode(self, encoded, prompts):
        self.calls.append("decode")
        self.check(encoded.grid, prompts)
        inside = np.ones(encoded.grid.shape, bool)
        if prompts.box_zyx is not None:
            low, high = prompts.box_zyx.astype(int)
            inside[...] = False
            inside[tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))] = True
        return Scores(np.where(inside, encoded.pixels - 127.5, -200).astype(np.float32)[None], encoded.grid)


def image(grid=PICTURE):
    values = np.arange(np.prod(grid.shape), dtype=np.int16).reshape(1, *grid.shape)
    return Image(values * 2, grid)


def box(low, high, grid=PICTURE):
    return Prompts(grid).with_box([float(v) for v in low], [float(v) for v in high])


def test_the_protocols_recognise_a_method():
    method = InBox()
    assert isinstance(method, Segmenter)
    assert isinstance(method.encode(image()), Encoded)
    assert not isinstance(Window(), Segmenter)


def test_predict_encodes_once_and_labels_in_order():
    method, picture = InBox(), image()
    found = predict(method, picture, box((3, 0), (5, 4)), box((4, 3), (5, 8)), names=("left", "right"))
    assert method.calls == ["prepare", "encode", "decode", "decode"]
    bright = picture.pixels[0] >= 50
    expected = np.zeros(PICTURE.shape, int)
    expected[4:6, 3:9] = 2
    expected[3:6, 0:5] = 1  # equal scores stay with the first
    assert np.array_equal(found.labels, np.where(bright, expected, 0))
    assert found.grid == PICTURE
    assert dict(found.names) == {1: "left", 2: "right"}


def test_predict_without_prompts_asks_an_automatic_method():
    picture = image()
    found = predict(InBox(frozenset()), picture)
    assert np.array_equal(found.labels > 0, picture.pixels[0] >= 50)


def test_predict_refuses_another_number_of_axes():
    volume = image(oblique())
    with pytest.raises(GeometryError, match="SliceWise") as caught:
        predict(InBox(), volume, box((0, 0, 0), (1, 1, 1), volume.grid))
    assert "3 axes for a method of 2" in caught.value.given
    with pytest.raises(GeometryError, match="2 axes for a method of 3"):
        check_ndim(InBox(ndim=3), PICTURE)
    check_ndim(InBox(ndim=3), volume.grid)


def test_prompts_of_another_image_are_refused():
    for other in (Grid.of_picture((6, 8)), Grid(PICTURE.shape, PICTURE.affine, "mm"), flipped(PICTURE, 0)):
        with pytest.raises(GridMismatch, match=r"prompts\.on"):
            predict(InBox(), image(), box((1, 1), (3, 4), other))


def test_kinds_that_a_method_does_not_take_are_refused_and_named():
    prompts = box((1, 1), (3, 4)).click((2.0, 2.0)).with_mask(np.ones(PICTURE.shape, bool))
    with pytest.raises(UnsupportedPrompt) as caught:
        check_prompts({"box"}, PICTURE, prompts, "Take other weights.")
    assert str(caught.value) == "mask and points as prompt; expected box. Take other weights."
    with pytest.raises(UnsupportedPrompt, match="automatic"):
        check_prompts(frozenset(), PICTURE, prompts, "Leave it out.")
    check_prompts({"box", "points", "mask"}, PICTURE, prompts, "")


def test_no_prompt_where_one_is_needed_is_refused():
    with pytest.raises(InvalidPrompt, match="no prompt; expected box, points"):
        check_prompts({"points", "box"}, PICTURE, Prompts(PICTURE), "")
    check_prompts(frozenset(), PICTURE, Prompts(PICTURE), "")


def test_points_off_the_object_alone_are_refused():
    off = Prompts(PICTURE).click((1.0, 1.0), positive=False)
    with pytest.raises(InvalidPrompt, match="off the object"):
        check_prompts({"points", "box"}, PICTURE, off, "")
    check_prompts({"points", "box"}, PICTURE, off.click((2.0, 2.0)), "")
    check_prompts({"points", "box"}, PICTURE, off.with_box((1.0, 1.0), (3.0, 3.0)), "")
