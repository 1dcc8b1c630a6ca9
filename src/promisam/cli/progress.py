"""Bars on a terminal while work goes on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

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
