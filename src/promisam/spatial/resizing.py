"""Images at other numbers of samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32, Integer, Shaped
from torch import Tensor


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


def resized_labels(labels: Integer[np.ndarray, "*grid"], classes: int, shape: Sequence[int]) -> Integer[np.ndarray, "*working"]:
    """The label 1..classes that has the largest share of each sample, where that is at least a half; else 0."""
    found = np.zeros(tuple(shape), np.uint8 if classes < 256 else np.uint16)
    best = np.full(tuple(shape), 0.5, np.float32)
    for value in range(1, classes + 1):
        share = resized((labels == value)[None], shape)[0]
        wins = share >= best
        found[wins], best[wins] = value, share[wins]
    return found


def _linear(layers: Tensor, shape: Sequence[int]) -> Tensor:
    return F.interpolate(layers[None], tuple(shape), mode="bilinear", align_corners=False, antialias=True)[0]
