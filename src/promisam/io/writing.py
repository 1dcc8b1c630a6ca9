"""From a segmentation to a file: the one exit for masks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Integer

from promisam.core.errors import UnwritableOutput
from promisam.core.grid import Grid
from promisam.core.segmentation import Segmentation
from promisam.io.atomic import atomic_path, check_place, full_suffix
from promisam.io.formats import BY_SUFFIX
from promisam.io.reading import smallest

_VOLUMES = (".nii", ".nii.gz", ".nrrd", ".mha")
_PICTURES = (".png", ".tif", ".tiff", ".bmp")
_KEPT = {".nii": ".nii.gz", ".nrrd": ".nrrd", ".nhdr": ".nrrd", ".mha": ".mha", ".mhd": ".mha"}  # image to mask
_WRITABLE = "a name that ends in .nii.gz, .nii, .nrrd, .mha, .png, .tif, .bmp or .dcm"
_REFUSED = {
    ".jpg": ("JPEG is lossy: it would change the labels", "Use .png."),
    ".jpeg": ("JPEG is lossy: it would change the labels", "Use .png."),
    ".mhd": ("two files, of which one may be lost", "Use .mha."),
    ".nhdr": ("two files, of which one may be lost", "Use .nrrd."),
}


def write(
    path: str | Path, segmentation: Segmentation, *, source: str | Path | None = None, series: str | int | None = None
) -> Path:
    """Write a segmentation in the format that the suffix names, whole or not at all; parent folders are created.

    * `.nii`, `.nii.gz`, `.nrrd`, `.mha`: labels as they are, on exactly their grid. A picture that does not lie in the plane
      Z = 0 is written as a volume of one slice. These formats have no pixel unit: "px" becomes "mm" of the same number.
    * `.png`, `.tif`, `.bmp`: a picture whose only label is 1 as 0 and 255; otherwise the labels as they are, 8-bit where they
      fit, else 16-bit (not BMP). `mask_coding` tells which. A TIFF may hold a volume without physical scale, as pages.
    * `.dcm`: a DICOM-SEG object, with `source`, the DICOM file or folder that the image was read from, and `series`, where the
      folder holds several.

    Returns:
        The path.

    Raises:
        UnwritableOutput: for an unknown or unsuitable suffix, and where the operating system refuses.
        MissingExtra: for `.dcm` without highdicom.
    """
    path = Path(path)
    store = _writer(path, segmentation, None if source is None else Path(source), None if series is None else str(series))
    with atomic_path(path) as temporary:
        try:
            store(temporary)
        except UnwritableOutput as error:
            given = error.given.replace(temporary.name, str(path))
            raise UnwritableOutput(given, expected=error.expected, do=error.do) from error
    return path


def mask_coding(path: str | Path, segmentation: Segmentation) -> dict[int, int]:
    """Which value each label has in a file that `write` makes, for reports."""
    suffix = full_suffix(path)
    if suffix == ".dcm":
        from promisam.io.dicom_seg import segment_numbers

        return segment_numbers(segmentation)
    if suffix in _PICTURES and set(segmentation.values) <= {1}:
        return {1: 255}
    return {value: value for value in segmentation.values}


def mask_suffixes(image: Path) -> tuple[str, ...]:
    """Of masks that may keep the geometry of an image that is not yet read."""
    suffix = full_suffix(image) if image.is_file() else ""
    return (".png", ".nii.gz") if _is_picture(image) else (_KEPT.get(suffix, ".nii.gz"),)


def mask_suffix(image: Path, grid: Grid) -> str:
    """Of a mask that keeps the geometry of this image."""
    return mask_suffixes(image)[1 if _is_picture(image) and grid.ndim == 3 else 0]


def _is_picture(image: Path) -> bool:
    return BY_SUFFIX.get(full_suffix(image)) == "picture" and image.is_file()


def _writer(path: Path, segmentation: Segmentation, source: Path | None, series: str | None = None) -> Callable[[Path], None]:
    suffix = full_suffix(path)
    if suffix in _VOLUMES:
        from promisam.io.itk_files import write_itk

        return lambda to: write_itk(to, smallest(segmentation.labels), segmentation.grid)
    if suffix in _PICTURES:
        from promisam.io.pictures import write_picture

        coded = _coded(path, segmentation)
        return lambda to: write_picture(to, coded)
    if suffix == ".dcm":
        if source is None:
            raise UnwritableOutput(
                f"the output {path}, a DICOM-SEG without its source images",
                expected="the DICOM file or folder that the image was read from",
                do="Give source=..., or write .nii.gz.",
            )
        from promisam.io.dicom_seg import write_dicom_seg

        return lambda to: write_dicom_seg(to, segmentation, source, series)
    reason, do = _REFUSED.get(
        suffix, ("a suffix that names no known format" if suffix else "without a suffix", "Use .nii.gz, or .png for a picture.")
    )
    raise UnwritableOutput(f"the output {path} ({reason})", expected=_WRITABLE, do=do)


def _coded(path: Path, segmentation: Segmentation) -> Integer[np.ndarray, "*grid"]:
    grid = segmentation.grid
    stack = path.suffix.lower() in (".tif", ".tiff") and grid.unit == "px"
    if grid.ndim == 3 and not stack:
        raise UnwritableOutput(
            f"the output {path}, a picture, for a volume of {grid}",
            expected="a format that keeps the geometry of a volume",
            do="Use .nii.gz, or write one slice of it.",
        )
    if set(segmentation.values) <= {1}:
        return smallest(segmentation.labels) * np.uint8(255)
    labels = smallest(segmentation.labels)
    if set(np.unique(labels).tolist()) <= {0, 255} and labels.any():
        labels = labels.astype(np.uint16)  # in 8 bits, 0 and 255 mean label 1
    deepest = 1 if path.suffix.lower() == ".bmp" else 2
    if labels.dtype.itemsize > deepest:
        raise UnwritableOutput(
            f"the output {path} for labels up to {int(labels.max())}",
            expected=f"labels up to {256**deepest - 1} in this format",
            do="Use .png or .nii.gz." if deepest == 1 else "Use .nii.gz.",
        )
    return labels


def check_writable(path: str | Path, grid: Grid, *, source: str | Path | None = None) -> None:
    """Refuse, before any work, an output that `write` would refuse for its suffix, its place or its grid.

    Raises:
        UnwritableOutput: with the reason.
        MissingExtra: for `.dcm` without highdicom.
    """
    path = Path(path)
    nothing = Segmentation(np.zeros(grid.shape, np.uint8), grid, {1: "object"})
    _writer(path, nothing, None if source is None else Path(source))
    if full_suffix(path) == ".dcm":
        from promisam.io.dicom_seg import check_source

        check_source(path, Path(source) if source is not None else None)
    check_place(path)
