"""A TinyViT that looks at a cube slice after slice, with adapters between its blocks that look across the slices.

Ours: the paper knows plain ViTs alone. It is for the weights of LiteMedSAM and MobileSAM. The stages of full resolution are
frozen; those at the resolution of the embedding have adapters before and behind every block, as published for the ViT.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from promisam.adapters import VolumeAdapter
from promisam.core.errors import InvalidConfig
from promisam.methods.promise3d.config import Config
from promisam.methods.promise3d.encoder import VolumeNeck, quarters
from promisam.sam.tinyvit import TinyVit

_GAIN = 0.02  # of the adapters' first weights, so that training begins with the features that the SAM has learned
_RANGE = 2.5  # standardised intensities from -2.5 to 2.5, about 99 % of an object's, become what SAM takes for black to white


class Learned(nn.Module):
    """What is trained: an embedding of depth, adapters before and behind each block, necks."""

    def __init__(self, config: Config, grid: int, widths: Sequence[int], tapped: Sequence[int]) -> None:
        super().__init__()
        self.depth_embed = nn.Parameter(torch.zeros(grid, widths[0]))
        self.front = nn.ModuleList(VolumeAdapter(width, gain=_GAIN) for width in widths if config.adapters >= 1)
        self.back = nn.ModuleList(VolumeAdapter(width, gain=_GAIN) for width in widths if config.adapters == 2)
        self.necks = nn.ModuleList(VolumeNeck(width, config.neck) for width in tapped)


class VolumeTinyVit:
    """Features of cubes from a frozen TinyViT and what is trained in it.

    Attributes:
        learned: what is trained.
        channels: of the features.
        grid: tokens along a side.
    """

    def __init__(self, encoder: TinyVit, config: Config) -> None:
        """Stand on an encoder of one's own, whose tensors stay as they are.

        Raises:
            InvalidConfig: when a token would not cover whole samples, or the cube not whole tokens.
        """
        self.encoder, self.config = encoder, config
        self._step_of_depth, apart = divmod(encoder.shape.step, config.enlargement)
        if apart or not self._step_of_depth or config.patch % self._step_of_depth:
            raise InvalidConfig(
                f"patch {config.patch}, enlargement {config.enlargement} for an encoder of {encoder.shape.step} pixels a token",
                expected="an enlargement that divides the pixels of a token, and a patch of whole tokens",
                do="Try patch=64 and enlargement=1.",
            )
        self.grid = config.patch // self._step_of_depth
        late = encoder.coarse_stages
        self._early = list(encoder.layers)[: len(encoder.layers) - len(late)]
        self._steps: list[tuple[Any, Any]] = [
            (block, stage.downsample if block is stage.blocks[-1] else None) for stage in late for block in stage.blocks
        ]
        widths = [block.attn.qkv.in_features for block, _ in self._steps]
        self._taps = quarters(len(widths))
        out = [w if down is None else down.conv3.c.out_channels for w, (_, down) in zip(widths, self._steps, strict=True)]
        self.channels = config.neck
        self.learned = Learned(config, self.grid, widths, [out[tap] for tap in self._taps])

    def features(self, cubes: Float[Tensor, "b 1 d h w"]) -> list[Float[Tensor, "b c y x z"]]:
        """Four features, shallow to deep, axes (h, w, d)."""
        tokens = self._embedded(cubes)
        kept: dict[int, Tensor] = {}
        for number in range(len(self._steps)):
            if self.config.checkpointing and torch.is_grad_enabled():
                tokens = checkpoint(self._step, tokens, number, use_reentrant=False)
            else:
                tokens = self._step(tokens, number)
            if number in self._taps:
                kept[number] = tokens
        return [neck(kept[tap]) for neck, tap in zip(self.learned.necks, self._taps, strict=True)]

    def _embedded(self, cubes: Float[Tensor, "b 1 d h w"]) -> Float[Tensor, "b y x z c"]:
        """Slices, each the mean of its neighbours that share a token, through the frozen stages; the place in depth added."""
        b, _, depth, height, width = cubes.shape
        step, times = self._step_of_depth, self.config.enlargement
        slabs = cubes.reshape(b, depth // step, step, height, width).mean(2).flatten(0, 1)
        grey = ((slabs[:, None] + _RANGE) / (2 * _RANGE)).clamp(0, 1)
        large = F.interpolate(grey, scale_factor=times, mode="bilinear", align_corners=False)
        with torch.no_grad():
            tokens = self.encoder.embed(large.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last))
            for stage in self._early:
                tokens = stage(tokens)
        return _stacked(tokens, b) + self.learned.depth_embed

    def _step(self, tokens: Float[Tensor, "b y x z c"], number: int) -> Float[Tensor, "b y x z d"]:
        block, down = self._steps[number]
        if self.config.adapters >= 1:
            tokens = self.learned.front[number](tokens)
        tokens = _stacked(block(_slices(tokens)), len(tokens))
        if self.config.adapters == 2:
            tokens = self.learned.back[number](tokens)
        if down is not None:
            tokens = _stacked(down.of_tokens(_slices(tokens)), len(tokens))
        return tokens


def _slices(tokens: Float[Tensor, "b y x z c"]) -> Float[Tensor, "bz y x c"]:
    return tokens.permute(0, 3, 1, 2, 4).flatten(0, 1)


def _stacked(slices: Float[Tensor, "bz y x c"], batch: int) -> Float[Tensor, "b y x z c"]:
    return slices.reshape(batch, -1, *slices.shape[1:]).permute(0, 2, 3, 1, 4)
