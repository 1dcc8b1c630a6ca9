"""Slots that points come in: their fixed labels and where in the image they lie."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

# Steps of the two-dimensional low-discrepancy sequence of Roberts (2018): 1/g and 1/g² for g³ = g + 1.
_STEPS = (0.7548776662466927, 0.5698402909980532)


def slot_labels(points: int) -> Int64[Tensor, " {points}"]:
    """1 for the first half of the slots (rounded down), on the object; 0 for the rest, off it: as released, for every image."""
    return (torch.arange(points) < points // 2).long()


def anchors(points: int) -> Float[Tensor, "{points} 2"]:
    """Positions (x, y) in the unit square that cover it evenly.

    Every run of them is spread evenly too, so that the positive slots and the negative ones each cover the image.
    """
    place = torch.arange(points, dtype=torch.float64)[:, None] * torch.tensor(_STEPS, dtype=torch.float64)
    return ((0.5 + place) % 1).float()


class Slots(nn.Module):
    """Any numbers to points inside the image.

    As released: their sigmoid, so that all points begin near the centre. Anchored: each slot begins at a place of its own, and
    the hyperbolic tangent of a number is its offset as a share of the way to the image's border, so that a point reaches all of
    the image, never has to be clipped and so never loses its gradient. Wang et al. 2024 publish the first; the second is ours.

    Args:
        classes: groups of slots.
        points: slots of a group; all groups have the same anchors.
        anchored: which of the two.
    """

    def __init__(self, classes: int, points: int, *, anchored: bool) -> None:
        super().__init__()
        self.classes, self.points = classes, points
        self.register_buffer("anchors", anchors(points) if anchored else None, persistent=False)
        self.anchors: Tensor | None

    def forward(self, raw: Float[Tensor, "b classes points 2"]) -> Float[Tensor, "b classes points 2"]:
        """Unit points (x, y): times the side of the model's frame they are its pixels."""
        raw = raw.float()  # the frame has more pixels than half precision has steps
        if self.anchors is None:
            return raw.sigmoid()
        room = torch.where(raw > 0, 1 - self.anchors, self.anchors)
        return self.anchors + raw.tanh() * room
