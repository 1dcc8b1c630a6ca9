"""Between an image's pixels and the model's square frame: the one place where SAM's (x, y) exist.

The image is resized so that its longer side fills the frame and padded on the right and bottom. Coordinates follow the
official rule: an index is multiplied by the ratio of the sides, pixel for pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

# Logit of a pixel that a mask prompt marks (or, negative, does not): about what SAM's own masks carry.
MASK_STRENGTH = 8.0


@dataclass(frozen=True)
class Frame:
    """How one picture sits in the frame.

    Attributes:
        shape: (y, x) of the picture.
        side: pixels of the frame.
        stretch: whether the picture fills the frame in both directions, each at a scale of its own, in place of being padded.
    """

    shape: tuple[int, int]
    side: int
    stretch: bool = False

    @property
    def resized(self) -> tuple[int, int]:
        """(y, x) of the picture inside the frame; at least one pixel each."""
        if self.stretch:
            return self.side, self.side
        scale = self.side / max(self.shape)
        return max(1, int(self.shape[0] * scale + 0.5)), max(1, int(self.shape[1] * scale + 0.5))

    def resize(self, pixels: Shaped[np.ndarray, "c y x"], *, antialias: bool = True) -> Float[Tensor, "1 3 v u"]:
        """The picture at its size in the frame, in 0..255, three channels, not yet padded.

        Bilinear; with anti-aliasing it is what the official resize of 8-bit pictures does.
        """
        colour = pixels[:3] if pixels.shape[0] >= 3 else pixels[:1].repeat(3, axis=0)
        image = torch.from_numpy(np.require(colour, np.float32, ("C", "W")))[None]
        if image.shape[-2:] != self.resized:
            image = F.interpolate(image, self.resized, mode="bilinear", align_corners=False, antialias=antialias)
        return image

    def pad(self, image: Float[Tensor, "b c v u"]) -> Float[Tensor, "b c side side"]:
        """Zeros on the right and the bottom."""
        return F.pad(image, (0, self.side - image.shape[-1], 0, self.side - image.shape[-2]))

    def points_xy(self, points_zyx: Float[np.ndarray, "n 2"]) -> Float[Tensor, "1 n 2"]:
        """Array indices (y, x) of the picture to (x, y) of the frame."""
        scale = np.array([self.resized[1] / self.shape[1], self.resized[0] / self.shape[0]])
        return torch.from_numpy(points_zyx[:, ::-1] * scale).float()[None]

    def box_xyxy(self, box_zyx: Float[np.ndarray, "2 2"]) -> Float[Tensor, "1 4"]:
        """Lowest and highest index (y, x) of the picture to x0, y0, x1, y1 of the frame."""
        return self.points_xy(box_zyx).reshape(1, 4)

    def mask_logits(self, mask: Bool[np.ndarray, "y x"], grid: int) -> Float[Tensor, "1 1 m m"]:
        """A true/false mask of the picture as the logits that the prompt encoder takes, 4 * grid to a side.

        The share of marked pixels under each cell goes through the inverse sigmoid, cut at `MASK_STRENGTH`; the padding is off.
        """
        cells = 4 * grid
        share = self.shares(mask[None], grid)
        extent = share.shape[-2:]
        logits = torch.logit(share, eps=1e-6).clamp(-MASK_STRENGTH, MASK_STRENGTH)
        return F.pad(logits, (0, cells - extent[1], 0, cells - extent[0]), value=-MASK_STRENGTH)

    def cells(self, grid: int) -> tuple[int, int]:
        """(y, x) of the picture in cells of the decoder's masks, 4 * grid to a side; at least one each."""
        height, width = (max(1, round(n * 4 * grid / self.side)) for n in self.resized)
        return height, width

    def shares(self, masks: Shaped[np.ndarray, "c y x"], grid: int) -> Float[Tensor, "1 c _ _"]:
        """How much of each cell of the decoder's masks (4 * grid to a side) the masks cover, 0..1, without the padding."""
        given = torch.from_numpy(np.require(masks, np.float32, ("C", "W")))[None]
        return F.interpolate(given, self.cells(grid), mode="bilinear", align_corners=False, antialias=True).clamp(0, 1)

    def points_zyx(self, points_xy: Float[Tensor, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """(x, y) of the frame to array indices (y, x) of the picture, the nearest on it."""
        scale = np.array([self.shape[1] / self.resized[1], self.shape[0] / self.resized[0]])
        found = (points_xy.detach().cpu().double().numpy() * scale)[:, ::-1]
        return np.asarray(np.clip(found, 0, np.asarray(self.shape) - 1))

    def restore(self, logits: Float[Tensor, "b k m m"]) -> Float[Tensor, "b k y x"]:
        """The decoder's logits on the picture's own pixels: enlarged to the frame, padding cut off, resized."""
        framed = F.interpolate(logits.float(), (self.side, self.side), mode="bilinear", align_corners=False)
        inside = framed[..., : self.resized[0], : self.resized[1]]
        return F.interpolate(inside, self.shape, mode="bilinear", align_corners=False)
