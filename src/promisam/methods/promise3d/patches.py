"""Tokens of a cube without its enlargement.

As published a cube is enlarged (trilinear, four times along each axis), SAM's patch embedding runs over each of the enlarged
slices, and a convolution along depth joins 16 of its outcomes (Li et al. 2023, arXiv 2310.19721; Gong et al. 2023,
3DSAM-adapter). All three are linear and the image's three channels are equal, so that they are one convolution of the cube
itself: with 6 x 6 x 6 weights and a step of 4 where the enlargement is 4, in place of 512 slices of 512 x 512 pixels.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn


@dataclass(frozen=True)
class Taps:
    """Along one axis: the samples that each token is made of, and what each counts for each of the token's pixels.

    Attributes:
        samples: of each token; those beyond an edge are the sample at the edge.
        weights: by phase. Where a token spans no whole number of samples, tokens lie differently between samples; token i is of
            phase i modulo the number of phases.
    """

    samples: Int64[Tensor, "g k"]
    weights: Float[Tensor, "phases pixels k"]

    @property
    def phases(self) -> int:
        """After how many tokens the weights come again."""
        return len(self.weights)


def taps(side: int, enlargement: int, pixels: int) -> Taps:
    """Of linear interpolation (pixel centres aligned, edges repeated) followed by patches.

    Args:
        side: samples of the cube.
        enlargement: pixels for each sample.
        pixels: of a patch.
    """
    tokens = side * enlargement // pixels
    sources = ((torch.arange(tokens * pixels, dtype=torch.float64) + 0.5) / enlargement - 0.5).view(tokens, pixels)
    first = sources[:, 0].floor()
    count = int((sources[:, -1].ceil() - first).max()) + 1
    places = first[:, None] + torch.arange(count, dtype=torch.float64)
    phases = enlargement // math.gcd(pixels, enlargement)
    weights = (1 - (sources[:phases, :, None] - places[:phases, None]).abs()).clamp(min=0)
    return Taps(places.long().clamp(0, side - 1), weights.float())


def embed_cubes(
    cubes: Float[Tensor, "b 1 d h w"], patch: nn.Conv2d, depth: nn.Conv1d, enlargement: int
) -> Float[Tensor, "b x y z c"]:
    """Tokens, with axes (h, w, d), of cubes of equal sides.

    Always in float32: it is a thousandth of the encoder's work, and intensities deserve more than bfloat16's three digits.

    Args:
        cubes: intensities, standardised.
        patch: SAM's patch embedding.
        depth: of as many inputs as a patch has pixels along a side, each channel alone.
        enlargement: pixels for each sample.
    """
    axis = taps(cubes.shape[-1], enlargement, patch.kernel_size[0])
    samples, weights = axis.samples.to(cubes.device), axis.weights.to(cubes.device)
    volume, side = cubes[:, 0].permute(0, 2, 3, 1).float(), len(samples)
    with torch.autocast(cubes.device.type, enabled=False):
        grey = patch.weight.float().sum(1)
        along = depth.weight[:, 0].float()
        bias = along.sum(-1) * _bias(patch).float() + _bias(depth).float()
        tokens = volume.new_empty(len(volume), side, side, side, len(grey))
        for h, w, d in itertools.product(range(axis.phases), repeat=3):
            plane = torch.einsum("cyx,yi,xj->cij", grey, weights[h], weights[w])
            kernel = torch.einsum("cij,ck->cijk", plane, along @ weights[d]).flatten(1)
            own = [samples[phase :: axis.phases] for phase in (h, w, d)]
            seen = volume[
                :, own[0][:, None, None, :, None, None], own[1][:, None, None, :, None], own[2][:, None, None, :]
            ].flatten(4)
            into = tuple(slice(phase, None, axis.phases) for phase in (h, w, d))
            tokens[(slice(None), *into)] = torch.addmm(bias, seen.flatten(0, 3), kernel.T).view(*seen.shape[:4], -1)
    return tokens


def _bias(layer: nn.Conv1d | nn.Conv2d) -> Tensor:
    if layer.bias is None:
        raise AssertionError("both embeddings have a bias")
    return layer.bias
