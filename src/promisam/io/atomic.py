"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from promisam.core.errors import UnwritableOutput


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary sibling to write to, which takes the name `path` when the block ends well.

    Missing parent folders are created. The temporary file has the same suffix, so that writers which choose a format by the
    suffix see the right one. It is removed on every failure, Ctrl-C included; a file that stood at `path` then stays as it was.

    Raises:
        UnwritableOutput: when the operating system refuses, or when the block wrote nothing.
    """
    target = Path(path)
    temporary = _prepare(target)
    try:
        yield temporary
        _flush(temporary)
        temporary.replace(target.resolve())
    except OSError as error:
        raise _unwritable(target, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """For files that grow: names the path when the operating system refuses.

    Raises:
        UnwritableOutput: then.
    """
    try:
        yield
    except OSError as error:
        raise _unwritable(path, error) from error


def atomic_text(path: str | Path, text: str) -> Path:
    """Write a text file (UTF-8) whole or not at all.

    Raises:
        UnwritableOutput: when the operating system refuses.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def check_place(path: str | Path) -> None:
    """Refuse, before any work, a path where the operating system would let no file be written.

    Raises:
        UnwritableOutput: then.
    """
    path = Path(path)
    parent = next(folder for folder in (path.parent, *path.absolute().parents) if folder.exists())
    if path.is_dir() or not parent.is_dir() or not os.access(parent, os.W_OK):
        raise UnwritableOutput(
            f"the output {path}", expected="a file in a folder that you may write to", do="Choose another folder."
        )


def full_suffix(path: str | Path) -> str:
    """The suffix in lower case, both parts of it where the last is a compression: `.nii.gz`."""
    suffixes = Path(path).suffixes
    parts = suffixes[-2:] if suffixes and suffixes[-1].lower() == ".gz" else suffixes[-1:]
    return "".join(parts).lower()


def _prepare(target: Path) -> Path:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        special = target.exists() and not target.is_file()
    except OSError as error:
        raise _unwritable(target, error) from error
    if special:
        raise UnwritableOutput(
            f"the output {target}, which is a {'folder' if target.is_dir() else 'device'}",
            expected="the name of a file",
            do="Add a file name to the path.",
        )
    return target.resolve().parent / f".{secrets.token_hex(6)}.part{full_suffix(target)}"


def _flush(temporary: Path) -> None:
    descriptor = os.open(temporary, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(target: Path, error: OSError) -> UnwritableOutput:
    reasons = {errno.ENOSPC: "disk full", errno.EDQUOT: "disk quota exceeded", errno.EFBIG: "file larger than allowed"}
    reason = reasons.get(error.errno or 0, error.strerror or str(error))
    return UnwritableOutput(
        f"the output {target} ({reason})",
        expected="a path that can be written, with space left",
        do="Free some space or choose another folder.",
    )
