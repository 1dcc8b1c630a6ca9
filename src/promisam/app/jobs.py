"""Background work of the annotator: choosing images, learning, segmenting the rest. One piece at a time, each a process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from promisam.app.job_process import Child, Launch, launcher
from promisam.app.job_progress import Progress, Said
from promisam.app.job_words import Options, learnable
from promisam.app.job_work import Work, learn_work, learned, presegment_work, select_work
from promisam.core.errors import InvalidConfig, PromisamError
from promisam.session import Project

Kind = Literal["select", "learn", "presegment"]
State = Literal["running", "done", "failed", "cancelled"]
_OPTIONS: dict[str, dict[str, type]] = {"select": {"k": int}, "learn": {"method": str}, "presegment": {}}
_LOOK = 0.5  # seconds between two looks at what a command has written

__all__ = ["Busy", "Job", "Jobs", "Kind", "Options", "State", "learnable", "learned"]


class Busy(PromisamError):
    """Work that cannot begin while other work goes on."""


@dataclass(frozen=True)
class Job:
    """A piece of work as it stands.

    Attributes:
        id: of it.
        kind: what it does.
        state: where it is; it may succeed or fail only while it runs.
        done: so many steps or images; None where that is not known.
        of: so many there will be.
        text: how far it is, or how it ended.
        seconds: since it began, or that it took.
    """

    id: str
    kind: Kind
    state: State
    done: int | None
    of: int | None
    text: str
    seconds: float

    def to_json(self) -> dict[str, object]:
        """For the page."""
        return asdict(self)


@dataclass
class _Running:
    """What is known of a piece of work; read and changed under the lock."""

    id: str
    kind: Kind
    work: Work
    child: Child
    begun: float
    state: State = "running"
    progress: Progress = field(default_factory=lambda: Progress("starting"))
    seconds: float | None = None
    cancelled: bool = False
    thread: threading.Thread | None = None

    def job(self) -> Job:
        seconds = time.monotonic() - self.begun if self.seconds is None else self.seconds
        told = self.progress
        return Job(self.id, self.kind, self.state, told.done, told.of, told.text, round(seconds, 1))


class Jobs:
    """The work of one project. Safe from several threads; that a piece is done is only told after all that follows from it."""

    def __init__(
        self,
        project: Project,
        use: Callable[[Path], None],
        source: Options | None = None,
        *,
        launch: Launch | None = None,
        look: float = _LOOK,
    ) -> None:
        """Nothing runs yet.

        Args:
            project: whose images are worked on.
            use: told the run folder of a method that was learned, before the work counts as done; may raise PromisamError.
            source: weights and device of all commands.
            launch: starts a command; another one in tests.
            look: seconds between two looks at its progress.
        """
        self.project = project
        self._use = use
        self._source = source or Options()
        self._launch = launch
        self._look = look
        self._lock = threading.Lock()
        self._starting = threading.Lock()
        self._all: list[_Running] = []
        self._closed = False

    def start(self, kind: str, **options: Any) -> Job:  # noqa: ANN401 - checked below
        """Begin.

        Args:
            kind: "select", "learn" or "presegment".
            options: `k` of select, by default 10; `method` of learn.

        Raises:
            Busy: while other work goes on, and once all is closed.
            InvalidConfig: for unknown work or options, and where there is nothing to do.
            PromisamError: for files that cannot be written.
        """
        with self._starting:
            self._check(kind, options)
            work = self._work(kind, options)
            self.project.own.mkdir(parents=True, exist_ok=True)
            child = (self._launch or launcher(self.project.own))(work.words)
            running = _Running(str(len(self._all) + 1), kind, work, child, time.monotonic())  # type: ignore[arg-type]
            running.thread = threading.Thread(target=self._follow, args=(running,), name=f"job-{running.id}", daemon=True)
            with self._lock:
                self._all.append(running)
            running.thread.start()
            return running.job()

    def all(self) -> list[Job]:
        """Every piece of work, in the order in which they began."""
        with self._lock:
            return [running.job() for running in self._all]

    def cancel(self, id: str) -> Job:  # noqa: A002 - the page's word
        """End work and all its processes; what has ended already stays as it is. Back when it has ended.

        Raises:
            InvalidConfig: when there is no such work.
        """
        with self._lock:
            running = next((one for one in self._all if one.id == id), None)
            if running is None:
                raise InvalidConfig(f"the work {id!r}", expected="one that was begun", do="Look at the list.")
            running.cancelled = running.cancelled or running.state == "running"
            over = running.state != "running"
        if not over:
            running.child.stop()
            if running.thread is not None:
                running.thread.join()
        with self._lock:
            return running.job()

    def close(self) -> None:
        """End what runs; nothing can be begun any more."""
        with self._starting:
            self._closed = True
        for job in self.all():
            if job.state == "running":
                self.cancel(job.id)

    def _check(self, kind: str, options: dict[str, Any]) -> None:
        if self._closed:
            raise Busy("work after the end", expected="an open server", do="Start it again.")
        if kind not in _OPTIONS:
            raise InvalidConfig(f"the work {kind!r}", expected=f"one of {', '.join(_OPTIONS)}", do="Choose one of them.")
        known = _OPTIONS[kind]
        wrong = [
            name for name, value in options.items() if not isinstance(value, known.get(name, ())) or isinstance(value, bool)
        ]
        if wrong or (kind == "learn" and "method" not in options):
            raise InvalidConfig(
                f"the options {', '.join(map(str, options)) or 'none'} of {kind}",
                expected=", ".join(f"{name} ({kind_.__name__})" for name, kind_ in known.items()) or "none",
                do="Correct them.",
            )
        busy = next((job for job in self.all() if job.state == "running"), None)
        if busy is not None:
            raise Busy(f"{kind} beside {busy.kind}, which is at work", expected="one at a time", do="Wait, or cancel it.")

    def _work(self, kind: str, options: dict[str, Any]) -> Work:
        if kind == "select":
            return select_work(self.project, self._source, options.get("k", 10))
        if kind == "learn":
            return learn_work(self.project, self._source, options["method"], self._use)
        return presegment_work(self.project, self._source)

    def _follow(self, running: _Running) -> None:
        """Watch a command to its end, and draw the consequences."""
        said = Said()
        reader = threading.Thread(target=_hear, args=(running.child, said), daemon=True)
        reader.start()
        while (status := running.child.ended(self._look)) is None:
            with suppress(Exception):  # a file that is just being written may be in any state; it is looked at again
                told = running.work.progress(said)
                with self._lock:
                    running.progress = told
        reader.join(5)  # a grandchild may keep the pipe open
        with self._lock:
            cancelled = running.cancelled
        end: tuple[State, Progress] = ("cancelled", Progress("cancelled"))
        state, told = end if cancelled else self._end(running.work, status, said)
        if state != "done":
            with suppress(Exception):  # what lies in the way of this is told by the work itself, or by what comes next
                running.work.drop()
        with self._lock:
            running.progress = _last(running.progress, told)
            running.seconds = time.monotonic() - running.begun
            running.state = state

    @staticmethod
    def _end(work: Work, status: int, said: Said) -> tuple[State, Progress]:
        try:
            return "done", Progress(work.finish(status, said))
        except PromisamError as error:
            return "failed", Progress(str(error))
        except Exception as error:  # whatever it is, the page has to be told, and other work must be able to begin
            return "failed", Progress(f"It could not be finished ({type(error).__name__}).")


def _hear(child: Child, said: Said) -> None:
    for line in child.lines():
        said.hear(line)


def _last(before: Progress, end: Progress) -> Progress:
    """How it ended, beside how far it had come."""
    return Progress(end.text, before.done, before.of)
