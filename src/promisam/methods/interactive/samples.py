"""What one visit of an example teaches: an object, a first prompt for it, and the seed of a simulated user's corrections."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from scipy import ndimage
from torch import Tensor

from promisam.core import Grid
from promisam.methods.interactive.config import Config
from promisam.spatial.users import first_click, jittered_box, random_points

_SMALLEST = 12  # cells of the decoder's masks: smaller parts are nothing that a person would click on at this resolution


def drawn(
    shares: UInt8[np.ndarray, "classes y x"], config: Config, cells: int, scale: float, generator: torch.Generator
) -> dict[str, Tensor] | None:
    """One object of those that are there, at random, and how it is asked for; None without any.

    Args:
        shares: how much of each cell of the decoder's masks a class covers, 0..255, without the frame's padding.
        config: options.
        cells: along a side of the decoder's masks.
        scale: pixels of the frame for each cell.
        generator: of all chance.

    Returns:
        `truth`, the share of the object in each cell; `extent`, (y, x) of cells that are not padding; `boxed`, whether the box
        `boxes_xyxy` is given or the click `points_xy`, in pixels of the frame; and `seed` of what follows.
    """
    present = [label for label, one in enumerate(shares) if (one > 127).any()]
    if not present:
        return None
    chosen = shares[present[int(torch.randint(len(present), (1,), generator=generator))]]
    seed = int(torch.randint(2**31, (1,), generator=generator))
    chance = np.random.default_rng(seed)
    mask = chosen > 127
    if config.objects == "part":
        mask = _part(mask, chance)
        chosen = chosen * ndimage.binary_dilation(mask)
    grid = Grid.of_picture((int(mask.shape[0]), int(mask.shape[1])))
    middle = chance.random() < 0.5
    click = first_click(mask, grid, chance) if middle else random_points(mask, grid, 1, chance)
    box = jittered_box(mask, grid, chance, config.box_jitter).box_zyx
    if box is None:
        raise TypeError("a box around an object is a box")
    truth = torch.from_numpy(chosen.astype(np.float32) / 255)
    return {
        "truth": F.pad(truth, (0, cells - truth.shape[1], 0, cells - truth.shape[0]))[None],
        "extent": torch.tensor(mask.shape),
        "boxed": torch.tensor(bool(chance.random() < config.boxed)),
        "boxes_xyxy": to_frame(box, scale).flatten(),
        "points_xy": to_frame(click.points_zyx, scale),
        "seed": torch.tensor(seed),
    }


def to_frame(places_yx: Float[np.ndarray, "n 2"], scale: float) -> Float[Tensor, "n 2"]:
    """Cells (y, x) of the decoder's masks as pixels (x, y) of the frame."""
    return (torch.from_numpy(places_yx[:, ::-1].copy()).float() + 0.5) * scale - 0.5


def _part(mask: Bool[np.ndarray, "y x"], chance: np.random.Generator) -> Bool[np.ndarray, "y x"]:
    """One of its connected parts: any that is no speck, or the largest where all are specks."""
    parts, count = ndimage.label(mask)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    large = np.flatnonzero(sizes >= _SMALLEST)
    chosen = chance.choice(large) if len(large) else int(sizes.argmax())
    return np.asarray(parts == chosen + 1)
