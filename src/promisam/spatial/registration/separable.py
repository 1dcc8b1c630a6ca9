"""Linear maps that act along each axis alone, as matrices: pooling, box filters, cubic B-splines."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

LEAST_CONTROLS = 4  # a cubic spline reaches over four


def along_axes(values: Float[Tensor, "n c *old"], matrices: Sequence[Float[Tensor, "_ _"]]) -> Float[Tensor, "n c *new"]:
    """Multiply every axis of space by its matrix, of shape (new size, old size)."""
    for axis, matrix in enumerate(matrices, start=2):
        before, after = values.shape[:axis], values.shape[axis + 1 :]
        if after:
            values = matrix @ values.reshape(before.numel(), matrix.shape[1], after.numel())
        else:
            values = values.reshape(-1, matrix.shape[1]) @ matrix.T
        values = values.reshape(*before, len(matrix), *after)
    return values


def area(new: int, old: int, like: Tensor) -> Float[Tensor, "new old"]:
    """Mean over the part of the line that each new sample covers; also for sizes that do not divide."""
    edges = torch.arange(new + 1, dtype=torch.float64) * (old / new)
    cells = torch.arange(old, dtype=torch.float64)
    overlap = torch.minimum(edges[1:, None], cells + 1) - torch.maximum(edges[:-1, None], cells)
    return (overlap.clamp_min(0) * (new / old)).to(like)


def box(size: int, window: int, like: Tensor) -> Float[Tensor, "size size"]:
    """Mean over a window of so many samples, or over what of it lies inside."""
    places = torch.arange(size)
    inside = ((places[:, None] - places).abs() <= window // 2).to(like)
    return inside / inside.sum(1, keepdim=True)


def cubic(size: int, controls: int, like: Tensor) -> Float[Tensor, "size controls"]:
    """Uniform cubic B-splines at the middles of so many samples; the first and last control points lie one step outside."""
    spans = controls - LEAST_CONTROLS + 1
    places = (torch.arange(size, dtype=torch.float64) + 0.5) * (spans / size)
    away = (places[:, None] - (torch.arange(controls, dtype=torch.float64) - 1)).abs()
    near, far = 2 / 3 - away**2 + away**3 / 2, (2 - away).clamp_min(0) ** 3 / 6
    return torch.where(away < 1, near, far).to(like)
