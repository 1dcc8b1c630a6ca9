"""SAM's two-way transformer: tokens look at the image and the image at the tokens."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn


class ProjectedAttention(nn.Module):
    """Multi-head attention with its own projections, optionally in a narrower space."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, inner)
        self.k_proj = nn.Linear(width, inner)
        self.v_proj = nn.Linear(width, inner)
        self.out_proj = nn.Linear(inner, width)

    def forward(
        self,
        q: Float[Tensor, "b n c"],
        k: Float[Tensor, "b m c"],
        v: Float[Tensor, "b m c"],
        seen: Bool[Tensor, "b m"] | None = None,
    ) -> Float[Tensor, "b n c"]:
        """Queries look at keys, at all of them or at those that can be seen."""
        heads_q, heads_k, heads_v = (
            projection(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projection, x in ((self.q_proj, q), (self.k_proj, k), (self.v_proj, v))
        )
        mask = None if seen is None else seen[:, None, None]
        learning = any(x.requires_grad for x in (heads_q, heads_k, heads_v)) and heads_q.device.type == "cpu"
        attend = _in_products if learning else F.scaled_dot_product_attention
        out = attend(heads_q, heads_k, heads_v, mask)
        return self.out_proj(out.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


def _in_products(
    q: Float[Tensor, "b h n d"], k: Float[Tensor, "b h m d"], v: Float[Tensor, "b h m d"], seen: Bool[Tensor, "b 1 1 m"] | None
) -> Float[Tensor, "b h n d"]:
    """Attention as two matrix products: few tokens look, or are looked at, and the fused CPU kernel is slow backwards."""
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    shares = scores.softmax(-1) if seen is None else scores.masked_fill(~seen, -torch.inf).softmax(-1)
    return torch.matmul(shares.to(v.dtype), v)


class TokenMlp(nn.Module):
    """Two linear layers with a ReLU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.lin1 = nn.Linear(width, hidden)
        self.lin2 = nn.Linear(hidden, width)

    def forward(self, x: Float[Tensor, "*b c"]) -> Float[Tensor, "*b c"]:
        """Apply to the last axis."""
        return self.lin2(F.relu(self.lin1(x)))  # type: ignore[no-any-return]


class TwoWayLayer(nn.Module):
    """Tokens among themselves, tokens to image, MLP, image to tokens."""

    def __init__(self, width: int, heads: int, mlp_width: int, *, first: bool) -> None:
        super().__init__()
        self.first = first
        self.self_attn = ProjectedAttention(width, heads, width)
        self.norm1 = nn.LayerNorm(width)
        self.cross_attn_token_to_image = ProjectedAttention(width, heads, width // 2)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = TokenMlp(width, mlp_width)
        self.norm3 = nn.LayerNorm(width)
        self.norm4 = nn.LayerNorm(width)
        self.cross_attn_image_to_token = ProjectedAttention(width, heads, width // 2)

    def forward(
        self,
        tokens: Float[Tensor, "b n c"],
        image: Float[Tensor, "b m c"],
        token_positions: Float[Tensor, "b n c"],
        image_positions: Float[Tensor, "b m c"],
    ) -> tuple[Float[Tensor, "b n c"], Float[Tensor, "b m c"]]:
        """Tokens and image tokens after one exchange; the first layer's tokens are their own positions."""
        if self.first:
            tokens = self.norm1(self.self_attn(tokens, tokens, tokens))
        else:
            placed = tokens + token_positions
            tokens = self.norm1(tokens + self.self_attn(placed, placed, tokens))
        seen = image + image_positions
        tokens = self.norm2(tokens + self.cross_attn_token_to_image(tokens + token_positions, seen, image))
        tokens = self.norm3(tokens + self.mlp(tokens))
        answer = self.cross_attn_image_to_token(seen, tokens + token_positions, tokens)
        return tokens, self.norm4(image + answer)


class TwoWayTransformer(nn.Module):
    """Layers of exchange and a last look of the tokens at the image."""

    def __init__(self, width: int, heads: int, mlp_width: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TwoWayLayer(width, heads, mlp_width, first=i == 0) for i in range(depth))
        self.final_attn_token_to_image = ProjectedAttention(width, heads, width // 2)
        self.norm_final_attn = nn.LayerNorm(width)

    def forward(
        self, tokens: Float[Tensor, "b n c"], image: Float[Tensor, "b m c"], positions: Float[Tensor, "b m c"]
    ) -> tuple[Float[Tensor, "b n c"], Float[Tensor, "b m c"]]:
        """Final tokens and image tokens."""
        given = tokens
        for layer in self.layers:
            tokens, image = layer(tokens, image, given, positions)
        last = self.final_attn_token_to_image(tokens + given, image + positions, image)
        return self.norm_final_attn(tokens + last), image
