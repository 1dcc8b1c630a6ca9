"""What NIfTI's header says, with nothing assumed.

Source of the layout: nifti1.h and nifti2.h (NIfTI-1.1, 2007; NIfTI-2, 2011).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from promisam.core.errors import GeometryError, UnreadableFile, UnsupportedFile
from promisam.core.grid import Grid

HEADER_BYTES = 540  # of NIfTI-2; NIfTI-1 has 348
_FIRST_SAMPLE = 348  # never before the end of the shorter header
_TO_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # xyzt_units & 7: unknown, metre, millimetre, micrometre
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class NiftiHeader:
    """The part of the header that places and scales the samples.

    Attributes:
        shape_xyz: samples along x, y, z, t, ...
        order: "<" or ">".
        datatype: NIfTI's code.
        intent: NIfTI's code.
        offset: of the first sample in the (decompressed) file, in bytes.
        slope: stored value to real value; 0 means not given.
        intercept: added after the slope.
        spacing_xyz: of x, y and z, in millimetres.
        qform: index (x, y, z) to patient millimetres, LPS+, from the quaternion; None when not set.
        sform: the same from the three rows; None when not set.
    """

    shape_xyz: tuple[int, ...]
    order: str
    datatype: int
    intent: int
    offset: int
    slope: float
    intercept: float
    spacing_xyz: tuple[float, float, float]
    qform: Float64[np.ndarray, "4 4"] | None
    sform: Float64[np.ndarray, "4 4"] | None


def parse_header(head: bytes) -> NiftiHeader:
    """The header from the first bytes of a file.

    Raises:
        ValueError: when they are no header of a single-file NIfTI.
        struct.error: when they are too few.
    """
    for order in "<>":
        (size,) = struct.unpack_from(order + "i", head)
        if size == 348 and head[344:347] == b"n+1":
            return _first(head, order)
        if size == 540 and head[4:7] == b"n+2":
            return _second(head, order)
    raise ValueError("no NIfTI header")


def header_grid(path: Path, header: NiftiHeader, axes: int) -> Grid:
    """The grid of the first two or three axes; without any form, along the patient's axes from zero, as ITK reads it.

    Raises:
        UnsupportedFile: when its two forms disagree, or when the axes are not at right angles.
    """
    with np.errstate(all="ignore"):  # what overflows is no affine, and refused as such
        return _placed(path, header, axes)


def _placed(path: Path, header: NiftiHeader, axes: int) -> Grid:
    shape = header.shape_xyz[:axes]
    forms = (("sform", header.sform), ("qform", header.qform))
    grids = [_grid(path, shape, form, name) for name, form in forms if form is not None]
    if len(grids) == 2 and not grids[0].matches(grids[1], tolerance=0.1):
        raise UnsupportedFile(
            f"{path}, whose header places it twice and differently (sform: {_place(grids[0])}; qform: {_place(grids[1])})",
            expected="an sform and a qform that agree, since viewers differ in which one they follow",
            do="Decide which is right and copy it over the other, e.g. with FSL's fslorient -copysform2qform.",
        )
    if grids:
        return grids[0]
    try:
        return Grid.from_itk(shape, header.spacing_xyz[:axes], (0.0,) * axes, np.eye(axes))
    except GeometryError as error:
        raise _damaged(path, error.given) from error


def _first(head: bytes, order: str) -> NiftiHeader:
    def get(code: str, at: int) -> tuple[int | float, ...]:
        return struct.unpack_from(order + code, head, at)

    numbers = (*get("h", 68), *get("h", 70), *get("f", 108), *get("f", 112), *get("f", 116), head[123])
    return _header(order, get("8h", 40), get("8f", 76), numbers, get("2h", 252), get("6f", 256), get("12f", 280))


def _second(head: bytes, order: str) -> NiftiHeader:
    def get(code: str, at: int) -> tuple[int | float, ...]:
        return struct.unpack_from(order + code, head, at)

    numbers = (*get("i", 504), *get("h", 12), *get("q", 168), *get("d", 176), *get("d", 184), *get("i", 500))
    return _header(order, get("8q", 16), get("8d", 104), numbers, get("2i", 344), get("6d", 352), get("12d", 400))


def _header(
    order: str,
    dim: tuple[int | float, ...],
    pixdim: tuple[int | float, ...],
    numbers: tuple[int | float, ...],
    codes: tuple[int | float, ...],
    quaternion: tuple[int | float, ...],
    rows: tuple[int | float, ...],
) -> NiftiHeader:
    count = int(dim[0])
    shape = tuple(int(n) for n in dim[1 : count + 1])
    if not 1 <= count <= 7 or min(shape) < 1:
        raise ValueError(f"impossible dimensions {count}: {shape}")
    intent, datatype, offset, slope, intercept, units = numbers
    if not offset >= _FIRST_SAMPLE:
        raise ValueError(f"samples that begin at byte {offset:g}, within the header")
    if np.isfinite(slope) and slope and not np.isfinite(intercept):
        raise ValueError(f"values scaled by {slope:g} and moved by {intercept:g}")
    scale = _TO_MM.get(int(units) & 7, 1.0)
    x, y, z = (abs(step) * scale or 1.0 for step in pixdim[1:4])
    to_mm = np.diag([scale, scale, scale, 1.0]) @ _RAS_TO_LPS
    sform = np.vstack([np.reshape(rows, (3, 4)), [0, 0, 0, 1]])
    return NiftiHeader(
        shape,
        order,
        int(datatype),
        int(intent),
        int(offset),
        float(slope),
        float(intercept),
        (x, y, z),
        qform=_times(to_mm, _from_quaternion(quaternion, pixdim)) if codes[0] > 0 else None,
        sform=_times(to_mm, sform) if codes[1] > 0 else None,
    )


def _times(to_mm: np.ndarray, affine: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):  # what overflows is refused as no affine
        return np.asarray(to_mm @ affine)


def _from_quaternion(values: tuple[int | float, ...], pixdim: tuple[int | float, ...]) -> np.ndarray:
    with np.errstate(all="ignore"):
        return _placed_by(values, pixdim)


def _placed_by(values: tuple[int | float, ...], pixdim: tuple[int | float, ...]) -> np.ndarray:
    b, c, d = (np.float64(value) for value in values[:3])
    a = np.sqrt(max(0.0, 1.0 - (b * b + c * c + d * d)))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    steps = np.array([pixdim[1], pixdim[2], pixdim[3] if pixdim[3] else 1.0]) * [1, 1, -1 if pixdim[0] < 0 else 1]
    affine = np.eye(4)
    affine[:3, :3] = rotation * steps
    affine[:3, 3] = values[3:6]
    return affine


def _grid(path: Path, shape_xyz: tuple[int, ...], affine_xyz: np.ndarray, name: str) -> Grid:
    columns = affine_xyz[:, [2, 1, 0, 3]].copy()
    lengths = np.linalg.norm(columns[:3, :3], axis=0)
    if not np.isfinite(columns).all() or not lengths[1:].all():
        raise _damaged(path, f"its {name} is no affine: {np.round(affine_xyz, 4).tolist()}")
    if len(shape_xyz) == 2:  # the normal carries no scale; a header may leave it empty
        normal = np.cross(columns[:3, 2], columns[:3, 1]) if not lengths[0] else columns[:3, 0]
        columns[:3, 0] = normal / np.linalg.norm(normal)
    unit = columns[:3, :3] / np.linalg.norm(columns[:3, :3], axis=0)
    if np.abs(unit.T @ unit - np.eye(3)).max() > 1e-3:
        raise UnsupportedFile(
            f"{path}, whose axes are sheared ({name}, angles off by {_skew(unit):.2f} degrees)",
            expected="axes at right angles",
            do="Resample it to such a grid first, e.g. with 3D Slicer, or with FSL's flirt -applyxfm -usesqform.",
        )
    try:
        return Grid(tuple(reversed(shape_xyz)), columns)
    except GeometryError as error:
        raise _damaged(path, error.given) from error


def _skew(unit: np.ndarray) -> float:
    cosines = np.abs((unit.T @ unit)[np.triu_indices(3, 1)]).clip(0, 1)
    return float(90 - np.degrees(np.arccos(cosines)).min())


def _place(grid: Grid) -> str:
    origin = ", ".join(f"{v:.4g}" for v in grid.origin)
    return f"{grid} at {origin}, x along {np.round(grid.direction[:, 0], 3).tolist()}"


def _damaged(path: Path, reason: str) -> UnreadableFile:
    return UnreadableFile(f"{path}, which is damaged ({reason})", expected="a whole NIfTI file", do="Export it again.")
