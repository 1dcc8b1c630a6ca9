"""The loss of I-MedSAM, from the coarse answers to the merged ones (the paper's section 3.5)."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

DICE, CROSS_ENTROPY = 0.8, 0.2  # as released
_RISE = 5  # epochs until the merged answers alone are taught


def proper_loss(logits: Float[Tensor, "b n"], truth: Float[Tensor, "b n"]) -> dict[str, Tensor]:
    """Dice and a real binary cross-entropy, weighted."""
    entropy = F.binary_cross_entropy_with_logits(logits.float(), truth.float())
    return {"dice": DICE * squared_dice(logits, truth), "bce": CROSS_ENTROPY * entropy}


def field_loss(
    coarse: Float[Tensor, "b n"],
    merged: Float[Tensor, "b n"],
    truth: Float[Tensor, "b n"],
    epoch: int,
    *,
    official: bool = False,
) -> dict[str, Tensor]:
    """The weight of the coarse answers falls from 0.8 to 0 over the first epochs, that of the merged ones rises.

    As released, everything is divided once more by the number of images.
    """
    share = min((epoch + 1) / _RISE, 1.0)
    kind = official_loss if official else proper_loss
    first, second = kind(coarse, truth), kind(merged, truth)
    divisor = len(truth) if official else 1
    return {name: ((1 - share) * first[name] + share * second[name]) / divisor for name in first}


def official_loss(logits: Float[Tensor, "b n"], truth: Float[Tensor, "b n"]) -> dict[str, Tensor]:
    """0.8 of the Dice loss; the release's cross-entropy is a softmax over one class, which is always 0."""
    return {"dice": DICE * squared_dice(logits, truth)}


def squared_dice(logits: Float[Tensor, "b n"], truth: Float[Tensor, "b n"]) -> Float[Tensor, ""]:
    """1 - Dice with squares in the denominator, smoothing 1e-5, mean over images."""
    p, t = logits.float().sigmoid(), truth.float()
    return (1 - (2 * (p * t).sum(1) + 1e-5) / ((p * p).sum(1) + (t * t).sum(1) + 1e-5)).mean()
