"""Reading DICOM images: geometry from the headers, pixels slice by slice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from promisam.core.errors import UnsupportedFile
from promisam.core.grid import Grid
from promisam.io.dicom_geometry import picture_grid, sorted_volume
from promisam.io.dicom_headers import DicomFile, image_files, is_image, one_series, read_header
from promisam.io.dicom_pixels import read_pixels


def find_series(path: Path, series: str | None = None) -> tuple[list[DicomFile], Grid]:
    """The files of one image, in order, and its grid; a single file or a folder of one is a picture.

    Raises:
        UnreadableFile: when there is no image, or a header is damaged.
        UnsupportedFile: when the files are no single, regular stack.
    """
    if path.is_dir():
        files = one_series(path, image_files(path), series)
        return (files, picture_grid(files[0])) if len(files) == 1 else sorted_volume(path, files)
    file = read_header(path)
    if not is_image(file):
        raise UnsupportedFile(
            f"{path}, a DICOM object that is no image ({_class_name(file)})",
            expected="an image",
            do="Read masks with read_segmentation; give the folder of the images themselves otherwise.",
        )
    return [file], picture_grid(file)


def read_dicom(path: Path, series: str | None) -> tuple[Shaped[np.ndarray, "c *grid"], Grid]:
    """Samples after rescaling (Hounsfield units, Bq/ml), channels first, and their grid.

    Colour is converted to RGB. MONOCHROME1 is not inverted.

    Raises:
        UnreadableFile: for damaged, truncated or missing pixels.
        UnsupportedFile: when the files are no single, regular stack.
    """
    files, grid = find_series(path, series)
    if grid.ndim == 2:
        return read_pixels(files[0]), grid
    return _stacked(path, files, grid), grid


def _stacked(folder: Path, files: Sequence[DicomFile], grid: Grid) -> np.ndarray:
    first = read_pixels(files[0])
    volume = np.empty((len(first), *grid.shape), first.dtype)
    for index, file in enumerate(files):
        pixels = first if index == 0 else read_pixels(file)
        if len(pixels) != len(first):
            raise UnsupportedFile(
                f"the folder {folder}, where {file.path.name} has {len(pixels)} channels and others {len(first)}",
                expected="grey slices, or colour slices",
                do="Move the others into a folder of their own.",
            )
        wider = np.result_type(volume.dtype, pixels.dtype)
        volume = volume if wider == volume.dtype else volume.astype(wider)
        volume[:, index] = pixels
    return volume


def _class_name(file: DicomFile) -> str:
    from pydicom.uid import UID

    return UID(file.text("SOPClassUID")).name or "no SOP class"
