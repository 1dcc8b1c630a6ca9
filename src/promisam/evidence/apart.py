"""Work in a process of its own, so that its memory and its end are its own."""

from __future__ import annotations

import multiprocessing
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from promisam.core.errors import ProcessDied, PromisamError


@dataclass(frozen=True)
class Taken:
    """What a process took; 0 where the system does not say.

    Attributes:
        peak_mb: its largest resident memory.
        cpu_minutes: its processor time.
    """

    peak_mb: int
    cpu_minutes: float

    @classmethod
    def here(cls) -> Taken:
        """This process, until now."""
        try:
            import resource
        except ImportError:
            return cls(0, 0.0)
        used = resource.getrusage(resource.RUSAGE_SELF)
        scale = 2**20 if sys.platform == "darwin" else 2**10
        return cls(int(used.ru_maxrss // scale), (used.ru_utime + used.ru_stime) / 60)


def apart(work: Callable[..., Any], given: Sequence[Any], name: str, log: Path, threads: int) -> tuple[Any, Taken]:
    """The result of some work in a process of its own, and what that took.

    Args:
        work: a function that another process can import.
        given: its arguments.
        name: of the process, for messages.
        log: takes what it prints.
        threads: of PyTorch there.

    Raises:
        ProcessDied: when it ended before it had answered.
        PromisamError: what the work raises; of the system's errors, too.
    """
    methods = multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if "forkserver" in methods:
        context.set_forkserver_preload(["promisam.evidence.learning", "promisam.evidence.asking", "promisam.methods"])
    here, there = context.Pipe(duplex=False)
    log.parent.mkdir(parents=True, exist_ok=True)
    process = context.Process(target=_work, args=(work, given, threads, there, log), daemon=True)
    process.start()
    there.close()
    try:
        result, taken, fault = here.recv()
    except EOFError:
        process.join()
        raise ProcessDied(
            f"{name}, which ended with {process.exitcode}",
            expected="an answer",
            do=f"See {log}; a system that is short of memory ends processes so. The same command goes on.",
        ) from None
    finally:
        if sys.exc_info()[0] is not None:
            process.terminate()
        process.join()
    if fault is not None:
        raise fault
    return result, taken


def _work(work: Callable[..., Any], given: Sequence[Any], threads: int, told: Connection, log: Path) -> None:
    """In the process: what comes out goes back, what is printed goes to the log."""
    import torch

    torch.set_num_threads(threads)
    with log.open("w") as file:
        sys.stdout = sys.stderr = file
        try:
            result = work(*given)
            told.send((result, Taken.here(), None))
        except (PromisamError, OSError) as error:
            told.send((None, None, error))
        except Exception:
            traceback.print_exc()
            raise
