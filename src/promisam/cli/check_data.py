"""The `check-data` command."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from promisam.io import CheckReport

_STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def check_data(
    path: Annotated[Path, typer.Argument(help="A folder with images/ and masks/, a folder of images, or one file.")],
    label: Annotated[int | None, typer.Option("--label", min=1, help="The label that every mask should hold.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON in place of lines.")] = False,
) -> None:
    """Check images and masks before they are used: names file and reason, ends with status 2 if anything is wrong."""
    from promisam.io import check

    report = check(path, label)
    if as_json:
        typer.echo(json.dumps({**asdict(report), "errors": report.errors}, indent=2, ensure_ascii=False))
    else:
        _print_lines(report)
    if report.errors:
        raise typer.Exit(2)


def _print_lines(report: CheckReport) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(soft_wrap=True)
    for severity, what, files in _grouped(report):
        named = files[0] if len(files) == 1 else f"{len(files)} files, first {files[0]}"
        console.print(Text(f"{severity}: ", style=_STYLES[severity]).append(f"{named}: {what}", style="default"))
    counts = {s: sum(f.severity == s for f in report.findings) for s in _STYLES}
    totals = ", ".join(f"{n} {s}{'s' if n != 1 else ''}" for s, n in counts.items())
    console.print(Text(f"{report.path} ({report.layout}): {report.images} images and {report.masks} masks checked: {totals}"))


def _grouped(report: CheckReport) -> list[tuple[str, str, list[str]]]:
    """Notes of equal wording in one line, errors and warnings one by one."""
    lines: list[tuple[str, str, list[str]]] = []
    notes: dict[str, list[str]] = {}
    for finding in report.findings:
        what = f"{finding.reason}. {finding.do}"
        if finding.severity == "note" and what in notes:
            notes[what].append(finding.file)
        else:
            lines.append((finding.severity, what, [finding.file]))
            if finding.severity == "note":
                notes[what] = lines[-1][2]
    return lines
