"""Losses on logits, taken once through the sigmoid inside, and never before."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def bce_dice(logits: Float[Tensor, "b c *space"], truth: Float[Tensor, "b c *space"]) -> dict[str, Tensor]:
    """Binary cross-entropy and 1 - soft Dice, each a mean over samples and classes; their sum is the loss.

    Soft Dice is (2 I + 1) / (P + T + 1) per sample and class, so that an empty truth has a loss too: Milletari et al. 2016
    (V-Net), with the smoothing of 1 that most implementations add.

    Args:
        logits: one channel for each class; classes may overlap.
        truth: 0..1, soft at borders where a mask was resized.
    """
    logits = logits.float()  # sums over many samples need more than half precision
    axes = tuple(range(2, logits.ndim))
    probability = logits.sigmoid()
    overlap, total = (probability * truth).sum(axes), probability.sum(axes) + truth.sum(axes)
    dice = (2 * overlap + 1) / (total + 1)
    return {"bce": F.binary_cross_entropy_with_logits(logits, truth), "dice": 1 - dice.mean()}
