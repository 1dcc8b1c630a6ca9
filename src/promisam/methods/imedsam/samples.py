"""What one visit of an example teaches: one of its classes, a prompt as a user would give it, and places with their truth."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8
from scipy import ndimage
from torch import Tensor

from promisam.core import Grid
from promisam.methods.imedsam.config import Config
from promisam.methods.imedsam.places import at_places, released_unit_of, unit_of
from promisam.sam.frame import Frame
from promisam.spatial.users import jittered_box, random_points

FINEST = 1024  # samples along the longer side of the truth that is kept
CLICKS = 3
_OUTWARDS, _OF = 19, 384  # pixels by which the release widens boxes, and of which frame
_NEAR = 0.02  # of the longer side: how far from the border the points near it lie, as a standard deviation


def kept_truth(masks: Float[np.ndarray, "c y x"]) -> UInt8[np.ndarray, "c v u"]:
    """Shares of the classes in 0..255, no finer than `FINEST`."""
    height, width = masks.shape[1:]
    scale = min(1.0, FINEST / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    shares = torch.from_numpy(masks.astype(np.float32))[None]
    if size != (height, width):
        shares = torch.nn.functional.interpolate(shares, size, mode="area")
    return (shares[0] * 255).round().byte().numpy()


def drawn(
    truth: UInt8[np.ndarray, "c v u"], config: Config, side: int, *, clicks: bool, generator: torch.Generator
) -> dict[str, Tensor] | None:
    """One class that is there, at random, a box or clicks, and places with the share of the class there; None without any.

    Args:
        truth: what `kept_truth` gave.
        config: options.
        side: of the frame.
        clicks: whether every second sample is asked by clicks.
        generator: of all chance.

    Returns:
        `class`; `boxes_xyxy` in the frame; `clicked`, 1 where `points_xy` and `labels` are to be used in its place; `places` as
        unit coordinates of the frame, `codes` of the position code, and `shares` there.
    """
    present = [c for c, one in enumerate(truth) if (one > 127).any()]
    if not present:
        return None
    chosen = present[int(torch.randint(len(present), (1,), generator=generator))]
    shares = truth[chosen]
    mask, shape = shares > 127, (int(shares.shape[0]), int(shares.shape[1]))
    frame, grid = Frame(shape, side, stretch=config.official), Grid.of_picture(shape)
    chance = np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))
    box = _box(mask, grid, config, chance)
    sample = {"class": torch.tensor(chosen), "boxes_xyxy": frame.box_xyxy(box)[0]}
    if clicks:
        sample |= _clicks(mask, grid, frame, chance)
    places = _places(mask, box, config.points, side, chance)
    unit = unit_of(frame, places)
    codes = released_unit_of(shape, places) if config.official else unit
    own = 2 * (places + 0.5) / torch.tensor(shape) - 1
    found = at_places(torch.from_numpy(shares)[None, None].float() / 255, own.float()[None])[0, :, 0]
    return {**sample, "places": unit, "codes": codes, "shares": found.round() if config.official else found}


def _box(mask: np.ndarray, grid: Grid, config: Config, chance: np.random.Generator) -> Float[np.ndarray, "2 2"]:
    jitter = 0.0 if config.official else config.box_jitter
    box = jittered_box(mask, grid, chance, jitter).box_zyx
    if box is None:
        raise AssertionError("a simulated box is a box")
    if config.official:
        step = np.asarray(grid.shape) / _OF * chance.integers(0, _OUTWARDS + 1, (2, 2))
        box = np.clip(box + step * [[-1], [1]], 0, np.asarray(grid.shape) - 1.0)
    return box


def _clicks(mask: np.ndarray, grid: Grid, frame: Frame, chance: np.random.Generator) -> dict[str, Tensor]:
    """One to `CLICKS` clicks, the first on the object; the rest are padding."""
    count = int(chance.integers(1, CLICKS + 1))
    given = random_points(mask, grid, count, chance)
    points, labels = np.zeros((CLICKS, 2)), np.full(CLICKS, -1, np.int64)
    points[:count], labels[:count] = given.points_zyx, given.labels
    return {
        "clicked": torch.tensor(int(chance.integers(2))),
        "points_xy": frame.points_xy(points)[0],
        "labels": torch.from_numpy(labels),
    }


def _places(mask: np.ndarray, box: np.ndarray, count: int, side: int, chance: np.random.Generator) -> Float[Tensor, "n 2"]:
    """Array indices, not whole ones: half of them near the border, a quarter around the box, a quarter anywhere."""
    shape = np.asarray(mask.shape)
    if not count:  # the middle of every pixel of a frame that the picture fills
        axes = [(torch.arange(side, dtype=torch.float64) + 0.5) * int(n) / side - 0.5 for n in shape]
        return torch.cartesian_prod(*axes)
    edge = np.argwhere(mask ^ ndimage.binary_erosion(mask))
    near = edge[chance.integers(len(edge), size=count // 2)] + chance.normal(0, _NEAR * shape.max(), (count // 2, 2))
    middle, half = box.mean(0), 0.75 * (box[1] - box[0]) + 1
    around = middle + chance.uniform(-1, 1, (count // 4, 2)) * half
    rest = count - len(near) - len(around)
    anywhere = chance.uniform(-0.5, shape - 0.5, (rest, 2))
    return torch.from_numpy(np.clip(np.concatenate([near, around, anywhere]), -0.5, shape - 0.5))
