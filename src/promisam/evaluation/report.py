"""The three files of an evaluation: cases.csv, summary.json and report.html."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from promisam.core.errors import UnreadableFile, UnwritableOutput
from promisam.evaluation.definitions import SOURCES, definitions, versions, volume_unit
from promisam.evaluation.folders import Evaluation
from promisam.evaluation.pairing import find_images
from promisam.evaluation.summary import Group

FILES = ("cases.csv", "summary.json", "report.html")
_FORMAT = 1


def write_report(
    evaluation: Evaluation, folder: str | Path, images: str | Path | None = None, overwrite: bool = False
) -> tuple[Path, ...]:
    """Write the table of cases, the summary and the page.

    Args:
        evaluation: what to report.
        folder: where to; created when missing.
        images: folder of the images under the outlines; None looks for a folder "images" beside that of the truth.
        overwrite: replace an earlier report.

    Raises:
        UnwritableOutput: when there is an earlier report, or the folder cannot be written.
        UnreadableFile: when `images` is not a folder.
    """
    from promisam.evaluation.overlay import panels
    from promisam.evaluation.page import page
    from promisam.io.atomic import atomic_text

    target = Path(folder)
    check_report(target, images, overwrite)
    place = Path(images) if images is not None else _beside(evaluation.settings.truth)
    found = find_images(place, [pair.case for pair in evaluation.pairs]) if place else {}
    texts = (
        cases_csv(evaluation),
        json.dumps(summary_record(evaluation), indent=2, ensure_ascii=False, allow_nan=False) + "\n",
        page(evaluation, panels(evaluation, found)),
    )
    for name, text in zip(FILES, texts, strict=True):
        atomic_text(target / name, text.encode(errors="replace").decode())  # file names may be no valid text
    return tuple(target / name for name in FILES)


def check_report(folder: str | Path, images: str | Path | None = None, overwrite: bool = False) -> None:
    """Refuse what `write_report` would refuse; call it before the work, not after.

    Raises:
        UnwritableOutput: when there is an earlier report.
        UnreadableFile: when `images` is not a folder.
    """
    existing = [name for name in FILES if (Path(folder) / name).exists()]
    if existing and not overwrite:
        raise UnwritableOutput(
            f"the output folder {folder}, which already holds {', '.join(existing)}",
            expected="a folder without a report",
            do="Name another folder with -o, or allow it with --overwrite.",
        )
    if images is not None and not Path(images).is_dir():
        raise UnreadableFile(f"{images} as the folder of images", expected="a folder that exists", do="Check the path.")


def _beside(truth: Path) -> Path | None:
    """The folder "images" beside that of the truth, if there is one."""
    place = truth.resolve()
    beside = (place.parent if place.is_file() else place).parent / "images"
    return beside if beside.is_dir() else None


def cases_csv(evaluation: Evaluation) -> str:
    """One row for each case and label; undefined values are empty, infinite ones "inf", numbers in full precision."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    unit = evaluation.summary.unit
    columns = list(evaluation.scores[0].metrics(unit))
    writer.writerow(["id", "label", "name", "status", "unit", *columns, "reason", "prediction", "truth"])
    for score in evaluation.scores:
        values = ["" if v is None else repr(float(v)) for v in score.metrics(unit).values()]
        known = [score.case, score.label, score.name, score.status, score.unit or ""]
        writer.writerow([*known, *values, score.reason, score.prediction, score.truth])
    return text.getvalue()


def summary_record(evaluation: Evaluation) -> dict[str, Any]:
    """The summary as plain values for JSON: infinite values are counted under "infinite" and never stand as numbers."""
    summary, settings = evaluation.summary, evaluation.settings
    return {
        "format": _FORMAT,
        "settings": {
            **asdict(settings),
            "predictions": str(settings.predictions),
            "truth": str(settings.truth),
        },
        "warnings": list(evaluation.warnings),
        "left_out": list(evaluation.left_out),
        "made_by": [dict(maker) for maker in evaluation.made_by],
        "cases": summary.cases,
        "unit": summary.unit,
        "volume_unit": volume_unit(summary),
        "overall": _group(summary.overall),
        "labels": [_group(group) for group in summary.labels],
        "failures": [asdict(failure) for failure in evaluation.failures],
        "labels_without_truth": {str(label): cases for label, cases in evaluation.foreign_labels.items()},
        "definitions": definitions(summary),
        "sources": list(SOURCES),
        "versions": versions(),
    }


def _group(group: Group) -> dict[str, Any]:
    record = asdict(group)
    for statistic in record["metrics"].values():
        low, high = statistic.pop("low"), statistic.pop("high")
        statistic["interval_95"] = None if low is None else [low, high]
    return record
