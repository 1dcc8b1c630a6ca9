"""SAMs of a few thousand weights whose answers vary: sizes in which every test takes milliseconds."""

from __future__ import annotations

from typing import Any

import torch

from promisam.sam.architecture import SamShape, build
from promisam.sam.mask_decoder import DecoderShape
from promisam.sam.model import Sam, Traits
from promisam.sam.prompt_encoder import PromptShape
from promisam.sam.tinyvit import TinyVitShape
from promisam.sam.vit import VitShape

VIT = VitShape(side=80, width=24, depth=3, heads=2, global_blocks=(1,), patch=16, window=3, mlp_width=40, out_channels=32)
TINYVIT = TinyVitShape(
    side=32,
    widths=(8, 16, 16, 24),
    depths=(1, 1, 1, 1),
    heads=(0, 2, 2, 2),
    windows=(0, 3, 4, 2),
    stem_stride=1,
    out_channels=32,
)
DECODER = DecoderShape(width=32, heads=8, mlp_width=48, depth=2, masks=4, quality_width=20)


def shape(encoder: str = "vit") -> SamShape:
    """Of a plain ViT with a 5 x 5 embedding, or of a TinyViT with 4 x 4."""
    image = VIT if encoder == "vit" else TINYVIT
    return SamShape(image, PromptShape(width=32, side=image.side, grid=5 if encoder == "vit" else 4, mask_width=8), DECODER)


def randomise(module: torch.nn.Module, seed: int = 0) -> None:
    """Normal weights of a scale at which signals neither fade nor grow, and norms that do something."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if not tensor.is_floating_point():
                continue
            noise = torch.randn(tensor.shape, generator=generator)
            if name.endswith("running_var"):
                tensor.copy_(noise.abs() + 0.5)
            elif tensor.ndim == 1 and name.endswith("weight"):  # norms
                tensor.copy_(1 + 0.2 * noise)
            elif tensor.ndim == 1:
                tensor.copy_(0.2 * noise)
            elif name.endswith("gaussian_matrix"):
                tensor.copy_(noise)
            else:
                fan_in = tensor[0].numel() if tensor.ndim > 1 else 1
                tensor.copy_(noise * (1.0 if "embed" in name or "token" in name else 1.5 * fan_in**-0.5))


def tiny(encoder: str = "vit", seed: int = 0, **traits: Any) -> Sam:
    """A SAM in evaluation mode; the same for the same seed."""
    sam = build(shape(encoder), Traits(**traits))
    randomise(sam, seed)
    return sam.eval()
