"""What the two forms with learned queries share: where a token lies, and a layer in which queries look at tokens."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from promisam.sam.vit import Mlp


def sine_positions(h: int, w: int, width: int, device: torch.device | None = None) -> Float[Tensor, "hw {width}"]:
    """Position code of an h x w map in row-major order: the entries of the row, then those of the column.

    As released, and not the usual code: an axis runs over 2 pi (1..h) / (h + 1e-6), entry i divides it by i + 1 (not by a power
    of 10000), sines on even and cosines on odd entries.
    """
    divisors = torch.arange(1, width // 2 + 1, device=device)
    codes = []
    for n in (h, w):
        place = torch.arange(1, n + 1, device=device)[:, None] / (n + 1e-6)
        angles = 2 * math.pi * place / divisors
        codes.append(torch.stack([angles[:, 0::2].sin(), angles[:, 1::2].cos()], 2).flatten(1))
    rows, columns = codes
    return torch.cat([rows.repeat_interleave(w, 0), columns.repeat(h, 1)], 1)


class CrossLayer(nn.Module):
    """Queries look at tokens, then an MLP; each with a skip and a norm behind it. Queries do not look at each other."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.cross_attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.attention_norm = nn.LayerNorm(width)
        self.ffn = Mlp(width, 4 * width)
        self.ffn_norm = nn.LayerNorm(width)

    def forward(
        self,
        queries: Float[Tensor, "b n c"],
        query_positions: Float[Tensor, "n c"],
        keys: Float[Tensor, "b m c"],
        values: Float[Tensor, "b m c"],
    ) -> Float[Tensor, "b n c"]:
        """Queries to queries."""
        seen, _ = self.cross_attention(queries + query_positions, keys, values, need_weights=False)
        queries = self.attention_norm(queries + seen)
        return self.ffn_norm(queries + self.ffn(queries))  # type: ignore[no-any-return]
