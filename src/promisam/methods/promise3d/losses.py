"""The loss of ProMISe-3D: Dice, cross-entropy, and where the border lies (Li et al. 2023, arXiv 2310.19721)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from promisam.methods.promise3d.config import Config

_DICE, _CROSS_ENTROPY = 0.5, 0.5  # as released
_SMOOTH = 1e-5
_KERNEL = 5
_PLANES: dict[str, tuple[int, int, int]] = {
    "slices": (1, _KERNEL, _KERNEL),
    "released": (_KERNEL, _KERNEL, 1),
    "all": (_KERNEL, _KERNEL, _KERNEL),
}


def boundary_map(
    masks: Float[Tensor, "b d h w"], plane: Literal["slices", "released", "all"], *, zeros_outside: bool = False
) -> Float[Tensor, "b d h w"]:
    """How much masks differ from their mean over five samples along each axis of the plane.

    Across a flat face it is 0, .2, .4 | .4, .2, 0.

    Args:
        masks: 0..1.
        plane: of the mean: within the slices; over the first two axes, as released; in every direction.
        zeros_outside: whether there is background around the cube, as released; else nothing is beyond its faces.
    """
    size = _PLANES[plane]
    pad = tuple(n // 2 for n in size)
    return (masks - F.avg_pool3d(masks[:, None], size, 1, pad, count_include_pad=zeros_outside)[:, 0]).abs()


def click_loss(logits: Float[Tensor, "b 2 d h w"], truth: Float[Tensor, "b d h w"], config: Config) -> dict[str, Tensor]:
    """Parts whose sum is the loss, each a mean over the cubes.

    As released the boundary term compares the background's probability too, whose border at the cube's faces, outside of which
    there is neither class, costs a perfect answer more than it costs to answer background everywhere. DEVIATION: the object
    alone, and no border at faces.

    Args:
        logits: of background and object.
        truth: 0..1.
        config: options.
    """
    margin = logits[:, 1].float() - logits[:, 0].float()  # the softmax of two classes is the sigmoid of their difference
    truth = truth.float()
    probability = margin.sigmoid()
    return {
        "dice": _DICE * dice_loss(probability, truth),
        "ce": _CROSS_ENTROPY * F.binary_cross_entropy_with_logits(margin, truth),
        "boundary": config.boundary * _boundary(probability, truth, config),
    }


def dice_loss(probability: Float[Tensor, "b d h w"], truth: Float[Tensor, "b d h w"]) -> Float[Tensor, ""]:
    """1 - Dice, smoothing 1e-5, mean over cubes."""
    overlap, total = (probability * truth).sum((1, 2, 3)), probability.sum((1, 2, 3)) + truth.sum((1, 2, 3))
    return (1 - (2 * overlap + _SMOOTH) / (total + _SMOOTH)).mean()


def _boundary(probability: Tensor, truth: Tensor, config: Config) -> Float[Tensor, ""]:
    """Mean squared difference of boundary maps; 0 for cubes without the object."""
    official = config.official
    plane = "released" if official else config.boundary_plane
    wanted = boundary_map(truth, plane, zeros_outside=official)
    classes = [probability, 1 - probability] if official else [probability]
    apart = [(boundary_map(p, plane, zeros_outside=official) - wanted).square().mean((1, 2, 3)) for p in classes]
    return (torch.stack(apart).mean(0) * truth.flatten(1).amax(1).gt(0)).mean()
