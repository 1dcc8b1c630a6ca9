"""A run folder is one training's alone, for as long as its process lives."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from promisam.core.errors import FolderInUse, UnwritableOutput
from promisam.runs.record import NAME

try:
    import fcntl
except ImportError:  # Windows: folders are not claimed there
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}  # of disks that know none: training goes on without
_held: set[int] = set()


def check_folder(out: Path, *, goes_on: bool) -> None:
    """Refuse a run folder that holds anything, unless the run in it is gone on with.

    Raises:
        UnwritableOutput: for such a folder, and for a file.
    """
    if out.exists() and not out.is_dir():
        raise UnwritableOutput(f"{out}, which is a file", expected="a folder", do="Choose another name.")
    if not goes_on and out.is_dir() and any(entry.name != LOCK for entry in out.iterdir()):
        run = (out / NAME).is_file()
        raise UnwritableOutput(
            f"the folder {out}, in which there is {'a run' if run else 'something else than a run'}",
            expected="a new folder",
            do="Choose another, or pass --resume." if run else "Choose another.",
        )


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Hold a folder, which then exists; the system lets go of it when the process dies, however it does.

    Nothing is left behind where nothing was written: neither the lock's file nor a folder that was made for it.

    Raises:
        FolderInUse: when another process holds it.
        UnwritableOutput: when it cannot be made.
    """
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = _locked(folder / LOCK)
    except OSError as error:
        _remove(made)
        raise UnwritableOutput(
            f"the output {folder}, which cannot be written ({error.strerror or error})",
            expected="a folder that you may write",
            do="Choose another.",
        ) from error
    if descriptor is None:
        raise FolderInUse(
            f"the folder {folder}, in which there is a run that another process is at",
            expected="a folder of its own for each training",
            do="Wait for its end, or choose another folder.",
        )
    _held.add(descriptor)
    try:
        yield
    finally:
        if descriptor in _held:  # a forked worker that comes by here has let go long ago: the folder is its parent's
            _held.discard(descriptor)
            with suppress(OSError):
                (folder / LOCK).unlink(missing_ok=True)  # while it is held, so that it is ours
            os.close(descriptor)
            _remove(made)


def _locked(file: Path) -> int | None:
    """The file, open and locked; None if another has it."""
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if fcntl is not None:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(descriptor)
                raise
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), file.stat()):
                return descriptor
        os.close(descriptor)  # its last holder removed it in between: a lock on it would be worth nothing


def _remove(made: list[Path]) -> None:
    """Folders that were made and are empty still, from the inside out."""
    with suppress(OSError):
        for each in made:
            each.rmdir()


def _let_go() -> None:
    for descriptor in _held:
        with suppress(OSError):
            os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)  # a worker that outlives a killed training must not hold its folder
