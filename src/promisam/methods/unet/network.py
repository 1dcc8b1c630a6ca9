"""The network: how deep, how large its input, and its first weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from monai.networks.nets.unet import UNet as MonaiUNet
from torch import nn

WIDEST = 256  # channels; nnU-Net stops at 512 in pictures and 320 in volumes, for four times as many weights
SMALLEST = 4  # samples to which an axis may shrink (nnU-Net)


@dataclass(frozen=True)
class Plan:
    """Which axes are halved from level to level, and the input that fits.

    Attributes:
        strides: for each step down, 2 for the axes that are halved and 1 for the others.
        shape: samples of the input along each axis: what was wanted, rounded up to what can be halved that often.
    """

    strides: tuple[tuple[int, ...], ...]
    shape: tuple[int, ...]


def plan(wanted: Sequence[int], spacing: Sequence[float | int], levels: int) -> Plan:
    """Halve every axis while it stays long enough, the coarse ones once the others have become as coarse (nnU-Net's rule)."""
    lengths, steps, strides = list(wanted), list(spacing), []
    for _ in range(levels - 1):
        long = [n >= 2 * SMALLEST for n in lengths]
        if not any(long):
            break
        finest = min(step for step, enough in zip(steps, long, strict=True) if enough)
        halved = [enough and step < 2 * finest for step, enough in zip(steps, long, strict=True)]
        strides.append(tuple(1 + yes for yes in halved))
        lengths = [-(-n // (1 + yes)) for n, yes in zip(lengths, halved, strict=True)]
        steps = [step * (1 + yes) for step, yes in zip(steps, halved, strict=True)]
    strides = strides or [(1,) * len(lengths)]
    factors = [2 ** sum(stride[axis] == 2 for stride in strides) for axis in range(len(lengths))]
    return Plan(tuple(strides), tuple(n * factor for n, factor in zip(lengths, factors, strict=True)))


def build(channels: int, classes: int, width: int, strides: Sequence[Any], seed: int) -> nn.Module:
    """MONAI's U-Net with two convolutions in each residual unit and instance norm; the same weights for the same seed.

    The random state of the process is not touched.
    """
    widths = [min(width * 2**level, max(WIDEST, width)) for level in range(len(strides) + 1)]
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed every GPU, too
        return MonaiUNet(len(strides[0]), channels, classes, widths, strides, num_res_units=2, norm="instance")
