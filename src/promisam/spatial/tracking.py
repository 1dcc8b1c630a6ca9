"""Following an object from slice to slice and noticing where it ends."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from promisam.core import Image

# Chosen by hand on invented volumes before any real one was looked at, and not tuned since (benchmarks/results.md).
# A box grows by this share of its sides, at least one sample, so that the object may widen on the next slice.
MARGIN = 0.05
# The object has ended when its section falls below this share of the first one, ...
SMALLEST = 0.03
# ... overlaps the previous section by less than this Dice, ...
LEAST_OVERLAP = 0.5
# ... or looks more like what surrounded it on the first slice than like itself: 0 is as itself, 1 as its surroundings.
MOST_ALIKE = 0.6


class Tracker:
    """Remembers what the object looked like where the person pointed at it."""

    def __init__(self, picture: Image, mask: Bool[np.ndarray, "y x"]) -> None:
        """Begin with the slice that was prompted and its mask."""
        self.previous = mask
        self.first_area = int(mask.sum())
        self.inside, self.outside = _inside(picture, mask), _around(picture, mask)

    def next_box(self) -> Float[np.ndarray, "2 2"] | None:
        """Lowest and highest index of the box for the next slice; None when there is nothing to follow."""
        if not self.previous.any():
            return None
        marked = np.argwhere(self.previous)
        low, high = marked.min(axis=0), marked.max(axis=0)
        margin = np.maximum(1, np.rint((high - low + 1) * MARGIN))
        size = np.asarray(self.previous.shape)
        border = np.where(size == 1, 0.5, 0.0)  # a single row has no other extent than its own borders
        return np.stack([np.maximum(low - margin, -border), np.minimum(high + margin, size - 1 + border)]).astype(np.float64)

    def goes_on(self, picture: Image, mask: Bool[np.ndarray, "y x"]) -> bool:
        """Whether this slice still shows the object; if so, it becomes the one to follow."""
        area = int(mask.sum())
        overlap = 2 * int((mask & self.previous).sum()) / max(1, area + int(self.previous.sum()))
        if area < max(1, SMALLEST * self.first_area) or overlap < LEAST_OVERLAP:
            return False
        inside = _inside(picture, mask)
        contrast = self.outside - self.inside
        strength = float(contrast @ contrast)
        if strength > 0 and float((inside - self.inside) @ contrast) / strength > MOST_ALIKE:
            return False
        self.previous = mask
        return True


def _inside(picture: Image, mask: Bool[np.ndarray, "y x"]) -> Float[np.ndarray, " c"]:
    """Mean intensity per channel inside the mask; zeros for an empty one."""
    return picture.pixels[:, mask].mean(axis=1, dtype=np.float64) if mask.any() else np.zeros(picture.channels)


def _around(picture: Image, mask: Bool[np.ndarray, "y x"]) -> Float[np.ndarray, " c"]:
    """Mean intensity per channel in a ring around the mask of about half its radius."""
    width = max(2, round(0.5 * float(np.sqrt(mask.sum() / np.pi))))
    ring = ndimage.binary_dilation(mask, iterations=width) & ~mask
    return _inside(picture, ring if ring.any() else mask)
