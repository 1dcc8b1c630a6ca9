"""What ProMISe-3D asks of an encoder of cubes, whatever the SAM's architecture."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

LEVELS = 4  # features of a cube


@runtime_checkable
class CubeEncoder(Protocol):
    """A frozen SAM's image encoder that sees cubes, and what is trained for it."""

    @property
    def learned(self) -> nn.Module:
        """All that is trained and saved, and nothing of the SAM."""
        ...

    @property
    def channels(self) -> int:
        """Of each feature."""
        ...

    def features(self, cubes: Float[Tensor, "b 1 d h w"]) -> list[Float[Tensor, "b c x y z"]]:
        """Four features, shallow to deep, with axes (h, w, d)."""
        ...


def quarters(blocks: int) -> list[int]:
    """Numbers of the blocks behind which features are taken: a quarter, a half, three quarters and all of them are done."""
    return [-(-blocks * part // LEVELS) - 1 for part in range(1, LEVELS + 1)]


class VolumeNeck(nn.Module):
    """From tokens to a feature: a linear layer and a 3 x 3 x 3 convolution, each normalised over channels."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, channels, bias=False)
        self.norm1 = nn.LayerNorm(channels, eps=1e-6)
        self.conv = nn.Conv3d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.LayerNorm(channels, eps=1e-6)

    def forward(self, tokens: Float[Tensor, "b x y z c"]) -> Float[Tensor, "b e x y z"]:
        """Channels first."""
        narrow = self.norm1(self.linear(tokens)).permute(0, 4, 1, 2, 3)
        return self.norm2(self.conv(narrow).permute(0, 2, 3, 4, 1)).permute(0, 4, 1, 2, 3)  # type: ignore[no-any-return]
