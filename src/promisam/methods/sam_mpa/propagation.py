"""Masks of supports, brought to an image by registration, and how far to trust them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from promisam.spatial.registration import Engine, register, warp


@dataclass(frozen=True, eq=False)
class Propagated:
    """A vote of warped masks.

    Attributes:
        shares: of the votes, for each class.
        similarity: of the image and the best of the warped ones: normalised cross-correlation.
        agreement: mean Dice between two warped masks; 1 for a single one.
        folds: share of samples where the deformations fold, weighted as the votes.
    """

    shares: Float[Tensor, "classes *space"]
    similarity: float
    agreement: float
    folds: float


def propagate(
    fixed: Float[Tensor, "*space"],
    moving: Float[Tensor, "r *space"],
    masks: Float[Tensor, "r classes *space"],
    engine: Engine,
    sharpness: float,
    spacing: tuple[float, ...] | None = None,
) -> Propagated:
    """Register supports to an image and let their warped masks vote, the more alike after warping the more."""
    found = register(fixed.expand(len(moving), *fixed.shape).contiguous(), moving, engine, spacing=spacing)
    warped = warp(masks, found.fields)
    weights = (sharpness * found.similarity).softmax(0)
    return Propagated(
        torch.einsum("r,rc...->c...", weights, warped).clamp(0, 1),
        float(found.similarity.max()),
        _agreement(warped),
        float((weights * found.folds).sum()),
    )


def most_alike(
    pooled: Float[Tensor, " p"], supports: Float[Tensor, "s p"], mean: Float[Tensor, " p"], count: int, without: int = -1
) -> Int64[Tensor, " r"]:
    """Numbers of the supports whose pooled embeddings are most alike, against what all images have in common."""
    away = F.normalize(supports - mean, dim=1) @ F.normalize(pooled - mean, dim=0)
    if without >= 0:
        away[without] = -torch.inf
    return away.topk(min(count, len(away) - (without >= 0))).indices


def _agreement(warped: Float[Tensor, "r classes *space"]) -> float:
    pairs = [2 * (a * b).sum() / (a.square().sum() + b.square().sum()).clamp(min=1e-6) for a, b in combinations(warped, 2)]
    return float(torch.stack(pairs).mean()) if pairs else 1.0
