"""Simulated users: where they click, what they draw, and that they never say what a person could not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from evaluation.toys import grid
from promisam.core import Grid
from promisam.core.errors import GeometryError, InvalidConfig, InvalidPrompt
from promisam.spatial.users import corrective_click, first_click, inside_clicks, jittered_box, random_points


def picture(*parts, shape=(24, 37)):
    truth = np.zeros(shape, bool)
    for part in parts:
        truth[part] = True
    return truth, Grid.of_picture(shape)


def generator(seed=0):
    return np.random.default_rng(seed)


def ring(shape=(31, 45), spacing=(1.0, 1.0)):
    y, x = np.indices(shape)
    radius = np.hypot(y - 15, x - 20)
    return (radius > 7) & (radius < 12), grid(shape, spacing)


@st.composite
def masks(draw):
    """A mask that is not empty, of two or three axes, and an anisotropic spacing."""
    shape = tuple(draw(st.lists(st.integers(1, 9), min_size=2, max_size=3).filter(lambda s: max(s) > 1)))
    marked = draw(st.lists(st.booleans(), min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
    mask = np.array(marked, bool).reshape(shape)
    mask[tuple(draw(st.integers(0, n - 1)) for n in shape)] = True
    spacing = draw(st.lists(st.sampled_from([0.5, 1.0, 3.0]), min_size=len(shape), max_size=len(shape)))
    return mask, spacing


def test_the_first_click_is_the_middle_of_the_largest_part():
    truth, on = picture(np.s_[2:5, 2:5], np.s_[8:19, 20:31])
    prompts = first_click(truth, on, target="lesion")
    assert prompts.points_zyx.tolist() == [[13, 25]]
    assert prompts.labels.tolist() == [1]
    assert prompts.target == "lesion"
    assert prompts.grid == on


def test_of_a_ring_whose_centroid_lies_outside_the_click_lies_in_it():
    truth, on = ring()
    centroid = tuple(np.rint(np.argwhere(truth).mean(axis=0)).astype(int))
    assert not truth[centroid]
    y, x = first_click(truth, on).points_zyx[0]
    assert 8.5 <= np.hypot(y - 15, x - 20) <= 10.5


def test_the_border_of_the_image_is_an_edge_of_the_object():
    truth, on = picture(np.s_[:, 0:11])
    y, x = first_click(truth, on).points_zyx[0]
    assert x == 5  # were there object beyond the border, 0
    assert y in (11, 12)


def test_the_spacing_decides_which_sample_is_farthest_from_the_edge():
    """A cross of a wide bar and a tall bar: in samples the wide bar is thicker, in millimetres the tall one."""
    truth = np.zeros((40, 60), bool)
    truth[2:9, 0:30] = True  # 7 rows: 3 samples deep
    truth[9:39, 25:30] = True  # 5 columns: 2 samples deep
    assert first_click(truth, grid(truth.shape, (1, 1))).points_zyx[0, 0] <= 9
    assert first_click(truth, grid(truth.shape, (1, 4))).points_zyx[0, 0] > 9


def test_ties_are_broken_by_the_centroid_or_by_the_generator():
    truth, on = picture(np.s_[4:9, 3:34])
    assert first_click(truth, on).points_zyx.tolist() == [[6, 18]]
    drawn = {tuple(first_click(truth, on, generator(seed)).points_zyx[0]) for seed in range(30)}
    assert len(drawn) > 5
    assert {y for y, _ in drawn} == {6}
    assert np.array_equal(first_click(truth, on, generator(3)).points_zyx, first_click(truth, on, generator(3)).points_zyx)


def test_an_object_of_one_sample_in_a_corner():
    truth, on = picture(np.s_[23, 36])
    assert first_click(truth, on).points_zyx.tolist() == [[23, 36]]
    assert jittered_box(truth, on, generator()).box_zyx.tolist() == [[22.5, 35.5], [23.5, 36.5]]
    points = random_points(truth, on, 5, generator())
    assert points.points_zyx[:2].tolist() == [[23, 36], [23, 36]]


def test_a_click_corrects_the_larger_mistake():
    truth, on = picture(np.s_[4:15, 4:15])
    start = first_click(truth, on, target="t")
    missed = truth.copy()
    missed[4:15, 4:9] = False  # 55 samples missed
    more = missed.copy()
    more[17:22, 20:27] = True  # 35 samples too many
    clicked = corrective_click(start, truth, more)
    assert (clicked.points_zyx[-1].tolist(), clicked.labels.tolist(), clicked.target) == ([9, 6], [1, 1], "t")
    more[15:24, 20:30] = True  # now 90 too many
    clicked = corrective_click(start, truth, more)
    assert clicked.labels.tolist() == [1, 0]
    assert clicked.points_zyx[-1].tolist() in ([19, 24], [19, 25])


def test_a_box_and_a_mask_are_kept_by_a_corrective_click():
    truth, on = picture(np.s_[4:15, 4:15])
    start = jittered_box(truth, on, generator()).with_mask(truth)
    clicked = corrective_click(start, truth, np.zeros_like(truth))
    assert clicked.kinds == {"box", "mask", "points"}


def test_nothing_to_correct():
    truth, on = picture(np.s_[4:15, 4:15])
    assert corrective_click(first_click(truth, on), truth, truth.copy()) is None


def test_regions_touch_by_faces_and_not_by_corners():
    truth, on = picture(np.s_[0:3, 0:3], np.s_[3:6, 3:6], np.s_[10:14, 10:13])
    assert truth[10:14, 10:13].sum() > 9
    assert first_click(truth, on).points_zyx[0, 0] >= 10


def test_no_sample_is_clicked_twice_and_a_region_that_is_used_up_makes_way():
    truth, on = picture(np.s_[3, 3:5], np.s_[10, 10])
    prompts = first_click(truth, on)
    for _ in range(2):
        prompts = corrective_click(prompts, truth, np.zeros_like(truth))
    assert sorted(prompts.points_zyx.tolist()) == [[3, 3], [3, 4], [10, 10]]
    assert prompts.points_zyx[-1].tolist() == [10, 10]
    assert corrective_click(prompts, truth, np.zeros_like(truth)) is None


def test_a_click_between_samples_counts_for_the_sample_below_it():
    truth, on = picture(np.s_[5, 5])
    here = first_click(truth, on)
    moved = type(here)(on, np.array([[5.4, 4.6]]), np.array([1]))
    assert corrective_click(moved, truth, np.zeros_like(truth)) is None


def test_what_the_method_would_not_accept_is_not_clicked():
    truth, on = picture(np.s_[4:15, 4:15])
    wrong = truth.copy()
    wrong[16:23, 20:36] = True
    wrong[4:6, 4:15] = False
    start = first_click(truth, on)
    assert corrective_click(start, truth, wrong).labels[-1] == 0
    assert corrective_click(start, truth, wrong, accept=lambda p: bool(p.labels[-1])).labels[-1] == 1
    assert corrective_click(start, truth, wrong, accept=lambda _: False) is None


@settings(max_examples=60, deadline=None)
@given(masks(), st.integers(0, 2**32 - 1))
def test_every_click_lies_on_a_mistake_that_has_its_label(masked, seed):
    truth, on = masked[0], grid(masked[0].shape, masked[1])
    prediction = generator(seed).random(truth.shape) < 0.4
    prompts = first_click(truth, on, generator(seed))
    at = tuple(prompts.points_zyx[0].astype(int))
    assert truth[at]
    assert largest_part(truth, at) == max(sizes(truth))
    for _ in range(4):
        longer = corrective_click(prompts, truth, prediction, generator(seed))
        open_mistakes = {tuple(p) for p in np.argwhere(truth != prediction)} - {
            tuple(p) for p in prompts.points_zyx.astype(int)
        }
        assert (longer is None) == (not open_mistakes)
        if longer is None:
            break
        at = tuple(longer.points_zyx[-1].astype(int))
        assert at in open_mistakes
        assert truth[at] == bool(longer.labels[-1])
        assert not (prompts.points_zyx == longer.points_zyx[-1]).all(axis=1).any()
        prompts = longer


def sizes(mask):
    return np.bincount(ndimage.label(mask)[0].ravel())[1:]


def largest_part(mask, at):
    parts, _ = ndimage.label(mask)
    return int((parts == parts[at]).sum())


@settings(max_examples=60, deadline=None)
@given(masks())
def test_the_first_click_is_as_deep_as_any_sample_of_the_largest_parts(masked):
    """Depth by brute force: distance to the nearest sample outside the part, one ring beyond the image included."""
    truth, on = masked[0], grid(masked[0].shape, masked[1])
    at = tuple(first_click(truth, on).points_zyx[0].astype(int))
    parts, _ = ndimage.label(truth)
    part = np.pad(parts == parts[at], 1)
    inside, outside = np.argwhere(part) * on.spacing, np.argwhere(~part) * on.spacing
    depths = np.sqrt(((inside[:, None] - outside[None]) ** 2).sum(-1)).min(axis=1)
    clicked = (np.array(at) + 1) * on.spacing
    assert depths[np.flatnonzero((inside == clicked).all(axis=1))[0]] == pytest.approx(depths.max())


def test_in_a_volume_thin_slices_count_for_less():
    truth = np.zeros((9, 30, 40), bool)
    truth[1:8, 5:12, 5:12] = True  # a cube of 7 samples, of which z is the thin side
    truth[3:6, 11:24, 11:24] = True  # a plate of 3 slices
    assert first_click(truth, grid(truth.shape, (1, 1, 1))).points_zyx.tolist() == [[4, 8, 8]]
    thick = first_click(truth, grid(truth.shape, (8, 1, 1))).points_zyx[0]
    assert thick[0] == 4
    assert (thick[1:] >= 15).all()  # 2 slices to the edge are 16 mm there


@pytest.mark.parametrize(("n", "positive", "negative"), [(1, 1, 0), (2, 1, 1), (3, 1, 2), (5, 2, 3), (16, 8, 8)])
def test_how_many_points_lie_on_and_off_the_object(n, positive, negative):
    truth, on = picture(np.s_[2:12, 5:30])
    prompts = random_points(truth, on, n, generator(), target="t")
    assert (prompts.labels == 1).sum() == positive
    assert (prompts.labels == 0).sum() == negative
    at = prompts.points_zyx.astype(int)
    assert np.array_equal(truth[tuple(at.T)], prompts.labels == 1)
    assert len(np.unique(at, axis=0)) == n
    assert prompts.target == "t"


def test_no_sample_is_drawn_twice_while_there_are_others():
    truth, on = picture(np.s_[0, :], np.s_[3, 1:], shape=(4, 5))
    for seed in range(5):
        points = random_points(truth, on, 18, generator(seed)).points_zyx
        assert len(np.unique(points[:9], axis=0)) == len(points[:9]) == 9  # all nine of the object
        assert len(np.unique(points[9:], axis=0)) == 9


def test_points_are_uniform_over_the_samples():
    truth, on = picture(np.s_[0, 0:2], np.s_[2, 3], shape=(3, 4))
    drawn = [random_points(truth, on, 2, generator(seed)).points_zyx.astype(int) for seed in range(3000)]
    for label, where in ((0, truth), (1, ~truth)):
        counts = np.zeros(truth.shape)
        np.add.at(counts, tuple(np.array([points[label] for points in drawn]).T), 1)
        assert counts[~where].sum() == 0
        expected = 3000 / where.sum()
        assert (abs(counts[where] - expected) < 5 * np.sqrt(expected)).all()


def test_a_truth_that_fills_the_image_gets_points_on_it_only():
    truth, on = picture(np.s_[:], shape=(5, 7))
    prompts = random_points(truth, on, 5, generator())
    assert prompts.labels.tolist() == [1] * 5
    many = random_points(truth, on, 40, generator())
    assert len(many.labels) == 40  # more than there are samples: with replacement


def test_in_a_volume_points_can_stay_on_the_largest_slice():
    truth = np.zeros((6, 20, 30), bool)
    truth[1:5, 8:12, 8:12] = True
    truth[3, 4:16, 4:20] = True
    on = grid(truth.shape, (3, 1, 1))
    assert len(set(random_points(truth, on, 16, generator()).points_zyx[:, 0])) > 1
    prompts = random_points(truth, on, 16, generator(), axis=0)
    assert set(prompts.points_zyx[:, 0]) == {3}
    assert np.array_equal(truth[tuple(prompts.points_zyx.astype(int).T)], prompts.labels == 1)
    assert set(random_points(truth, on, 16, generator(), axis=1).points_zyx[:, 1]) <= set(range(8, 12))


def test_a_box_without_jitter_is_tight_and_leaves_the_generator_alone():
    truth, on = picture(np.s_[2:12, 5:30], np.s_[14, 33])
    source = generator()
    prompts = jittered_box(truth, on, source, target="t")
    assert prompts.box_zyx.tolist() == [[2, 5], [14, 33]]
    assert prompts.target == "t"
    assert source.random() == generator().random()


def test_each_side_moves_by_up_to_the_jitter_of_its_own_axis():
    truth, on = picture(np.s_[40:60, 30:130], shape=(100, 160))  # 20 high, 100 wide
    moved = np.array([jittered_box(truth, on, generator(seed), 0.1).box_zyx - [[40, 30], [59, 129]] for seed in range(400)])
    assert (abs(moved) <= [[2, 10], [2, 10]]).all()
    assert (abs(moved).max(axis=0) > [[1.9, 9.5], [1.9, 9.5]]).all()
    assert (abs(moved.mean(axis=0)) < [[0.3, 1.5], [0.3, 1.5]]).all()
    assert abs(np.corrcoef(moved.reshape(400, 4).T) - np.eye(4)).max() < 0.2  # four sides, four draws
    same = jittered_box(truth, on, generator(7), 0.1).box_zyx
    assert np.array_equal(same, jittered_box(truth, on, generator(7), 0.1).box_zyx)


@settings(max_examples=120, deadline=None)
@given(masks(), st.floats(0, 0.5), st.integers(0, 2**32 - 1))
def test_every_box_is_one_that_prompts_take(masked, jitter, seed):
    truth, on = masked[0], grid(masked[0].shape, masked[1])
    low, high = jittered_box(truth, on, generator(seed), jitter).box_zyx  # the constructor refuses what is off the image
    wide = high > low
    assert ((high - low)[wide] >= 1 - 1e-9).all()
    marked = np.argwhere(truth)
    flat = marked.min(axis=0) == marked.max(axis=0)
    assert (wide | flat).all()
    assert np.count_nonzero(wide) == max(2, np.count_nonzero(~flat))
    if jitter == 0:
        assert ((low <= marked) & (marked <= high)).all()


def test_an_object_on_one_slice_of_a_volume_keeps_a_flat_box_there():
    truth = np.zeros((6, 20, 30), bool)
    truth[3, 4:16, 4:20] = True
    box = jittered_box(truth, grid(truth.shape, (3, 1, 1)), generator(), 0.3).box_zyx
    assert box[:, 0].tolist() == [3, 3]
    truth[:] = False
    truth[3, 4, 5] = True
    box = jittered_box(truth, grid(truth.shape, (3, 1, 1)), generator()).box_zyx
    assert box.tolist() == [[3, 3.5, 4.5], [3, 4.5, 5.5]]
    box = jittered_box(truth, grid(truth.shape, (1, 1, 3)), generator()).box_zyx  # acquired along x
    assert box.tolist() == [[2.5, 3.5, 5], [3.5, 4.5, 5]]


@pytest.mark.parametrize(
    "ask",
    [
        first_click,
        lambda truth, on: random_points(truth, on, 3, generator()),
        lambda truth, on: inside_clicks(truth, on, 1, generator()),
        lambda truth, on: jittered_box(truth, on, generator()),
    ],
)
def test_an_object_that_is_not_there_cannot_be_prompted(ask):
    truth, on = picture()
    with pytest.raises(InvalidPrompt, match="not in the image"):
        ask(truth, on)
    with pytest.raises(GeometryError, match="on a grid of"):
        ask(np.ones((3, 4), bool), on)


@pytest.mark.parametrize(
    "ask",
    [
        lambda truth, on: random_points(truth, on, 0, generator()),
        lambda truth, on: random_points(truth, on, 3, generator(), axis=0),
        lambda truth, on: inside_clicks(truth, on, 0, generator()),
        lambda truth, on: inside_clicks(truth, on, 1, generator(), spacing=0.0),
        lambda truth, on: jittered_box(truth, on, generator(), 0.6),
        lambda truth, on: jittered_box(truth, on, generator(), -0.1),
    ],
)
def test_impossible_requests(ask):
    with pytest.raises(InvalidConfig):
        ask(*picture(np.s_[2:5, 2:5]))


@settings(max_examples=60, deadline=None)
@given(masks(), st.integers(1, 12), st.sampled_from([0.4, 1.0, 2.5]))
def test_clicks_inside_lie_on_the_object_alone(mask, n, spacing):
    truth, steps = mask
    prompts = inside_clicks(truth, grid(truth.shape, steps), n, generator(), spacing=spacing, target="lesion")
    assert len(prompts.points_zyx) == n
    assert prompts.labels.tolist() == [1] * n
    assert prompts.target == "lesion"
    assert truth[tuple(np.rint(prompts.points_zyx).astype(int).T)].all()


def test_clicks_inside_are_uniform_in_millimetres_and_not_in_samples():
    """Two slices of 5 mm with 0.5 mm samples: 10 x 4 x 3 places of 1 mm, each drawn as often as any other."""
    truth = np.zeros((4, 20, 16), bool)
    truth[1:3, 4:12, 6:12] = True
    on = grid(truth.shape, (5.0, 0.5, 0.5))
    every = inside_clicks(truth, on, 120, generator())
    places = on.to_mm(every.points_zyx)
    steps = sorted({tuple(np.round(place - places.min(0), 6)) for place in places})
    assert steps == [(float(x), float(y), float(z)) for x in range(3) for y in range(4) for z in range(10)]
    drawn = [inside_clicks(truth, on, 1, generator(seed)).points_zyx[0, 0] for seed in range(400)]
    _, counts = np.unique(drawn, return_counts=True)
    assert len(counts) == 10
    assert counts.min() > 20
    twice = [inside_clicks(truth, on, 3, generator(7)).points_zyx for _ in range(2)]
    assert np.array_equal(*twice)


def test_an_object_between_the_places_is_clicked_on_its_own_samples():
    truth = np.zeros((5, 30, 30), bool)
    truth[2, 11, 8] = True
    on = grid(truth.shape, (1.0, 0.2, 0.2))
    assert inside_clicks(truth, on, 2, generator()).points_zyx.tolist() == [[2, 11, 8]] * 2


def test_pictures_are_clicked_on_their_pixels():
    truth, on = picture(np.s_[2:5, 2:5])
    every = inside_clicks(truth, on, 9, generator()).points_zyx
    assert sorted(map(tuple, every)) == [tuple(map(float, place)) for place in np.argwhere(truth)]
