"""The `import` command: what a method's authors released, as a folder that is used like a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def import_method(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="Whose file: promise2d, promise3d or imedsam.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="As released; it stays where it is.")],
    out: Annotated[Path, typer.Option("--output", "-o", metavar="RUN", help="The folder to write.")],
    name: Annotated[list[str] | None, typer.Option("--class", metavar="NAME", help="What it segments.")] = None,
    weights: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="The SAM in the file, or the one it began with. Default: found.")
    ] = None,
    trained_on: Annotated[
        str | None, typer.Option(metavar="SET", help="For promise3d, whose files do not tell: colon, pancreas, lits or kits.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Never touch the network.")] = False,
) -> None:
    """Turn the weights that a method's authors released into a checkpoint that every command takes.

    Nothing in the file is executed. (The weights of a SAM alone are imported with `promisam weights import`.)
    """
    from promisam import store

    source = store.Source(weights, "cpu", offline=offline)
    header = store.import_released(method, file, out, tuple(name or ("object",)), source, trained_on)
    options = ", ".join(f"{key}={header.options[key]}" for key in ("mode", "form", "points") if key in header.options)
    sam = "no SAM" if header.backbone is None else f"on {header.backbone.name}"
    typer.echo(f"{out}: {method} ({options}), {sam}")
    typer.echo(f"Next: promisam segment IMAGE --method {out}")
