"""What a file holds, as one short text, without decoding it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Protocol

from promisam.core.errors import UnreadableFile
from promisam.io.atomic import full_suffix

_CHUNK = 1 << 20
_SPLIT_IN_TWO = (".mhd", ".nhdr")  # headers whose samples stand in files beside them


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...


def file_digest(path: Path) -> str:
    """SHA-256 over the bytes of a file, the samples beside a header included, or over the files of a folder, names included.

    Raises:
        UnreadableFile: when it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        for file in _files(path):
            if file != path:
                digest.update(f"\0{file.name}\0{file.stat().st_size}\0".encode())
            _add(file, digest)
    except OSError as error:
        raise UnreadableFile(
            f"{path} ({error.strerror or error})", expected="a file or a folder that can be read", do="Check the path."
        ) from error
    return digest.hexdigest()


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
    if full_suffix(path) in _SPLIT_IN_TWO:
        header = path.read_bytes()[: 1 << 16].decode("utf-8", "replace")
        beside = sorted(p for p in path.parent.iterdir() if p.is_file() and p != path and p.name in header)
        return [path, *beside]
    return [path]


def _add(file: Path, digest: _Digest) -> None:
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
