"""What a client uploads, looked at before it is read: its kind, where its samples are said to lie, and how many they are.

A header of NRRD or MetaImage may name any file of this machine for its samples. Only headers that are understood to their end
pass: whatever the library that reads them might take for such a name is refused.
"""

from __future__ import annotations

import gzip
import math
import re
import shutil
import struct
import zlib
from pathlib import Path
from typing import Protocol, runtime_checkable

from promisam.core.errors import InvalidImage, UnsupportedFile
from promisam.io.atomic import full_suffix
from promisam.io.nifti_header import HEADER_BYTES, parse_header
from promisam.session.project import SAMPLES

AS_THEY_ARE = (".nii", ".nii.gz", ".nrrd", ".mha", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
_UPLOADS = (*AS_THEY_ARE, ".dcm")
_HEADER = 1 << 16  # bytes in which a header must end
_ELSEWHERE = re.compile(
    rb"^[^\S\n]*(data[^\S\n]*file|elementdatafile)[^\S\n]*[:=][ \t]*(?![ \t]|local[ \t]*$)", re.IGNORECASE | re.MULTILINE
)
# MetaIO knows this name in this spelling alone, and takes a line without a separator for the beginning of the next line's name.
_HERE = re.compile(rb"^ElementDataFile[ \t]*=[ \t]*(LOCAL|Local|local)[ \t]*\n", re.MULTILINE)
_FIELD = re.compile(rb"[^=:\0]+[=:][^\0]*")
_NUMBERS = re.compile(rb"^[^\S\n]*(?:sizes|dimsize|elementnumberofchannels)\s*[:=]([\d \t]+)", re.IGNORECASE | re.MULTILINE)
_DIGITS = 18  # of a number; more are too many in any case


@runtime_checkable
class Stream(Protocol):
    """Bytes to be read once."""

    def read(self, size: int = -1, /) -> bytes:
        """So many, or all."""
        ...


def stored(folder: Path, name: str, stream: Stream) -> Path:
    """An upload as a file in a folder; only the suffix of its name counts.

    Raises:
        UnsupportedFile: for a file of another kind, and for one whose samples lie, or may lie, somewhere else.
        InvalidImage: for more samples than are taken.
    """
    suffix = full_suffix(name)
    if suffix not in _UPLOADS:
        raise UnsupportedFile(
            f"an upload of the kind {suffix[:20]!r}", expected=f"one of {', '.join(_UPLOADS)}", do="Convert it first."
        )
    path = folder / f"upload{suffix}"
    with path.open("wb") as file:
        shutil.copyfileobj(stream, file)
    number = 0
    if suffix in (".nrrd", ".mha"):
        number = math.prod(
            max(1, int(digits[:_DIGITS])) for line in _NUMBERS.findall(_header(path, suffix)) for digits in line.split()
        )
    elif suffix in (".nii", ".nii.gz"):
        number = _nifti_samples(path)
    if number > SAMPLES:
        raise InvalidImage(
            f"an upload with {number:.4g} samples", expected=f"at most {SAMPLES:,}", do="Crop it, or take it in parts."
        )
    return path


def _header(path: Path, suffix: str) -> bytes:
    with path.open("rb") as file:
        text = file.read(_HEADER).replace(b"\r\n", b"\n")
    if _ELSEWHERE.search(text):
        raise UnsupportedFile("an upload whose samples lie in another file", expected="one file", do="Save it as one.")
    if suffix == ".mha":
        end = _HERE.search(text)
        header = text[: end.start()] if end else b""
        whole = bool(end) and b"elementdatafile" not in header.lower() and all(map(_FIELD.fullmatch, header.splitlines()))
    else:
        header, blank, _ = text.partition(b"\n\n")
        whole = bool(blank)
    if not whole or b"\r" in header:
        raise UnsupportedFile(
            "an upload whose header is damaged or does not end",
            expected=f"one of at most {_HEADER >> 10} KiB, and the samples behind it",
            do="Save it again, as one file.",
        )
    return header


def _nifti_samples(path: Path) -> int:
    """As its header says; 0 for one that cannot be read, of which reading the whole tells more."""
    try:
        with gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as file:
            return math.prod(parse_header(file.read(HEADER_BYTES)).shape_xyz)
    except (OSError, EOFError, zlib.error, struct.error, ValueError, OverflowError):
        return 0
