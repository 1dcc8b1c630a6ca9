"""Bars on a terminal while work goes on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from promisam.runs.fit import Begun
    from promisam.training.events import Event, Stopped

Progress = Callable[[int, int | None], None]  # done, of


@contextmanager
def progress_bars() -> Iterator[Callable[[str], Progress]]:
    """Makes a bar of each name on a terminal when it is first reported, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _name: lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def named(name: str) -> Progress:
            def report(done: int, total: int | None) -> None:
                if name not in tasks:
                    tasks[name] = bar.add_task(name, total=total)
                bar.update(tasks[name], completed=done, total=total)

            return report

        yield named


class TrainingBars:
    """What a training shows: bars with the time to go on a terminal, one line per validation anywhere."""

    def __init__(self, bars: Any, console: Any) -> None:  # noqa: ANN401 - of rich, which is imported when it is needed
        self._bars, self._console = bars, console
        self._tasks: dict[str, Any] = {}

    def show(self, event: Begun | Event) -> Stopped | None:
        """Draw one event; the end is handed back."""
        from promisam.runs.fit import Begun
        from promisam.training.events import Precomputed, Step, Stopped, Validated

        if isinstance(event, Begun):
            split = event.split
            train, val, test = (len(part) for part in (split.train, split.val, split.test))
            self._say(f"{train} cases to train on, {val} to validate with, {test} left to test")
            self._say(split.how)
            for warning in split.warnings:
                self._say(f"promisam: warning: {warning}")
        elif isinstance(event, Precomputed):
            self.count("encoding", event.done, event.total)
        elif isinstance(event, Step):
            self.count("training", event.number, event.steps, f"training, epoch {event.epoch:.1f}, loss {event.loss:.4f}")
        elif isinstance(event, Validated) and event.cases:
            mark = ", the best so far" if event.best else ""
            known = event.score == event.score  # NaN where no held-out case has anything to find
            found = f"validation Dice {event.score:.4f}{mark}" if known else "nothing to find in the validation cases"
            self._say(f"step {event.step}: {found}")
        return event if isinstance(event, Stopped) else None

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def count(self, name: str, done: int, total: int | None, words: str = "") -> None:
        """Move the bar of that name, which goes away when it is full."""
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=total)
        self._bars.update(self._tasks[name], description=words or name, completed=done, total=total, visible=done != total)


@contextmanager
def training_bars(*, visible: bool) -> Iterator[TrainingBars]:
    """Bars of a training; nothing at all unless `visible`."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True, quiet=not visible)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    period = 600.0  # seconds of which the time to go is judged: a step may take minutes
    hidden = not console.is_terminal
    with Bars(*columns, console=console, transient=True, disable=hidden, speed_estimate_period=period) as bars:
        yield TrainingBars(bars, console)
