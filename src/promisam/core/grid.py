"""Where the samples of an array lie in the patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64, Real

from promisam.core.errors import GeometryError

Unit = Literal["mm", "px"]

_FARTHEST, _FINEST = 1e12, 1e-12  # mm: beyond these, a header holds no place of a patient, and squares overflow
_ROUNDING = 1e-6  # of a step: what a way through millimetres and back may cost


@dataclass(frozen=True, eq=False)
class Grid:
    """Shape and position of a picture or a volume.

    Attributes:
        shape: samples along each array axis: (y, x) or (z, y, x).
        affine: 4x4 matrix from the homogeneous array index (z, y, x, 1) to patient millimetres (LPS+, as in DICOM and ITK).
            A picture has index z = 0; its first column is the unit normal of its plane.
        unit: "mm", or "px" for files that carry no physical scale.

    Raises:
        GeometryError: for a shape or an affine that cannot be a grid.
    """

    shape: tuple[int, ...]
    affine: Float64[np.ndarray, "4 4"]
    unit: Unit = "mm"

    def __post_init__(self) -> None:
        """Refuse impossible shapes and affines; keep the affine read-only."""
        shape = tuple(int(n) for n in self.shape)
        if len(shape) not in (2, 3) or min(shape) < 1:
            raise GeometryError(
                f"an array of shape {tuple(self.shape)}",
                expected="two or three axes, each of at least one sample",
                do="Give one picture or one volume; split a time series first.",
            )
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not _invertible(affine):
            raise GeometryError(
                f"the affine {np.round(affine, 4).tolist()}",
                expected="a finite, invertible 4x4 matrix with last row 0 0 0 1",
                do="Check spacing and direction in the file's header.",
            )
        affine.flags.writeable = False
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "affine", affine)

    @classmethod
    def of_picture(cls, shape: Sequence[int]) -> Grid:
        """Grid of an array without physical scale: one unit per sample, first sample at the origin."""
        return cls(tuple(shape), _affine((1.0, 1.0, 1.0), (0.0, 0.0, 0.0), np.eye(3)), "px")

    @classmethod
    def from_itk(
        cls,
        size: Sequence[int],
        spacing: Sequence[float | int],
        origin: Sequence[float | int],
        direction: Float64[np.ndarray, "d d"],
        unit: Unit = "mm",
    ) -> Grid:
        """Grid from ITK's description, every argument in x, y[, z] order; two axes are placed in the plane Z = 0."""
        missing = 3 - len(size)
        full_direction = np.eye(3)
        full_direction[: len(size), : len(size)] = direction
        return cls(
            tuple(reversed([int(n) for n in size])),
            _affine((*spacing, *[1.0] * missing), (*origin, *[0.0] * missing), full_direction),
            unit,
        )

    @property
    def ndim(self) -> int:
        """2 for a picture, 3 for a volume."""
        return len(self.shape)

    @property
    def spacing(self) -> tuple[float, ...]:
        """Distance between neighbouring samples along each array axis, in `unit`."""
        return tuple(float(s) for s in np.linalg.norm(self.affine[:3, 3 - self.ndim : 3], axis=0))

    @property
    def coarsest_axis(self) -> int:
        """Array axis of the largest spacing, the first of equal ones: the one that slices were acquired along."""
        spacing = np.asarray(self.spacing)
        return int(np.argmax(spacing > spacing.max() * 0.999))  # headers round

    @property
    def origin(self) -> tuple[float, float, float]:
        """Position of the first sample, patient X, Y, Z."""
        x, y, z = self.affine[:3, 3]
        return float(x), float(y), float(z)

    @property
    def direction(self) -> Float64[np.ndarray, "3 3"]:
        """Unit vectors of the x, y and z index axes as columns (ITK's direction matrix)."""
        columns = self.affine[:3, [2, 1, 0]]
        return np.asarray(columns / np.linalg.norm(columns, axis=0))

    @property
    def sample_size(self) -> float:
        """Area of a pixel or volume of a voxel, in `unit` squared or cubed."""
        return float(np.prod(self.spacing))

    def to_mm(self, points_zyx: Real[np.ndarray, "n d"]) -> Float64[np.ndarray, "n 3"]:
        """Array indices (y, x) or (z, y, x) to patient X, Y, Z."""
        index = np.zeros((len(points_zyx), 3))
        index[:, 3 - self.ndim :] = points_zyx
        return np.asarray(index @ self.affine[:3, :3].T + self.affine[:3, 3])

    def to_index(self, points_mm: Real[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n d"]:
        """Patient X, Y, Z to fractional array indices; on a picture, the foot of the perpendicular on its plane."""
        return self._to_zyx(points_mm)[:, 3 - self.ndim :]

    def off_plane(self, points_mm: Real[np.ndarray, "n 3"]) -> Float64[np.ndarray, " n"]:
        """Distance of points from a picture's plane, in steps of its normal; zeros on a volume."""
        return np.abs(self._to_zyx(points_mm)[:, 0]) if self.ndim == 2 else np.zeros(len(points_mm))

    def contains(self, points_zyx: Real[np.ndarray, "n d"]) -> Bool[np.ndarray, " n"]:
        """Whether points lie on the image, whose samples reach half a step beyond their centres."""
        low, high = -0.5 - _ROUNDING, np.asarray(self.shape) - 0.5 + _ROUNDING
        return np.asarray(((points_zyx >= low) & (points_zyx <= high)).all(axis=1))

    def crop(self, start: Sequence[int], stop: Sequence[int]) -> Grid:
        """Grid of `array[start:stop]`, index per axis."""
        inside = all(0 <= a < b <= n for a, b, n in zip(start, stop, self.shape, strict=True))
        if not inside:
            raise GeometryError(
                f"a crop from {tuple(start)} to {tuple(stop)}",
                expected=f"a range that is not empty within {self.shape}",
                do="Clip the range to the image first.",
            )
        return self._moved(np.asarray(start), tuple(b - a for a, b in zip(start, stop, strict=True)))

    def pad(self, before: Sequence[int], after: Sequence[int]) -> Grid:
        """Grid with samples added in front of and behind each axis."""
        shape = tuple(b + n + a for b, n, a in zip(before, self.shape, after, strict=True))
        return self._moved(-np.asarray(before), shape)

    def resample(self, shape: Sequence[int]) -> Grid:
        """Grid of another shape over the same physical extent, borders of the outermost samples kept."""
        factor = np.asarray(self.shape) / np.maximum(np.asarray(shape), 1)  # Grid itself refuses a shape without samples
        start = np.zeros(3)
        scale = np.ones(3)
        start[3 - self.ndim :] = factor / 2 - 0.5
        scale[3 - self.ndim :] = factor
        step = np.eye(4)
        step[:3, :3] = np.diag(scale)
        step[:3, 3] = start
        return Grid(tuple(shape), self.affine @ step, self.unit)

    def slice(self, axis: int, index: int) -> Grid:
        """Picture grid of one slice of a volume, at its place in the patient."""
        if self.ndim != 3 or axis not in range(3) or not 0 <= index < self.shape[axis]:
            raise GeometryError(
                f"slice {index} along array axis {axis} of shape {self.shape}",
                expected="a volume, an axis 0, 1 or 2 and an index within it",
                do="Check the slice number and the axis.",
            )
        kept = [a for a in range(3) if a != axis]
        affine = self.affine[:, [axis, *kept, 3]].copy()
        affine[:3, 3] += affine[:3, 0] * index
        affine[:3, 0] /= np.linalg.norm(affine[:3, 0])
        return Grid(tuple(self.shape[a] for a in kept), affine, self.unit)

    def matches(self, other: Grid, tolerance: float = 1e-2) -> bool:
        """Whether both grids have the same shape, unit and corners, the latter within a fraction of the smallest step."""
        if self.shape != other.shape or self.unit != other.unit:
            return False
        corners = np.stack(np.meshgrid(*[(0, n - 1) for n in self.shape], indexing="ij"), -1).reshape(-1, self.ndim)
        steps = np.vstack([corners, np.eye(self.ndim)])
        gap = np.abs(self.to_mm(steps) - other.to_mm(steps)).max()
        return bool(gap <= tolerance * min(self.spacing))

    def __eq__(self, other: object) -> bool:
        """Exact equality of shape, affine and unit."""
        same = isinstance(other, Grid) and (self.shape, self.unit) == (other.shape, other.unit)
        return same and isinstance(other, Grid) and np.array_equal(self.affine, other.affine)

    def __hash__(self) -> int:
        """Consistent with `__eq__`."""
        return hash((self.shape, self.unit, tuple(self.affine.ravel())))  # numbers, not bytes: -0.0 equals 0.0

    def __str__(self) -> str:
        """Size and spacing in x, y[, z] order, as viewers print them."""
        size = " x ".join(str(n) for n in reversed(self.shape))
        spacing = " x ".join(f"{s:.4g}" for s in reversed(self.spacing))
        return f"{size} samples of {spacing} {self.unit}"

    def _moved(self, start_zyx: np.ndarray, shape: tuple[int, ...]) -> Grid:
        affine = self.affine.copy()
        affine[:3, 3] = self.to_mm(start_zyx[None])[0]
        return Grid(shape, affine, self.unit)

    def _to_zyx(self, points_mm: Real[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 3"]:
        return np.asarray(np.linalg.solve(self.affine[:3, :3], (points_mm - self.affine[:3, 3]).T).T)


def _affine(spacing_xyz: Sequence[float | int], origin_xyz: Sequence[float | int], direction: np.ndarray) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = (np.asarray(direction) * np.asarray(spacing_xyz))[:, ::-1]
    affine[:3, 3] = origin_xyz
    return affine


def _invertible(affine: np.ndarray) -> bool:
    if not (np.abs(affine) <= _FARTHEST).all() or not np.array_equal(affine[3], (0, 0, 0, 1)):
        return False
    linear = affine[:3, :3]
    lengths = np.linalg.norm(linear, axis=0)
    return bool((lengths >= _FINEST).all() and abs(np.linalg.det(linear / lengths)) >= 1e-6)
