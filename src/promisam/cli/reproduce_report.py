"""A published experiment beside ours, on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from promisam.cli.benchmark_report import MARK
from promisam.cli.terminal import plain

if TYPE_CHECKING:
    from rich.table import Table

    from promisam.reproduce import Comparison
    from promisam.reproduce.comparison import Reached

_NONE = "none found"


def print_comparison(found: Comparison) -> None:
    """The table, and below it, wrapped, all that has to be known to read it."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    console.print(Text(plain(found.title), style="bold"))
    console.print(_table(found))
    if any(row.from_truth for row in found.rows):
        console.print(Text(f"{MARK} prompts made from the truth"))
    for title, sentences in found.lists:
        if sentences:
            console.print()
            console.print(Text(f"{title}:", style="bold"))
            console.print(_listed(sentences))


def _table(found: Comparison) -> Table:
    """One row for each test part and way of asking; narrow enough for 80 columns."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table("test part", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    distances = found.has_distances
    for head in ("cases", "prompt", *found.rows[0].measured(distances=distances), "published"):
        table.add_column(head, justify="left" if head == "prompt" else "right", no_wrap=True)
    for row in found.rows:
        prompt = f"{row.prompt}{MARK}" if row.from_truth else row.prompt
        measured = [_folded(one) if row.nsd else one for one in row.measured(distances=distances).values()]
        table.add_row(Text(plain(row.part)), str(row.cases), prompt, *measured, _published(row))
    return table


def _folded(figure: str) -> str:
    """The deviation below the mean: three such columns leave no room for names otherwise."""
    return figure.replace(" ± ", "\n± ")


def _published(row: Reached) -> str:
    known = row.published
    if known is None:
        return _NONE
    other = known.nsd if row.nsd else known.iou
    beside = "" if other is None else f"/{other:.3f}"
    far = "" if known.hausdorff is None else f", HD {known.hausdorff:.2f}"
    return f"{known.dice:.3f}{beside}{far}"


def _listed(sentences: tuple[str, ...]) -> Table:
    """Each with a sign before it and wrapped beside it."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=1)
    grid.add_column(overflow="fold")
    for sentence in sentences:
        grid.add_row("-", Text(plain(sentence)))
    return grid
