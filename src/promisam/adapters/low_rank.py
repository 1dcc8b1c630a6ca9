"""Low-rank adaptation of linear layers (LoRA; Hu et al. 2022, arXiv 2106.09685)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from promisam.core.errors import InvalidConfig


class LowRank(nn.Module):
    """What is added to a linear layer: B A x on some of its outputs; nothing at the start, since B begins at zero.

    Args:
        inputs: of the layer.
        outputs: of the layer.
        parts: numbers of the outputs that share one pair A and B, for each pair.
        rank: rows of A. There is no further factor (alpha / r).
        gated: whether a learned number for each map of tokens, from the mean of its tokens, multiplies what is added.
    """

    def __init__(
        self, inputs: int, outputs: int, parts: Sequence[Int64[Tensor, " _"]], rank: int, *, gated: bool = False
    ) -> None:
        super().__init__()
        self.outputs = outputs
        self.down = nn.ParameterList(nn.Parameter(torch.empty(rank, inputs)) for _ in parts)
        self.up = nn.ParameterList(nn.Parameter(torch.zeros(len(rows), rank)) for rows in parts)
        self.gate = nn.Linear(inputs, 1, bias=False) if gated else None
        for a in self.down:
            nn.init.kaiming_uniform_(a, a=math.sqrt(5))
        for number, rows in enumerate(parts):
            self.register_buffer(f"rows{number}", rows, persistent=False)

    def forward(self, x: Float[Tensor, "b *n i"]) -> Float[Tensor, "b *n o"]:
        """What is added for tokens, channels last; each entry along the first axis is a map of its own."""
        low = F.linear(x, torch.cat(list(self.down)))
        if self.gate is not None:
            mean = x.mean(tuple(range(1, x.ndim - 1)), keepdim=True)
            low = low * self.gate(mean)
        return F.linear(low, self._up())

    def update(self) -> Float[Tensor, "o i"]:
        """What is added to the layer's weight.

        Raises:
            InvalidConfig: for a gate, which depends on the input.
        """
        if self.gate is not None:
            raise InvalidConfig(
                "a gated low-rank term, to be merged into a weight", expected="one without a gate", do="Leave it unmerged."
            )
        return torch.matmul(self._up(), torch.cat(list(self.down)))

    def _up(self) -> Float[Tensor, "o r"]:
        rank = self.up[0].shape[1]
        wide: Tensor = self.up[0].new_zeros(self.outputs, rank * len(self.up))
        for number, b in enumerate(self.up):
            wide[self.get_buffer(f"rows{number}"), number * rank : (number + 1) * rank] = b
        return wide


class Adapted(nn.Module):
    """A linear layer, which stays as it is, and what is added to it."""

    def __init__(self, linear: nn.Linear, term: LowRank) -> None:
        super().__init__()
        self.linear = linear
        self.term = term
        self._merged: Tensor | None = None

    def forward(self, x: Float[Tensor, "b *n i"]) -> Float[Tensor, "b *n o"]:
        """Both, in one product while they are merged."""
        if self._merged is not None:
            return F.linear(x, self._merged, self.linear.bias)
        return self.linear(x) + self.term(x)  # type: ignore[no-any-return]

    def merge(self) -> None:
        """Add the term to a copy of the weight, as it is now; the layer's own weight is not touched."""
        with torch.no_grad():
            self._merged = self.linear.weight + self.term.update()

    def unmerge(self) -> None:
        """Take it out again: to the last bit what there was before."""
        self._merged = None
