"""Reading NIfTI.

Read here and not through SimpleITK, whose NIfTI library was seen to answer a truncated file with zeros, to turn NaN into 0, to
take the samples of `a.nii` for `a.nii.gz` where both lie in one folder, and to pick one of two contradicting geometries, all in
silence.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from promisam.core.errors import UnreadableFile, UnsupportedFile
from promisam.core.grid import Grid
from promisam.io.nifti_header import HEADER_BYTES, NiftiHeader, header_grid, parse_header
from promisam.io.room import check_announced

_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
_COLOURS = {128: 3, 2304: 4}  # RGB24, RGBA32
_VECTORS = {1006, 1007, 2003, 2004}  # intents whose fifth axis holds channels: displacement, vector, RGB, RGBA


def read_nifti(path: Path, *, channels: bool = False) -> tuple[Shaped[np.ndarray, "c *grid"], Grid]:
    """Samples after the header's scaling, channels first, and their grid.

    Args:
        path: the file.
        channels: whether a fourth axis holds channels; it may as well be time, so the caller has to know.

    Raises:
        UnreadableFile: for a damaged or truncated file.
        UnsupportedFile: for 4-D, complex numbers, shear, and a header that contradicts itself.
    """
    try:
        with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
            header = parse_header(file.read(HEADER_BYTES))
            kind, colours = _sample_type(path, header)
            _check_axes(path, header, channels)
            count = math.prod(header.shape_xyz) * colours
            squeezed = isinstance(file, gzip.GzipFile)
            held = path.stat().st_size - (0 if squeezed else header.offset)
            check_announced(path, count * kind.itemsize, held, squeezed=squeezed)
            file.seek(header.offset)
            content = file.read(count * kind.itemsize)
            while file.read(1 << 20):  # to the end, where gzip's checksum stands
                pass
    except MemoryError as error:
        raise _damaged(
            path, f"the header announces {math.prod(header.shape_xyz)} samples, more than fit into memory"
        ) from error
    except (OSError, EOFError, zlib.error, struct.error, ValueError, OverflowError) as error:
        raise _damaged(path, str(error)) from error
    if len(content) < count * kind.itemsize:
        raise _damaged(path, f"{len(content)} of {count * kind.itemsize} bytes of samples")
    samples = np.frombuffer(content, kind).astype(kind.newbyteorder("="), copy=False)
    axes = min(len(header.shape_xyz), 3)
    return _scaled(_arranged(samples, header, colours), header), header_grid(path, header, axes)


def _sample_type(path: Path, header: NiftiHeader) -> tuple[np.dtype, int]:
    if header.datatype in _COLOURS:
        return np.dtype("u1"), _COLOURS[header.datatype]
    if header.datatype not in _TYPES:
        raise UnsupportedFile(
            f"{path}, whose samples have NIfTI's type {header.datatype} (complex, binary or of 128 bits)",
            expected="whole or real numbers of up to 64 bits",
            do="Convert it first, e.g. to magnitudes.",
        )
    return np.dtype(header.order + _TYPES[header.datatype]), 1


def _check_axes(path: Path, header: NiftiHeader, channels: bool) -> None:
    shape = header.shape_xyz
    if channels and header.datatype not in _COLOURS and len(shape) > 3 and all(n == 1 for n in shape[4:]):
        return
    vector = header.intent in _VECTORS and len(shape) == 5 and shape[3] == 1
    if len(shape) < 2 or (not vector and any(n > 1 for n in shape[3:])):
        raise UnsupportedFile(
            f"{path}, which has {len(shape)} axes ({' x '.join(map(str, shape))} samples)",
            expected="a picture or one volume",
            do="Split it into its volumes first, e.g. with FSL's fslsplit, and choose one.",
        )


def _arranged(samples: np.ndarray, header: NiftiHeader, colours: int) -> np.ndarray:
    grid = tuple(reversed(header.shape_xyz[:3]))
    if colours > 1:
        return np.ascontiguousarray(np.moveaxis(samples.reshape(*grid, colours), -1, 0))
    return samples.reshape(-1, *grid)


def _scaled(samples: np.ndarray, header: NiftiHeader) -> np.ndarray:
    slope, intercept = header.slope, header.intercept
    usual = not np.isfinite([slope, intercept]).all() or slope == 0 or (slope, intercept) == (1, 0)
    if usual or header.datatype in _COLOURS:
        return samples
    kind = _whole_kind(samples, slope, intercept)
    whole = kind is not None
    found = np.empty(samples.shape, kind or (np.float64 if samples.dtype.itemsize > 4 else np.float32))
    with np.errstate(over="ignore", invalid="ignore"):  # what is no number then is refused with the image
        for index in np.ndindex(samples.shape[:-2]):  # slice by slice: a volume in float64 or int64 may not fit into memory
            wide = samples[index].astype(np.int64 if whole else np.float64)
            found[index] = wide * int(slope) + int(intercept) if whole else wide * slope + intercept
    return found


def _whole_kind(samples: np.ndarray, slope: float, intercept: float) -> np.dtype | None:
    """The smallest type, at least of the samples' own size, of values that stay whole numbers; None where they do not."""
    if samples.dtype.kind not in "iu" or not (float(slope).is_integer() and float(intercept).is_integer()):
        return None
    ends = [int(end) * int(slope) + int(intercept) for end in (samples.min(), samples.max())]
    kinds = (np.dtype(kind) for kind in ("i2", "u2", "i4", "u4", "i8"))
    fitting = (kind for kind in kinds if np.iinfo(kind).min <= min(ends) and max(ends) <= np.iinfo(kind).max)
    return next((kind for kind in fitting if kind.itemsize >= samples.dtype.itemsize), None)


def _damaged(path: Path, reason: str) -> UnreadableFile:
    return UnreadableFile(
        f"{path}, which is damaged or cut off ({' '.join(reason.split())})",
        expected="a whole NIfTI file",
        do="Copy or export the file again.",
    )
