"""A published experiment, from the folder of its data to a table beside the published one."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from promisam.core import Example, Segmenter
from promisam.core.errors import InvalidConfig
from promisam.evaluation import Protocol, benchmark
from promisam.evaluation.benchmark import Progress
from promisam.evaluation.benchmark_record import write_benchmark
from promisam.io import open_examples
from promisam.reproduce.checks import Seen, Trained, check_folder, check_resumed, check_seen, examples_of, open_run
from promisam.reproduce.comparison import Comparison, Reached, write_results
from promisam.reproduce.data import TABLE, Found, find, write_table
from promisam.reproduce.values import Facts, Part, Study
from promisam.runs.fit import Begun, fit
from promisam.runs.fit import Request as FitRequest
from promisam.runs.processes import Processes
from promisam.store import Source, load
from promisam.training.events import Event

_HELD_OUT = "90,10"  # of training images where the experiment has no validation part


@dataclass(frozen=True)
class Request:
    """How an experiment is to be run.

    Attributes:
        study: the experiment.
        data: the folder of its data, in the public layout.
        out: what is written: data.csv, run/, benchmark/<part>/, results.json and results.md.
        run: score this run, or imported weights, in place of a new training.
        options: of method and training, over those of the experiment.
        source: of the SAM; by default the experiment's.
        draws: of random prompts.
        limit: so many cases of each part, to try things out.
        resume: go on with what is in `out`.
        keep: where precomputed arrays are kept; the user's cache by default.
        command: what was typed, for the record.
        allow_training: whether test cases that `run` was trained on may count.
    """

    study: Study
    data: Path
    out: Path
    run: Path | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    source: Source = field(default_factory=Source)
    draws: int = 5
    limit: int | None = None
    resume: bool = False
    keep: Path | None = None
    command: tuple[str, ...] = ()
    allow_training: bool = False


def reproduce(request: Request, report: Progress = lambda done, of, case: None) -> Generator[Begun | Event | Comparison]:  # noqa: ARG005
    """Train as the experiment says, score every test part, and write both beside what was published.

    Args:
        request: what and how.
        report: called after each scored case with the part's count so far and its name.

    Yields:
        What happens in training; a `Comparison` at last.

    Raises:
        UnwritableOutput: when the folder holds something and `resume` is not asked for.
        InvalidConfig: for a run that was trained on test cases, and for other cases than those that were begun with.
        PromisamError: for what is wrong with data, options, weights or training.
    """
    check_folder(request.out, resume=request.resume)
    if request.run is not None and request.options:
        raise InvalidConfig("options for a run that is only scored", expected="--run or --set", do="Leave one of them out.")
    study, out = request.study, request.out
    source = request.source
    if request.run is None and source.weights is None:
        source = replace(source, weights=study.weights)
    given = None if request.run is None else open_run(study, request.run)
    found = find(study, request.data, request.limit)
    if request.resume:
        check_resumed(found, out, trains=given is None)
    seen = Seen() if given is None else _seen(request, found, given)
    table = write_table(found, out)
    if given is None:
        yield from fit(_training(request, table, out / "run", source))
        if Processes.here().rank:
            return  # one process scores
    run = request.run or out / "run"
    trained = given or open_run(study, run)
    header = trained.header
    method = load(source.weights, method=run, device=source.device, like=source.like, offline=source.offline)
    setup = {
        "run": str(run),
        "weights": "none" if header.backbone is None else header.backbone.name,
        "options": json.dumps(dict(header.options), sort_keys=True),
        "draws": request.draws,
    }
    examples = {example.name: example for example in open_examples(table).examples}
    rows = []
    for part in study.tests:
        cases = [examples[name] for name in found.names(part)]
        folder = out / "benchmark" / part.name
        rows += _scored(request, method, part, cases, folder, {**setup, "part": part.name}, report)
    differences = study.differing(_facts(request, trained))
    comparison = Comparison(study, tuple(rows), setup, found.notes, differences, seen.warnings, seen.notes)
    write_results(comparison, out)
    yield comparison


def _seen(request: Request, found: Found, given: Trained) -> Seen:
    """What the run that is to be scored has seen of the test cases."""
    if given.record is None:
        return check_seen({}, {}, request.out / TABLE, None, allowed=request.allow_training)
    examples = examples_of(found)
    tested = {line.name: examples[line.name] for line in found.lines if line.split == "test"}
    return check_seen(tested, examples, request.out / TABLE, given.record.data, allowed=request.allow_training)


def _facts(request: Request, trained: Trained) -> Facts:
    backbone, record = trained.header.backbone, trained.record
    split = {} if record is None else record.data.split
    return Facts(
        weights="" if backbone is None else backbone.name,
        like="" if backbone is None else backbone.like,
        options=trained.header.options,
        training=None if record is None else record.training,
        given=request.run is not None,
        trained=len(split.get("train", ())),
        validated=len(split.get("val", ())),
        draws=request.draws,
    )


def _training(request: Request, table: Path, run: Path, source: Source) -> FitRequest:
    return FitRequest(
        method=request.study.method,
        data=table,
        out=run,
        split=None if request.study.val else _HELD_OUT,
        options={**request.study.options, **request.options},
        source=source,
        keep=request.keep,
        resume=request.resume,
        command=request.command,
    )


def _scored(
    request: Request,
    method: Segmenter,
    part: Part,
    cases: Sequence[Example],
    folder: Path,
    about: Mapping[str, Any],
    report: Progress,
) -> list[Reached]:
    """Score a test part in every way that the method can be asked, and keep every answer's score."""
    study = request.study
    prompted = Protocol.parse(study.prompt)
    protocols = [*([Protocol("auto")] if method.automatic else []), *([prompted] if "points" in method.accepts else [])]
    done = benchmark(method, cases, (study.target,), protocols, draws=request.draws, report=report)
    write_benchmark(done, folder, about, overwrite=request.resume)
    theirs = {prompted: next((one for one in study.published if one.part == part.name), None)}
    return [
        Reached(part.name, row.scored, row.protocol.title, row.protocol.sees_truth, row.dice, row.iou, theirs.get(row.protocol))
        for row in done.rows
    ]
