"""Labels on a grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Integer

from promisam.core.errors import GeometryError, GridMismatch, InvalidSegmentation
from promisam.core.grid import Grid


@dataclass(frozen=True, eq=False)
class Segmentation:
    """A label map: 0 is background, every other value one label.

    Attributes:
        labels: whole, non-negative numbers of shape `grid.shape`.
        grid: where the samples lie.
        names: value to name; a label without an entry is called "label <value>".

    Raises:
        GeometryError: when labels and grid disagree.
        InvalidSegmentation: for fractional or negative labels.
    """

    labels: Integer[np.ndarray, "*grid"]
    grid: Grid
    names: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check shape and values; keep the labels read-only."""
        if self.labels.shape != self.grid.shape:
            raise GeometryError(
                f"labels of shape {self.labels.shape} on a grid of {self.grid.shape}",
                expected="equal shapes",
                do="Keep array and grid in step.",
            )
        if self.labels.dtype.kind not in "iu" or (self.labels.dtype.kind == "i" and self.labels.min() < 0):
            raise InvalidSegmentation(
                f"labels of type {self.labels.dtype} from {self.labels.min()} to {self.labels.max()}",
                expected="whole numbers from 0",
                do="Threshold a probability map first; map negative labels to positive ones.",
            )
        view = self.labels.view()
        view.flags.writeable = False
        object.__setattr__(self, "labels", view)
        object.__setattr__(self, "names", dict(self.names))

    @property
    def values(self) -> tuple[int, ...]:
        """The labels that are named or present, in order, without the background."""
        return tuple(sorted(({int(v) for v in np.unique(self.labels)} | set(self.names)) - {0}))

    def name(self, value: int) -> str:
        """Name of a label."""
        return self.names.get(value, f"label {value}")

    def mask(self, value: int | None = None) -> Bool[np.ndarray, "*grid"]:
        """Where one label stands; without an argument, where any does."""
        return np.asarray(self.labels != 0 if value is None else self.labels == value)

    def volume(self, value: int) -> float:
        """Area or volume of a label, in the grid's unit squared or cubed."""
        return float(np.count_nonzero(self.labels == value)) * self.grid.sample_size

    def slice(self, axis: int, index: int) -> Segmentation:
        """One slice of a volume as a picture."""
        return replace(self, labels=np.take(self.labels, index, axis=axis), grid=self.grid.slice(axis, index))

    def crop(self, start: Sequence[int], stop: Sequence[int]) -> Segmentation:
        """The part `[start:stop]` per array axis."""
        part = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        return replace(self, grid=self.grid.crop(start, stop), labels=self.labels[part])

    def resample(self, grid: Grid) -> Segmentation:
        """The labels on another grid through the patient's space: always nearest, since labels have no in-between.

        Raises:
            GridMismatch: for a grid of another number of axes.
        """
        if grid.ndim != self.grid.ndim:
            raise GridMismatch(
                f"labels of {self.grid.ndim} axes for a grid of {grid.ndim}",
                expected="equal numbers of axes",
                do="Use segmentation.slice(axis, index) to go from a volume to one of its slices.",
            )
        out = np.zeros(grid.shape, self.labels.dtype)
        rest = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape[1:]], indexing="ij"), -1).reshape(-1, grid.ndim - 1)
        for row in range(grid.shape[0]):
            here = np.column_stack([np.full(len(rest), row), rest])
            index = np.rint(self.grid.to_index(grid.to_mm(here))).astype(np.int64)
            inside = ((index >= 0) & (index < self.grid.shape)).all(axis=1)
            line = np.zeros(len(rest), self.labels.dtype)
            line[inside] = self.labels[tuple(index[inside].T)]
            out[row] = line.reshape(grid.shape[1:])
        return Segmentation(out, grid, self.names)
