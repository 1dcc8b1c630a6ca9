"""A published experiment, from the folder of its data to a table beside the published one."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from promisam import zoo
from promisam.core import Example
from promisam.core.errors import InvalidConfig
from promisam.evaluation.benchmark import Progress
from promisam.io.layouts.table import TABLE
from promisam.reproduce.checks import Seen, Trained, check_folder, check_resumed, check_seen, examples_of, open_run, opened
from promisam.reproduce.comparison import Comparison, Reached, write_results
from promisam.reproduce.data import Found, find, write_table
from promisam.reproduce.scoring import Asking, scored
from promisam.reproduce.values import Component, Facts, Study
from promisam.runs.fit import Begun, fit
from promisam.runs.fit import Request as FitRequest
from promisam.runs.processes import Processes
from promisam.store import Source, load
from promisam.training.events import Event

_HELD_OUT = "90,10"  # of training images where the experiment has no validation part
_WHOLE = Component("", {})


@dataclass(frozen=True)
class Request:
    """How an experiment is to be run.

    Attributes:
        study: the experiment.
        data: the folder of its data, in the public layout.
        out: what is written: dataset.csv, run/, benchmark/<part>/, results.json and results.md; of each component the same
            run/ and benchmark/ below components/<name>/.
        run: score this run, or imported weights, in place of a new training.
        options: of method and training, over those of the experiment.
        source: of the SAM; by default the experiment's.
        draws: of random prompts.
        limit: so many cases of each part, to try things out.
        resume: go on with what is in `out`.
        keep: where precomputed arrays are kept; the user's cache by default.
        command: what was typed, for the record.
        allow_training: whether test cases that `run` was trained on may count.
        components: train and score the method's components, too, as far as they were published.
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
    components: bool = False

    @property
    def trainings(self) -> tuple[Component, ...]:
        """What is trained, one after the other; nothing where a run is given."""
        if self.run is not None:
            return ()
        return (_WHOLE, *(self.study.components if self.components else ()))

    def folder(self, component: Component) -> Path:
        """Where run and scores of a training are."""
        words = component.name.lower().replace("+", " ").split()
        return self.out / "components" / "-".join(words) if words else self.out


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
    _check(request)
    out, study = request.out, request.study
    given = None if request.run is None else open_run(study, request.run)
    found = find(study, request.data, request.limit, _seed(request, given))
    if request.resume:
        check_resumed(found, out, trains=given is None)
    seen = Seen() if given is None else _seen(request, found, given)
    source = request.source if given else _source(request)
    table = write_table(found, out)
    for one in request.trainings:
        yield from fit(_training(request, found, table, one, source))
    if given is None and Processes.here().rank:
        return  # one process scores
    examples = opened(table, found)
    runs = [request.folder(one) / "run" for one in request.trainings] if request.run is None else [request.run]
    rows: list[Reached] = []
    setup: dict[str, Any] = {}
    for run, one in zip(runs, request.trainings or (_WHOLE,), strict=True):
        trained = given or open_run(study, run)
        told = _setup(request, run, trained)
        rows += _scored(request, run, trained, found, examples, request.folder(one) / "benchmark", told, report)
        setup |= {f"{name} of {one.name}" if one.name else name: value for name, value in told.items()}
    differences = study.differing(_facts(request, given or open_run(study, runs[0])))
    comparison = Comparison(study, tuple(rows), setup, found.notes, differences, seen.warnings, seen.notes)
    write_results(comparison, out)
    yield comparison


def _check(request: Request) -> None:
    """Refuse what does nothing, and a training where there is nothing to train on."""
    study = request.study
    if request.run is not None and request.options:
        raise InvalidConfig("options for a run that is only scored", expected="--run or --set", do="Leave one of them out.")
    if request.run is not None and request.source.side is not None:
        raise InvalidConfig("--side for a run, which has its own", expected="--run or --side", do="Leave one of them out.")
    if request.components and (request.run is not None or not study.components or study.train is None):
        raise InvalidConfig(
            f"--components of {study.method} {study.name}{' with --run' if request.run else ''}",
            expected="an experiment that trains a method of several components",
            do="Leave it out.",
        )
    if request.run is None and study.train is None:
        raise InvalidConfig(
            f"{study.method} {study.name} without a run, which is trained on other data",
            expected=f"the run that {study.run_of} makes",
            do=f"promisam reproduce {study.method} {study.run_of} DATA -o OUT, then --run OUT/run here.",
        )


def _seed(request: Request, given: Trained | None) -> int:
    """Of the division of data that come without one: that of the training."""
    training = request.options if given is None else {} if given.record is None else given.record.training
    seed = training.get("seed", 0)
    return seed if isinstance(seed, int) else 0  # what is no number, `fit` refuses


def _source(request: Request) -> Source:
    """The SAM to train on: the experiment's, with its frame where the weights can have another than their own."""
    study, source = request.study, request.source
    source = replace(source, weights=study.weights if source.weights is None else source.weights)
    if source.side is not None or study.side is None or source.weights is None:
        return source
    place = source.cache or zoo.Cache.default()
    entry = zoo.resolve(source.weights, place, like=source.like, offline=source.offline).entry
    return source if entry.family == "tinyvit" else replace(source, side=study.side)


def _seen(request: Request, found: Found, given: Trained) -> Seen:
    """What the run that is to be scored has seen of the test cases."""
    if given.record is None:
        return check_seen({}, {}, request.out / TABLE, None, allowed=request.allow_training)
    examples = examples_of(found)
    tested = {line.name: examples[line.name] for line in found.lines if line.split == "test"}
    return check_seen(tested, examples, request.out / TABLE, given.record.data, allowed=request.allow_training)


def _training(request: Request, found: Found, table: Path, component: Component, source: Source) -> FitRequest:
    return FitRequest(
        method=request.study.method,
        data=table,
        out=request.folder(component) / "run",
        labels=tuple(found.labels),
        split=None if request.study.val else _HELD_OUT,
        options={**request.study.options, **request.options, **component.options},
        source=source,
        keep=request.keep,
        resume=request.resume,
        command=request.command,
    )


def _setup(request: Request, run: Path, trained: Trained) -> dict[str, Any]:
    header = trained.header
    told: dict[str, Any] = {
        "run": str(run),
        "weights": "none" if header.backbone is None else header.backbone.name,
        "options": json.dumps(dict(header.options), sort_keys=True),
    }
    return told if request.study.prompt == "box" else {**told, "draws": request.draws}


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
        side=0 if backbone is None else backbone.side,
    )


def _scored(
    request: Request,
    run: Path,
    trained: Trained,
    found: Found,
    examples: Mapping[str, Example],
    folder: Path,
    about: Mapping[str, Any],
    report: Progress,
) -> Iterator[Reached]:
    """Every test part, scored."""
    study, source = request.study, request.source
    method = load(source.weights, method=run, device=source.device, like=source.like, offline=source.offline)
    for part in study.tests:
        cases = [examples[name] for name in found.names(part)]
        asking = Asking(study, part, trained.header.options, request.draws, request.resume)
        yield from scored(method, cases, asking, folder / part.name, {**about, "part": part.name}, report)
