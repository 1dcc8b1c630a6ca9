"""The `evaluate` command."""

from __future__ import annotations

from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from promisam.cli.evaluate_cases import Training, learned_from
from promisam.cli.terminal import plain

if TYPE_CHECKING:
    from rich.progress import Progress
    from rich.table import Table

    from promisam.evaluation import Evaluation

INCOMPLETE = 2  # exit status when some files could not be compared


def evaluate(
    predictions: Annotated[Path, typer.Argument(help="Folder of predicted segmentations, or one file.", show_default=False)],
    truth: Annotated[Path, typer.Argument(help="Folder of true segmentations, or one file.", show_default=False)],
    *,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for cases.csv, summary.json and report.html.")] = Path(
        "evaluation"
    ),
    label: Annotated[
        list[int] | None, typer.Option(help="Compare this label only; repeatable. Default: every label of the truth.")
    ] = None,
    spacing_aware: Annotated[
        bool,
        typer.Option("--spacing-aware/--no-spacing-aware", help="Measure in mm where the files say so; otherwise in samples."),
    ] = True,
    tolerance: Annotated[
        list[float] | None, typer.Option(help="Of the surface Dice, in mm (pictures: pixels); repeatable. Default: 2.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the images shown under the outlines. Default: 'images' beside TRUTH.")
    ] = None,
    allow_training_cases: Annotated[
        bool, typer.Option("--allow-training-cases", help="Do not refuse cases that the method was trained on.")
    ] = False,
    skip_training_cases: Annotated[
        bool, typer.Option("--skip-training-cases", help="Leave cases out that the method was trained on.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON instead of a table.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier report.")] = False,
) -> None:
    """Score predictions against the truth: Dice, IoU, HD95, surface Dice, volumes, with intervals and a report.

    Files are paired by name: a.nii.gz with a_seg.nrrd. A missing prediction scores 0.
    When some files could not be compared, the report names them and the exit status is 2.
    Predictions of images that `promisam predict` says its method was trained on are refused.
    """
    from promisam.evaluation import DEFAULT_TOLERANCE, check_report, evaluate_folders, write_report

    check_report(output, images, overwrite)
    background = learned_from(predictions, truth, Training.asked(allow=allow_training_cases, skip=skip_training_cases))
    with _bar() as progress:
        task = progress.add_task("evaluate", total=None)
        evaluation = evaluate_folders(
            predictions,
            truth,
            labels=tuple(dict.fromkeys(label or ())),
            tolerances=tuple(tolerance or (DEFAULT_TOLERANCE,)),
            spacing_aware=spacing_aware,
            progress=lambda done, of, case: progress.update(task, completed=done, total=of, description=plain(case)),
            leave_out=background.left_out,
        )
    evaluation = replace(evaluation, warnings=background.warnings, made_by=background.made_by)
    written = write_report(evaluation, output, images, overwrite)
    _print(evaluation, written[-1], as_json)
    if not evaluation.complete:
        raise typer.Exit(INCOMPLETE)


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)


def _print(evaluation: Evaluation, report: Path, as_json: bool) -> None:
    if as_json:
        import json

        from promisam.evaluation import summary_record

        typer.echo(json.dumps(summary_record(evaluation), indent=2, allow_nan=False))
        for warning in evaluation.warnings:
            typer.echo(plain(f"promisam: warning: {warning}"), err=True)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console()
    console.print(_table(evaluation))
    for warning in evaluation.warnings:
        console.print(Text(plain(f"warning: {warning}"), style="red"), soft_wrap=True)
    for failure in evaluation.failures:
        console.print(Text(plain(f"failure: {failure.case} ({failure.status}): {failure.reason}"), style="red"), soft_wrap=True)
    for label, cases in evaluation.foreign_labels.items():
        typer.echo(f"note: {cases} predictions hold label {label}, which no truth has; it is not scored")
    typer.echo(plain(f"report: {report}"))


def _table(evaluation: Evaluation) -> Table:
    """One row for each label and metric: narrow enough for a terminal of 80 columns."""
    from rich.table import Table
    from rich.text import Text

    from promisam.evaluation import wording

    summary = evaluation.summary
    table = Table("label", "metric")
    for head in ("mean [95 % interval]", "median", "n"):
        table.add_column(head, justify="right")
    for group in summary.groups:
        counts = {"failed": group.failures, "both empty": group.both_empty}
        beside = [plain(group.title), f"{group.rows} pairs", *(f"{n} {what}" for what, n in counts.items() if n)]
        shown = [m for m in group.metrics if not m.startswith("volume")]
        for metric, text in zip_longest(shown, beside):
            if metric is None:
                table.add_row(Text(text))
                continue
            statistic = group.metrics[metric]
            name = f"{wording.title(metric)} ({summary.unit})" if metric == "hd95" else wording.title(metric)
            values = (wording.mean(metric, statistic), wording.number(metric, statistic.median), str(statistic.n))
            table.add_row(Text(text or ""), name, *values)
        table.add_section()
    return table
