"""Commands as processes of their own: their lines, their end, and how to end them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol, runtime_checkable

from promisam.app.job_child import GRACE


@runtime_checkable
class Child(Protocol):
    """A command at work."""

    def lines(self) -> Iterator[str]:
        """What it says, until it says no more."""
        ...

    def ended(self, seconds: float) -> int | None:
        """Its exit status, waited for at most so long; None while it works."""
        ...

    def stop(self) -> None:
        """End it and all that it started; back when it has ended."""
        ...


Launch = Callable[[Sequence[str]], Child]  # from the words behind `promisam`


class Process:
    """A process that leads a group of its own: all of the group can be ended, and a Ctrl-C meant for us passes it by."""

    def __init__(self, command: Sequence[str], folder: Path, grace: float = GRACE) -> None:
        """Start it.

        Args:
            command: program and arguments; no shell reads them.
            folder: that it works in.
            grace: seconds between the request to end and the end by force.
        """
        self.grace = grace
        self._process = subprocess.Popen(  # noqa: S603 - a list of words, the first of which is this Python
            list(command),
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"},
        )

    def lines(self) -> Iterator[str]:
        """What it says, until it says no more."""
        if self._process.stdout is not None:
            yield from self._process.stdout

    def ended(self, seconds: float) -> int | None:
        """Its exit status, waited for at most so long; None while it works."""
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        self._let_go()
        return status

    def stop(self) -> None:
        """Ask the group to end; by force what is left of it after a while."""
        if self._process.poll() is None:
            self._signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(self.grace)
            self._signal(getattr(signal, "SIGKILL", signal.SIGTERM))
            self._process.wait()
        self._let_go()

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):  # of a group whose last process is gone
            if sys.platform == "win32":
                self._process.terminate()
            else:
                os.killpg(self._process.pid, number)

    def _let_go(self) -> None:
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()


def launcher(folder: Path) -> Launch:
    """Starts `promisam` with this Python; `-P` keeps Python from importing what lies in the folder."""

    def launch(words: Sequence[str]) -> Child:
        return Process([sys.executable, "-P", "-m", "promisam.app.job_child", *words], folder)

    return launch
