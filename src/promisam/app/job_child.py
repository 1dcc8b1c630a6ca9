"""A command of promisam that ends with the process that started it, however that one ended.

The starter holds the other end of this process's standard input and never writes to it. The system closes that end when the
starter is gone, also after kill -9, and then a thread here ends the whole process group. Linux could send a signal in its place
(PR_SET_PDEATHSIG), but that has to be asked for between fork and exec, which is not safe in a server with threads; it is sent
when the thread that forked ends, not its process; it does not reach grandchildren; and no other system has it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from runpy import run_module

GRACE = 10.0  # seconds in which work may put things in order


def main() -> None:
    """Run the command line with this process's arguments."""
    leash = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # what is started from here must not hold the leash
    os.close(nothing)
    threading.Thread(target=_end_with, args=(leash, GRACE), daemon=True).start()
    run_module("promisam", run_name="__main__", alter_sys=True)


def _end_with(leash: int, grace: float) -> None:
    with suppress(OSError):
        while os.read(leash, 1):
            pass
    _signal(signal.SIGTERM)
    time.sleep(grace)
    _signal(getattr(signal, "SIGKILL", signal.SIGTERM))


def _signal(number: int) -> None:
    """To the whole group where this process leads one, else to this process alone."""
    if sys.platform != "win32" and os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), number)
    else:
        os.kill(os.getpid(), number)


if __name__ == "__main__":
    main()
