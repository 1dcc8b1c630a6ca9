"""`fit` for methods that remember a few labelled images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from promisam.cli.progress import training_bars
from promisam.cli.stopping import stopping
from promisam.cli.terminal import plain

if TYPE_CHECKING:
    from promisam.runs.few_shot import Remembered, Request

INCOMPLETE = 2  # exit status when some images could not be read


def fit_few_shot(request: Request, *, as_json: bool) -> None:
    """Make the run, with bars and a last line; status 2 when images without labels had to be left out."""
    from promisam.runs.few_shot import remember

    with stopping() as stop, training_bars(visible=True) as bars:

        def said(what: str, done: int, of: int | None) -> None:
            bars.count(what, done, of)
            stop.pause()

        stop.pause()  # from here on there is a folder to be cleared
        end = remember(request, said)
    if as_json:
        typer.echo(json.dumps(_told(request.out, end), indent=2, ensure_ascii=False))
    else:
        _print(request.out, end)
    unread = end.record.data.unread
    for path, reason in unread.items():
        typer.echo(plain(f"promisam: left out {reason if Path(path).name in reason else f'{path}: {reason}'}"), err=True)
    if unread:
        raise typer.Exit(INCOMPLETE)


def _told(run: Path, end: Remembered) -> dict[str, object]:
    data = end.record.data
    return {
        "run": str(run),
        "worked": end.worked,
        "supports": list(end.supports),
        "unlabelled": len(data.unlabelled),
        "left_out": dict(data.unread),
    }


def _print(run: Path, end: Remembered) -> None:
    data, number = end.record.data, len(end.supports)
    what = f"{number} support{'s' if number != 1 else ''} and {len(data.unlabelled)} images without labels"
    typer.echo(plain(f"{run}: {'remembers' if end.worked else 'nothing to do, it remembers'} {what}"))
    if data.split["test"]:
        typer.echo(plain(f"{data.how}; {len(data.split['test'])} others are not looked at"))
    typer.echo(plain(f"Next: promisam predict {run} IMAGES -o FOLDER"))
