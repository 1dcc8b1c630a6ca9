"""Clicks as the image shows them: features sampled where they are, which speak to the whole cube through a few global queries.

Li et al. 2023 (arXiv 2310.19721), section 2; Gong et al. 2023 (3DSAM-adapter), visual sampler.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from promisam.methods.promise3d.config import Config
from promisam.sam.two_way import ProjectedAttention, TokenMlp

_LAYERS, _HEADS, _NARROWER = 2, 8, 2


class QueryLayer(nn.Module):
    """Clicks and global queries see each other, then the image sees the queries."""

    def __init__(self, width: int, config: Config) -> None:
        super().__init__()
        heads = next(n for n in range(_HEADS, 0, -1) if width % n == 0 and width // _NARROWER % n == 0)
        self.queries = nn.Parameter(0.1 * torch.randn(config.queries, width))
        self.self_attn = ProjectedAttention(width, heads, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = TokenMlp(width, config.prompt_mlp)
        self.norm3 = nn.LayerNorm(width)
        self.image_attn = ProjectedAttention(width, heads, width // _NARROWER)
        self.norm4 = nn.LayerNorm(width)

    def forward(
        self, clicks: Float[Tensor, "b n c"], given: Bool[Tensor, "b n"], image: Float[Tensor, "b m c"]
    ) -> tuple[Float[Tensor, "b n c"], Float[Tensor, "b m c"]]:
        """Clicks and image tokens after one exchange; clicks that are not given are seen by nothing."""
        count = len(self.queries)
        tokens = torch.cat([self.queries.expand(len(clicks), -1, -1).to(clicks.dtype), clicks], 1)
        seen = F.pad(given, (count, 0), value=True)
        tokens = self.norm2(tokens + self.norm1(self.self_attn(tokens, tokens, tokens, seen)))
        queries = tokens[:, :count]
        queries = self.norm3(queries + self.mlp(queries))
        return tokens[:, count:], self.norm4(image + self.image_attn(image, queries, queries))


class VisualPrompts(nn.Module):
    """Tells the deepest feature of a cube what was clicked."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.layers = nn.ModuleList(QueryLayer(config.neck, config) for _ in range(_LAYERS))
        self.kinds: nn.Parameter | None = None
        if config.labels and not config.official:
            self.kinds = nn.Parameter(torch.zeros(2, config.neck))

    def forward(
        self,
        feature: Float[Tensor, "b c h w z"],
        points: Float[Tensor, "b n 3"],
        labels: Int64[Tensor, "b n"],
        patch: int,
    ) -> Float[Tensor, "b c h w z"]:
        """The feature after the clicks.

        Args:
            feature: with axes (h, w, d).
            points: (d, h, w) in samples of the cube; 0 is the middle of the first. Outside the cube there is nothing to see.
            labels: 1 on the object, 0 beside it, -1 for what pads the list.
            patch: samples along a side of the cube.
        """
        tokens = sampled(feature, points, patch)
        if self.kinds is not None:
            tokens = tokens + self.kinds[(labels == 0).long()]
        image = feature.flatten(2).transpose(1, 2)
        for layer in self.layers:
            tokens, image = layer(tokens, labels >= 0, image)
        out: Tensor = image.transpose(1, 2).reshape(feature.shape)
        return out


def sampled(feature: Float[Tensor, "b c h w z"], points: Float[Tensor, "b n 3"], patch: int) -> Float[Tensor, "b n c"]:
    """What a feature with axes (h, w, d) shows at points (d, h, w): linear, zeros outside."""
    places = (2 * (points + 0.5) / patch - 1)[..., [0, 2, 1]]  # grid_sample names the last axis first
    found = F.grid_sample(feature, places[:, :, None, None].to(feature.dtype), align_corners=False)
    return found[..., 0, 0].transpose(1, 2)
