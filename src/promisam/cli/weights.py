"""The `weights` commands."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promisam.core.errors import PromisamError

if TYPE_CHECKING:
    from promisam.zoo import Cache

FAILED = 2

weights = typer.Typer(help="Fetch, import and check model weights.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@weights.command("list")
def list_weights(as_json: Json = False) -> None:
    """Show the known weights, what they learned, and which are installed."""
    rows = _rows()
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    columns = ("name", "family", "side", "prompts learned", "size", "licence", "installed")
    table = Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for row in rows:
        size = f"{row['size'] / 1e6:,.0f} MB"
        installed = "yes" if row["installed"] else "no"
        installed += f", like {row['like']}" if row["like"] else ""
        table.add_row(row["name"], row["family"], str(row["side"]), row["prompts"], size, row["licence"], installed)
    Console(width=None if sys.stdout.isatty() else 140).print(table)


@weights.command("get")
def get_weights(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names from `promisam weights list`.")],
    offline: Annotated[bool, typer.Option("--offline", help="Never touch the network; say how to fetch by hand.")] = False,
) -> None:
    """Fetch known weights, verify them, and print where they are."""
    from promisam.zoo import Cache, entry, get

    for name in names:
        entry(name)  # a misspelt last name is refused before the first one is fetched
    for name in names:
        with _progress(name) as report:
            file = get(name, Cache.default(), offline=offline, report=report)
        typer.echo(file)


@weights.command("import")
def import_weights(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file of weights; it stays where it is.")],
    name: Annotated[str | None, typer.Option("--as", metavar="NAME", help="How to call it.")] = None,
    like: Annotated[
        str | None, typer.Option(metavar="NAME", help="For your own weights: the known ones that they were trained from.")
    ] = None,
) -> None:
    """Copy a file of weights into the cache and print its name and path."""
    from promisam.zoo import Cache, import_file

    cache = Cache.default()
    record = import_file(file, cache, name=name, like=like)
    typer.echo(f"{record.name}\t{cache.folder(record.name) / record.file}")


@weights.command("verify")
def verify_weights(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME...]", help="All installed ones by default.")] = None,
    as_json: Json = False,
) -> None:
    """Read installed weights again in full; status 2 if any is damaged."""
    from promisam.zoo import Cache

    cache = Cache.default()
    results = [_verified(name, cache) for name in names or cache.names()]
    if as_json:
        typer.echo(json.dumps(results, indent=2))
    else:
        for result in results:
            typer.echo(f"{result['name']}: {'sound' if result['ok'] else result['problem']}")
        if not results:
            typer.echo(f"Nothing is installed in {cache.root}.", err=True)
    if not all(result["ok"] for result in results):
        raise typer.Exit(FAILED)


@weights.command("path")
def path_weights(name: Annotated[str, typer.Argument(metavar="NAME", help="Installed weights.")]) -> None:
    """Print where installed weights are. Nothing is fetched."""
    from promisam.zoo import Cache, path

    typer.echo(path(name, Cache.default()))


def _rows() -> list[dict[str, Any]]:
    from promisam.zoo import CATALOGUE, Cache, entry, in_words

    installed = {record.name: record for record in Cache.default().installed()}
    rows = []
    for name in dict.fromkeys([*CATALOGUE, *installed]):
        record = installed.get(name)
        known = CATALOGUE[name] if name in CATALOGUE else entry(str(installed[name].like))
        rows.append(
            {
                "name": name,
                "family": known.family,
                "side": known.side,
                "prompts": in_words(known.prompts),
                "size": record.stamp.size if record else known.size,
                "licence": known.licence if name in CATALOGUE else "",
                "installed": record is not None,
                "like": record.like if record else None,
                "sha256": record.sha256 if record else known.sha256,
                "note": known.note if name in CATALOGUE else "",
            }
        )
    return rows


def _verified(name: str, cache: Cache) -> dict[str, object]:
    from promisam.zoo import verify

    try:
        record = verify(name, cache)
    except PromisamError as problem:
        return {"name": name, "ok": False, "sha256": None, "problem": " ".join(str(problem).split())}
    return {"name": name, "ok": True, "sha256": record.sha256, "problem": None}


@contextmanager
def _progress(name: str) -> Iterator[Callable[[int, int | None], None] | None]:
    """A bar on a terminal, silence elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None)
        yield lambda have, expected: bar.update(task, completed=have, total=expected)
