"""From an image's pixels to the network's numbers: channels, size, scale; and back to the image's size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float16, Real

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


def standardised(pixels: Real[np.ndarray, "c *working"]) -> Float16[np.ndarray, "c *working"]:
    """Mean 0 and deviation 1 in every channel of the image (nnU-Net); a constant channel is 0."""
    out = np.empty(pixels.shape, np.float16)
    for here, there in zip(pixels, out, strict=True):
        mean, deviation = here.mean(dtype=np.float64), here.std(dtype=np.float64)
        there[...] = (here - np.float32(mean)) / np.float32(deviation or 1)
    return out
