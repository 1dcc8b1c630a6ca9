"""A benchmark as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from promisam.cli.terminal import plain

if TYPE_CHECKING:
    from rich.table import Table

    from promisam.evaluation import Benchmark

NONE = "n/a"
MARK = "*"  # of rows whose prompts were made from the truth


def print_benchmark(result: Benchmark) -> None:
    """The table and what has to be known to read it."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    console.print(_table(result))
    for note in notes(result):
        console.print(Text(plain(note)), soft_wrap=True)


def notes(result: Benchmark) -> list[str]:
    """Below the table: what the scores rest on, what was left out of them, and what encoding cost."""
    from promisam.evaluation.benchmark_record import FROM_TRUTH, NO_TRUTH

    found = []
    if any(protocol.sees_truth for protocol in result.protocols):
        found.append(f"{MARK} {FROM_TRUTH}")
    if not all(protocol.sees_truth for protocol in result.protocols):
        found.append(f"auto: {NO_TRUTH}")
    if any(row.draws > 1 for row in result.rows):
        found.append(
            f"±: standard deviation over {result.draws} draws of the prompts; rows without it leave nothing to chance."
        )
    found.extend(_absent(result))
    encode = result.encode_seconds
    found.append(
        f"seconds to encode an image, once for all its prompts: mean {_seconds(encode.mean)}, median {_seconds(encode.median)}"
    )
    return found


def _table(result: Benchmark) -> Table:
    """One row for each prompt, click number and class."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    several = len(result.classes) > 1
    table = Table("prompt", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    columns = ["click", "cases", "Dice", *(f"NSD@{t:g}{result.unit}" for t in result.tolerances), "s/answer", "truth"]
    if several:
        table.add_column("class")
    for head in columns:
        table.add_column(head, justify="right", no_wrap=True)
    last = None
    for row in result.rows:
        if last is not None and (row.protocol, row.clicks) != last and several:
            table.add_section()
        last = (row.protocol, row.clicks)
        cells = [Text(row.protocol.title), *([Text(plain(row.name))] if several else [])]
        numbers = [str(row.clicks or ""), str(row.scored), str(row.dice), *map(str, row.nsd)]
        used = f"yes{MARK}" if row.protocol.sees_truth else "no"
        table.add_row(*cells, *numbers, _seconds(row.seconds.median), used)
    return table


def _absent(result: Benchmark) -> list[str]:
    """What became of the pairs without the class, which are the same for every prompt and click."""
    together = None if len(result.classes) > 1 else 1
    rows = [row for row in result.rows if row.label == together and row.absent]
    if not rows:
        return []
    pairs = f"{rows[0].absent} pair{'s' if rows[0].absent > 1 else ''} of case and class without the class, in no mean"
    prompted = ["not prompted"] if any(row.false_positives is None for row in rows) else []
    found = [f"auto marked something in {row.false_positives}" for row in rows if row.false_positives is not None]
    return [f"{pairs}: {'; '.join([*prompted, *found])}"]


def _seconds(value: float | None) -> str:
    return NONE if value is None else f"{value:.3g}"
