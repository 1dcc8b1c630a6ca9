"""Training into a run folder: from a data set and choices to checkpoints, logs and a record of everything."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from lightning_fabric import Fabric

from promisam import zoo
from promisam.core import Example, Task
from promisam.core.errors import InvalidConfig, UnwritableOutput
from promisam.io import ExampleSet, Split, open_examples, split_cases
from promisam.runs.claim import check_folder, claimed
from promisam.runs.log import Log
from promisam.runs.processes import Processes
from promisam.runs.record import NAME, DataRecord, RunRecord, commit, read_record, versions
from promisam.runs.same import check_same, plain
from promisam.store import Source, check_names, check_options, choose_device, create, find_method, is_few_shot, is_trainable
from promisam.training.checkpoint import STATE, Header, read_state
from promisam.training.contract import Trainable
from promisam.training.course import Course
from promisam.training.events import Event, Step, Stopped, Validated
from promisam.training.kept import Kept
from promisam.training.loop import FREE, train
from promisam.training.recipe import Recipe, fabric_precision
from promisam.training.slices import pictures_of


@dataclass(frozen=True)
class Request:
    """What is to be trained.

    Attributes:
        method: a name in `METHODS`, or "package.module:Class".
        data: a data set in one of the known layouts.
        out: the run folder; it must be new, or hold the run to go on with.
        labels: values of the data set to learn; empty for all.
        group_by: an expression that finds the group in a case's name.
        split: a file that says which case is in which part, or the ratios of train, val and test; None for the default.
        options: of the method and of training, by name.
        source: of the SAM, and the device.
        keep: where precomputed arrays are kept; the user's cache by default.
        resume: go on with the run in `out`, or begin it if there is none yet.
        command: what was typed, for the record.
    """

    method: str
    data: Path
    out: Path
    labels: tuple[int, ...] = ()
    group_by: str | None = None
    split: str | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    source: Source = field(default_factory=Source)
    keep: Path | None = None
    resume: bool = False
    command: tuple[str, ...] = ()


@dataclass(frozen=True)
class Begun:
    """The data have been read and divided.

    Attributes:
        split: which case is in which part, and what speaks against results with it.
    """

    split: Split


def fit(request: Request) -> Generator[Begun | Event, None, None]:
    """Train; yields how the data were divided, then what happens, having written it to the run folder.

    Under torchrun or SLURM every process calls this; the first one writes.

    Raises:
        InvalidConfig: for unknown options, and for a run that was begun with other ones.
        UnwritableOutput: when the folder holds something already, or another process is at it.
        PromisamError: for what is wrong with the data, the weights or the training.
    """
    options, recipe = _options(request)
    _check_folder(request)
    fabric_precision(recipe.mixed_precision, choose_device(request.source.device).type)
    fabric = Processes.here().fabric(request.source.device, recipe.mixed_precision)
    with ExitStack() as opened:
        _claim(request.out, fabric, opened)
        resume = _check_folder(request)  # again, now that nobody else writes there
        yield from _fitted(request, options, recipe, fabric, opened, resume=resume)


def _claim(out: Path, fabric: Fabric, opened: ExitStack) -> None:
    """Have the folder alone; the first process asks for all, once each of them has looked at the folder."""
    fabric.barrier()
    refused: UnwritableOutput | None = None
    if fabric.is_global_zero:
        try:
            opened.enter_context(claimed(out))
        except UnwritableOutput as error:
            refused = error
    refused = fabric.broadcast(refused)
    if refused is not None:
        raise refused


def _fitted(
    request: Request, options: Mapping[str, object], recipe: Recipe, fabric: Fabric, opened: ExitStack, *, resume: bool
) -> Iterator[Begun | Event]:
    data = open_examples(request.data, request.labels, request.group_by)
    split = _split(request, data, recipe.seed)
    by_name = {example.name: example for example in data.examples}
    parts = [[by_name[name] for name in names] for names in (split.train, split.val)]
    method, header, learned = _method(request, options, recipe, data, parts)
    record = _record(request, header, recipe, data, split, fabric)
    if resume:
        before = read_record(request.out)
        check_same(record, before, free=FREE)
        record = before
    elif fabric.is_global_zero:
        record.write(request.out)
    keep = request.keep or zoo.Cache.default().root / "precomputed"
    course = Course(method, learned[0], learned[1], recipe, header, request.out, Kept(keep))
    if not resume:
        yield Begun(split)
    events = opened.enter_context(closing(train(course, fabric, resume=resume)))
    yield from _written(events, record, course, opened) if fabric.is_global_zero else events


def _written(events: Iterator[Event], record: RunRecord, course: Course, opened: ExitStack) -> Iterator[Event]:
    """The events, each written to the run folder; a run that had come to its end before is not touched."""
    folder = course.folder or Path()
    standing = read_state(folder / STATE)["standing"] if (folder / STATE).is_file() else {}
    log: Log | None = None
    for event in events:
        if isinstance(event, Step | Validated):
            if log is None:
                since = standing.get("step", -1)
                validated = standing.get("validated", since)
                log = Log(folder, since=since, validated=validated, preview_every=course.recipe.preview_every)
                opened.enter_context(log)
            log.write(event)
        elif isinstance(event, Stopped) and (log is not None or not record.result):
            known = None if math.isnan(event.best_score) else event.best_score
            replace(record, result={**asdict(event), "best_score": known}).write(folder)
        yield event


def _options(request: Request) -> tuple[dict[str, object], Recipe]:
    """The method's options as given, and the whole recipe; a name belongs to either.

    Raises:
        InvalidConfig: for an unknown name.
    """
    kind, config_type = find_method(request.method)
    if not is_trainable(kind):
        do = f"Give it supports: promisam fit {request.method} --support DATASET." if is_few_shot(kind) else "Use it as it is."
        raise InvalidConfig(f"the method {request.method}, which does not learn", expected="a trainable method", do=do)
    own = {name: value for name, value in request.options.items() if name in config_type.model_fields}
    rest = {name: value for name, value in request.options.items() if name not in own}
    check_names(request.options, config_type, Recipe)
    recipe = check_options(Recipe, {**kind.recipe.model_dump(), **rest})
    check_options(config_type, own)
    return own, recipe


def _check_folder(request: Request) -> bool:
    """Whether there is a run to go on with in the folder, which may otherwise hold nothing."""
    begun = (request.out / STATE).is_file()
    check_folder(request.out, goes_on=request.resume and (begun or (request.out / NAME).is_file()))
    return request.resume and begun


def _split(request: Request, data: ExampleSet, seed: int) -> Split:
    if request.split is None:
        return split_cases(data.entries, seed=seed)
    if Path(request.split).is_file():
        return split_cases(data.entries, seed=seed, file=request.split)
    try:
        ratios = [float(part) for part in request.split.split(",")]
    except ValueError:
        raise InvalidConfig(
            f"the split {request.split!r}", expected="a file that exists, or ratios such as 70,15,15", do="Check the path."
        ) from None
    return split_cases(data.entries, ratios, seed)


def _method(
    request: Request, options: Mapping[str, object], recipe: Recipe, data: ExampleSet, parts: list[list[Example]]
) -> tuple[Trainable, Header, list[list[Example]]]:
    """The method with a new network, its header, and what it learns from and is validated on."""
    kind, _ = find_method(request.method)
    volumes = parts[0] and parts[0][0].load().image.grid.ndim == 3
    of_pictures = getattr(kind, "ndim", None) == 2
    sliced = volumes and of_pictures
    task = Task.of(pictures_of(parts[0]) if sliced else parts[0], data.classes)
    method, header = create(request.method, task, request.source, options, recipe.seed)
    if not sliced:
        return method, header, parts
    learned = [
        pictures_of(part, empty=held_out, prepare=method.prepare, background=method.automatic)
        for part, held_out in zip(parts, (False, True), strict=True)
    ]
    return method, header, learned


def _record(request: Request, header: Header, recipe: Recipe, data: ExampleSet, split: Split, fabric: Fabric) -> RunRecord:
    parts = {"train": split.train, "val": split.val, "test": split.test}
    told = DataRecord.of(request.data, data, request.group_by, split.how, **parts)
    return RunRecord(
        command=request.command,
        method=header.method,
        options=dict(header.options),
        training=recipe.model_dump(),
        task=plain(asdict(header.task)),
        backbone=None if header.backbone is None else asdict(header.backbone),
        data=replace(told, warnings=split.warnings),
        device=str(fabric.device),
        processes=fabric.world_size,
        versions=versions(),
        commit=commit(),
    )
