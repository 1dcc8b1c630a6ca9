"""Position codes of the implicit field: places as sines of many frequencies.

A code is a sum of what the row gives, what the column gives and a constant, each in entries of its own; on a lattice it is
therefore known from its rows and columns.
"""

from __future__ import annotations

import math
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class PositionCode(Protocol):
    """A code of places (y, x), each coordinate from -1 to 1."""

    dims: int

    def rows(self, y: Float[Tensor, " n"]) -> Float[Tensor, "n dims"]:
        """Entries that depend on y and the constant ones; the others are 0."""
        ...

    def columns(self, x: Float[Tensor, " n"]) -> Float[Tensor, "n dims"]:
        """Entries that depend on x; the others are 0."""
        ...


class PaperCode:
    """sin(2^k pi p) and cos(2^k pi p) of y and of x, k = 0..L-1 (the paper's equation 4)."""

    def __init__(self, frequencies: int = 10) -> None:
        self.dims = 4 * frequencies
        self._factors = [math.pi * 2**k for k in range(frequencies)]

    def rows(self, y: Float[Tensor, " n"]) -> Float[Tensor, "n dims"]:
        """The first half."""
        own = self._axis(y)
        return torch.cat([own, torch.zeros_like(own)], -1)

    def columns(self, x: Float[Tensor, " n"]) -> Float[Tensor, "n dims"]:
        """The second half."""
        own = self._axis(x)
        return torch.cat([torch.zeros_like(own), own], -1)

    def _axis(self, place: Float[Tensor, " n"]) -> Float[Tensor, "n half"]:
        angles = place[:, None] * place.new_tensor(self._factors)
        return torch.cat([angles.sin(), angles.cos()], -1)


class OfficialCode:
    """The release's: of z (always -1), y and x ten sines of 2 pi p f, f from 1 to 2^10, ten a quarter on, and p itself."""

    dims = 63
    _COUNT = 10

    def rows(self, y: Float[Tensor, " n"]) -> Float[Tensor, "n dims"]:
        """Entries of z and y."""
        return self._entry(torch.full_like(y, -1.0), 0) + self._entry(y, 1)

    def columns(self, x: Float[Tensor, " n"]) -> Float[Tensor, "n dims"]:
        """Entries of x."""
        return self._entry(x, 2)

    def kept(self, epoch: int) -> int:
        """Entries, from the first, that are not masked in an epoch of training, from 0."""
        return min(int((epoch + 1) / 20 * self.dims) + 3, self.dims)

    def _entry(self, place: Float[Tensor, " n"], axis: int) -> Float[Tensor, "n dims"]:
        frequencies = 2 ** torch.linspace(0.0, 10.0, self._COUNT, device=place.device)
        angles = (2 * math.pi * place)[:, None] * frequencies
        code = place.new_zeros(len(place), self.dims)
        code[:, axis * self._COUNT : (axis + 1) * self._COUNT] = angles.sin()
        code[:, (3 + axis) * self._COUNT : (4 + axis) * self._COUNT] = (angles + math.pi / 2).sin()
        code[:, 6 * self._COUNT + axis] = place
        return code
