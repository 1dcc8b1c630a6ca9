"""What one visit of an example teaches: points drawn as a user would give them."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from promisam.core import Grid
from promisam.spatial.users import random_points


def drawn_points(
    shares: Float[Tensor, "classes y x"], count: int, scale: float, generator: torch.Generator
) -> dict[str, Tensor] | None:
    """One of the classes that are there, at random, and points drawn from its mask; None where there is nothing.

    Args:
        shares: how much of each cell of the decoder's masks a class covers.
        count: of points, the first half (rounded down) on the object.
        scale: pixels of the frame for each cell.
        generator: of all chance.
    """
    present = [label for label, one in enumerate(shares) if (one > 0.5).any()]
    if not present:
        return None
    chosen = present[int(torch.randint(len(present), (1,), generator=generator))]
    seed = int(torch.randint(2**31, (1,), generator=generator))
    mask = (shares[chosen] > 0.5).numpy()
    drawn = random_points(mask, Grid.of_picture(mask.shape), count, np.random.default_rng(seed))
    place = torch.from_numpy(drawn.points_zyx[:, ::-1].copy()).float()
    return {
        "class": torch.tensor(chosen),
        "points_xy": (place + 0.5) * scale - 0.5,
        "labels": torch.from_numpy(drawn.labels.copy()),
    }
