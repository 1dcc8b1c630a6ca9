"""The square frame: sizes, places and masks of awkward pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from promisam.sam.frame import MASK_STRENGTH, Frame

PICTURES = [(300, 384), (384, 300), (1000, 30), (30, 1000), (17, 23), (64, 64), (1, 50), (50, 1), (1, 1), (2000, 1999)]


@pytest.mark.parametrize("shape", PICTURES)
@pytest.mark.parametrize("side", [64, 80])
def test_the_longer_side_fills_the_frame(shape, side):
    found = Frame(shape, side).resized
    assert max(found) == side
    for n, m in zip(shape, found, strict=True):
        assert m == max(1, int(n * side / max(shape) + 0.5))


@pytest.mark.parametrize(("channels", "used"), [(1, (0, 0, 0)), (2, (0, 0, 0)), (3, (0, 1, 2)), (4, (0, 1, 2))])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float64])
def test_pictures_get_three_channels_and_keep_their_values(channels, used, dtype):
    pixels = np.random.default_rng(0).integers(0, 250, (channels, 64, 50)).astype(dtype)
    found = Frame((64, 50), 64).resize(pixels)
    assert found.dtype == torch.float32
    assert np.array_equal(found[0].numpy(), pixels[list(used)].astype(np.float32))


@pytest.mark.parametrize("shape", PICTURES)
def test_resize_is_bilinear_with_anti_aliasing(shape):
    pixels = np.random.default_rng(1).integers(0, 255, (1, *shape)).astype(np.uint8)
    frame = Frame(shape, 64)
    expected = torch.from_numpy(pixels.astype(np.float32))[None].expand(1, 3, -1, -1)
    if frame.resized != shape:
        expected = F.interpolate(expected, frame.resized, mode="bilinear", antialias=True)
    found = frame.resize(pixels)
    assert torch.allclose(found, expected, atol=1e-3)
    framed = frame.pad(found)
    h, w = frame.resized
    assert framed.shape == (1, 3, 64, 64)
    assert torch.equal(framed[..., :h, :w], found)
    assert framed[..., h:, :].abs().sum() == framed[..., :, w:].abs().sum() == 0


@pytest.mark.parametrize("shape", PICTURES)
def test_points_and_boxes_scale_with_the_sides_and_turn_to_xy(shape):
    frame = Frame(shape, 96)
    points = np.array([[0.0, 0.0], [shape[0] - 1.0, shape[1] - 1.0], [shape[0] / 3, shape[1] / 7]])
    found = frame.points_xy(points)
    assert found.shape == (1, 3, 2)
    assert found.dtype == torch.float32
    expected = np.stack([points[:, 1] * frame.resized[1] / shape[1], points[:, 0] * frame.resized[0] / shape[0]], 1)
    assert np.allclose(found[0], expected, atol=1e-4)
    box = frame.box_xyxy(points[:2])
    assert np.allclose(box, [[*expected[0], *expected[1]]], atol=1e-4)


def test_no_points():
    assert Frame((30, 40), 64).points_xy(np.zeros((0, 2))).shape == (1, 0, 2)


@pytest.mark.parametrize("shape", PICTURES)
def test_mask_logits_are_sure_inside_outside_and_in_the_padding(shape):
    frame, grid = Frame(shape, 64), 4
    full = frame.mask_logits(np.ones(shape, bool), grid)
    none = frame.mask_logits(np.zeros(shape, bool), grid)
    h, w = (max(1, round(n * 16 / 64)) for n in frame.resized)
    expected = torch.full((1, 1, 16, 16), -MASK_STRENGTH)
    assert torch.equal(none, expected)
    expected[..., :h, :w] = MASK_STRENGTH
    assert torch.equal(full, expected)


def test_mask_logits_of_a_block_lie_where_the_block_lies():
    mask = np.zeros((64, 48), bool)
    mask[16:40, 8:24] = True
    logits = Frame((64, 48), 64).mask_logits(mask, 8)[0, 0]
    assert (logits[9:19, 5:11] == MASK_STRENGTH).all()
    assert (logits[:7] == -MASK_STRENGTH).all()
    assert (logits[21:] == -MASK_STRENGTH).all()
    assert (logits[:, :3] == -MASK_STRENGTH).all()
    assert (logits[:, 13:] == -MASK_STRENGTH).all()
    assert logits.abs().max() <= MASK_STRENGTH


def test_half_a_cell_is_undecided():
    mask = np.zeros((64, 64), bool)
    mask[:, ::2] = True
    logits = Frame((64, 64), 64).mask_logits(mask, 4)[0, 0]
    assert logits[2:-2, 2:-2].abs().max() < 0.5


@pytest.mark.parametrize("shape", PICTURES)
def test_restore_has_the_shape_of_the_picture_and_drops_the_padding(shape):
    frame = Frame(shape, 64)
    logits = torch.full((1, 2, 16, 16), 5.0)
    h, w = (max(1, -(-n * 16 // 64)) for n in frame.resized)
    far = logits.clone()
    far[..., min(16, h + 1) :, :] = -99
    far[..., :, min(16, w + 1) :] = -99
    assert frame.restore(logits).shape == (1, 2, *shape)
    assert torch.allclose(frame.restore(far), torch.full((1, 2, *shape), 5.0))


@pytest.mark.parametrize("shape", [(300, 384), (384, 300), (200, 60), (60, 200), (40, 28), (257, 256)])
def test_a_mask_comes_back_from_its_logits(shape):
    y, x = np.indices(shape)
    mask = ((y / shape[0] - 0.45) / 0.3) ** 2 + ((x / shape[1] - 0.55) / 0.35) ** 2 < 1
    frame = Frame(shape, 256)
    restored = frame.restore(frame.mask_logits(mask, 16))[0, 0].numpy() > 0
    assert restored.shape == shape
    dice = 2 * (restored & mask).sum() / (restored.sum() + mask.sum())
    assert dice > 0.95
    off = np.argwhere(restored != mask)
    cell = 4 * max(shape) / 256  # one cell of the logits, in pixels of the picture
    boundary = np.argwhere(mask ^ np.roll(mask, 1, 0) | mask ^ np.roll(mask, 1, 1))
    worst = max((np.abs(boundary - p).max(axis=1).min() for p in off), default=0)
    assert worst <= np.ceil(cell) + 1


def test_a_point_of_a_mask_lands_on_the_mask_in_the_frame():
    shape = (90, 200)
    frame = Frame(shape, 128)
    for at in ((5, 7), (80, 190), (44, 100)):
        mask = np.zeros(shape, np.uint8)
        mask[at] = 255
        framed = frame.pad(frame.resize(mask[None]))[0, 0]
        y, x = np.unravel_index(int(framed.argmax()), framed.shape)
        found = frame.points_xy(np.array([at], float))[0, 0]
        assert abs(found[0] - x) <= 1
        assert abs(found[1] - y) <= 1


@pytest.fixture
def always_warn():
    """torch warns of an array once in a process."""
    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    yield
    torch.set_warn_always(before)


@pytest.mark.filterwarnings("error")
@pytest.mark.usefixtures("always_warn")
@pytest.mark.parametrize("shape", [(64, 64), (20, 30)])
def test_pixels_that_may_not_be_written_give_no_warning_and_are_not_shared(shape):
    pixels = np.random.default_rng(2).uniform(0, 255, (3, *shape)).astype(np.float32)
    kept = pixels.copy()
    pixels.flags.writeable = False
    frame = Frame(shape, 64)
    for given in (pixels, pixels[:1], pixels.astype(np.uint8)):
        frame.resize(given).zero_()
    frame.shares(pixels, 4)
    assert np.array_equal(pixels, kept)
