"""The `predict` command: a trained method over a folder of images."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from promisam.core import Segmenter


def predict(
    run: Annotated[Path, typer.Argument(help="A run folder that `promisam fit` made, or its checkpoint.")],
    inputs: Annotated[list[Path], typer.Argument(help="Images, or folders of them.")],
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
    """Segment many images: what is done is skipped, one bad file stops nothing, and status 2 says that one was bad."""
    from rich.console import Console
    from rich.progress import track

    from promisam import store
    from promisam.runs.predict import Shard, inputs_of, predict_folder
    from promisam.runs.processes import Processes
    from promisam.runs.record import NAME, read_record

    here = Processes.here()
    part = Shard(here.rank, here.world) if shard is None else Shard.parse(shard)
    images = inputs_of(inputs)
    method = store.load(weights, method=run, device=device, offline=offline)
    methods: dict[int, Segmenter] = {ndim: store.for_axes(method, ndim) for ndim in (2, 3)}
    known = read_record(run).data.split.get("train", ()) if (run / NAME).is_file() else ()
    total = len(sorted(images)[part.index :: part.of])
    work = predict_folder(methods, images, out, shard=part, prompts=prompts, overwrite=overwrite, trained_on=known)
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
        seen = sum(row.trained_on for row in rows)
        if seen:
            typer.echo(f"{seen} of them are images that the method learned from: their scores say nothing.")
    for row in failed:
        typer.echo(f"promisam: {row.image}: {row.reason}", err=True)
    if failed:
        raise typer.Exit(2)
