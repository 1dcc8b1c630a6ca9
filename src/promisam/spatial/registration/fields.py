"""Displacement fields: sampling through them, composing them, and what they do to an image.

A field holds, for every sample x of the fixed image, the way to the matching place of the moving image: moving at x + field(x)
looks like fixed at x. It is measured in samples, in array order: (y, x) or (z, y, x).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

LEAST_CONTRAST = 1e-4  # standard deviation, of intensities from 0 to 1


def warp(values: Float[Tensor, "n c *space"], fields: Float[Tensor, "n d *space"]) -> Float[Tensor, "n c *space"]:
    """Sample values at x + field(x), linearly; beyond the border lies what the border shows.

    Args:
        values: an image, a soft mask or another field, on the grid of the moving image.
        fields: displacements in samples, in array order.
    """
    sizes = values.shape[2:]
    lines = (torch.arange(size, device=values.device, dtype=values.dtype) for size in sizes)
    places = torch.stack(torch.meshgrid(*lines, indexing="ij")) + fields.to(values.dtype)
    scale = torch.tensor([2 / size for size in sizes], device=values.device, dtype=values.dtype)
    normalised = (places.movedim(1, -1) + 0.5) * scale - 1
    return F.grid_sample(values, normalised.flip(-1), mode="bilinear", padding_mode="border", align_corners=False)


def compose(first: Float[Tensor, "n d *space"], then: Float[Tensor, "n d *space"]) -> Float[Tensor, "n d *space"]:
    """The one field that leads from x by `first`, and from the place reached by `then`."""
    return first + warp(then, first)


def similarity(one: Float[Tensor, "n *space"], other: Float[Tensor, "n *space"]) -> Float[Tensor, " n"]:
    """Global normalised cross-correlation, -1 to 1; 0 where an image shows no contrast."""
    one, other = (image.flatten(1).double() for image in (one, other))
    one, other = one - one.mean(1, keepdim=True), other - other.mean(1, keepdim=True)
    strength = one.norm(dim=1) * other.norm(dim=1)
    flat = strength < LEAST_CONTRAST**2 * one.shape[1]
    return torch.where(flat, 0.0, (one * other).sum(1) / strength.clamp_min(1e-12)).clamp(-1, 1).float()


def folds(fields: Float[Tensor, "n d *space"]) -> Float[Tensor, " n"]:
    """Share of samples, 0 to 1, where x + field(x) turns the image inside out: its Jacobian determinant is <= 0.

    Derivatives are central differences, one-sided at the border.
    """
    axes = range(2, fields.ndim)
    derivatives = torch.stack([_slope(fields, axis) for axis in axes], dim=2)  # n, component, axis, *space
    jacobian = derivatives.movedim((1, 2), (-2, -1)) + torch.eye(len(axes), device=fields.device, dtype=fields.dtype)
    return (_determinant(jacobian) <= 0).float().flatten(1).mean(1)


def _slope(fields: Float[Tensor, "n d *space"], axis: int) -> Float[Tensor, "n d *space"]:
    return torch.gradient(fields, dim=axis)[0] if fields.shape[axis] > 1 else torch.zeros_like(fields)


def _determinant(matrices: Float[Tensor, "*batch d d"]) -> Float[Tensor, "*batch"]:
    """Written out: torch.linalg.det factorises each of the many tiny matrices, some hundred times slower."""
    rows = matrices.unbind(-2)
    if len(rows) == 3:
        triple: Tensor = rows[0] * torch.linalg.cross(rows[1], rows[2])
        return triple.sum(-1)
    return rows[0][..., 0] * rows[1][..., 1] - rows[0][..., 1] * rows[1][..., 0]
