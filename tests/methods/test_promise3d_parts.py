"""The parts of ProMISe-3D around its network: intensities, samples, cubes, what is learned from."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from geometries import every_index, oblique, volumes
from promisam.core import Grid, Image, Labelled, Segmentation, Task
from promisam.core.errors import InvalidConfig, InvalidImage
from promisam.methods.promise3d.answering import Explorer, logits_of
from promisam.methods.promise3d.config import Config
from promisam.methods.promise3d.samples import Sampler, click_maps
from promisam.methods.promise3d.volume import Intensity, Working
from promisam.spatial.patches import centres, cut

SHAPE = (14, 20, 17)


# Intensities


def scanned(seed=0, gain=1.0, shift=0.0, shape=SHAPE, labelled=True):
    """A body in the dark with an object in it, whose texture is much finer than what tells it from the body."""
    chance = np.random.default_rng(seed)
    places = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij"))
    body, inside = np.hypot(*places[1:]) < 0.9, np.sqrt((places**2).sum(0)) < 0.5
    pixels = np.where(body, 300 + 20 * chance.standard_normal(shape) + 100 * inside, 0.0)
    grid = Grid(shape, np.eye(4))
    truth = Segmentation((inside & labelled).astype(np.uint8), grid)
    return Labelled(Image((gain * pixels + shift).astype(np.float32)[None], grid), truth)


def on_the_scale_of(intensity, case):
    return intensity.apply(case.image.pixels[0])


def test_a_shared_scale_is_kept():
    cases = [scanned(seed) for seed in range(4)]
    found = Intensity.measured(cases, (0.5, 99.5))
    values = np.concatenate([case.image.pixels[0][case.truth.mask()] for case in cases])
    assert not found.relative
    assert (found.low, found.high) == pytest.approx(np.percentile(values, (0.5, 99.5)), abs=0.5)
    assert found.mean == pytest.approx(400, abs=3)
    assert found.deviation == pytest.approx(20, abs=2)
    brighter = on_the_scale_of(found, scanned(5, shift=10)) - on_the_scale_of(found, scanned(5))
    assert np.median(brighter[scanned(5).truth.mask()]) == pytest.approx(10 / found.deviation, rel=0.01)


def test_scales_of_their_own_are_made_one():
    cases = [scanned(seed, gain, shift) for seed, (gain, shift) in enumerate([(1, 0), (7, -100), (0.1, 5), (3, 1000)])]
    found = Intensity.measured(cases, (0.5, 99.5))
    assert found.relative
    for case in cases:
        inside = on_the_scale_of(found, case)[case.truth.mask()]
        assert inside.mean() == pytest.approx(0, abs=0.3)
        assert inside.std() == pytest.approx(1, abs=0.3)
    one, other = on_the_scale_of(found, scanned(9)), on_the_scale_of(found, scanned(9, 40.0, -3000.0))
    assert np.allclose(one, other, atol=1e-3)


def test_intensities_are_clipped_at_the_percentiles_of_the_objects():
    found = Intensity.measured([scanned(0)], (10.0, 80.0))
    seen = on_the_scale_of(found, scanned(0))
    assert (seen.min(), seen.max()) == pytest.approx(
        ((found.low - found.mean) / found.deviation, (found.high - found.mean) / found.deviation), abs=1e-5
    )
    inside = seen[scanned(0).truth.mask()]
    assert (inside == seen.min()).mean() == pytest.approx(0.1, abs=0.02)
    assert (inside == seen.max()).mean() == pytest.approx(0.2, abs=0.02)


def test_what_surrounds_a_body_does_not_count():
    """However much air a scan shows, relative intensities stay as they are."""
    found = Intensity(-5.0, 5.0)
    case = scanned(1).image.pixels[0]
    wide = np.pad(case, 20, constant_values=case.min())
    assert np.allclose(found.apply(wide)[20:-20, 20:-20, 20:-20], found.apply(case), atol=1e-5)


@pytest.mark.parametrize("cases", [[], [scanned(0, labelled=False)]], ids=["no case", "no object"])
def test_without_objects_every_volume_is_standardised(cases):
    found = Intensity.measured(cases, (0.5, 99.5))
    body = on_the_scale_of(found, scanned(3, 5.0, 7.0))[scanned(3).image.pixels[0] > 0]
    assert body.mean() == pytest.approx(0, abs=1e-3)
    assert body.std() == pytest.approx(1, abs=1e-3)


def test_cases_without_the_object_say_nothing():
    some = [scanned(0), scanned(1)]
    assert Intensity.measured([scanned(7, 90.0, labelled=False), *some], (0.5, 99.5)) == Intensity.measured(some, (0.5, 99.5))


@pytest.mark.parametrize("value", [0.0, 0.1, -1024.0])
def test_constant_objects_and_volumes_have_finite_intensities(value):
    grid = Grid((3, 4, 5), np.eye(4))
    flat = Image(np.full((1, 3, 4, 5), value, np.float32), grid)
    truth = Segmentation((np.arange(60).reshape(grid.shape) < 7).astype(np.uint8), grid)
    found = Intensity.measured([Labelled(flat, truth), Labelled(flat, truth)], (0.5, 99.5))
    for one in (found, Intensity()):
        for pixels in (flat.pixels[0], flat.pixels[0] + truth.labels):
            assert np.isfinite(one.apply(pixels).astype(np.float16)).all()


@pytest.mark.parametrize("intensity", [Intensity(), Intensity(-57.0, 175.0, 65.175035, 32.651197, relative=False)])
def test_intensities_are_kept_among_weights(intensity):
    kept = intensity.tensor()
    assert Intensity.of(kept) == intensity
    assert torch.equal(Intensity.of(kept).tensor(), kept)


# Samples


@settings(deadline=None, max_examples=40)
@given(volumes, st.sampled_from([0.6, 1.0, 2.5]))
def test_places_agree_with_the_patient_s_space(grid, spacing):
    working = Working.of(grid, spacing)
    points = every_index(grid.shape) + 0.3
    index = grid.resample(working.shape).to_index(grid.to_mm(points))
    assert np.allclose(working.there(points), index, atol=1e-6)


@pytest.mark.parametrize("spacing", [1.0, 1.5])
def test_samples_are_as_far_apart_as_asked(spacing):
    grid = oblique((30, 40, 50), spacing=(0.7, 1.1, 4.0))
    working = Working.of(grid, spacing)
    assert grid.resample(working.shape).spacing == pytest.approx((spacing,) * 3, rel=0.03)
    assert Working.of(oblique((1, 2, 3), spacing=(0.1, 0.1, 0.1)), spacing).shape == (1, 1, 1)


@pytest.mark.parametrize("released", [False, True])
@pytest.mark.parametrize("grid", [oblique((3, 20, 25), spacing=(0.8, 0.8, 6.0)), oblique((40, 9, 7), spacing=(3.0, 2.0, 0.5))])
def test_to_the_samples_and_back(grid, released):
    """A ramp is nearly itself again, and at the samples of its places."""
    working = Working.of(grid, 1.0, released=released)
    index = every_index(grid.shape)
    ramp = (index / grid.shape) @ [1, 2, 4]
    seen = working.pixels(ramp.reshape(1, *grid.shape), Intensity(relative=False))
    assert seen.dtype == np.float16
    assert seen.shape == working.shape
    back = working.back(seen.astype(np.float32))
    assert back.shape == grid.shape
    there = tuple(np.rint(working.there(index)).astype(int).clip(0, np.subtract(working.shape, 1)).T)
    for gap in (back.ravel() - ramp, seen[there] - ramp):
        assert np.abs(gap).max() < 0.35
        assert np.abs(gap).mean() < 0.15


def test_fine_samples_are_averaged_but_not_by_the_release():
    grid = Grid((4, 4, 64), np.diag([1.0, 1.0, 0.25, 1.0]))
    stripes = np.broadcast_to(np.arange(64) % 4 == 0, (1, 4, 4, 64)).astype(np.float32)
    plain = Intensity(relative=False)
    ours, theirs = (Working.of(grid, 1.0, released=released) for released in (False, True))
    assert np.allclose(ours.pixels(stripes, plain)[..., 1:-1], 0.25, atol=0.01)
    assert np.allclose(theirs.pixels(stripes, plain), 0, atol=0.01)


def test_the_class_of_a_sample_is_the_one_that_fills_it():
    labels = np.zeros((4, 4, 8), np.uint8)
    labels[:, :, :3], labels[:, :, 3:6] = 1, 2
    working = Working.of(Grid((4, 4, 8), np.eye(4)), 2.0)
    found = working.labels(labels, 2)
    assert found.shape == (2, 2, 4)
    assert set(np.unique(found)) == {0, 1, 2}
    assert (found[..., 0] == 1).all()
    assert (found[..., 2] == 2).all()
    assert (found[..., 3] == 0).all()


def test_several_channels_are_refused():
    with pytest.raises(InvalidImage, match="3 channels"):
        Working.of(Grid(SHAPE, np.eye(4)), 1.0).pixels(np.zeros((3, *SHAPE)), Intensity())


# Cubes


SIDE = 16


class Seer:
    """Answers what is true in a cube, and remembers what it was asked."""

    def __init__(self, truth, outside=0.0):
        self.truth, self.outside, self.asked = truth.astype(np.float32), outside, []

    def __call__(self, origin, points, labels):
        self.asked.append((np.array(origin), points, labels))
        inside = cut(np.ones((1, *self.truth.shape), np.float32), origin, (SIDE,) * 3)[0]
        return cut(self.truth[None], origin, (SIDE,) * 3)[0] + (1 - inside) * np.float32(self.outside)

    def explorer(self, most=100):
        return Explorer(self.truth.shape, SIDE, most, self)

    def around(self, *clicks, most=100, labels=None):
        return self.explorer(most).around(np.array(clicks, float), np.array(labels or [1] * len(clicks)))


def tube(length=150, middle=8):
    """Along the last axis, wavy."""
    z, y, x = np.indices((2 * SIDE, 2 * SIDE, length))
    return (z - middle - 3 * np.sin(x / 15)) ** 2 + (y - middle) ** 2 < 10


def test_a_tube_is_followed_to_both_ends():
    truth = tube()
    seer = Seer(truth)
    found = seer.around((8, 8, 70))
    assert np.array_equal(found > 0.5, truth)
    assert 10 <= len(seer.asked) <= 25
    for origin, points, labels in seer.asked[1:]:
        places = np.rint(points + origin).astype(int)
        assert len(places)
        assert truth[tuple(places.T)].all()  # what stands for a click lies on the object
        assert ((points >= 0) & (points < SIDE)).all()
        assert (labels == 1).all()


@pytest.mark.parametrize("most", [1, 3])
def test_no_more_cubes_than_allowed(most):
    seer = Seer(tube())
    found = seer.around((8, 8, 70), most=most)
    assert len(seer.asked) == most
    assert not found[:, :, :30].any()


def test_one_cube_is_answered_as_it_is():
    truth = np.random.default_rng(0).random((20, 20, 20)) * 0.5  # nothing is sure enough to be followed
    seer = Seer(truth)
    found = seer.around((10, 9, 11))
    ((origin, points, labels),) = seer.asked
    assert origin.tolist() == [2, 1, 3]
    assert points.tolist() == [[8, 8, 8]]
    assert labels.tolist() == [1]
    inside = np.zeros_like(truth, bool)
    inside[2:18, 1:17, 3:19] = True
    assert np.allclose(found, np.where(inside, truth, 0), atol=1e-6)
    assert found.dtype == np.float32


def test_a_neighbour_that_nobody_clicked_is_not_followed():
    both = tube() | tube(middle=20)  # which leaves the first cube through the same faces
    both[13:15] = False
    seer = Seer(both)
    seer.explorer().around(np.array([[14.0, 20.0, 70.0], [8.0, 8.0, 70.0]])[1:], np.array([1]))
    assert all(np.abs(origin[:2]).max() <= SIDE // 4 for origin, *_ in seer.asked)
    alone = Seer(both)
    small = np.zeros_like(both)
    small[6:9, 6:9, 68:72] = True
    alone.truth = (small | tube(middle=14)).astype(np.float32)
    alone.around((7, 7, 70))
    assert len(alone.asked) == 1


def test_clicks_far_apart_have_cubes_of_their_own_and_near_ones_share():
    truth = np.zeros((20, 20, 90), bool)
    truth[8:12, 8:12, 8:12] = truth[8:12, 8:12, 70:75] = True
    far, near = Seer(truth), Seer(truth)
    found = far.around((9, 9, 9), (10, 10, 72))
    assert np.array_equal(found > 0.5, truth)
    assert [len(points) for _, points, _ in far.asked] == [1, 1]
    near.around((9, 9, 9), (10, 10, 15), (8, 8, 13), labels=[1, 1, 0])
    ((_, points, labels),) = near.asked
    assert len(points) == 3
    assert labels.tolist() == [1, 1, 0]


def test_clicks_beside_the_object_are_told_only_where_they_are():
    seer = Seer(tube())
    seer.around((8, 8, 70), (8, 14, 72), (8, 14, 20), labels=[1, 0, 0])
    for origin, points, labels in seer.asked:
        assert len(points) == len(labels)
        whole = points[labels == 0] + origin
        wanted = [
            [8, 14, x] for x in (72, 20) if ((np.array([8, 14, x]) >= origin) & (np.array([8, 14, x]) < origin + SIDE)).all()
        ]
        assert whole.tolist() == wanted


CORNERS = [*product((0, 19), (0, 22), (0, 35)), (-0.5, 10, 35.5), (19.4, 22.4, -0.4)]


@pytest.mark.parametrize("click", CORNERS, ids=str)
def test_at_the_border_nothing_is_looked_for_beyond_it(click):
    """Also when the network takes what pads the volume for the object."""
    shape = (20, 23, 36)
    seer = Seer(np.ones(shape), outside=1.0)
    found = seer.around(click)
    assert (found > 0.999).mean() > 0.99
    for origin, points, _ in seer.asked:
        middle = origin + SIDE // 2
        assert ((middle >= 0) & (middle <= np.array(shape))).all()
        assert ((points + origin >= -0.5) & (points + origin <= np.array(shape) - 0.5)).all()


@pytest.mark.parametrize("shape", [(3, 40, 7), (1, 1, 1)])
def test_volumes_thinner_than_a_cube(shape):
    seer = Seer(np.ones(shape), outside=1.0)
    assert (seer.around(np.array(shape) // 2) > 0.999).all()
    assert all((origin + SIDE // 2 <= shape).all() for origin, *_ in seer.asked)


def test_the_release_looks_at_the_middle_of_its_clicks():
    truth = np.random.default_rng(0).random((40, 40, 40))
    seer = Seer(truth)
    clicks = np.array([[5.0, 30.0, 20.0], [10.4, 9.0, 21.0], [39.0, 39.0, 39.0]])
    found = seer.explorer().at_middle(clicks, np.array([1, 1, 0]))
    ((origin, points, labels),) = seer.asked
    assert origin.tolist() == [7 - 8, 19 - 8, 20 - 8]
    assert np.allclose(points + origin, clicks)
    assert labels.tolist() == [1, 1, 0]
    inside = np.zeros_like(truth, bool)
    inside[:15, 11:27, 12:28] = True
    assert np.allclose(found, np.where(inside, truth, 0), atol=1e-6)


@pytest.mark.parametrize("shape", [(5, 16, 17), (40, 33, 8), (1, 1, 90)])
def test_everywhere_is_everywhere(shape):
    truth = np.random.default_rng(0).random(shape)
    seer = Seer(truth)
    clicks = np.array([[0.0, 0.0, 0.0], [*np.subtract(shape, 1.0)]])
    found = seer.explorer().everywhere(clicks, np.array([1, 0]))
    assert np.allclose(found, truth, atol=1e-5)
    assert len(seer.asked) == len({tuple(origin) for origin, *_ in seer.asked})
    for origin, points, labels in seer.asked:
        assert np.allclose(points + origin, clicks)
        assert labels.tolist() == [1, 0]


def test_where_cubes_overlap_the_nearer_to_its_middle_counts_more():
    """Cubes that say 0 and 1 in turn: from one's middle to the next one's the answer goes from one to the other."""
    said = iter([0.0, 1.0, 0.0, 1.0])
    explorer = Explorer((SIDE, SIDE, 40), SIDE, 9, lambda *_: np.full((SIDE,) * 3, next(said), np.float32))
    line = explorer.everywhere(np.zeros((1, 3)), np.ones(1, np.int64))[8, 8]
    assert (line[:8] == 0).all()
    assert (np.diff(line[8:16]) > 0).all()
    assert (np.diff(line[16:24]) < 0).all()
    assert (line[-8:] == 1).all()


def test_logits_keep_probabilities_and_are_finite():
    given_ = np.array([0, 1e-9, 0.25, 0.5, 0.75, 1], np.float32)
    found = logits_of(given_)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert np.allclose(1 / (1 + np.exp(-found)), given_, atol=2e-6)
    assert found[3] == 0


# What is learned from


TASK = Task(("one", "two"), 3, 1, (1.0, 1.0, 1.0), (30, 34, 38))
SOLE = Task(("one",), 3, 1, (1.0, 1.0, 1.0), (30, 34, 38))


def kept(shape=(30, 34, 38), empty=False, classes=2):
    z, y, x = np.indices(shape)
    labels = np.zeros(shape, np.uint8)
    if not empty:
        labels[(z - 10) ** 2 + (y - 12) ** 2 + (x - 12) ** 2 < 30] = 1
        labels[(z - 18) ** 2 + (y - 22) ** 2 + (x - 24) ** 2 < 50] = classes
    volume = (labels + 1 + 0.1 * np.sin(x)).astype(np.float16)
    return {"volume": volume, "labels": labels, "centres": centres(labels, classes)}


def samples(config, number=30, task=TASK, changed=True, **what):
    sampler = Sampler(config, task)
    if not changed:
        sampler.augment = lambda pixels, labels, _: (pixels, labels)
    return [sampler(kept(classes=len(task.classes), **what), torch.Generator().manual_seed(seed)) for seed in range(number)]


@pytest.mark.parametrize("config", [Config(patch=16), Config(patch=16, positives=2, negatives=3)])
def test_clicks_lie_where_they_say(config):
    found = samples(config)
    counts = {1: set(), 0: set()}
    for one in found:
        assert one["cubes"].shape == (1, 16, 16, 16)
        assert one["points"].shape == (config.positives + config.negatives, 3)
        for kind, on in ((1, 1.0), (0, 0.0)):
            where = one["points"][one["labels"] == kind].long()
            counts[kind].add(len(where))
            assert (one["truth"][tuple(where.T)] == on).all()
        assert (one["labels"] == 1).any() == one["truth"].any()
    assert max(counts[1]) == config.positives
    assert max(counts[0]) == config.negatives
    assert min(counts[0]) < 3


def test_half_of_the_clicks_beside_an_object_are_near_it():
    found = samples(Config(patch=32, foreground=1), 20, changed=False, task=SOLE)
    apart, everywhere = [], []
    for one in found:
        places = one["points"][one["labels"] == 0].long()
        apart += ndimage.distance_transform_edt(one["truth"].numpy() == 0)[tuple(places.T.numpy())].tolist()
        everywhere += places.tolist()
    assert 0.45 < np.mean(np.array(apart) <= 4) < 0.75  # an eighth of the cube's side; some of those drawn anywhere are, too
    assert np.std(everywhere, axis=0).min() > 6
    assert len(np.unique(everywhere, axis=0)) > 0.9 * len(everywhere)


def test_the_released_clicks():
    found = samples(Config(patch=16, mode="official", foreground=1), 12, changed=False)
    assert all(one["points"].shape == (30, 3) for one in found)
    beside = torch.cat([one["truth"][tuple(one["points"][one["labels"] == 0].long().T)] for one in found])
    assert 0.02 < beside.mean() < 0.5  # anywhere: some on the object
    for one in found:
        assert (one["labels"] == 1).sum() == 10
        assert (one["labels"] == 0).sum() == 20
        assert one["truth"][tuple(one["points"][one["labels"] == 1].long().T)].all()


@pytest.mark.parametrize("mode", ["paper", "official"])
def test_volumes_without_objects_teach_background(mode):
    for one in samples(Config(patch=16, mode=mode), 8, empty=True):
        assert not one["truth"].any()
        assert not (one["labels"] == 1).any()
        assert (one["labels"] == 0).any()


def test_without_negative_clicks_there_are_none():
    assert not any((one["labels"] == 0).any() for one in samples(Config(patch=16, negatives=0), 8))
    assert all((one["labels"] == -1).all() for one in samples(Config(patch=16, negatives=0), 4, empty=True))


def test_equal_generators_draw_equal_samples():
    first, again = samples(Config(patch=16), 3), samples(Config(patch=16), 3)
    for one, other in zip(first, again, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert not torch.equal(first[0]["cubes"], first[1]["cubes"])


def test_cubes_larger_than_the_volume_are_padded():
    (one,) = samples(Config(patch=80), 1, changed=False)
    assert one["cubes"].shape == (1, 80, 80, 80)
    assert (one["cubes"] > 0.5).sum() == 30 * 34 * 38
    assert (one["cubes"] == 0).sum() == 80**3 - 30 * 34 * 38
    assert one["truth"].sum() in [(kept()["labels"] == value).sum() for value in (1, 2)]


def test_of_two_classes_the_clicked_one_is_the_truth():
    both = 0
    for one in samples(Config(patch=16, foreground=1), changed=False):
        labels = one["cubes"][0].round() - 1  # as `kept` draws them
        (value,) = labels[one["truth"] > 0].unique()
        assert torch.equal(labels == value, one["truth"] > 0)
        both += {1.0, 2.0} <= set(labels.unique().tolist())
    assert both > 3  # where the other was there too


def test_half_of_the_cubes_have_their_first_click_in_the_middle():
    found = samples(Config(patch=16, foreground=1), 60, changed=False, task=SOLE)
    assert all(one["truth"][8, 8, 8] for one in found)
    first = torch.stack([one["points"][0] for one in found])
    assert 0.3 < (first == 8).all(1).float().mean() < 0.7


@pytest.mark.parametrize(("share", "low", "high"), [(0, 0.0, 0.2), (0.5, 0.35, 0.75), (1, 1.0, 1.0)])
def test_as_many_cubes_hold_the_object_as_asked(share, low, high):
    found = samples(Config(patch=16, foreground=share), 40, changed=False, shape=(30, 34, 200))
    assert low <= np.mean([bool(one["truth"].any()) for one in found]) <= high


def test_sides_are_not_mirrored():
    task = Task(("left kidney", "right kidney"), 3, 1, (1.0, 1.0, 1.0), (30, 34, 38))
    assert Sampler(Config(patch=16), task).augment.flips == ()
    assert Sampler(Config(patch=16), TASK).augment.flips == (0, 1, 2)
    with pytest.raises(InvalidConfig):
        Sampler(Config(patch=16, flips="z"), Task(("one",), 2, 1, (1.0, 1.0), (9, 9)))


def test_maps_of_clicks():
    points = torch.tensor([[[4.0, 8, 10], [12, 3, 3], [0, 0, 0], [7, 7, 7]]])
    labels = torch.tensor([[1, 1, 0, -1]])
    found = click_maps(points, labels, 16)
    assert found.shape == (1, 2, 16, 16, 16)
    assert found[0, 0, 4, 8, 10] == found[0, 0, 12, 3, 3] == found[0, 1, 0, 0, 0] == 1
    assert found[0, 0, 4, 8, 12] == pytest.approx(np.exp(-0.5))  # two samples are one standard deviation
    assert found[0, 0, 4, 10, 12] == pytest.approx(np.exp(-1))
    assert found[0, 1, 7, 7, 7] < 1e-6  # padding shows nothing
    assert found[0, 1, 0, 0, 3] < found[0, 1, 0, 0, 2] < found[0, 1, 0, 0, 1] < 1


def test_maps_of_clicks_beyond_the_cube_and_of_none():
    beyond = click_maps(torch.tensor([[[-3.0, 8, 20]]]), torch.tensor([[1]]), 16)
    assert np.unravel_index(int(beyond[0, 0].argmax()), (16, 16, 16)) == (0, 8, 15)
    assert 0 < beyond.max() < 1
    assert not beyond[0, 1].any()
    assert not click_maps(torch.zeros(2, 0, 3), torch.zeros(2, 0, dtype=torch.int64), 16).any()
    assert not click_maps(torch.zeros(1, 3, 3), torch.full((1, 3), -1), 16).any()
