"""What a file holds, as one short text, without decoding it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from promisam.core.errors import UnreadableFile
from promisam.io.atomic import full_suffix

_CHUNK = 1 << 20
_SPLIT_IN_TWO = (".mhd", ".nhdr")  # headers whose samples stand in files beside them


def file_digest(path: Path) -> str:
    """SHA-256 over the bytes of a file, the samples beside a header included, or over the files of a folder, names included.

    Raises:
        UnreadableFile: when it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        for file in files_of(path):
            if file != path:
                digest.update(f"\0{file.name}\0{file.stat().st_size}\0".encode())
            with file.open("rb") as stream:
                while chunk := stream.read(_CHUNK):
                    digest.update(chunk)
    except OSError as error:
        raise UnreadableFile(
            f"{path} ({error.strerror or error})", expected="a file or a folder that can be read", do="Check the path."
        ) from error
    return digest.hexdigest()


def image_digest(paths: Sequence[Path]) -> str:
    """One short text for the files of an image: itself, or one for each channel, in order.

    Raises:
        UnreadableFile: when one cannot be read.
    """
    return joined_digest([file_digest(path) for path in paths])


def joined_digest(digests: Sequence[str]) -> str:
    """Of an image, from those of its files."""
    return digests[0] if len(digests) == 1 else hashlib.sha256(" ".join(digests).encode()).hexdigest()


def files_of(path: Path) -> list[Path]:
    """The files that make up an image: itself, the samples beside its header, or those of a DICOM folder.

    Raises:
        OSError: when it cannot be read.
    """
    if path.is_dir():
        return sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
    if full_suffix(path) in _SPLIT_IN_TWO:
        header = path.read_bytes()[: 1 << 16].decode("utf-8", "replace")
        beside = sorted(p for p in path.parent.iterdir() if p.is_file() and p != path and p.name in header)
        return [path, *beside]
    return [path]
