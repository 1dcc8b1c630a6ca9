"""An adapter that looks at neighbouring tokens of a volume (Gong et al. 2023, 3DSAM-adapter; Li et al. 2023, ProMISe)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class VolumeAdapter(nn.Module):
    """Narrow, filter each channel over 3 x 3 x 3 tokens, widen; what comes out of the last ReLU is added to the input.

    Args:
        width: channels of a token.
        hidden: channels in between; half of them as published.
        gain: of the last layer's first weights: 1 as published; less leaves a pretrained stream nearly as it is at the start
            (not 0, where the ReLU would let nothing be learned).
    """

    def __init__(self, width: int, hidden: int | None = None, *, gain: float = 1.0) -> None:
        super().__init__()
        inner = hidden or width // 2
        self.linear1 = nn.Linear(width, inner)
        self.conv = nn.Conv3d(inner, inner, 3, padding=1, groups=inner)
        self.linear2 = nn.Linear(inner, width)
        with torch.no_grad():
            for parameter in self.linear2.parameters():
                parameter.mul_(gain)

    def forward(self, x: Float[Tensor, "b h w d c"]) -> Float[Tensor, "b h w d c"]:
        """The input and what is added to it."""
        return x + self.update(x)

    def update(self, x: Float[Tensor, "b h w d c"]) -> Float[Tensor, "b h w d c"]:
        """What is added."""
        low = F.relu_(self.linear1(x)).permute(0, 4, 1, 2, 3)  # in place: neither layer needs what it gave for its gradient
        return F.relu_(self.linear2(F.relu_(self.conv(low)).permute(0, 2, 3, 4, 1)))
