"""How much a header may announce: what fits into memory, and what the file can hold."""

from __future__ import annotations

import os
from pathlib import Path

from promisam.core.errors import UnreadableFile, UnsupportedFile

_SHRINKS = 1100  # deflate makes 1032 bytes at most of one
_HEADERS = 1 << 20  # bytes that no header of a single file exceeds


def check_announced(path: Path, announced: int, held: int, *, squeezed: bool) -> None:
    """Refuse, before any memory is taken, samples that cannot be there or that this machine cannot hold.

    Args:
        path: the file.
        announced: bytes of samples by its header.
        held: bytes that the file holds for them.
        squeezed: whether they are compressed.

    Raises:
        UnreadableFile: for samples that cannot be in the file.
        UnsupportedFile: for more than the memory of the machine.
    """
    if announced > (held * _SHRINKS + _HEADERS if squeezed else held):
        raise UnreadableFile(
            f"{path}, which is damaged or cut off: {held} bytes{' of compressed data' if squeezed else ''} where the header "
            f"announces {announced} of samples",
            expected="a whole file",
            do="Copy or export it again.",
        )
    most = memory()
    if most is not None and announced > most:
        raise UnsupportedFile(
            f"{path}, whose {announced / 2**30:.1f} GiB of samples are more than the memory of this machine "
            f"({most / 2**30:.1f} GiB)",
            expected="an image that fits into memory",
            do="Cut it into parts, or use a larger machine.",
        )


def memory() -> int | None:
    """Bytes of this machine's memory; None where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
