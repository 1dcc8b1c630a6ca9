"""An optional second loss: how far points lie on the wrong side of the mask's border.

Ours; the release teaches points by the mask's loss alone. It needs no matching of points to targets.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float32, Int64
from scipy.ndimage import distance_transform_edt
from torch import Tensor


def signed_distance(mask: Bool[np.ndarray, "y x"]) -> Float32[np.ndarray, "y x"]:
    """How far each pixel lies from the mask's border, as a share of the longer side: positive off the mask, negative on it.

    The border runs between pixels, half a pixel from either. An empty mask is one side away from everywhere (+1), and a full
    one has everything one side deep inside (-1): constant, so that neither pulls a point anywhere.
    """
    if not mask.any():
        return np.ones(mask.shape, np.float32)
    if mask.all():
        return -np.ones(mask.shape, np.float32)
    away, deep = distance_transform_edt(~mask), distance_transform_edt(mask)
    return np.asarray(np.where(mask, 0.5 - deep, away - 0.5) / max(mask.shape), np.float32)


def distance_loss(
    points_xy: Float[Tensor, "b classes n 2"],
    labels: Int64[Tensor, " n"],
    distance: Float[Tensor, "b classes y x"],
    side: int,
) -> Float[Tensor, ""]:
    """Mean over all points of the way to the right side of the border, as a share of the map's side.

    Positive points pay for being off the mask, negative ones for being on it. The gradient reaches the points through the
    bilinear sampling of the map.

    Args:
        points_xy: pixels of the model's frame; whole numbers are pixel centres, as for the prompt encoder.
        labels: 1 on the object, 0 off it, of each slot.
        distance: `signed_distance` of each class's mask over the whole frame, at any resolution.
        side: pixels of the frame.
    """
    b, classes, n, _ = points_xy.shape
    place = 2 * (points_xy + 0.5) / side - 1
    maps = distance.reshape(b * classes, 1, *distance.shape[-2:])
    found = F.grid_sample(maps, place.reshape(b * classes, n, 1, 2), padding_mode="border", align_corners=False)
    away = found.reshape(b, classes, n)
    return torch.where(labels == 1, away, -away).relu().mean()
