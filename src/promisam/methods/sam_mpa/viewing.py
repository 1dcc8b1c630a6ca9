"""A picture as the frozen SAM sees it, and what of that tells one place from another."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from skimage.color import rgb2lab
from torch import Tensor

from promisam.core import Grid, Image
from promisam.sam.frame import Frame
from promisam.sam.model import Sam
from promisam.sam.picture import Precision, encoder_precision, framed
from promisam.sam.pooling import means_inside
from promisam.sam.taps import default_taps

POOLED = 4  # parts to a side that the embedding is averaged over, to compare whole pictures
_BLUR = 5  # places to a side


@dataclass(frozen=True, eq=False)
class View:
    """A picture, encoded.

    Attributes:
        grid: of the picture.
        frame: how it sits in the model's frame.
        embedding: of the image encoder.
        features: after several blocks and after the last, at the places of the embedding that the picture covers; None where
            they are no longer needed.
        appearance: colour against the picture's own, and position, at the same places.
    """

    grid: Grid
    frame: Frame
    embedding: Float[Tensor, "1 c g g"]
    features: Float[Tensor, "f v u"] | None
    appearance: Float[Tensor, "a v u"]

    @property
    def lean(self) -> View:
        """Without the features, which take most of the memory."""
        return replace(self, features=None)

    @property
    def pooled(self) -> Float[Tensor, " p"]:
        """What the picture shows as a whole, of length 1."""
        return F.normalize(means_inside(self.embedding, self.frame, POOLED).flatten(), dim=0)

    @property
    def cells(self) -> tuple[int, int]:
        """(y, x) of the picture in the decoder's masks."""
        return self.frame.cells(self.embedding.shape[-1])


@torch.inference_mode()
def view(sam: Sam, prepared: Image, precision: Precision) -> View:
    """Encode a picture in 0..255."""
    frame, pixels = framed(sam, prepared)
    with encoder_precision(sam, precision):
        embedding, inner = sam.image_encoder.features(pixels, default_taps(sam.image_encoder))
    grid = embedding.shape[-1]
    height, width = (-(-n * grid // frame.side) for n in frame.resized)
    deep = [_resized(one.float().movedim(-1, 1), grid) for one in inner]
    features = torch.cat([*deep, embedding.float()], 1)[0, :, :height, :width]
    appearance = _appearance(prepared, (height, width)).to(features.device)
    return View(prepared.grid, frame, embedding.float(), features, appearance)


def _resized(features: Float[Tensor, "1 f y x"], grid: int) -> Float[Tensor, "1 f g g"]:
    if features.shape[-1] == grid:
        return features
    return F.interpolate(features, (grid, grid), mode="bilinear", align_corners=False)


def _appearance(prepared: Image, places: tuple[int, int]) -> Float[Tensor, "a v u"]:
    """CIELAB against its median in the picture, sharp and blurred, and x and y from -1 to 1."""
    colour = prepared.pixels[:3] if prepared.channels >= 3 else prepared.pixels[:1].repeat(3, axis=0)
    lab = torch.from_numpy(rgb2lab(colour.astype(np.float32) / 255, channel_axis=0)).float()[None]
    sharp = F.interpolate(lab, places, mode="area")
    blurred = F.avg_pool2d(sharp, _BLUR, 1, _BLUR // 2, count_include_pad=False)
    y, x = torch.meshgrid(*((torch.arange(n) + 0.5) / n * 2 - 1 for n in places), indexing="ij")
    return torch.cat([_against_median(sharp[0]), _against_median(blurred[0]), torch.stack([x, y])])


def _against_median(values: Float[Tensor, "c v u"]) -> Float[Tensor, "c v u"]:
    flat = values.flatten(1)
    median, spread = flat.median(1).values, flat.std(1, correction=0)
    return (values - median[:, None, None]) / (spread[:, None, None] + 1)
