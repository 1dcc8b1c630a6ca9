"""From a volume to what the network looks at: one spacing, one scale of intensities, cubes; and back to the volume's grid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float16, Float32, Integer, Real
from torch import Tensor

from promisam.core import Grid, Labelled
from promisam.core.errors import InvalidImage
from promisam.spatial.resizing import resized, resized_labels

VOXELS = 10_000  # of an object from each case, for the statistics (nnU-Net: as many)


@dataclass(frozen=True)
class Intensity:
    """How raw intensities become the network's numbers; kept with the weights.

    Attributes:
        low: all below becomes this.
        high: all above becomes this.
        mean: of what lies in the objects of the training set, clipped; becomes 0.
        deviation: likewise; becomes 1.
        relative: whether each volume is first brought to mean 0 and deviation 1 itself: for images without a fixed scale.
    """

    low: float = -np.inf
    high: float = np.inf
    mean: float = 0.0
    deviation: float = 1.0
    relative: bool = True

    @classmethod
    def measured(cls, cases: Iterable[Labelled], percentiles: tuple[float, float]) -> Intensity:
        """From the objects of a training set.

        A scale that all images share, as the Hounsfield units of CT, is told by objects' means that differ less between cases
        than intensities do within an object; otherwise every volume is standardised by itself first.

        Args:
            cases: volumes with their truth.
            percentiles: of the objects' intensities, at which volumes are clipped.
        """
        fixed, free = [], []
        for case in cases:
            pixels = case.image.pixels[0]
            inside = pixels[case.truth.labels > 0].astype(np.float64)
            if not len(inside):
                continue
            own = inside[np.linspace(0, len(inside) - 1, min(VOXELS, len(inside))).astype(np.int64)]
            mean, deviation = _standard(pixels)
            fixed.append(own)
            free.append((own - mean) / deviation)
        if not fixed:
            return cls()
        between = float(np.std([part.mean() for part in fixed]))
        relative = between > float(np.mean([part.std() for part in fixed]))
        values = np.concatenate(free if relative else fixed)
        low, high = np.percentile(values, percentiles)
        clipped = values.clip(low, high)
        return cls(float(low), float(high), float(clipped.mean()), float(clipped.std() or 1), relative)

    def apply(self, pixels: Real[np.ndarray, "z y x"]) -> Float32[np.ndarray, "z y x"]:
        """Raw intensities to the network's numbers."""
        mean, deviation = _standard(pixels) if self.relative else (0.0, 1.0)
        values = (pixels.astype(np.float32) - np.float32(mean)) / np.float32(deviation)
        return (values.clip(self.low, self.high) - np.float32(self.mean)) / np.float32(self.deviation)

    def tensor(self) -> Float[Tensor, "5"]:
        """To be kept among weights."""
        return torch.tensor([self.low, self.high, self.mean, self.deviation, float(self.relative)], dtype=torch.float64)

    @classmethod
    def of(cls, kept: Float[Tensor, "5"]) -> Intensity:
        """What `tensor` gave."""
        low, high, mean, deviation, relative = kept.tolist()
        return cls(low, high, mean, deviation, bool(relative))


@dataclass(frozen=True)
class Working:
    """The samples that the network sees of a volume: the same extent at its spacing, along the volume's own axes.

    Attributes:
        grid: of the volume.
        shape: samples along each axis, in array order.
        released: whether volumes are resampled without averaging where they shrink, as in the release.
    """

    grid: Grid
    shape: tuple[int, int, int]
    released: bool = False

    @classmethod
    def of(cls, grid: Grid, spacing: float, *, released: bool = False) -> Working:
        """At a spacing in the unit of the grid."""
        z, y, x = (max(1, round(n * here / spacing)) for n, here in zip(grid.shape, grid.spacing, strict=True))
        return cls(grid, (z, y, x), released)

    def there(self, points_zyx: Real[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Places in the volume as indices of the samples."""
        scale = np.asarray(self.shape) / np.asarray(self.grid.shape)
        return np.asarray((np.asarray(points_zyx, np.float64) + 0.5) * scale - 0.5)

    def pixels(self, pixels: Real[np.ndarray, "c z y x"], intensity: Intensity) -> Float16[np.ndarray, "v u t"]:
        """A volume as the network sees it.

        Raises:
            InvalidImage: for more than one channel.
        """
        if len(pixels) != 1:
            raise InvalidImage(
                f"a volume of {len(pixels)} channels", expected="one channel", do="Give one of them in a file of its own."
            )
        return np.asarray(self._to(intensity.apply(pixels[0])[None], self.shape)[0], np.float16)

    def labels(self, labels: Integer[np.ndarray, "z y x"], classes: int) -> np.ndarray:
        """The class that has the largest share of each sample, where that is at least a half."""
        return resized_labels(labels, classes, self.shape)

    def back(self, probability: Float32[np.ndarray, "z y x"]) -> Float32[np.ndarray, "v u t"]:
        """Probabilities at the samples, on the volume's own grid."""
        return np.asarray(self._to(probability[None], self.grid.shape)[0])

    def _to(self, array: Float32[np.ndarray, "c z y x"], shape: Sequence[int]) -> Float32[np.ndarray, "c v u t"]:
        if not self.released:
            return resized(array, shape)
        return F.interpolate(torch.from_numpy(array)[None], tuple(shape), mode="trilinear", align_corners=False)[0].numpy()


def _standard(pixels: Real[np.ndarray, "*grid"]) -> tuple[float, float]:
    """Mean and deviation of the part of an image that is not its darkest value, which fills what lies around a body."""
    shown = pixels[pixels > pixels.min()]
    if not len(shown):
        return float(pixels.flat[0]), 1.0
    return float(shown.mean(dtype=np.float64)), float(shown.std(dtype=np.float64) or 1)
