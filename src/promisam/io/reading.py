"""From a path to values: the one entrance for images and for masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Integer, Shaped

from promisam.core.errors import InvalidImage, InvalidSegmentation, UnsupportedFile
from promisam.core.grid import Grid
from promisam.core.image import Image
from promisam.core.segmentation import Segmentation
from promisam.io.formats import Format, format_of


def read(path: str | Path, *, series: str | int | None = None, channels: bool = False) -> Image:
    """Read a picture, a volume or a DICOM series with its geometry; values stay as stored (rescaled, for DICOM and NIfTI).

    MONOCHROME1 pictures (X-ray) keep their raw values, where high means dark. Single-slice volumes stay volumes. A single
    DICOM file is a picture at its place in the patient. See `pictures.py` for how colour and transparency are read.

    Args:
        path: NIfTI, NRRD, MetaImage, PNG, JPEG, TIFF, BMP, a DICOM file, or a folder that holds one DICOM series.
        series: the number or the UID of the series, where a DICOM folder holds several.
        channels: whether the fourth axis of a 4-D NIfTI file holds channels; without it, 4-D is refused, since it may be time.

    Raises:
        UnreadableFile: when the file is missing, damaged, or not what its name says.
        UnsupportedFile: when it is sound, but cannot be used faithfully (4-D, sheared, tilted, with missing slices).
        InvalidImage: for NaN or infinite values.
    """
    path = Path(path)
    kind = format_of(path)
    if series is not None and kind != "DICOM folder":
        raise UnsupportedFile(f"series {series!r} of {path}, a {kind}", expected="a DICOM folder", do="Leave the series out.")
    if kind in ("DICOM", "DICOM folder"):
        from promisam.io.dicom_series import read_dicom

        samples, grid = read_dicom(path, None if series is None else str(series))
    elif kind == "picture":
        from promisam.io.pictures import read_picture

        samples, grid = read_picture(path)
    else:
        samples, grid = _volume(path, kind, channels)
    try:
        return Image(samples, grid)
    except InvalidImage as error:
        raise InvalidImage(f"{path}, {error.given}", expected=error.expected, do=error.do) from error


def read_segmentation(path: str | Path) -> Segmentation:
    """Read a mask: whole numbers from 0 in any format that `read` knows, or a DICOM-SEG file (names included).

    Floating-point files that hold whole numbers are accepted. In pictures, palette indices are the labels, and an 8-bit grey
    picture of 0 and 255 only is one label, 1.

    Raises:
        UnreadableFile: when the file is missing, damaged, or not what its name says.
        InvalidSegmentation: when the values are no labels: fractions, negative numbers, colours, JPEG's smeared edges.
    """
    path = Path(path)
    kind = format_of(path)
    if kind == "DICOM":
        from promisam.io.dicom_seg import is_dicom_seg, read_dicom_seg

        if is_dicom_seg(path):
            return read_dicom_seg(path)
    if kind == "DICOM folder":
        raise UnsupportedFile(
            f"the folder {path} as a mask", expected="one file", do="Give the mask's own file, e.g. a DICOM-SEG (.dcm)."
        )
    if kind == "picture":
        from promisam.io.pictures import read_picture_labels

        labels, grid = read_picture_labels(path)
    else:
        labels, grid = _grey(path, kind)
    return Segmentation(whole_labels(path, labels), grid)


def flattened(segmentation: Segmentation, grid: Grid) -> Segmentation:
    """The one slice of a mask whose image is a picture: `write` stores a picture off the plane Z = 0 as such a volume."""
    single = grid.ndim == 2 and segmentation.grid.ndim == 3 and segmentation.grid.shape[0] == 1
    return segmentation.slice(0, 0) if single else segmentation


def whole_labels(path: Path, labels: Shaped[np.ndarray, "*grid"]) -> Integer[np.ndarray, "*grid"]:
    """The same values in the smallest unsigned type.

    Raises:
        InvalidSegmentation: for fractions, negative and non-finite values.
    """
    low, high = float(labels.min()), float(labels.max())
    whole = labels.dtype.kind in "biu" or (np.isfinite([low, high]).all() and bool((labels == np.rint(labels)).all()))
    if not whole or low < 0 or high >= 2**32:
        what = "fractions" if not whole else f"values from {low:g} to {high:g}"
        what = "NaN or infinite values" if not np.isfinite([low, high]).all() else what
        raise InvalidSegmentation(
            f"{path}, a mask with {what}",
            expected="whole numbers from 0",
            do="Threshold a probability map first; map negative labels to positive ones.",
        )
    return smallest(labels)


def smallest(labels: Shaped[np.ndarray, "*grid"]) -> Integer[np.ndarray, "*grid"]:
    """Whole, non-negative values in the smallest unsigned integer type that holds them."""
    return labels.astype(np.min_scalar_type(int(labels.max())))


def _grey(path: Path, kind: Format) -> tuple[np.ndarray, Grid]:
    if kind == "DICOM":
        from promisam.io.dicom_series import read_dicom

        samples, grid = read_dicom(path, None)
    else:
        samples, grid = _volume(path, kind)
    if len(samples) > 1 and not (samples == samples[:1]).all():
        raise InvalidSegmentation(
            f"{path}, a mask of {len(samples)} unequal channels",
            expected="one channel whose values are the labels",
            do="Convert colours to label values first.",
        )
    return np.asarray(samples[0]), grid


def _volume(path: Path, kind: Format, channels: bool = False) -> tuple[np.ndarray, Grid]:
    if kind == "NIfTI":
        from promisam.io.nifti_file import read_nifti

        return read_nifti(path, channels=channels)
    from promisam.io.itk_files import read_itk

    return read_itk(path, kind)
