"""Pixels that never travel without their grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Shaped

from promisam.core.errors import GeometryError, InvalidImage
from promisam.core.grid import Grid
from promisam.core.window import Levels


@dataclass(frozen=True, eq=False)
class Image:
    """A picture or a volume with raw values: Hounsfield units stay Hounsfield units.

    Attributes:
        pixels: (channels, *grid.shape), real numbers.
        grid: where the samples lie.
        levels: the intensity window that these pixels already went through; None while they are raw.

    Raises:
        GeometryError: when pixels and grid disagree.
        InvalidImage: for values that are not finite real numbers.
    """

    pixels: Shaped[np.ndarray, "c *grid"]
    grid: Grid
    levels: Levels | None = None

    def __post_init__(self) -> None:
        """Check shape and values; keep the pixels read-only."""
        if self.pixels.ndim != self.grid.ndim + 1 or self.pixels.shape[1:] != self.grid.shape or not self.pixels.shape[0]:
            raise GeometryError(
                f"pixels of shape {self.pixels.shape} on a grid of {self.grid.shape}",
                expected=f"(channels, {', '.join(str(n) for n in self.grid.shape)})",
                do="Put the channels first and keep array and grid in step.",
            )
        if self.pixels.dtype.kind not in "buif":
            raise InvalidImage(
                f"pixels of type {self.pixels.dtype}", expected="real numbers", do="Convert the image to numbers first."
            )
        if self.pixels.dtype.kind == "f":
            broken = int(self.pixels.size - np.count_nonzero(np.isfinite(self.pixels)))
            if broken:
                raise InvalidImage(
                    f"an image with {broken} NaN or infinite of {self.pixels.size} values",
                    expected="finite values everywhere",
                    do="Replace them first (for CT, by -1024; for MR, by 0).",
                )
        view = self.pixels.view()
        view.flags.writeable = False
        object.__setattr__(self, "pixels", view)

    @property
    def channels(self) -> int:
        """Number of channels: 1 for grey, 3 for colour."""
        return int(self.pixels.shape[0])

    def slice(self, axis: int, index: int) -> Image:
        """One slice of a volume as a picture."""
        grid = self.grid.slice(axis, index)
        return replace(self, pixels=np.take(self.pixels, index, axis=axis + 1), grid=grid)

    def crop(self, start: Sequence[int], stop: Sequence[int]) -> Image:
        """The part `[start:stop]` per array axis."""
        part = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        return replace(self, grid=self.grid.crop(start, stop), pixels=self.pixels[(slice(None), *part)])
