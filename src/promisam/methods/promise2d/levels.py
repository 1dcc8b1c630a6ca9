"""Features of several depths of an encoder, side by side."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def as_maps(features: Sequence[Float[Tensor, "b _ _ _"]]) -> list[Float[Tensor, "b _ h w"]]:
    """Tokens (b, h, w, c) to maps (b, c, h, w) of one size: that of the coarsest, which the others reach by area averages.

    A plain ViT's features have one size anyhow and are not touched; of TinyViT's, earlier stages can be finer.
    """
    size = min((tuple(tokens.shape[1:3]) for tokens in features), key=lambda hw: hw[0] * hw[1])
    maps = [tokens.permute(0, 3, 1, 2) for tokens in features]
    return [x if tuple(x.shape[-2:]) == size else F.interpolate(x, size, mode="area") for x in maps]
