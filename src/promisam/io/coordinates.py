"""The one place where the world's x, y[, z] becomes the array order of the package."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Real

from promisam.core.errors import InvalidPrompt
from promisam.core.grid import Grid

_OFF_PLANE = 1.0  # steps of the normal (1 mm) that a world point may lie beside a picture


def to_zyx(
    grid: Grid, xyz: Sequence[Sequence[float | int] | Real[np.ndarray, " d"]] | Real[np.ndarray, "n d"], *, world: bool
) -> Float64[np.ndarray, "n axes"]:
    """Points as people write them to array indices.

    Args:
        grid: of the image.
        xyz: points in x, y[, z] order: sample indices from 0 as viewers show them, or patient millimetres. On a volume of one
            slice, two indices are enough.
        world: whether they are patient millimetres (LPS+, as in DICOM and ITK), always three.

    Raises:
        InvalidPrompt: for a wrong number of coordinates, values that are not finite, a world point off a picture's plane, and
            world coordinates where the file has no physical scale.
    """
    wanted = 3 if world else grid.ndim
    short = not world and grid.ndim == 3 and grid.shape[0] == 1
    for point in xyz:
        if len(point) != wanted and not (short and len(point) == 2):
            raise _wrong_count(point, wanted, world)
    points = np.array([[*point, *[0.0] * (wanted - len(point))] for point in xyz], np.float64).reshape(-1, wanted)
    if not np.isfinite(points).all():
        raise InvalidPrompt(f"the coordinates {points.tolist()}", expected="finite numbers", do="Check the prompt.")
    return _from_world(grid, points) if world else points[:, ::-1].copy()


def to_xyz(grid: Grid, points_zyx: Real[np.ndarray, "n d"], *, world: bool) -> Float64[np.ndarray, "n axes"]:
    """The way back: array indices to x, y[, z] indices, or to patient millimetres."""
    return grid.to_mm(points_zyx) if world else np.asarray(points_zyx, np.float64)[:, ::-1].copy()


def _from_world(grid: Grid, points_mm: np.ndarray) -> np.ndarray:
    if grid.unit != "mm":
        raise InvalidPrompt(
            "world coordinates for a picture without physical scale", expected="pixel indices x,y", do="Leave --world out."
        )
    away = grid.off_plane(points_mm)
    if (away > _OFF_PLANE).any():
        raise InvalidPrompt(
            f"the world point {','.join(f'{v:g}' for v in points_mm[away.argmax()])}, {away.max():.3g} mm off the picture",
            expected="a point on its plane",
            do="Give patient millimetres (LPS+) on this slice.",
        )
    return np.round(grid.to_index(points_mm), 9)  # a box that is flat in the patient stays flat


def _wrong_count(point: Sequence[float | int] | np.ndarray, wanted: int, world: bool) -> InvalidPrompt:
    order = "x,y,z" if wanted == 3 else "x,y"
    return InvalidPrompt(
        f"{','.join(f'{v:g}' for v in point)} with {len(point)} coordinates",
        expected=f"{wanted}: {order}{' in patient millimetres' if world else ''}",
        do="Give x,y on a picture and x,y,z in a volume or in world coordinates.",
    )
