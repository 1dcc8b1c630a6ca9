"""How a page sees an image: volumes turned to the nearest right-anterior-superior axes, places as x, y[, z].

The one place where array indices and those of the page meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from jaxtyping import Shaped

from promisam.core import Grid
from promisam.core.errors import InvalidPrompt
from promisam.session import Plane, Span

_AXES = {"x": 0, "y": 1, "z": 2}
_RAS = np.diag([-1.0, -1.0, 1.0])  # of patient axes X, Y, Z (LPS+)


@dataclass(frozen=True)
class Display:
    """A grid as the page sees it.

    Attributes:
        shape: of the array.
        axes: array axis of the page's x, y[, z].
        flipped: whether the page counts from the other end of that axis.
    """

    shape: tuple[int, ...]
    axes: tuple[int, ...]
    flipped: tuple[bool, ...]

    @classmethod
    def of(cls, grid: Grid) -> Display:
        """A picture as its array lies; a volume along the array axes nearest to the patient's."""
        if grid.ndim == 2:
            return cls(grid.shape, (1, 0), (False, False))
        steps = _RAS @ grid.affine[:3, :3]
        steps = steps / np.linalg.norm(steps, axis=0)
        best = max(permutations(range(3)), key=lambda order: sum(abs(steps[d, axis]) for d, axis in enumerate(order)))
        return cls(grid.shape, best, tuple(bool(steps[d, axis] < 0) for d, axis in enumerate(best)))

    @property
    def size(self) -> list[int]:
        """Samples along x, y[, z]."""
        return [self.shape[axis] for axis in self.axes]

    def spacing(self, grid: Grid) -> list[float]:
        """Distance between samples along x, y[, z]."""
        return [grid.spacing[axis] for axis in self.axes]

    def grid(self, grid: Grid) -> Grid:
        """Of the array that the page sees."""
        affine = np.eye(4)
        for place, (axis, flip) in enumerate(zip(reversed(self.axes), reversed(self.flipped), strict=True)):
            affine[:3, place] = grid.affine[:3, axis] * (-1 if flip else 1)
        first = [self.shape[axis] - 1 if flip else 0 for axis, flip in sorted(zip(self.axes, self.flipped, strict=True))]
        affine[:3, 3] = grid.to_mm(np.array([first], np.float64))[0]
        return Grid(tuple(reversed(self.size)), affine, grid.unit)

    def array(self, array: Shaped[np.ndarray, "*box"]) -> Shaped[np.ndarray, "*turned"]:
        """An array, or the part in a box, in the page's order: the last axis is x."""
        turned = np.transpose(array, tuple(reversed(self.axes)))
        return np.flip(turned, tuple(i for i, flip in enumerate(reversed(self.flipped)) if flip))

    def place(self, xyz: Sequence[float | int]) -> list[float]:
        """A place on the page as array index.

        Raises:
            InvalidPrompt: for one with another number of axes.
        """
        if len(xyz) != len(self.axes):
            raise InvalidPrompt(
                f"a place of {len(xyz)} numbers", expected=str(len(self.axes)), do="Give x, y and, of volumes, z."
            )
        found = [0.0] * len(self.axes)
        for value, axis, flip in zip(xyz, self.axes, self.flipped, strict=True):
            found[axis] = self.shape[axis] - 1 - float(value) if flip else float(value)
        return found

    def on_page(self, index: Sequence[float | int]) -> list[float]:
        """An array index as a place on the page."""
        return [
            self.shape[axis] - 1 - float(index[axis]) if flip else float(index[axis])
            for axis, flip in zip(self.axes, self.flipped, strict=True)
        ]

    def plane(self, letter: str | None, xyz: Sequence[float | int]) -> Plane | None:
        """The slice through a place, across one of the page's axes.

        Raises:
            InvalidPrompt: for a volume without one, and off the volume.
        """
        if len(self.axes) == 2:
            return None
        if letter not in _AXES:
            raise InvalidPrompt("a place in a volume without its plane", expected="x, y or z", do="Say which was looked at.")
        axis = self.axes[_AXES[letter]]
        index = round(self.place(xyz)[axis])
        if not 0 <= index < self.shape[axis]:
            raise InvalidPrompt(f"slice {index}", expected=f"0 to {self.shape[axis] - 1}", do="Click inside the image.")
        return axis, index

    def span(self, span: Span) -> tuple[list[int], list[int]]:
        """A box of the array as first sample and size on the page."""
        start = [
            self.shape[axis] - span[axis][1] if flip else span[axis][0]
            for axis, flip in zip(self.axes, self.flipped, strict=True)
        ]
        return start, [span[axis][1] - span[axis][0] for axis in self.axes]
