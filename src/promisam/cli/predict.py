"""The `predict` command: a trained method over a folder of images."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from promisam.cli.stopping import ending
from promisam.cli.terminal import plain
from promisam.core.errors import InvalidConfig

if TYPE_CHECKING:
    from promisam.runs.predictions import Done

_NAMED = 3  # images in a line


def predict(
    run: Annotated[Path, typer.Argument(help="A run folder that `promisam fit` made, or its checkpoint.")],
    inputs: Annotated[list[Path], typer.Argument(help="Images, folders of them, DICOM folders, data sets.")],
    out: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where the masks go.")],
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Every n-th image from number i. Default: as torchrun or SLURM say.")
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="<image name>.json each, for what is prompted.")
    ] = None,
    jobs: Annotated[int, typer.Option(metavar="N", min=1, help="Work in so many processes on this machine.")] = 1,
    weights: Annotated[str | None, typer.Option(metavar="NAME|FILE", help="Where the SAM is, if it moved.")] = None,
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option(help="Where to compute.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Do again what is there.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Never touch the network.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Segment many images: what is done is skipped, one bad file stops nothing, and status 2 says that one was bad.

    Images are found and read as training finds and reads them: any data set, folders of images or DICOM series, channels in
    files of their own. predictions.json beside the masks says what became of each. A method that knows how far to trust itself
    also leaves report.csv, review.html (the most doubtful first) and prompts/ to edit and to give back with --prompts.
    """
    from rich.console import Console
    from rich.progress import track

    from promisam.runs.job import Job, Ready
    from promisam.runs.predict import Shard, predict_folder
    from promisam.runs.processes import Processes

    here = Processes.here()
    _check_jobs(jobs, shard, here.world)
    part = Shard(here.rank, here.world) if shard is None else Shard.parse(shard)
    ready = Ready.of(Job(run, tuple(inputs), out, prompts, weights, device, overwrite, offline))
    if jobs > 1:
        from promisam.runs.spreading import spread

        work = spread(ready, jobs)
    else:
        methods, place = ready.methods()
        work = predict_folder(methods, ready.images, place, shard=part, prompts=prompts, mark=ready.mark())
    total = len(part.names(ready.images))
    console = Console(stderr=True)
    with ending(), closing(work):
        shown = track(work, total=total, description="predicting", console=console, transient=True, disable=not _terminal())
        rows = list(shown)
    _print(out, rows, as_json=as_json)
    failed = [row for row in rows if row.status == "failed"]
    for line in _complaints(failed):
        typer.echo(plain(f"promisam: {line}"), err=True)
    if failed:
        raise typer.Exit(2)


def _terminal() -> bool:
    return sys.stderr.isatty()


def _check_jobs(jobs: int, shard: str | None, world: int) -> None:
    """Refuse to divide what is divided already."""
    if jobs > 1 and (shard is not None or world > 1):
        raise InvalidConfig(
            f"--jobs {jobs} {'with --shard' if shard is not None else 'under torchrun or SLURM'}",
            expected="one way of dividing the images",
            do="Leave one of them out.",
        )


def _print(out: Path, rows: Sequence[Done], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False))
        return
    counts = Counter(row.status for row in rows)
    typer.echo(f"{out}: {counts['done']} done, {counts['skipped']} skipped, {counts['failed']} failed")
    for line in _remarks(rows):
        typer.echo(line)
    if any(row.confidence is not None for row in rows):
        typer.echo(plain(f"Look at {out / 'review.html'}, the most doubtful first; the table is {out / 'report.csv'}"))


def _complaints(failed: Sequence[Done]) -> Iterator[str]:
    """Why images failed: each by itself, but those that failed together in one line."""
    together: dict[str, list[str]] = {}
    for row in failed:
        together.setdefault(row.reason, []).append(row.image)
    for reason, images in together.items():
        names = ", ".join(Path(image).name for image in images[:_NAMED])
        if len(images) > 1:
            yield f"{len(images)} images ({names}{', ...' if len(images) > _NAMED else ''}): {reason}"
        else:
            yield reason if names in reason else f"{images[0]}: {reason}"


def _remarks(rows: Sequence[Done]) -> Iterator[str]:
    """What to know before the masks are scored."""
    learned = sum(row.trained_on for row in rows)
    if learned:
        yield f"{learned} of them are images that the method learned from: their scores say nothing."
    chosen = sum(row.validated_on and not row.trained_on for row in rows)
    if chosen:
        yield f"{chosen} of them are images that the method's checkpoint was chosen by: expect less on others."
    alike = sum(row.trained_by == "name alone" for row in rows)
    if alike:
        yield f"{alike} of them are called like training cases, but are other images; they count as new."
    strange = sum(row.status == "skipped" and row.made_by != "" for row in rows)
    if strange:
        yield f"{strange} of those skipped were not made by this method, as far as is known: see predictions.json."
