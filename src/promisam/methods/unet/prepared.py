"""From an image's pixels to the network's numbers: channels, size, scale; and back to the image's size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float16, Float32, Real, Shaped
from torch import Tensor

from promisam.core import Grid, Task
from promisam.core.errors import InvalidImage

LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601: what most programs make grey pictures with


@dataclass(frozen=True, eq=False)
class Prepared:
    """An image as the network takes it: z-scored, at the working size, not yet padded."""

    grid: Grid
    pixels: Float16[np.ndarray, "c *working"]


def channels_of(task: Task) -> int:
    """Of the network: those of the images; pictures of four have colour and a transparency that is not looked at."""
    return 3 if task.ndim == 2 and task.channels == 4 else task.channels


def matched(pixels: Real[np.ndarray, "c *grid"], task: Task) -> Real[np.ndarray, "d *grid"]:
    """Pixels with as many channels as the network has: pictures may be grey or in colour, volumes must agree.

    Raises:
        InvalidImage: for a number of channels that has no meaning for the network.
    """
    given, wanted = pixels.shape[0], channels_of(task)
    if given == wanted:
        return pixels
    if task.ndim == 2 and given == 4:
        return matched(pixels[:3], task)
    if task.ndim == 2 and (given, wanted) == (1, 3):
        return pixels.repeat(3, axis=0)
    if task.ndim == 2 and (given, wanted) == (3, 1):
        weighted = sum(weight * channel.astype(np.float64) for weight, channel in zip(LUMINANCE, pixels, strict=True))
        return np.asarray(weighted, np.float32)[None]
    raise InvalidImage(
        f"an image of {given} channels for a U-Net that learned from images of {wanted}",
        expected=f"{wanted} channels" + (", or grey or colour pictures" if task.ndim == 2 and wanted in (1, 3) else ""),
        do="Give images of the same kind as those of training.",
    )


def resized(array: Shaped[np.ndarray, "c *grid"], shape: Sequence[int]) -> Float32[np.ndarray, "c *working"]:
    """Linear, averaging where it shrinks, over the same extent (borders of the outermost samples kept)."""
    if array.shape[1:] == tuple(shape):
        return np.asarray(array, np.float32)
    out = np.empty((len(array), *shape), np.float32)
    for here, there in zip(array, out, strict=True):  # one after the other: a volume's channels would not all fit
        layers = torch.from_numpy(np.array(here, np.float32, ndmin=3))
        plane = _linear(layers, shape[-2:])
        if len(shape) == 3:  # no linear resize of three axes averages, so the first follows as one axis of a long picture
            plane = _linear(plane.flatten(1)[None], (shape[0], shape[1] * shape[2]))
        there[...] = plane.reshape(tuple(shape)).numpy()
    return out


def standardised(pixels: Real[np.ndarray, "c *working"]) -> Float16[np.ndarray, "c *working"]:
    """Mean 0 and deviation 1 in every channel of the image (nnU-Net); a constant channel is 0."""
    out = np.empty(pixels.shape, np.float16)
    for here, there in zip(pixels, out, strict=True):
        mean, deviation = here.mean(dtype=np.float64), here.std(dtype=np.float64)
        there[...] = (here - np.float32(mean)) / np.float32(deviation or 1)
    return out


def _linear(layers: Tensor, shape: Sequence[int]) -> Tensor:
    return F.interpolate(layers[None], tuple(shape), mode="bilinear", align_corners=False, antialias=True)[0]
