"""Labelled images to learn from, and what a set of them has in common."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from promisam.core.errors import GeometryError, GridMismatch, InvalidSegmentation
from promisam.core.grid import Grid
from promisam.core.image import Image
from promisam.core.segmentation import Segmentation


@dataclass(frozen=True, eq=False)
class Labelled:
    """An image and its true labels on one grid.

    Raises:
        GridMismatch: when they lie on different grids.
    """

    image: Image
    truth: Segmentation

    def __post_init__(self) -> None:
        """Compare the grids."""
        if not self.truth.grid.matches(self.image.grid):
            raise GridMismatch(
                f"labels on {self.truth.grid}",
                expected=f"the image's grid of {self.image.grid}",
                do="Resample the labels to the image first (`promisam check-data` names the files).",
            )


@dataclass(frozen=True, eq=False)
class Example:
    """One labelled image of a data set, opened when it is needed.

    Attributes:
        name: unique in its data set.
        load: opens it. The labels are 1..n, in the order of the data set's classes, and 0.
        content: changes whenever pixels, labels or their meaning change; the key of everything computed from it.
        group: patient, video or scanner that it shares with others; empty when unknown.
        image: fingerprint of the image's files alone, whatever is drawn on it; empty for what came from no file.
    """

    name: str
    load: Callable[[], Labelled]
    content: str
    group: str = ""
    image: str = ""

    @classmethod
    def of(cls, name: str, image: Image, truth: Segmentation, group: str = "") -> Example:
        """An example of values in memory."""
        digest = hashlib.sha256(repr((image.levels, sorted(truth.names.items()))).encode())
        for array in (image.pixels, truth.labels, image.grid.affine):
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        pair = Labelled(image, truth)
        return cls(name, partial(_itself, pair), digest.hexdigest(), group)


def _itself(pair: Labelled) -> Labelled:
    """In place of a lambda, so that an example can be sent to another process."""
    return pair


@dataclass(frozen=True)
class Task:
    """What is to be learned, as far as it shapes a network.

    Attributes:
        classes: names of the labels 1..n, in order.
        ndim: 2 for pictures, 3 for volumes.
        channels: of the images: the largest number met.
        spacing: the median per array axis, in the images' unit.
        shape: the median number of samples per array axis.
    """

    classes: tuple[str, ...] = ("object",)
    ndim: int = 2
    channels: int = 1
    spacing: tuple[float, ...] = (1.0, 1.0)
    shape: tuple[int, ...] = (256, 256)

    def __post_init__(self) -> None:
        """Refuse what no network could have."""
        sound = self.ndim in (2, 3) and len(self.spacing) == len(self.shape) == self.ndim and self.channels > 0
        if not (self.classes and sound):
            raise GeometryError(
                f"a task of {len(self.classes)} classes, {self.channels} channels and {self.ndim} axes "
                f"with spacing {self.spacing} and shape {self.shape}",
                expected="at least one class and channel, and a spacing and a size for each of 2 or 3 axes",
                do="Use Task.of(examples, classes).",
            )
        if len(set(self.classes)) != len(self.classes):
            raise InvalidSegmentation(
                f"the classes {', '.join(self.classes)}", expected="different names", do="Rename the equal ones."
            )

    @classmethod
    def of(cls, examples: Sequence[Example], classes: Sequence[str]) -> Task:
        """The task of a data set; reads every example once.

        Raises:
            GeometryError: for no examples, or pictures and volumes mixed.
        """
        seen: list[tuple[int, Grid]] = []
        for example in examples:
            image = example.load().image
            seen.append((image.channels, image.grid))
        axes = {grid.ndim for _, grid in seen}
        if len(axes) != 1:
            raise GeometryError(
                "no example" if not axes else "pictures and volumes in one data set",
                expected="examples with equal numbers of axes",
                do="Give pictures or volumes, at least one of them.",
            )
        spacing = np.median([grid.spacing for _, grid in seen], axis=0)
        shape = np.median([grid.shape for _, grid in seen], axis=0)
        return cls(
            tuple(classes),
            axes.pop(),
            max(channels for channels, _ in seen),
            tuple(float(v) for v in spacing),
            tuple(round(float(v)) for v in shape),
        )
