"""What stands in the text headers of MetaImage and NRRD, before a library is trusted with them.

SimpleITK's reader of MetaImage was seen to crash the process on a header with impossible numbers of axes, and to answer damaged
compressed samples with whatever stood in memory; both readers take whatever file a header names, devices included.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from promisam.core.errors import UnreadableFile
from promisam.io.room import check_announced

_LONGEST = 1 << 16  # bytes of a header
_AXES = 8
_CHANNELS = 1 << 16
_BYTES = {"CHAR": 1, "SHORT": 2, "INT": 4, "LONG": 4, "LONG_LONG": 8, "FLOAT": 4, "DOUBLE": 8}
_TYPE = re.compile(r"MET_(?:U?(CHAR|SHORT|INT|LONG|LONG_LONG)|(FLOAT|DOUBLE))(?:_ARRAY)?")
_VECTORS = ("ElementSpacing", "ElementSize", "Offset", "Position", "Origin", "CenterOfRotation")
_MATRICES = ("TransformMatrix", "Rotation", "Orientation")
_COUNTS = ("HeaderSize", "CompressedDataSize", "ElementNumberOfChannels")


@dataclass(frozen=True)
class Squeezed:
    """Where the compressed samples of a MetaImage lie, and what they are once decompressed.

    Attributes:
        file: that holds them.
        start: of the first byte.
        kind: of the samples.
        count: of the samples, channels included.
    """

    file: Path
    start: int
    kind: np.dtype
    count: int

    def samples(self) -> Shaped[np.ndarray, " n"]:
        """All of them, decompressed.

        Raises:
            UnreadableFile: when there are more or fewer, or the checksum is wrong. SimpleITK answers with chance values.
        """
        unpacker = zlib.decompressobj()
        try:
            with self.file.open("rb") as file:
                file.seek(self.start)
                content = unpacker.decompress(file.read(), self.count * self.kind.itemsize + 1)
        except (zlib.error, MemoryError) as error:
            raise _damaged(self.file, str(error)) from error
        if len(content) != self.count * self.kind.itemsize or not unpacker.eof:
            raise _damaged(self.file, f"{len(content)} of {self.count * self.kind.itemsize} bytes of samples, then no end")
        return np.frombuffer(content, self.kind).astype(self.kind.newbyteorder("="), copy=False)


def check_metaimage(path: Path) -> Squeezed | None:
    """Refuse a header of MetaImage that is not sound in itself; where its samples are compressed, say where they lie.

    Raises:
        UnreadableFile: naming the field.
        UnsupportedFile: for more samples than fit into memory.
    """
    fields, end = _metaimage_fields(path)
    axes = _count(path, fields, "NDims", _AXES)
    size = _numbers(path, fields, "DimSize", axes)
    if not all(n.is_integer() and n >= 1 for n in size):
        raise _wrong(path, "DimSize", fields["DimSize"])
    kind = _TYPE.fullmatch(fields.get("ElementType", ""))
    if kind is None:
        raise _wrong(path, "ElementType", fields.get("ElementType"))
    for name in _VECTORS:
        _numbers(path, fields, name, axes, needed=False)
    for name in _MATRICES:
        _numbers(path, fields, name, axes * axes, needed=False)
    for name in _COUNTS:
        if name in fields and re.fullmatch(r"-1|\d{1,15}", fields[name]) is None:
            raise _wrong(path, name, fields[name])
    channels = _count(path, fields, "ElementNumberOfChannels", _CHANNELS) if "ElementNumberOfChannels" in fields else 1
    count = math.prod(int(n) for n in size) * channels
    stored = _stored(kind, fields)
    squeezed = fields.get("CompressedData", "").lower() == "true"
    file = _check_data(path, fields.get("ElementDataFile"), count * stored.itemsize, end, squeezed)
    return Squeezed(file, end if file == path else 0, stored, count) if squeezed and file is not None else None


def _stored(kind: re.Match[str], fields: Mapping[str, str]) -> np.dtype:
    """The type of the samples and the order of their bytes."""
    word = kind[1] or kind[2]
    letter = "f" if kind[2] else "u" if kind[0].startswith("MET_U") else "i"
    big = (fields.get("BinaryDataByteOrderMSB") or fields.get("ElementByteOrderMSB") or "false").lower() == "true"
    return np.dtype(f"{'>' if big else '<'}{letter}{_BYTES[word]}")


def check_nrrd(path: Path) -> None:
    """Refuse a header of NRRD that names no regular file for its samples, or absurdly many of them.

    Raises:
        UnreadableFile: naming the field.
        UnsupportedFile: for more samples than fit into memory.
    """
    lines = _head(path).split(b"\n\n")[0].split(b"\r\n\r\n")[0].decode("latin-1").splitlines()
    fields = {name.strip().lower(): value.strip() for name, mark, value in (line.partition(":") for line in lines) if mark}
    named = fields.get("data file", fields.get("datafile"))
    if named and not named.upper().startswith("LIST") and "%" not in named:
        _check_regular(path, named)
    size = fields.get("sizes", "").split()
    if size and not all(re.fullmatch(r"\d{1,18}", n) and int(n) for n in size):
        raise _wrong(path, "sizes", fields["sizes"])
    encoding = fields.get("encoding", "raw").lower()
    squeezed = encoding not in ("raw", "txt", "text", "ascii", "hex")
    if encoding in ("gzip", "gz") and not named and not {"line skip", "byte skip", "lineskip", "byteskip"} & set(fields):
        _check_gzip(path)
    check_announced(path, math.prod(map(int, size)), path.stat().st_size if not named else 1 << 62, squeezed=squeezed)


def _check_gzip(path: Path) -> None:
    """Where it is none, the library passes it through as it is."""
    head = _head(path)
    ends = [head.find(mark) + len(mark) for mark in (b"\n\n", b"\r\n\r\n") if mark in head]
    if ends and head[min(ends) : min(ends) + 2] != b"\x1f\x8b":
        raise _damaged(path, "what should be gzip is none")


def _metaimage_fields(path: Path) -> tuple[dict[str, str], int]:
    """Field to value, and where the header ends."""
    fields: dict[str, str] = {}
    at = 0
    for line in _head(path).splitlines(keepends=True):
        at += len(line)
        name, mark, value = re.sub(r"[=:]", "=", line.decode("latin-1"), count=1).partition("=")
        if not mark:
            break
        if name.strip() in fields:
            raise UnreadableFile(f"{path}, whose header gives {name.strip()} twice", expected="it once", do="Correct it.")
        fields[name.strip()] = value.strip()
        if name.strip() == "ElementDataFile":
            break
    return fields, at


def _check_data(path: Path, named: str | None, announced: int, end: int, squeezed: bool) -> Path | None:
    """The one file that holds the samples; None where a list or a pattern names several."""
    if not named:
        raise _wrong(path, "ElementDataFile", named)
    if named.upper() in ("LOCAL", "LOCALFILE"):
        check_announced(path, announced, path.stat().st_size - end, squeezed=squeezed)
        return path
    if named.upper().startswith("LIST") or "%" in named:
        check_announced(path, announced, 1 << 62, squeezed=False)
        return None
    check_announced(path, announced, _check_regular(path, named), squeezed=squeezed)
    return path.parent / named


def _check_regular(path: Path, named: str) -> int:
    """Bytes of the file beside a header that holds its samples."""
    beside = path.parent / named
    if "\0" in named or not beside.is_file():
        raise UnreadableFile(
            f"{path}, whose samples are to be in {named!r}, which is no file",
            expected="a file beside it",
            do="Copy both files.",
        )
    return beside.stat().st_size


def _count(path: Path, fields: Mapping[str, str], name: str, most: int) -> int:
    value = fields.get(name, "")
    if re.fullmatch(r"\d{1,9}", value) is None or not 1 <= int(value) <= most:
        raise _wrong(path, name, fields.get(name))
    return int(value)


def _numbers(path: Path, fields: Mapping[str, str], name: str, count: int, *, needed: bool = True) -> list[float]:
    if name not in fields and not needed:
        return []
    try:
        found = [float(word) for word in fields.get(name, "").split()]
    except ValueError:
        found = []
    if len(found) != count or not all(map(math.isfinite, found)):
        raise _wrong(path, name, fields.get(name))
    return found


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_LONGEST)


def _damaged(path: Path, reason: str) -> UnreadableFile:
    return UnreadableFile(
        f"{path}, which is damaged or cut off ({reason})", expected="a whole file", do="Copy or export it again."
    )


def _wrong(path: Path, name: str, value: str | None) -> UnreadableFile:
    given = "no value" if value is None else repr(value[:80])
    return UnreadableFile(f"{path}, whose header has {given} as {name}", expected="a sound header", do="Export it again.")
