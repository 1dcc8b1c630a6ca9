"""A method of pictures on volumes: which slices it sees, where it stops, what it keeps in memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import ndimage

from geometries import oblique
from promisam.core import Grid, Image, Prompts, Scores, Segmenter, Window, check_prompts, predict
from promisam.core.errors import GeometryError, GridMismatch, InvalidPrompt, UnsupportedPrompt
from promisam.spatial.slices import OUTSIDE, SliceWise, bounding_box

SHAPE = (13, 40, 46)
CENTRE, RADII = np.array([6.0, 18.0, 25.0]), np.array([4.2, 11.5, 14.5])
EVERY = frozenset({"points", "box", "mask"})


@dataclass
class Seen:
    grid: Grid
    pixels: np.ndarray


class Threshold:
    """Marks what is bright inside the box, or around the clicks; like SAM, with `eager` it never answers "nothing"."""

    ndim = 2

    def __init__(self, accepts=EVERY, window="auto", eager=False):
        self.accepts, self.window, self.eager = frozenset(accepts), Window.parse(window), eager
        self.automatic, self.classes = not accepts, () if accepts else ("object",)
        self.encoded, self.asked, self.prepared = [], [], []

    def prepare(self, image):
        self.prepared.append(image.grid.shape)
        return self.window.apply(image)

    def encode(self, image):
        self.encoded.append(image.grid)
        return Seen(image.grid, self.prepare(image).pixels[0])

    def check(self, grid, prompts):
        check_prompts(self.accepts, grid, prompts, "Take another.", automatic=self.automatic)

    def decode(self, encoded, prompts):
        self.check(encoded.grid, prompts)
        self.asked.append(prompts)
        inside = np.ones(encoded.grid.shape, bool)
        if prompts.box_zyx is not None:
            low, high = np.rint(prompts.box_zyx).astype(int)
            inside[...] = False
            inside[tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))] = True
        if prompts.mask is not None:
            inside &= ndimage.binary_dilation(prompts.mask, iterations=2)
        found = inside & (encoded.pixels > 127)
        if "points" in prompts.kinds:
            parts, _ = ndimage.label(found)
            hit = {parts[tuple(np.rint(p).astype(int))] for p, on in zip(prompts.points_zyx, prompts.labels, strict=True) if on}
            found = np.isin(parts, list(hit - {0}))
        if self.eager and not found.any():
            found = ndimage.binary_erosion(inside)
        return Scores(np.where(found, 4.0, -4.0).astype(np.float32)[None], encoded.grid, (0.5 + 0.4 * found.any(),))


def ellipsoid(shape=SHAPE, centre=CENTRE, radii=RADII):
    index = np.indices(shape).reshape(3, -1).T
    return ((((index - centre) / radii) ** 2).sum(1) < 1).reshape(shape)


def volume(truth=None, grid=None):
    """CT-like: the object at 150 among 0, with some texture, on an oblique grid with 4 mm slices."""
    truth = ellipsoid() if truth is None else truth
    texture = np.random.default_rng(0).normal(0, 5, truth.shape)
    return Image((np.where(truth, 150, 0) + texture).astype(np.int16)[None], grid or oblique(truth.shape)), truth


def floats(*values):
    return tuple(float(v) for v in values)


def flat_box(image, truth, axis, index):
    """The object's box on one slice, with a margin of one."""
    section = np.argwhere(np.take(truth, index, axis))
    low = np.insert(np.maximum(section.min(0) - 1, 0), axis, index)
    size = np.delete(truth.shape, axis) - 1
    high = np.insert(np.minimum(section.max(0) + 1, size), axis, index)
    return Prompts(image.grid).with_box(floats(*low), floats(*high))


def extent(mask, axis):
    return np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def found_in(method, image, prompts, **options):
    wrapper = SliceWise(method, **options)
    return wrapper.decode(wrapper.encode(image), prompts)


def test_it_is_a_segmenter_of_volumes():
    wrapper = SliceWise(Threshold())
    assert isinstance(wrapper, Segmenter)
    assert wrapper.ndim == 3
    assert SliceWise(Threshold({"box"})).accepts == {"box", "mask"}
    assert SliceWise(Threshold({"points"})).accepts == {"points"}
    assert SliceWise(Threshold(())).accepts == frozenset()


def test_a_box_through_several_slices_prompts_each_of_them():
    image, truth = volume()
    method = Threshold({"box"})
    found = found_in(method, image, Prompts(image.grid).with_box((4.0, 5.0, 9.0), (8.0, 32.0, 41.0)))
    assert found.grid == image.grid
    assert found.logits.shape == (1, *SHAPE)
    expected = truth.copy()
    expected[:4] = expected[9:] = False
    assert np.array_equal(found.logits[0] > 0, expected)
    assert (found.logits[0, [0, 1, 2, 3, 9, 10, 11, 12]] == OUTSIDE).all()
    assert method.encoded == [image.grid.slice(0, i) for i in range(4, 9)]
    assert all(p.box_zyx.tolist() == [[5, 9], [32, 41]] for p in method.asked)
    assert found.quality == (pytest.approx(0.9),)


