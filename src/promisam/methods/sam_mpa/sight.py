"""An image as the method looks at it: a picture, or the slices of a volume, one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import scipy.ndimage as ndi
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from promisam.core import Grid, Image, Segmentation
from promisam.methods.sam_mpa.config import Config
from promisam.methods.sam_mpa.viewing import View, view
from promisam.sam.model import Sam

KEPT = 96  # views in memory; those of a volume of more slices are encoded again when they are needed
_BLUR = 2.0  # cells


@dataclass(frozen=True)
class Sliced:
    """How an image falls into pictures.

    Attributes:
        grid: of the image.
        axis: that slices lie along; None of a picture.
    """

    grid: Grid
    axis: int | None

    @classmethod
    def of(cls, grid: Grid) -> Sliced:
        """A volume is cut across its coarsest axis."""
        return cls(grid, None if grid.ndim == 2 else grid.coarsest_axis)

    @property
    def count(self) -> int:
        """Number of pictures."""
        return 1 if self.axis is None else self.grid.shape[self.axis]

    @property
    def shape(self) -> tuple[int, ...]:
        """Slices first; a picture is one slice."""
        return self.stacked(np.empty(self.grid.shape, np.bool_)).shape

    @property
    def spacing(self) -> tuple[float, ...]:
        """Slices first; a picture has two axes."""
        steps = list(self.grid.spacing)
        return tuple(steps) if self.axis is None else (steps.pop(self.axis), *steps)

    def spacing_at(self, space: tuple[int, ...]) -> tuple[float, ...]:
        """The same when the image is brought to so many samples."""
        shape = self.shape[-len(space) :]
        return tuple(float(step * n / m) for step, n, m in zip(self.spacing, shape, space, strict=True))

    def picture(self, image: Image, index: int) -> Image:
        """One of them."""
        return image if self.axis is None else image.slice(self.axis, index)

    def stacked(self, array: np.ndarray) -> np.ndarray:
        """An array on the grid, slices first; a picture is one slice."""
        return array[None] if self.axis is None else np.moveaxis(array, self.axis, 0)

    def restored(self, array: np.ndarray) -> np.ndarray:
        """The reverse."""
        return array[0] if self.axis is None else np.moveaxis(array, 0, self.axis)


class Views:
    """The pictures of an image, encoded when they are asked for; the first `KEPT` stay in memory."""

    def __init__(self, sam: Sam, prepared: Image, config: Config) -> None:
        self.sliced = Sliced.of(prepared.grid)
        self._make: Callable[[int], View] = lambda i: view(sam, self.sliced.picture(prepared, i), config.precision)
        self._kept: dict[int, View] = {}

    def __getitem__(self, index: int) -> View:
        """One of them, perhaps without its features."""
        return self._kept[index] if index in self._kept else self.whole(index)

    def __iter__(self) -> Iterator[View]:
        """All of them, whole, in order."""
        return (self.whole(index) for index in range(self.sliced.count))

    def whole(self, index: int) -> View:
        """One of them with its features."""
        found = self._kept.get(index)
        if found is not None and found.features is not None:
            return found
        made = self._make(index)
        if len(self._kept) < KEPT or index in self._kept:
            self._kept[index] = made if self.sliced.count == 1 else made.lean
        return made


def on_cells(values: Float[Tensor, "c v u"], seen: View) -> Float[np.ndarray, "c y x"]:
    """Values at the places of the embedding, on the four times finer cells of the decoder's masks, smoothed."""
    fine = F.interpolate(values[None], scale_factor=4, mode="bilinear", align_corners=False)[0]
    height, width = seen.cells
    return np.asarray(ndi.gaussian_filter(fine[:, :height, :width].cpu().numpy(), (0, _BLUR, _BLUR)))


def truth_on_cells(truth: Segmentation, classes: int, seen: View, index: int) -> Float[Tensor, "classes y x"]:
    """How much of each cell each class covers, on one picture of an image."""
    labels = Sliced.of(truth.grid).stacked(truth.labels)[index]
    masks = np.stack([labels == label for label in range(1, classes + 1)])
    return seen.frame.shares(masks, seen.embedding.shape[-1])[0]


def at_places(shares: Float[Tensor, "c y x"], seen: View) -> Float[Tensor, "n c"]:
    """Shares of cells as those of the places of the embedding, row by row."""
    height, width = seen.appearance.shape[1:]
    whole = F.pad(shares, (0, 4 * width - shares.shape[-1], 0, 4 * height - shares.shape[-2]))
    return F.avg_pool2d(whole[None], 4)[0].flatten(1).T


def resampled(values: Float[Tensor, "c *space"], space: tuple[int, ...]) -> Float[Tensor, "c *other"]:
    """Linearly, to another number of samples; pictures and volumes."""
    mode = "bilinear" if len(space) == 2 else "trilinear"
    return F.interpolate(values[None], space, mode=mode, align_corners=False)[0]


def reduced(values: Float[Tensor, "c *space"], space: tuple[int, ...]) -> Float[Tensor, "c *other"]:
    """By the mean of what falls into each sample."""
    return F.interpolate(values[None], space, mode="area")[0]


def brightness(prepared: Image, space: tuple[int, ...]) -> Float[Tensor, "*space"]:
    """Slices first, at so many samples, from the lowest to the highest percent: what is registered."""
    mean = Sliced.of(prepared.grid).stacked(prepared.pixels[:3].mean(0, dtype=np.float32))
    pixels = torch.from_numpy(np.ascontiguousarray(mean if len(space) == 3 else mean[0]))[None]
    small = reduced(pixels, space)[0]
    flat = small.flatten()[:: max(1, small.numel() // 100_000)]
    low, high = torch.quantile(flat, 0.01), torch.quantile(flat, 0.99)
    return ((small - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)
