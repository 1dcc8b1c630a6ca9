"""The frequency adapter of I-MedSAM (Wei et al. 2024, arXiv 2311.17081, section 3.2): what an image's spectrum adds."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601


def amplitude(
    images: Float[Tensor, "b 3 y x"], channel: Literal["luminance", "red"] = "luminance", *, log: bool = False
) -> Float[Tensor, "b 1 y x"]:
    """Amplitude of the two-dimensional Fourier transform, zero frequency in the middle, stretched to 0..1 for each image.

    Args:
        images: RGB, on any scale; logarithms are meant for 0..255.
        channel: what is transformed; "red" as released, where the mean of the channels was meant.
        log: log(1 + amplitude) in place of the amplitude, of which the zero frequency otherwise takes the whole range.
    """
    weights = _LUMINANCE if channel == "luminance" else (1.0, 0.0, 0.0)
    grey = torch.einsum("bcyx,c->byx", images.float(), images.new_tensor(weights, dtype=torch.float32))[:, None]
    spectrum = torch.fft.fftshift(torch.fft.fft2(grey), dim=(-2, -1)).abs()
    if log:
        spectrum = spectrum.log1p()
    low, high = spectrum.amin((1, 2, 3), keepdim=True), spectrum.amax((1, 2, 3), keepdim=True)
    return torch.div(spectrum - low, (high - low).clamp(min=torch.finfo(spectrum.dtype).tiny))


class FrequencyAdapter(nn.Module):
    """One step of the frequency stream: a norm that is not trained, and a narrow MLP with a skip."""

    def __init__(self, width: int, hidden: int = 4) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-6).requires_grad_(False)
        self.down = nn.Linear(width, hidden)
        self.up = nn.Linear(hidden, width)

    def forward(self, stream: Float[Tensor, "b h w c"]) -> Float[Tensor, "b h w c"]:
        """Tokens of the stream to its next ones."""
        z = self.norm(stream)
        return z + self.up(F.gelu(self.down(z)))  # type: ignore[no-any-return]
