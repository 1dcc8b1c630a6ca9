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
    expected = file.size()
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
    whole = float(slope).is_integer() and float(intercept).is_integer() and max(abs(slope), abs(intercept)) < 2**31
    kind: Any = np.int64 if whole else np.float64
    with np.errstate(over="ignore", invalid="ignore"):  # what is no number then is refused with the image
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
    return _number(file, "RescaleSlope", 1.0), _number(file, "RescaleIntercept", 0.0)


def _number(file: DicomFile, keyword: str, otherwise: float) -> float:
    """What stands there, if anything does: text that is no number must not pass for nothing."""
    found = file.numbers(keyword)
    if file.text(keyword).strip() and (len(found) != 1 or not np.isfinite(found[0])):
        raise UnreadableFile(
            f"{file.path} with the {keyword} {file.text(keyword)!r}", expected="a number", do="Export it again."
        )
    if keyword == "RescaleSlope" and found == (0.0,):
        raise UnreadableFile(f"{file.path} with a RescaleSlope of 0", expected="another number", do="Export it again.")
    return found[0] if found else otherwise


def _narrow(pixels: np.ndarray) -> np.ndarray:
    pixels = pixels.astype(pixels.dtype.newbyteorder("="))
    if pixels.dtype.kind == "f":
        with np.errstate(over="ignore"):  # refused with the image
            return pixels.astype(np.float32)
    low, high = int(pixels.min()), int(pixels.max())
    for kind in (np.int16, np.uint16, np.int32, np.uint32):
        if pixels.dtype.itemsize > np.dtype(kind).itemsize and np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return pixels.astype(kind)
    return pixels
