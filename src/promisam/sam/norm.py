"""Layer normalisation over the channels of a map."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class LayerNorm2d(nn.Module):
    """Normalises each position of a (b, c, h, w) map over its channels; epsilon 1e-6 as in ViTDet and SAM."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Normalise, scale and shift."""
        last = F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, self.eps)
        return last.permute(0, 3, 1, 2)


class Neck(nn.Sequential):
    """From an encoder's tokens to SAM's image embedding: 1x1 and 3x3 convolutions, each normalised."""

    def __init__(self, width: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(width, out_channels, 1, bias=False),
            LayerNorm2d(out_channels),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            LayerNorm2d(out_channels),
        )

    def forward(self, tokens: Float[Tensor, "b h w c"]) -> Float[Tensor, "b d h w"]:
        """Image embedding, channels first."""
        maps = tokens.permute(0, 3, 1, 2)
        for layer in self:
            maps = layer(maps)
        return maps
