"""Cutting a token map into square windows and joining it again."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def partition(x: Float[Tensor, "b h w c"], side: int) -> Float[Tensor, "windows {side} {side} c"]:
    """Windows in row-major order per image; the map is padded with zeros on its high sides to whole windows."""
    b, h, w, c = x.shape
    down, right = (_windows(n, side) * side - n for n in (h, w))
    x = F.pad(x, (0, 0, 0, right, 0, down))
    rows, columns = x.shape[1] // side, x.shape[2] // side
    return x.view(b, rows, side, columns, side, c).transpose(2, 3).reshape(-1, side, side, c)


def join(windows: Float[Tensor, "windows s s c"], size: tuple[int, int]) -> Float[Tensor, "b h w c"]:
    """The map of `size` that was cut into these windows, padding removed."""
    side, c = windows.shape[1], windows.shape[-1]
    rows, columns = (_windows(n, side) for n in size)
    x = windows.view(-1, rows, columns, side, side, c).transpose(2, 3).reshape(-1, rows * side, columns * side, c)
    return x[:, : size[0], : size[1]].contiguous()


def _windows(length: int, side: int) -> int:
    """Windows along an axis; without negative numbers, whose quotients exported graphs round towards zero."""
    return (length + side - 1) // side
