"""What a method reaches on a test part, asked as the experiment asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promisam.core import Example, Segmenter
from promisam.evaluation import Protocol, benchmark
from promisam.evaluation.benchmark import Progress
from promisam.evaluation.benchmark_record import write_benchmark
from promisam.evaluation.scores import nsd_column
from promisam.reproduce.boxes import BOX, box_answers, mean_of, write_answers
from promisam.reproduce.comparison import Reached
from promisam.reproduce.values import Part, Study


@dataclass(frozen=True)
class Asking:
    """How a test part is asked about.

    Attributes:
        study: the experiment.
        part: of it.
        options: of the method.
        draws: of random prompts.
        overwrite: scores of an earlier run that was interrupted.
    """

    study: Study
    part: Part
    options: Mapping[str, Any]
    draws: int
    overwrite: bool


def scored(
    method: Segmenter, cases: Sequence[Example], asking: Asking, folder: Path, about: Mapping[str, Any], report: Progress
) -> list[Reached]:
    """Score a test part, and keep every answer's score.

    Args:
        method: of pictures; of volumes where the experiment is about clicks in them.
        cases: of the part.
        asking: how.
        folder: where the scores of all answers are written.
        about: what is said there of the run.
        report: called after each case, or picture.

    Raises:
        PromisamError: for cases that cannot be opened, and a method that cannot be asked so.
    """
    study, part = asking.study, asking.part
    if study.clicks:
        return _with_clicks(method, cases, asking, folder, about, report)
    prompted = Protocol.parse(study.prompt)
    if prompted == BOX:
        return _on_squares(method, cases, asking, folder, report)
    protocols = [*([Protocol("auto")] if method.automatic else []), *([prompted] if "points" in method.accepts else [])]
    done = benchmark(method, cases, study.classes, protocols, draws=asking.draws, report=report)
    write_benchmark(done, folder, about, overwrite=asking.overwrite)
    theirs = {prompted: study.published_for(part.name)}
    return [
        Reached(part.name, row.scored, row.protocol.title, row.protocol.sees_truth, row.dice, row.iou, theirs.get(row.protocol))
        for row in done.rows
    ]


def _with_clicks(
    method: Segmenter, cases: Sequence[Example], asking: Asking, folder: Path, about: Mapping[str, Any], report: Progress
) -> list[Reached]:
    """Answers to clicks in volumes, one row for each protocol and number of clicks."""
    study, part = asking.study, asking.part
    component = study.component_of(asking.options)
    rows = []
    for protocol in study.clicks:
        done = protocol.score(method, cases, study.classes, draws=asking.draws, report=report)
        write_benchmark(done, folder / protocol.name, {**about, "protocol": protocol.name}, overwrite=asking.overwrite)
        title = f"{part.name}, {protocol.name}{f', {component}' if component else ''}"
        for row in done.rows:
            surfaces = {nsd_column(at, done.unit): one for at, one in zip(done.tolerances, row.nsd, strict=True)}
            theirs = study.published_for(part.name, component=component, clicks=row.protocol.number)
            known = theirs if protocol == study.clicks[0] else None
            asked = row.protocol
            rows.append(Reached(title, row.scored, asked.title, asked.sees_truth, row.dice, row.iou, known, nsd=surfaces))
    return rows


def _on_squares(method: Segmenter, cases: Sequence[Example], asking: Asking, folder: Path, report: Progress) -> list[Reached]:
    """Answers to boxes, one row for each size."""
    study, part = asking.study, asking.part
    component = study.component_of(asking.options)
    continuous = asking.options.get("decoder") != "mask"  # of I-MedSAM: SAM's own decoder answers in pixels
    answers = box_answers(method, cases, study.classes, study.sizes, continuous=continuous, report=report)
    write_answers(answers, folder / "answers.csv")
    rows = []
    for side in study.sizes:
        here = [one for one in answers if one.side == side]
        at = "" if side == study.sizes[0] else f" at {side}"
        dice, iou, hausdorff = (mean_of(here, metric) for metric in ("dice", "iou", "hausdorff"))
        title = f"{part.name}{at}{f', {component}' if component else ''}"
        theirs = study.published_for(part.name, side, component)
        rows.append(Reached(title, len(here), BOX.title, BOX.sees_truth, dice, iou, theirs, hausdorff))
    return rows
