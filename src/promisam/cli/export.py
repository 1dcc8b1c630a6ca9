"""The `export` command: weights or a run as ONNX files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from promisam.cli.progress import progress_bars


def export(
    source: Annotated[str, typer.Argument(metavar="RUN|WEIGHTS", help="A run folder, or weights: a name or a file.")],
    out: Annotated[Path, typer.Option("--output", "-o", metavar="NAME.onnx", help="How the files are to be called.")],
    int8: Annotated[bool, typer.Option("--int8", help="Weights of linear layers in eight bits: smaller, and close.")] = False,
    weights: Annotated[str | None, typer.Option(metavar="NAME|FILE", help="Where a run's SAM is, if it moved.")] = None,
    like: Annotated[str | None, typer.Option(metavar="NAME", help="The known weights that a FILE was trained like.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are already there.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Never touch the network.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write ONNX files that answer as the model does, and say how near they are to it and how long they take.

    A SAM (weights, or a run of `interactive`) becomes NAME.encoder.onnx, once for each picture, and NAME.decoder.onnx, once for
    each prompt; a run of `unet` becomes NAME.onnx. All that is needed to use them is in them. Needs the extra onnx.
    """
    from promisam import export as exporting
    from promisam import store

    with progress_bars() as progress:
        source_of_sam = store.Source(weights, "cpu", like=like, offline=offline, report=progress("weights"))
        written = exporting.export(source, out, sam=source_of_sam, int8=int8, overwrite=overwrite)
    described = exporting.described(written)
    typer.echo(json.dumps(described, indent=2, ensure_ascii=False)) if as_json else _print(described, out)


def _print(described: dict[str, Any], out: Path) -> None:
    """Each file with its size, its nearness and its speed."""
    for part in described.values():
        if not isinstance(part, dict):
            continue
        nearness = part["largest_difference"] / part["largest_answer"]
        typer.echo(
            f"{part['file']}: {part['bytes'] / 1e6:.1f} MB, differs from torch by at most {nearness:.2g} of the largest "
            f"answer, {part['seconds']:.2f} s (torch: {part['torch_seconds']:.2f} s)"
        )
    asked = "" if "network" in described else " --box x0,y0,x1,y1"
    typer.echo(f"Next: promisam segment IMAGE{asked} --method {out}")
