"""The `info` command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promisam.core.errors import PromisamError

if TYPE_CHECKING:
    from promisam.io import Description


def info(
    files: Annotated[list[Path], typer.Argument(help="Images, masks or DICOM folders.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list in place of tables.")] = False,
) -> None:
    """Tell what image files are: size, spacing, orientation, values. Prints nothing about the patient."""
    from promisam.io import describe

    listed: list[dict[str, Any]] = []
    failed = False
    for path in files:
        try:
            description = describe(path)
        except PromisamError as error:
            failed = True
            listed.append({"path": str(path), "error": str(error)})
            if not as_json:
                typer.echo(f"promisam: {' '.join(str(error).split())}", err=True)
        else:
            listed.append(description.as_dict())
            if not as_json:
                _print_table(description)
    if as_json:
        typer.echo(json.dumps(listed, indent=2, ensure_ascii=False))
    if failed:
        raise typer.Exit(2)


def _print_table(description: Description) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(description.path), show_header=False, title_justify="left")
    for name, value in _rows(description):
        table.add_row(Text(name), Text(value))
    Console().print(table)


def _rows(description: Description) -> list[tuple[str, str]]:
    d = description
    axes = "x, y, z" if len(d.size) == 3 else "x, y"
    rows = [
        ("format", f"{d.format}, {d.kind}"),
        (f"size ({axes})", " x ".join(map(str, d.size))),
        (f"spacing ({axes})", " x ".join(f"{s:.5g}" for s in d.spacing) + f" {d.unit}"),
    ]
    if d.orientation:
        rows.append(("orientation", f"{d.orientation} (the end that each index axis, x first, runs towards)"))
        rows.append(("origin", ", ".join(f"{v:.6g}" for v in d.origin) + " mm (LPS)"))
    rows.append(("values", f"{d.low:.6g} to {d.high:.6g}, {d.type}, {d.channels} channel{'s' if d.channels > 1 else ''}"))
    return rows + [("note", note) for note in d.notes]
