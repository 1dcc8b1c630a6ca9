"""Libraries in C and C++ that print where the package must not."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_STANDARD_ERROR = 2
_LOCK = threading.RLock()
_within = 0


@contextmanager
def unheard() -> Iterator[None]:
    """What native code writes to the standard error output meanwhile is dropped: its errors are raised and told as ours.

    MetaIO and libtiff print there whatever they think of a damaged file, past every setting of theirs.
    """
    global _within  # noqa: PLW0603 - a file descriptor belongs to the whole process
    with _LOCK, _saved() as kept:
        _within += 1
        if kept is not None and _within == 1:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, _STANDARD_ERROR)
            os.close(nowhere)
        try:
            yield
        finally:
            _within -= 1
            if kept is not None and _within == 0:
                os.dup2(kept, _STANDARD_ERROR)


@contextmanager
def _saved() -> Iterator[int | None]:
    kept = None
    with suppress(OSError):  # a process without a standard error output has nothing to save
        kept = os.dup(_STANDARD_ERROR)
    try:
        yield kept
    finally:
        if kept is not None:
            os.close(kept)
