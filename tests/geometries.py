"""Awkward but legal geometries: oblique, anisotropic, flipped, single-slice, one-pixel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from promisam.core import Grid


def rotation(angles: Sequence[float]) -> np.ndarray:
    """Rotation about x, then y, then z."""
    a, b, c = angles
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def oblique(
    shape: Sequence[int] = (5, 7, 9),
    angles: Sequence[float] = (0.3, -0.2, 0.9),
    spacing: Sequence[float] = (0.7, 1.1, 4.0),
    flips: Sequence[float] = (1, -1, 1),
    origin: Sequence[float] = (-12.0, 30.5, 7.25),
) -> Grid:
    """A volume's grid; all but `shape` in x, y, z order."""
    return Grid.from_itk(tuple(reversed(shape)), tuple(spacing), tuple(origin), rotation(angles) @ np.diag(flips))


def flipped(grid: Grid, axis: int) -> Grid:
    """The grid of `np.flip(array, axis)`: the same samples, counted from the other end."""
    column = axis + 3 - grid.ndim
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, column] * (grid.shape[axis] - 1)
    affine[:3, column] *= -1
    return Grid(grid.shape, affine, grid.unit)


def every_index(shape: Sequence[int]) -> np.ndarray:
    """All array indices, row-major."""
    return np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), -1).reshape(-1, len(shape)).astype(float)


def _triples(low: float, high: float) -> st.SearchStrategy[tuple[float, ...]]:
    return st.tuples(*[st.floats(low, high, allow_nan=False)] * 3)


volumes = st.builds(
    oblique,
    shape=st.tuples(*[st.integers(1, 6)] * 3),
    angles=_triples(-3.1, 3.1),
    spacing=_triples(0.05, 8.0),
    flips=st.tuples(*[st.sampled_from([-1, 1])] * 3),
    origin=_triples(-500, 500),
)
pictures = st.builds(
    lambda volume, axis, i: volume.slice(axis, i % volume.shape[axis]), volumes, st.integers(0, 2), st.integers(0, 5)
)
grids = st.one_of(volumes, pictures)
