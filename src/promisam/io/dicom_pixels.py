"""The pixels of one single-frame DICOM file, rescaled by its own slope and intercept.

Uncompressed and run-length coded pixels are decoded by pydicom, which counts the bytes (GDCM fills what is missing with chance
values, and inverts MONOCHROME1); the JPEG family by GDCM through SimpleITK, whose inversion is undone here.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from jaxtyping import Shaped

from promisam.core.errors import PromisamError, UnreadableFile
from promisam.io.dicom_headers import DicomFile
from promisam.io.itk_files import read_frame

_BY_PYDICOM = {
    "1.2.840.10008.1.2",  # implicit little endian
    "1.2.840.10008.1.2.1",  # explicit little endian
    "1.2.840.10008.1.2.1.99",  # deflated
    "1.2.840.10008.1.2.2",  # explicit big endian
    "1.2.840.10008.1.2.5",  # run-length
}


def read_pixels(file: DicomFile) -> Shaped[np.ndarray, "c y x"]:
    """Samples, channels first: Hounsfield units, Bq/ml, ...; colour as RGB; MONOCHROME1 as stored.

    Raises:
        UnreadableFile: for missing, truncated or undecodable pixels.
    """
    syntax = str(getattr(file.header, "file_meta", {}).get("TransferSyntaxUID", ""))
    try:
        pixels = _decoded(file) if syntax in _BY_PYDICOM else _through_gdcm(file)
    except PromisamError:
        raise
    except Exception as error:  # decoders raise whatever they meet in damaged data
        raise UnreadableFile(
            f"{file.path}, whose pixels are missing, cut off or damaged ({' '.join(str(error).split())[:200]})",
            expected="a whole, sound DICOM image",
            do="Export it again.",
        ) from error
    expected = (int(file.header.Rows), int(file.header.Columns))
    if pixels.shape[1:] != expected:
        raise UnreadableFile(
            f"{file.path} with pixels of {pixels.shape[1:]}", expected=f"{expected} as its header says", do="Export it again."
        )
    return _narrow(pixels)


def _decoded(file: DicomFile) -> np.ndarray:
    import pydicom
    from pydicom.pixels.processing import apply_color_lut

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks on padding and odd values, which may quote the patient
        dataset = pydicom.dcmread(file.path)
        pixels = dataset.pixel_array
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, dataset)[..., :3]
        pixels = (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels  # what a screen shows
    if pixels.ndim == 3:
        return np.ascontiguousarray(np.moveaxis(pixels, -1, 0))
    slope, intercept = _rescale(file)
    if (slope, intercept) == (1, 0):
        return np.asarray(pixels[None])
    whole = float(slope).is_integer() and float(intercept).is_integer()
    kind: Any = np.int64 if whole else np.float64
    return np.asarray(pixels[None].astype(kind) * kind(slope) + kind(intercept))


def _through_gdcm(file: DicomFile) -> np.ndarray:
    pixels = read_frame(file.path)
    if file.text("PhotometricInterpretation") != "MONOCHROME1":
        return pixels
    slope, intercept = _rescale(file)
    bits = int(file.header.BitsStored)
    sum_of_inverses = -1 if int(file.header.PixelRepresentation) else 2**bits - 1
    exact = pixels.astype(np.int64 if pixels.dtype.kind in "iu" else np.float64)
    return np.asarray(slope * sum_of_inverses + 2 * intercept - exact).astype(exact.dtype)


def _rescale(file: DicomFile) -> tuple[float, float]:
    slope, intercept = file.numbers("RescaleSlope"), file.numbers("RescaleIntercept")
    return (slope[0] if slope else 1.0), (intercept[0] if intercept else 0.0)


def _narrow(pixels: np.ndarray) -> np.ndarray:
    pixels = pixels.astype(pixels.dtype.newbyteorder("="))
    if pixels.dtype.kind == "f":
        return pixels.astype(np.float32)
    low, high = int(pixels.min()), int(pixels.max())
    for kind in (np.int16, np.uint16, np.int32, np.uint32):
        if pixels.dtype.itemsize > np.dtype(kind).itemsize and np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return pixels.astype(kind)
    return pixels
