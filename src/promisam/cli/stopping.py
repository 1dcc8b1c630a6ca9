"""Ctrl-C and SIGTERM end work between two of its steps; a second one ends it at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from promisam.runs.fit import Begun
    from promisam.training.events import Event

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
FAILED = 2


class Stopping:
    """Whether work is to stop. Until its first event there is nothing to lose, and signals act at once."""

    def __init__(self) -> None:
        self._before: dict[signal.Signals, Any] = {}
        self._process = os.getpid()
        self._begun = False
        self._asked = False
        self._where = "before the first step"

    def heard(self, event: Begun | Event) -> bool:
        """Whether to leave after this event; of several processes all leave after the same step."""
        from promisam.runs.processes import anywhere
        from promisam.training.events import Precomputed, Step, Stopped

        self._begun = True
        if isinstance(event, Stopped):
            return False
        if isinstance(event, Precomputed):
            self._where = "while encoding"
        elif isinstance(event, Step):
            self._where = f"after step {event.number}"
            self._asked = anywhere(self._asked)
            return self._asked
        return self._asked

    def pause(self) -> None:
        """To be called between two steps of work that leaves nothing behind when it ends here.

        Raises:
            KeyboardInterrupt: if it is to stop.
        """
        self._begun = True
        if self._asked:
            raise KeyboardInterrupt

    def end(self, *, visible: bool = True) -> None:
        """Say that it stopped and leave with status 2, if it was to stop; to be called when the events are closed."""
        if self._asked:
            if visible:
                typer.echo(f"promisam: stopped {self._where}; go on with --resume", err=True)
            raise typer.Exit(FAILED)

    def listen(self) -> None:
        """Take the signals, but those that are ignored (as nohup does)."""
        if threading.current_thread() is threading.main_thread():
            for one in _SIGNALS:
                if signal.getsignal(one) not in (signal.SIG_IGN, None):
                    self._before[one] = signal.signal(one, self._hear)

    def restore(self) -> None:
        """Let signals act as before."""
        while self._before:
            signal.signal(*self._before.popitem())

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            return  # a worker, which its parent ends
        self.restore()
        if self._begun:
            self._asked = True
        else:
            os.kill(self._process, number)


@contextmanager
def stopping() -> Iterator[Stopping]:
    """Listens for the first SIGINT or SIGTERM."""
    stop = Stopping()
    stop.listen()
    try:
        yield stop
    finally:
        stop.restore()


@contextmanager
def ending() -> Iterator[None]:
    """SIGTERM ends work as Ctrl-C does, so that what was begun is put in order."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
