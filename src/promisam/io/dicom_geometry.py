"""Where the slices of a DICOM series lie, from their own headers.

Source: DICOM PS3.3 C.7.6.2 (Image Plane): ImagePositionPatient is the centre of the first pixel; ImageOrientationPatient gives
the direction of a row (x index rising), then of a column (y index rising); PixelSpacing is (between rows, between columns).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from promisam.core.errors import UnsupportedFile
from promisam.core.grid import Grid
from promisam.io.dicom_headers import DicomFile

_UNEVEN = 0.1  # of the usual gap: headers round positions, often to 0.1 mm; a missing slice is a full gap
_OBLIQUE = 1e-3  # deviation of a direction's length, or of two directions' product, that rounding can explain


def picture_grid(file: DicomFile) -> Grid:
    """Grid of one single-frame file: at its place in the patient, or in a standard plane where the header tells none.

    Raises:
        UnsupportedFile: for multi-frame objects and impossible orientations.
    """
    _check_frames(file)
    shape = file.size()
    spacing = _pixel_spacing(file)
    if not _is_placed(file):
        if not spacing:
            return Grid.of_picture(shape)
        return Grid.from_itk(shape[::-1], spacing[::-1], (0.0, 0.0), np.eye(2))
    return Grid(shape, _affine(file, spacing, _frame(file)[0]))


def sorted_volume(folder: Path, files: Sequence[DicomFile]) -> tuple[list[DicomFile], Grid]:
    """The slices in the order of their positions along the normal, and their common grid.

    Raises:
        UnsupportedFile: when they are no regular stack: mixed, tilted, doubled or with gaps, with the positions in question.
    """
    for file in files:
        _check_frames(file)
    _check_alike(folder, files)
    normal, _ = _frame(files[0])
    at = np.array([file.numbers("ImagePositionPatient") for file in files])
    order = np.argsort(at @ normal, kind="stable")
    at = at[order]
    depths = at @ normal
    _check_duplicates(folder, depths)
    _check_gaps(folder, depths)
    spacing = _pixel_spacing(files[0])
    _check_tilt(folder, at, depths, normal, min(spacing))
    step = float(depths[-1] - depths[0]) / (len(files) - 1)
    ordered = [files[i] for i in order]
    shape = (len(files), *files[0].size())
    return ordered, Grid(shape, _affine(ordered[0], spacing, normal * step))


def _is_placed(file: DicomFile) -> bool:
    return len(file.numbers("ImagePositionPatient")) == 3 and len(file.numbers("ImageOrientationPatient")) == 6


def _pixel_spacing(file: DicomFile) -> tuple[float, ...]:
    spacing = file.numbers("PixelSpacing") or file.numbers("ImagerPixelSpacing")
    return spacing if len(spacing) == 2 and min(spacing) > 0 else ()


def _frame(file: DicomFile) -> tuple[np.ndarray, np.ndarray]:
    """Unit normal, and the directions of rising x and of rising y as rows."""
    axes = np.reshape(file.numbers("ImageOrientationPatient"), (2, 3))
    with np.errstate(over="ignore"):
        lengths = np.linalg.norm(axes, axis=1)
    sound = np.abs(lengths - 1).max() <= _OBLIQUE and abs(float(axes[0] @ axes[1])) <= _OBLIQUE  # false for NaN
    if not sound or not _pixel_spacing(file):
        raise UnsupportedFile(
            f"{file.path} with orientation {file.text('ImageOrientationPatient')}, spacing {file.text('PixelSpacing')}",
            expected="two unit vectors at right angles, and a pixel spacing",
            do="Export the series again; its header is wrong.",
        )
    axes = axes / lengths[:, None]
    normal = np.cross(axes[0], axes[1])
    return normal / np.linalg.norm(normal), axes


def _affine(file: DicomFile, spacing_yx: Sequence[float], step: np.ndarray) -> Float64[np.ndarray, "4 4"]:
    _, axes = _frame(file)
    affine = np.eye(4)
    affine[:3, 0] = step
    affine[:3, 1] = axes[1] * spacing_yx[0]
    affine[:3, 2] = axes[0] * spacing_yx[1]
    affine[:3, 3] = file.numbers("ImagePositionPatient")
    return affine


def _check_frames(file: DicomFile) -> None:
    frames = file.numbers("NumberOfFrames")
    if frames and frames[0] > 1:
        raise UnsupportedFile(
            f"{file.path}, a multi-frame object of {frames[0]:.0f} frames",
            expected="one frame per file",
            do="Convert it first, e.g. with dcm2niix (volumes) or by exporting the one frame (cine).",
        )


def _check_alike(folder: Path, files: Sequence[DicomFile]) -> None:
    lost = [file.path.name for file in files if not _is_placed(file)]
    if lost:
        raise UnsupportedFile(
            f"the folder {folder}, where {len(lost)} of {len(files)} images have no place in the patient (such as {lost[0]})",
            expected="slices of one volume",
            do="Read such pictures one by one.",
        )
    for what, keyword in (("orientations", "ImageOrientationPatient"), ("pixel spacings", "PixelSpacing")):
        kinds = Counter(tuple(np.round(file.numbers(keyword), 3).tolist()) for file in files)
        if len(kinds) > 1:
            raise _mixed(folder, what, kinds, "Move localizers and other planes into folders of their own.")
    sizes = Counter(file.size()[::-1] for file in files)
    if len(sizes) > 1:
        raise _mixed(folder, "sizes", sizes, "Move the others into folders of their own.")


def _mixed(folder: Path, what: str, kinds: Counter[tuple[float, ...]] | Counter[tuple[int, int]], do: str) -> UnsupportedFile:
    counted = "; ".join(f"{n} with {', '.join(f'{v:g}' for v in kind)}" for kind, n in kinds.most_common(4))
    return UnsupportedFile(f"the folder {folder}, whose slices have different {what} ({counted})", expected="one", do=do)


def _check_duplicates(folder: Path, depths: np.ndarray) -> None:
    gaps = np.diff(depths)
    usual = float(np.median(gaps[gaps > 1e-3])) if (gaps > 1e-3).any() else 0.0
    same = depths[1:][gaps <= max(1e-3, 0.01 * usual)]
    if same.size:
        raise UnsupportedFile(
            f"the folder {folder} with more than one slice at {_places(np.unique(same.round(3)))}",
            expected="one slice at each position",
            do="Remove the doubles; where it is a time series or holds several acquisitions, keep one of them.",
        )


def _check_gaps(folder: Path, depths: np.ndarray) -> None:
    gaps = np.diff(depths)
    usual = float(np.median(gaps))
    off = np.flatnonzero(np.abs(gaps - usual) > _UNEVEN * usual)
    if off.size:
        named = "; ".join(f"{gaps[i]:.4g} mm between {depths[i]:.4g} and {depths[i + 1]:.4g}" for i in off[:5])
        more = f" and {off.size - 5} more" if off.size > 5 else ""
        raise UnsupportedFile(
            f"the folder {folder}, whose slices are {usual:.4g} mm apart but {named}{more} (along the normal)",
            expected="evenly spaced slices",
            do="Fetch the missing slices, or cut the series where the spacing changes.",
        )


def _check_tilt(folder: Path, at: np.ndarray, depths: np.ndarray, normal: np.ndarray, pixel: float) -> None:
    aside = np.linalg.norm((at - at[0]) - np.outer(depths - depths[0], normal), axis=1)
    if aside.max() > max(0.05, 0.25 * pixel):
        angle = np.degrees(np.arctan2(aside[-1], depths[-1] - depths[0]))
        raise UnsupportedFile(
            f"the folder {folder}, whose slices are shifted sideways by {aside.max():.3g} mm (gantry tilt, {angle:.3g}°)",
            expected="positions along the slices' normal",
            do="Correct the tilt first, e.g. with dcm2niix, which writes a file named ..._Tilt.",
        )


def _places(depths: np.ndarray) -> str:
    named = ", ".join(f"{d:.4g}" for d in depths[:5])
    return f"{named}{' and others' if depths.size > 5 else ''} mm along the normal"