def test_borders_of_a_box_between_slices_go_to_the_nearest():
    image, _ = volume()
    method = Threshold({"box"})
    found_in(method, image, Prompts(image.grid).with_box((3.6, 5.0, 9.0), (6.4, 32.0, 41.0)))
    assert method.encoded == [image.grid.slice(0, i) for i in (4, 5, 6)]


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize(("axis", "index"), [(0, 6), (0, 4), (0, 9), (1, 18), (1, 12), (2, 25), (2, 33)])
def test_a_flat_box_is_followed_both_ways_along_its_own_axis_to_the_ends(axis, index, eager):
    image, truth = volume()
    method = Threshold({"box"}, eager=eager)
    found = found_in(method, image, flat_box(image, truth, axis, index)).logits[0] > 0
    assert all(g.shape == tuple(np.delete(SHAPE, axis)) for g in method.encoded)
    true, seen = extent(truth, axis), extent(found, axis)
    assert true[0] - 1 <= seen[0] <= true[0] + 2
    assert true[-1] - 2 <= seen[-1] <= true[-1] + 1
    assert np.array_equal(seen, np.arange(seen[0], seen[-1] + 1))
    assert dice(found, truth) > 0.93


def test_clicks_on_one_slice_are_followed():
    image, truth = volume()
    method = Threshold({"points", "box"})
    prompts = Prompts(image.grid).click(floats(*CENTRE)).click((6.0, 2.0, 2.0), positive=False)
    found = found_in(method, image, prompts).logits[0] > 0
    assert dice(found, truth) > 0.93
    assert method.asked[0].labels.tolist() == [1, 0]
    assert all(p.kinds == {"box"} for p in method.asked[1:])


def test_clicks_stay_on_their_slice_for_a_method_that_takes_no_boxes():
    image, truth = volume()
    found = found_in(Threshold({"points"}), image, Prompts(image.grid).click(floats(*CENTRE))).logits[0] > 0
    assert np.array_equal(found[6], truth[6])
    assert not np.delete(found, 6, 0).any()


def test_clicks_on_several_slices_are_all_used():
    image, truth = volume()
    method = Threshold({"points", "box"})
    prompts = Prompts(image.grid).click((4.0, 18.0, 25.0)).click((8.0, 18.0, 25.0))
    found = found_in(method, image, prompts).logits[0] > 0
    assert dice(found, truth) > 0.93
    clicked = [p for p in method.asked if "points" in p.kinds]
    assert [p.grid for p in clicked] == [image.grid.slice(0, 4), image.grid.slice(0, 8)]
    assert len(set(method.encoded)) == len(method.encoded)


@pytest.mark.parametrize("positive", [True, False])
@pytest.mark.parametrize("boxed", [True, False])
def test_a_prompt_that_no_slice_would_hear_is_refused(boxed, positive):
    image, _ = volume()
    prompts = (
        Prompts(image.grid).with_box((6.0, 5.0, 9.0), (6.0, 32.0, 41.0))
        if boxed
        else Prompts(image.grid).click(floats(*CENTRE))
    )
    prompts = prompts.click((9.0, 2.0, 2.0), positive=positive)
    if positive and not boxed:
        found_in(Threshold({"points", "box"}), image, prompts)  # two clicked slices, each followed
        return
    with pytest.raises(InvalidPrompt, match=r"slice 9 .* beside others on"):
        found_in(Threshold({"points", "box"}), image, prompts)


@pytest.mark.parametrize("accepts", [{"box"}, EVERY])
def test_a_mask_on_one_slice_is_kept_as_it_is_and_followed(accepts):
    image, truth = volume()
    mask = np.zeros(SHAPE, bool)
    mask[6] = truth[6]
    mask[6, 10:14, 20:24] = False  # a hole that no threshold would find
    mask[6, 18:20, 40:43] = True
    method = Threshold(accepts)
    found = found_in(method, image, Prompts(image.grid).with_mask(mask)).logits[0] > 0
    assert np.array_equal(found[6], mask[6])
    assert image.grid.slice(0, 6) not in method.encoded
    rest = np.delete(np.arange(13), 6)
    assert dice(found[rest], truth[rest]) > 0.9


def test_a_mask_on_a_coronal_slice_is_followed_along_that_axis():
    image, truth = volume()
    mask = np.zeros(SHAPE, bool)
    mask[:, 18] = truth[:, 18]
    method = Threshold({"box"})
    found = found_in(method, image, Prompts(image.grid).with_mask(mask)).logits[0] > 0
    assert np.array_equal(found[:, 18], truth[:, 18])
    assert dice(found, truth) > 0.93
    assert all(g.shape == (13, 46) for g in method.encoded)


