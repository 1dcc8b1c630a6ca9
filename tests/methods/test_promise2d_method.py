"""Options of ProMISe-2D that change what the method answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import tiny_sam
from promisam.core import Grid, Image, Labelled, Prompts, Segmentation, Task
from promisam.core.errors import InvalidConfig
from promisam.methods.promise2d.cleaning import smoothed
from promisam.methods.promise2d.config import Config
from promisam.methods.promise2d.method import ProMISe2D

GRID = Grid.of_picture((40, 64))


def answer(sam, **options):
    torch.manual_seed(0)
    method = ProMISe2D(sam, Config(mode="ips", **options), Task())
    with torch.no_grad():
        for parameter in method.network.parameters():
            parameter.normal_(0, 0.1)
    image = Image(np.random.default_rng(0).integers(0, 255, (3, 40, 64)).astype(np.uint8), GRID)
    prompts = Prompts(GRID).click((10, 20)).click((30, 50), False)
    return method.decode(method.encode(image), prompts).logits


def test_the_mask_is_one_that_the_weights_learned():
    several, one = tiny_sam.tiny(), tiny_sam.tiny(multimask=False)
    assert np.array_equal(answer(several), answer(several, mask=1))
    assert np.array_equal(answer(one), answer(one, mask=0))
    assert not np.allclose(answer(one), answer(one, mask=1))
    with pytest.raises(InvalidConfig, match="0 to 3"):
        answer(one, mask=4)


def test_smoothing_takes_the_pattern_of_the_up_sampling_and_moves_nothing():
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(40.0), indexing="ij")
    slope = (0.3 * x - 0.2 * y + 1)[None]
    pattern = torch.tensor([1.0, -2.0, 4.0, -3.0]).repeat(10)[None, None] * torch.tensor([1.0, -1.0]).repeat(16)[None, :, None]
    inner = (slice(None), slice(2, -2), slice(2, -2))
    assert torch.allclose(smoothed(slope + pattern)[inner], slope[inner], atol=1e-4)


def test_opening_removes_what_is_thin():
    open_, plain = answer(tiny_sam.tiny(), opening=3), answer(tiny_sam.tiny())
    assert (open_ <= plain + 1e-5).all()
    assert (open_ < plain - 1e-3).any()


@pytest.mark.parametrize("area", ["picture", "frame"])
def test_what_is_kept_serves_every_area(area):
    """The arrays of one setting, opened with another, are those of the other."""
    sam = tiny_sam.tiny()
    torch.manual_seed(0)
    method, other = (ProMISe2D(sam, Config(mode="apm", form="light", area=one), Task()) for one in (area, "picture"))
    other.network.load_state_dict(method.network.state_dict())
    image = Image(np.random.default_rng(0).integers(0, 255, (3, 40, 64)).astype(np.uint8), GRID)
    truth = np.zeros(GRID.shape, np.uint8)
    truth[5:20, 10:40] = 1
    kept = other.precompute(Labelled(image, Segmentation(truth, GRID, {1: "object"})), 0)
    for one in (method, other):
        one.network.eval()
        expected = one.encode(image).points_xy
        assert torch.allclose(one.recall(GRID, kept).points_xy, expected, atol=0.1)


@pytest.mark.parametrize(("views", "axes"), [(2, (1,)), (4, (0,)), (4, (0, 1))])
def test_with_mirrored_views_a_mirrored_picture_is_answered_by_the_mirrored_mask(views, axes):
    def mirrored(array, first=0):
        return np.ascontiguousarray(np.flip(array, tuple(axis + first for axis in axes)))

    torch.manual_seed(0)
    method = ProMISe2D(tiny_sam.tiny(), Config(mode="apm+ips", form="light", views=views), Task())
    tiny_sam.randomise(method.network)
    pixels = np.random.default_rng(0).integers(0, 255, (3, *GRID.shape)).astype(np.uint8)
    mask = np.zeros(GRID.shape, bool)
    mask[4:12, 9:30] = True
    last = np.array(GRID.shape) - 1.0
    at = [[10.0, 20.0], [30.0, 50.0]]
    turned = [np.where(np.isin([0, 1], axes), last - one, one).tolist() for one in at]
    asked = Prompts(GRID).click(at[0]).click(at[1], False)
    asked_turned = Prompts(GRID).click(turned[0]).click(turned[1], False)
    image, other = Image(pixels, GRID), Image(mirrored(pixels, 1), GRID)
    alone = ProMISe2D(method.sam, Config(mode="apm+ips", form="light"), Task())
    alone.network.load_state_dict(method.network.state_dict())
    for prompts, prompts_turned in ((Prompts(GRID), Prompts(GRID)), (asked, asked_turned)):
        here, there = (
            method.decode(method.encode(picture), given).logits
            for picture, given in ((image, prompts), (other, prompts_turned))
        )
        assert np.allclose(mirrored(here, 1), there, atol=1e-3)
        assert not np.allclose(here, alone.decode(alone.encode(image), prompts).logits, atol=1e-2)
