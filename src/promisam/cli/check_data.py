"""The `check-data` command."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from promisam.cli.progress import progress_bars

if TYPE_CHECKING:
    from promisam.io import CheckReport, FixReport

_STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def check_data(
    path: Annotated[
        Path,
        typer.Argument(
            help="images/ and masks/, nnU-Net's folders, a Decathlon or MONAI list (.json), a table (.csv: image, mask, group, "
            "split, id), a folder of images, or one file."
        ),
    ],
    label: Annotated[
        list[int] | None, typer.Option("--label", min=1, help="A label that every mask should hold; may be repeated.")
    ] = None,
    fix: Annotated[
        Path | None,
        typer.Option("--fix", metavar="OUT", help="Write a copy with the proposed fixes applied to this new folder."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON in place of lines.")] = False,
) -> None:
    """Check images and masks before they are used: names file and reason, ends with status 2 if anything is wrong.

    With --fix, ends with status 2 if any case could not be put right; fixes.json in the copy says what was done to each file.
    """
    from promisam import io

    if fix is not None:
        with progress_bars() as bars:
            fixed = io.fix(path, fix, label or (), bars("copying"))
        typer.echo(json.dumps(asdict(fixed), indent=2, ensure_ascii=False)) if as_json else _print_fixes(fixed)
        if fixed.left_out:
            raise typer.Exit(2)
        return
    with progress_bars() as bars:
        report = io.check(path, label or (), bars("checking"))
    if as_json:
        typer.echo(json.dumps({**asdict(report), "errors": report.errors}, indent=2, ensure_ascii=False))
    else:
        _print_lines(report)
    if report.errors:
        raise typer.Exit(2)


def _print_fixes(report: FixReport) -> None:
    for fix in (*report.fixes, *report.dropped):
        typer.echo(f"{fix.case}: {fix.file}: {fix.done}")
    for finding in report.left_out:
        typer.echo(f"left out: {f'{finding.case}: ' if finding.case else ''}{finding.file}: {finding.reason}. {finding.do}")
    counts = f"{len(report.cases)} cases copied, {len(report.fixes)} fixes, {len(report.dropped)} duplicates dropped"
    typer.echo(f"{report.out}: {counts}, {len(report.left_out)} left out")


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
