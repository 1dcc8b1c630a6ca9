"""The `predict` command: a trained method over a folder of images."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from promisam.core import Segmenter
    from promisam.runs.predictions import Done


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
    weights: Annotated[str | None, typer.Option(metavar="NAME|FILE", help="Where the SAM is, if it moved.")] = None,
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option(help="Where to compute.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Do again what is there.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Never touch the network.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Segment many images: what is done is skipped, one bad file stops nothing, and status 2 says that one was bad.

    Images are found and read as training finds and reads them: any data set, folders of images or DICOM series, channels in
    files of their own. predictions.json beside the masks says what became of each.
    """
    from rich.console import Console
    from rich.progress import track

    from promisam import store
    from promisam.io import find_inputs
    from promisam.runs.making import Making
    from promisam.runs.predict import Place, Shard, predict_folder
    from promisam.runs.processes import Processes
    from promisam.runs.seen import marker

    here = Processes.here()
    part = Shard(here.rank, here.world) if shard is None else Shard.parse(shard)
    making = Making.of(run)
    images = find_inputs(inputs, making.channels, making.number)
    place = Place(out, making.maker if making.maker.sha256 else None, overwrite)
    place.check(images, inputs)
    method = store.load(weights, method=run, device=device, offline=offline)
    methods: dict[int, Segmenter] = {ndim: store.for_axes(method, ndim) for ndim in (2, 3)}
    place = replace(place, maker=making.on(method))
    work = predict_folder(methods, images, place, shard=part, prompts=prompts, mark=marker(images, making.data))
    total = len(part.names(images))
    console = Console(stderr=True)
    rows = list(
        track(work, total=total, description="predicting", console=console, transient=True, disable=not sys.stderr.isatty())
    )
    failed = [row for row in rows if row.status == "failed"]
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False))
    else:
        counts = Counter(row.status for row in rows)
        typer.echo(f"{out}: {counts['done']} done, {counts['skipped']} skipped, {counts['failed']} failed")
        for line in _remarks(rows):
            typer.echo(line)
    for row in failed:
        typer.echo(f"promisam: {row.reason if Path(row.image).name in row.reason else f'{row.image}: {row.reason}'}", err=True)
    if failed:
        raise typer.Exit(2)


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