def test_a_mask_on_several_slices_prompts_each_of_them():
    image, _ = volume()
    mask = np.zeros(SHAPE, bool)
    mask[5:8, 14:22, 20:30] = True
    with_masks, with_boxes = Threshold(EVERY), Threshold({"box"})
    for method in (with_masks, with_boxes):
        found_in(method, image, Prompts(image.grid).with_mask(mask))
        assert method.encoded == [image.grid.slice(0, i) for i in (5, 6, 7)]
    assert all(np.array_equal(p.mask, mask[6]) and p.box_zyx is None for p in with_masks.asked)
    assert all(p.mask is None and p.box_zyx.tolist() == [[14, 20], [21, 29]] for p in with_boxes.asked)


@pytest.mark.parametrize("centre", [(0.0, 18.0, 25.0), (12.0, 0.0, 0.0), (6.0, 39.0, 45.0)])
def test_an_object_at_the_border_of_the_volume(centre):
    image, truth = volume(ellipsoid(centre=np.array(centre)))
    start = int(centre[0])
    found = found_in(Threshold({"box"}), image, flat_box(image, truth, 0, start)).logits[0] > 0
    assert dice(found, truth) > 0.9
    assert np.array_equal(found[start], truth[start])


def test_an_object_on_all_slices():
    truth = np.zeros(SHAPE, bool)
    truth[:, 10:20, 12:30] = True
    image, _ = volume(truth)
    found = found_in(Threshold({"box"}), image, flat_box(image, truth, 0, 12)).logits[0] > 0
    assert np.array_equal(found, truth)


def test_another_object_beside_it_is_not_followed():
    truth = ellipsoid(radii=np.array([2.5, 8.0, 8.0]), centre=np.array([3.0, 10.0, 12.0]))
    other = ellipsoid(radii=np.array([2.5, 8.0, 8.0]), centre=np.array([9.0, 30.0, 34.0]))
    image, _ = volume(truth | other)
    found = found_in(Threshold({"box"}), image, flat_box(image, truth, 0, 3)).logits[0] > 0
    assert not (found & other).any()
    assert dice(found, truth) > 0.93


def test_nothing_found_on_the_prompted_slice_asks_no_neighbour():
    image, _ = volume(np.zeros(SHAPE, bool))
    method = Threshold({"box"}, window="75,10")
    found = found_in(method, image, Prompts(image.grid).with_box((5.0, 3.0, 3.0), (5.0, 20.0, 20.0)))
    assert not (found.logits > 0).any()
    assert len(method.asked) == 1


def test_an_automatic_method_sees_every_slice():
    image, truth = volume()
    method = Threshold(())
    wrapper = SliceWise(method)
    found = wrapper.decode(wrapper.encode(image), Prompts(image.grid))
    assert np.array_equal(found.logits[0] > 0, truth)
    assert method.encoded == [image.grid.slice(0, i) for i in range(13)]


def test_the_coarsest_axis_is_walked_unless_told_otherwise():
    truth = ellipsoid((12, 14, 16), np.array([6.0, 7, 8]), np.array([4.0, 4, 4]))
    image, _ = volume(truth, oblique((12, 14, 16), spacing=(5.0, 1.0, 2.0)))  # x is the coarsest
    for given, axis in ((None, 2), (0, 0), (1, 1)):
        method = Threshold(())
        wrapper = SliceWise(method, axis=given)
        found = wrapper.decode(wrapper.encode(image), Prompts(image.grid))
        assert method.encoded == [image.grid.slice(axis, i) for i in range(truth.shape[axis])]
        assert np.array_equal(found.logits[0] > 0, truth)
    equal, _ = volume(truth, oblique((12, 14, 16), spacing=(1.0, 1.0, 1.0)))
    method = Threshold(())
    found_in(method, equal, Prompts(equal.grid))
    assert method.encoded[0] == equal.grid.slice(0, 0)


def test_a_second_question_encodes_nothing_new():
    image, truth = volume()
    method = Threshold({"points", "box"})
    wrapper = SliceWise(method)
    encoded = wrapper.encode(image)
    assert method.encoded == []
    first = wrapper.decode(encoded, flat_box(image, truth, 0, 6))
    count = len(method.encoded)
    again = wrapper.decode(encoded, flat_box(image, truth, 0, 6))
    wrapper.decode(encoded, Prompts(image.grid).click(floats(*CENTRE)))
    assert len(method.encoded) == count
    assert np.array_equal(first.logits, again.logits)


