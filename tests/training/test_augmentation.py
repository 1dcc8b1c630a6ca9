"""Image and labels are moved alike, by chance that can be repeated, and stay an image and labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from promisam.core.errors import InvalidConfig
from promisam.training.augmentation import Augmentation, free_axes

NOTHING = Augmentation(rotation=0, scale=0, shift=0, brightness=0, contrast=0, gamma=0, noise=0, blur=0)
MOVING = Augmentation(flips=(0, 1)).intensities(0)
SHAPES = {"wide": (1, 40, 61), "tall colour": (3, 50, 21), "row": (1, 2, 30), "volume": (2, 13, 18, 22), "slab": (1, 1, 20, 31)}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def sample(shape, seed=0):
    """Smooth pixels in 0..255 and labels 0, 3 and 300."""
    index = np.indices(shape[1:]).astype(np.float32)
    waves = sum(np.sin(axis / (3 + n) + seed) for n, axis in enumerate(index))
    pixels = np.stack([127 + 40 * waves + channel for channel in range(shape[0])]).astype(np.float32)
    labels = np.where(waves > 0.7, 300, np.where(waves < -0.7, 3, 0)).astype(np.uint16)
    return pixels, labels


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_shapes_types_and_labels_are_kept(shape):
    pixels, labels = sample(shape)
    chance = generator()
    for _ in range(20):
        changed, found = Augmentation(flips=tuple(range(len(shape) - 1)))(pixels, labels, chance)
        assert (changed.shape, changed.dtype) == (pixels.shape, np.float32)
        assert (found.shape, found.dtype) == (labels.shape, np.uint16)
        assert np.isfinite(changed).all()
        assert set(np.unique(found)) <= {0, 3, 300}


def test_equal_generators_give_equal_copies_and_others_differ():
    pixels, labels = sample((1, 40, 61))
    one, same, other = ([Augmentation()(pixels, labels, chance) for _ in range(6)] for chance in map(generator, (1, 1, 2)))
    for (a, b), (c, d) in zip(one, same, strict=True):
        assert np.array_equal(a, c)
        assert np.array_equal(b, d)
    assert any(not np.array_equal(a, c) for (a, _), (c, _) in zip(one, other, strict=True))
    assert len({a.tobytes() for a, _ in one}) > 3


def test_only_the_given_generator_is_used():
    pixels, labels = sample((1, 20, 31))
    torch.manual_seed(5)
    np.random.seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    Augmentation(flips=(1,))(pixels, labels, generator())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])


def test_what_is_given_is_not_changed():
    pixels, labels = sample((1, 20, 31))
    before = pixels.copy(), labels.copy()
    pixels.flags.writeable = labels.flags.writeable = False
    for seed in range(5):
        Augmentation(flips=(0, 1))(pixels, labels, generator(seed))
    assert np.array_equal(pixels, before[0])
    assert np.array_equal(labels, before[1])


@pytest.mark.parametrize("shape", [(1, 60, 83), (1, 30, 34, 39)], ids=["picture", "volume"])
def test_pixels_and_labels_are_moved_alike(shape):
    # Pixels that are the mask itself: after the same movement, half their value separates the moved labels.
    index = np.indices(shape[1:])
    centre = [n * part for n, part in zip(shape[1:], (0.4, 0.55, 0.6), strict=False)]
    mask = sum(((i - c) / (n / 4)) ** 2 for i, c, n in zip(index, centre, shape[1:], strict=True)) < 1
    moved = 0
    for seed in range(12):
        pixels, labels = MOVING(mask[None].astype(np.float32) * 200, mask.astype(np.uint8), generator(seed))
        found, wanted = pixels[0] > 100, labels == 1
        assert 2 * (found & wanted).sum() / (found.sum() + wanted.sum()) > 0.97
        moved += not np.array_equal(wanted, mask)
    assert moved > 6


def test_maps_of_shares_are_moved_like_pixels():
    pixels, _ = sample((2, 40, 61))
    shares = (pixels / 255).clip(0, 1)
    for seed in range(8):
        found, moved = MOVING(pixels, shares, generator(seed))
        np.testing.assert_allclose(moved, found / 255, atol=1e-5)
        assert moved.dtype == np.float32


def test_nothing_is_done_when_all_is_off():
    pixels, labels = sample((1, 20, 31))
    for seed in range(5):
        changed, found = NOTHING(pixels, labels, generator(seed))
        assert np.array_equal(changed, pixels)
        assert np.array_equal(found, labels)


@pytest.mark.parametrize("name", ["brightness", "contrast", "gamma", "noise", "blur"])
def test_each_intensity_alone_changes_pixels_by_its_strength_and_no_label(name):
    pixels, labels = sample((1, 40, 61))
    default = getattr(Augmentation(), name)
    gaps = []
    for strength in (default, default / 100):
        only = Augmentation(**{**vars(NOTHING), name: strength})
        found = [only(pixels, labels, generator(seed)) for seed in range(60)]
        assert all(np.array_equal(other, labels) for _, other in found)
        gaps.append(max(np.abs(changed - pixels).max() for changed, _ in found))
    assert gaps[0] > 1
    assert gaps[1] < gaps[0] / 5


def test_intensities_do_not_depend_on_the_scale_of_the_pixels():
    pixels, labels = sample((1, 40, 61))
    still = Augmentation(rotation=0, scale=0, shift=0)
    for seed in range(20):
        one, _ = still(pixels, labels, generator(seed))
        other, _ = still(pixels / 100 - 7, labels, generator(seed))
        np.testing.assert_allclose(other, one / 100 - 7, atol=1e-3)


@pytest.mark.parametrize("name", ["rotation", "scale", "shift", "flips"])
def test_each_movement_alone_moves(name):
    value = (1,) if name == "flips" else getattr(Augmentation(), name)
    only = Augmentation(**{**vars(NOTHING), name: value})
    pixels, labels = sample((1, 40, 61))
    found = [only(pixels, labels, generator(seed)) for seed in range(12)]
    assert any(not np.array_equal(changed, pixels) for changed, _ in found)
    assert any(not np.array_equal(other, labels) for _, other in found)


def test_only_the_asked_axes_are_mirrored():
    pixels, labels = sample((1, 9, 14))
    only = Augmentation(**{**vars(NOTHING), "flips": (1,)})
    seen = set()
    for seed in range(12):
        changed, found = only(pixels, labels, generator(seed))
        mirrored = np.array_equal(changed, pixels[:, :, ::-1])
        assert mirrored or np.array_equal(changed, pixels)
        assert np.array_equal(found, labels[:, ::-1] if mirrored else labels)
        seen.add(mirrored)
    assert seen == {True, False}


def test_zero_comes_in_from_outside():
    ones = np.ones((1, 40, 61), np.float32), np.ones((40, 61), np.uint8)
    found = [MOVING(*ones, generator(seed)) for seed in range(12)]
    assert any((pixels == 0).any() for pixels, _ in found)
    for pixels, labels in found:
        assert (labels[pixels[0] == 0] == 0).all()
        assert (labels[pixels[0] > 0.999] == 1).all()


@pytest.mark.parametrize(
    ("spacing", "free"),
    [
        ((1, 1), (0, 1)),
        ((9.0, 1.0), (0, 1)),
        ((1, 1, 1), (0, 1, 2)),
        ((3.0, 1.0, 1.0), (0, 1, 2)),
        ((3.1, 1.0, 1.0), (1, 2)),
        ((0.5, 4.0, 0.5), (0, 2)),
        ((0.5, 0.7, 4.0), (0, 1)),
    ],
)
def test_free_axes(spacing, free):
    assert free_axes(spacing) == free


@pytest.mark.parametrize("coarse", [0, 1, 2])
def test_anisotropic_volumes_are_moved_within_their_slices(coarse):
    # Every slice has its own label: none may leave it.
    spacing = [1.0, 1.0, 1.0]
    spacing[coarse] = 5.0
    labels = 1 + np.indices((12, 13, 14))[coarse].astype(np.int32)
    index = np.indices((12, 13, 14))
    moving = Augmentation(shift=0.2).intensities(0)
    changed = 0
    for seed in range(10):
        pixels, found = moving(index[(coarse + 1) % 3][None].astype(np.float32), labels, generator(seed), spacing)
        assert (found[found > 0] == labels[found > 0]).all()
        changed += not np.array_equal(pixels[0], index[(coarse + 1) % 3])
    assert changed > 2
    free = [moving(index[:1].astype(np.float32), labels, generator(seed))[1] for seed in range(10)]
    assert any((one[one > 0] != labels[one > 0]).any() for one in free)


def test_a_constant_image_stays_as_it_is():
    pixels = np.full((1, 9, 9), 7, np.float32)
    for seed in range(20):
        changed, _ = Augmentation(rotation=0, scale=0, shift=0)(pixels, np.zeros((9, 9), np.uint8), generator(seed))
        assert np.array_equal(changed, pixels)


@pytest.mark.parametrize(
    "options", [{"rotation": -1}, {"rotation": 181}, {"scale": 1.0}, {"gamma": 1.4}, {"noise": float("nan")}, {"blur": -0.1}]
)
def test_impossible_strengths_are_refused(options):
    with pytest.raises(InvalidConfig, match=next(iter(options))):
        Augmentation(**options)
