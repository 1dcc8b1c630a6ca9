"""What is done to the decoder's logits before they become a mask."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def smoothed(logits: Float[Tensor, "c y x"]) -> Float[Tensor, "c y x"]:
    """Without patterns of two and four cells, and otherwise in place.

    The decoder enlarges by two transposed convolutions of two cells each, which did not learn together with shifted tokens and
    leave such patterns on their masks. The mean over four cells takes them away exactly; a second one over two puts it back in
    the middle.
    """
    padded = F.pad(logits[None], (2, 2, 2, 2), mode="replicate")
    return F.avg_pool2d(F.avg_pool2d(padded, 4, 1), 2, 1)[0]


def opened(logits: Float[Tensor, "c y x"], size: int) -> Float[Tensor, "c y x"]:
    """Opening of the masks at every threshold at once: the largest of the smallest neighbours in a box of `size` cells."""
    before, after = (size - 1) // 2, size // 2
    lower = -F.max_pool2d(F.pad(-logits[None], (before, after, before, after), value=-torch.inf), size, 1)
    return F.max_pool2d(F.pad(lower, (after, before, after, before), value=-torch.inf), size, 1)[0]