def test_memory_is_bounded():
    image, truth = volume()
    method = Threshold({"box"})
    wrapper = SliceWise(method, keep=3)
    encoded = wrapper.encode(image)
    found = wrapper.decode(encoded, flat_box(image, truth, 0, 6))
    assert len(encoded._slices) == 3
    unbounded = found_in(Threshold({"box"}), image, flat_box(image, truth, 0, 6))
    assert np.array_equal(found.logits, unbounded.logits)


@pytest.mark.parametrize("keep", [0, -1])
def test_keeping_nothing_is_refused(keep):
    with pytest.raises(GeometryError, match="slice"):
        SliceWise(Threshold(), keep=keep)


def test_progress_is_reported_slice_by_slice():
    image, _ = volume()
    told = []
    found_in(Threshold(()), image, Prompts(image.grid), report=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == list(range(1, 14))
    assert {total for _, total in told} <= {None, 13}


def test_the_window_is_computed_over_the_whole_volume():
    image, _ = volume()
    brighter = image.pixels.copy()
    brighter[0, 0] = 3000  # a bright slice that only a window over everything can know of
    image = Image(brighter, image.grid)
    method = Threshold({"box"})
    wrapper = SliceWise(method)
    encoded = wrapper.encode(image)
    expected = Window().apply(image)
    assert encoded.image.levels == expected.levels
    assert np.array_equal(encoded.image.pixels, expected.pixels)
    for index in (0, 6):
        assert np.array_equal(encoded.slice(0, index).pixels, expected.pixels[0, index])
    assert method.prepared[0] == SHAPE


def test_predict_labels_in_order_on_the_grid_of_the_volume():
    truth = ellipsoid(radii=np.array([2.5, 8.0, 8.0]), centre=np.array([3.0, 10.0, 12.0]))
    other = ellipsoid(radii=np.array([2.5, 8.0, 8.0]), centre=np.array([9.0, 30.0, 34.0]))
    image, _ = volume(truth | other)
    asked = [flat_box(image, other, 0, 9), flat_box(image, truth, 0, 3)]
    found = predict(SliceWise(Threshold({"box"})), image, *asked, names=("second", "first"))
    assert found.grid == image.grid
    assert dice(found.mask(1), other) > 0.93
    assert dice(found.mask(2), truth) > 0.93


def test_pictures_are_refused():
    picture = Image(np.zeros((1, 20, 30), np.uint8), Grid.of_picture((20, 30)))
    with pytest.raises(GeometryError, match="2 axes for a method of 3"):
        SliceWise(Threshold()).encode(picture)


def test_methods_of_volumes_and_odd_axes_are_refused():
    with pytest.raises(GeometryError, match="a method of 3 axes"):
        SliceWise(SliceWise(Threshold()))
    with pytest.raises(GeometryError, match="slice axis 3"):
        SliceWise(Threshold(), axis=3)


def test_prompts_are_checked_once_for_the_volume():
    image, _ = volume()
    box_only = Threshold({"box"})
    with pytest.raises(UnsupportedPrompt, match="points as prompt; expected box"):
        found_in(box_only, image, Prompts(image.grid).click(floats(*CENTRE)))
    with pytest.raises(GridMismatch):
        found_in(box_only, image, Prompts(oblique((13, 40, 45))).with_box((1.0, 1.0, 1.0), (2.0, 2.0, 2.0)))
    with pytest.raises(InvalidPrompt, match="no prompt"):
        found_in(box_only, image, Prompts(image.grid))
    assert box_only.encoded == []


def test_a_single_slice_and_a_single_row():
    truth = np.zeros((1, 20, 30), bool)
    truth[0, 5:12, 8:20] = True
    image, _ = volume(truth)
    found = found_in(Threshold({"box"}), image, flat_box(image, truth, 0, 0))
    assert np.array_equal(found.logits[0] > 0, truth)
    row = np.zeros((6, 1, 30), bool)
    row[2:5, 0, 8:20] = True
    image, _ = volume(row)
    found = found_in(Threshold({"points", "box"}), image, Prompts(image.grid).click((3.0, 0.0, 10.0)), axis=0)
    assert np.array_equal(found.logits[0] > 0, row)


def test_the_box_of_a_mask_has_two_samples_at_least():
    mask = np.zeros((5, 8), bool)
    mask[4, 7] = True
    assert bounding_box(mask).tolist() == [[3, 6], [4, 7]]
    mask[4, 7], mask[0, 0] = False, True
    assert bounding_box(mask).tolist() == [[0, 0], [1, 1]]
    mask[2, 5] = True
    assert bounding_box(mask).tolist() == [[0, 0], [2, 5]]
    assert bounding_box(np.array([[False, True, True, False]])).tolist() == [[-0.5, 1], [0, 2]]
    assert Prompts(Grid.of_picture((1, 1))).with_box(*bounding_box(np.ones((1, 1), bool)).tolist()).kinds == {"box"}
