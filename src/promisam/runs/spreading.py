"""One prediction spread over several processes of this machine, with one report, as if one process had done it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import Any

from promisam.core.errors import PromisamError
from promisam.runs.job import Ready
from promisam.runs.predict import Shard, known_of, recorded
from promisam.runs.predictions import REPORT, Done, Maker, row_of
from promisam.runs.seen import Marks
from promisam.runs.worker import as_line

_PATIENCE = 10.0  # seconds for a process to leave when it is asked to
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")


def spread(ready: Ready, jobs: int) -> Generator[Done]:
    """Segment every image of a job; yields what became of each, in the order in which they are done.

    Each process takes one shard. Where one dies, its images that were not done are rows with status "failed", and the others go
    on. However this ends, no process is left.

    Args:
        ready: the job.
        jobs: how many processes, at most.

    Raises:
        PromisamError: what a process finds wrong before its first image.
    """
    number = min(jobs, len(ready.images))
    crew = _Crew()
    try:
        for index in range(number):
            crew.start(ready, Shard(index, number).names(ready.images))
        maker = crew.maker()
        book = replace(ready.place, maker=maker).book(REPORT)
        yield from recorded(crew.rows(ready), book)
    finally:
        crew.stop()


@dataclass
class _Worker:
    process: subprocess.Popen[str]
    left: list[str]


class _Crew:
    """Processes, and what they say."""

    def __init__(self) -> None:
        self._workers: list[_Worker] = []
        self._heard: SimpleQueue[tuple[_Worker, dict[str, Any] | None]] = SimpleQueue()
        self._early: list[tuple[_Worker, dict[str, Any] | None]] = []

    def start(self, ready: Ready, names: list[str]) -> None:
        path = os.pathsep.join(part for part in sys.path if part)
        env = {**os.environ, **dict.fromkeys(_THREADS, "1"), "PYTHONPATH": path}
        process = subprocess.Popen(
            [sys.executable, "-m", "promisam.runs.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=env,
        )
        worker = _Worker(process, list(names))
        self._workers.append(worker)
        with suppress(BrokenPipeError):  # then its end is heard
            _pipe(process.stdin).write(as_line(ready.job, names))
            _pipe(process.stdin).flush()
        threading.Thread(target=self._listen, args=(worker,), daemon=True).start()

    def maker(self) -> Maker | None:
        """What makes the masks, as the first process that has it loaded says; None if all die before."""
        for _ in self._workers:
            worker, told = self._heard.get()
            self._early.append((worker, told))
            if told is not None and "error" in told:
                raise _error(told["error"])
            if told is not None and "maker" in told:
                return None if told["maker"] is None else Maker(**told["maker"])
        return None

    def rows(self, ready: Ready) -> Iterator[Done]:
        """Of all processes, until each of them has ended."""
        working = len(self._workers)
        while working:
            worker, told = self._early.pop(0) if self._early else self._heard.get()
            if told is None:
                working -= 1
                yield from _lost(worker, ready)
            elif "error" in told:
                raise _error(told["error"])
            elif "row" in told:
                worker.left.remove(told["name"])
                yield row_of(told["row"])

    def stop(self) -> None:
        """End all that still run, gently first."""
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            try:
                worker.process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
            with suppress(OSError):
                _pipe(worker.process.stdin).close()

    def _listen(self, worker: _Worker) -> None:
        for line in _pipe(worker.process.stdout):
            with suppress(ValueError):  # cut short by its death
                self._heard.put((worker, json.loads(line)))
        self._heard.put((worker, None))


def _lost(worker: _Worker, ready: Ready) -> Iterator[Done]:
    """The images that a process has not done when it ended."""
    status = worker.process.wait()
    if not worker.left:
        return
    how = f"was killed by {_signal(-status)}" if status < 0 else f"ended with status {status}"
    for name in worker.left:
        one = ready.images[name]
        reason = f"the process for it {how} with {_images(worker.left)} left; run the same command again to go on"
        target = ready.place.out / f"{name}.png"
        yield replace(known_of(one, Marks()), output=str(target), mask=f"{name}.png", status="failed", reason=reason)


def _images(names: Sequence[str]) -> str:
    return f"{len(names)} image{'s' if len(names) != 1 else ''}"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name + (", perhaps for lack of memory," if number == signal.SIGKILL else "")
    except ValueError:
        return f"signal {number}"


def _error(told: Sequence[str]) -> PromisamError:
    given, expected, do = told
    return PromisamError(given, expected=expected, do=do)


def _pipe(stream: Any) -> Any:  # noqa: ANN401 - a text stream that is there, since it was asked for
    return stream
