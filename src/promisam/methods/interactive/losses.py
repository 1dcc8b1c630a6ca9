"""How far answers are from the object, and predicted qualities from what they are."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


def mask_loss(
    logits: Float[Tensor, "b k y x"], truth: Float[Tensor, "b 1 y x"]
) -> tuple[Float[Tensor, "b k"], Float[Tensor, "b k"]]:
    """Cross-entropy and 1 - soft Dice of every mask of every object (`training.losses.bce_dice`, without the means)."""
    logits = logits.float()
    wanted = truth.expand_as(logits)
    probability = logits.sigmoid()
    overlap = (probability * wanted).sum((2, 3))
    total = probability.sum((2, 3)) + wanted.sum((2, 3))
    entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").mean((2, 3))
    return entropy, 1 - (2 * overlap + 1) / (total + 1)


def single_or_best(losses: Float[Tensor, "b k"], ambiguous: Bool[Tensor, " b"]) -> Float[Tensor, " b"]:
    """The loss of the single mask; for an ambiguous prompt, its mean with that of the best of the others, as SAM learned."""
    single = losses[:, 0]
    if losses.shape[1] == 1:
        return single
    return torch.where(ambiguous, (single + losses[:, 1:].amin(1)) / 2, single)


@torch.no_grad()
def overlaps(logits: Float[Tensor, "b k y x"], truth: Float[Tensor, "b 1 y x"]) -> Float[Tensor, "b k"]:
    """IoU of every mask; 1 for an empty one of an empty truth."""
    found, wanted = logits > 0, truth > 0.5
    both, either = (found & wanted).sum((2, 3)), (found | wanted).sum((2, 3))
    return torch.where(either > 0, both / either.clamp(min=1), 1.0)


def quality_loss(
    predicted: Float[Tensor, "b k"], measured: Float[Tensor, "b k"], ambiguous: Bool[Tensor, " b"]
) -> Float[Tensor, " b"]:
    """Squared error of the predicted IoU: of every mask for an ambiguous prompt, else of the single one."""
    error = (predicted.float() - measured).square()
    return torch.where(ambiguous, error.mean(1), error[:, 0])
