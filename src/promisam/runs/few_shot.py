"""A few labelled images and many without labels into a run folder: for methods that remember and are not trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field

from promisam.core import Example, Image, Task
from promisam.core.errors import InvalidConfig, PromisamError, UnreadableFile
from promisam.io import ExampleSet, Input, find_inputs, open_examples, split_cases
from promisam.runs.claim import check_folder, claimed
from promisam.runs.processes import Processes
from promisam.runs.record import NAME, DataRecord, RunRecord, commit, read_record, versions
from promisam.runs.same import check_same, plain
from promisam.store import Source, check_names, check_options, choose_device, create, find_method, is_few_shot
from promisam.training.checkpoint import MODEL, Header, write_checkpoint
from promisam.training.contract import Said


class Learning(BaseModel):
    """Options of learning from supports, beside those of the method.

    Attributes:
        seed: of all that is drawn at random.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(0, ge=0)


@dataclass(frozen=True)
class Request:
    """What is to be remembered.

    Attributes:
        method: a name in `METHODS`, or "package.module:Class".
        support: the data set of labelled images.
        out: the run folder; it must be new, or hold the run to go on with.
        images: images without labels of the same kind: whatever `find_inputs` takes.
        labels: values of the data set to learn; empty for all.
        group_by: an expression that finds the group in a case's name.
        split: a file that says which cases are "train", or ratios; None for all cases, unless the data set gives parts itself.
        options: of the method, and the seed, by name.
        source: of the SAM, and the device.
        resume: begin a run that was interrupted, or leave one that is complete as it is.
        command: what was typed, for the record.
    """

    method: str
    support: Path
    out: Path
    images: tuple[Path, ...] = ()
    labels: tuple[int, ...] = ()
    group_by: str | None = None
    split: str | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    source: Source = field(default_factory=Source)
    resume: bool = False
    command: tuple[str, ...] = ()


@dataclass(frozen=True)
class Remembered:
    """How it ended.

    Attributes:
        record: what stands in the folder's run.json.
        worked: whether anything was done; not where the run was complete.
    """

    record: RunRecord
    worked: bool = True

    @property
    def supports(self) -> tuple[str, ...]:
        """Names of the labelled images that it remembers."""
        return self.record.data.split["train"]


@dataclass(frozen=True)
class _Supports:
    """The labelled images that are to be remembered, those that are not, and who says so."""

    data: ExampleSet
    examples: tuple[Example, ...]
    others: tuple[str, ...]
    how: str


class _Others:
    """Images without labels, read one by one; those that cannot be read are left out and noted."""

    def __init__(self, inputs: Sequence[Input], ndim: int, unread: dict[str, str]) -> None:
        self._inputs, self._ndim, self._unread = inputs, ndim, unread

    def __len__(self) -> int:
        return len(self._inputs)

    def __iter__(self) -> Iterator[Image]:
        for one in self._inputs:
            try:
                image = one.read()
                if image.grid.ndim != self._ndim:
                    raise UnreadableFile(
                        f"{one.path}, with {image.grid.ndim} axes",
                        expected=f"{self._ndim}, as the supports",
                        do="Leave it out.",
                    )
            except (PromisamError, OSError) as error:
                self._unread[place_of(one)] = " ".join(str(error).split())
                continue
            yield image


def remember(request: Request, said: Said = lambda _what, _done, _of: None) -> Remembered:
    """Have a method remember its supports, and write what it remembers: run.json, then model.safetensors, each whole.

    Nothing is written before the work is done, so that stopping it, which `said` may do by raising, leaves nothing behind.

    Args:
        request: what and where.
        said: told of what is being done.

    Raises:
        InvalidConfig: for unknown options, for methods that are not few-shot, and for a run that was begun with other choices.
        UnwritableOutput: when the folder holds something already, or another process is at it.
        PromisamError: for what is wrong with the supports, the weights or the method.
    """
    options, learning = _options(request)
    _check_folder(request)
    if Processes.here().world > 1:
        raise InvalidConfig("several processes", expected="one: nothing is trained", do="Start it once, without torchrun.")
    supports = _supports(request, learning.seed)
    task = Task.of(supports.examples, supports.data.classes)
    others, unread = _unlabelled(request, supports, task)
    with claimed(request.out):
        check_folder(
            request.out, goes_on=request.resume and (request.out / NAME).is_file()
        )  # again, now that nobody else writes there
        method, header = create(request.method, task, request.source, options, learning.seed)
        _check_axes(method.ndim, request.method, task)
        record = _record(request, header, learning, supports, {place_of(one): digest for one, digest in others}, unread)
        if (request.out / NAME).is_file():
            before = read_record(request.out)
            _check_resumed(record, before)
            if (request.out / MODEL).is_file():
                return Remembered(before, worked=False)
        _learn(method.learn, supports, _Others([one for one, _ in others], task.ndim, unread), learning.seed, said)
        seen = {path: digest for path, digest in record.data.unlabelled.items() if path not in unread}
        record = replace(record, data=replace(record.data, unlabelled=seen, unread=unread))
        record.write(request.out)
        facts = {"supports": len(supports.examples), "unlabelled": len(seen)}
        write_checkpoint(request.out / MODEL, method.network, replace(header, facts=facts))
    return Remembered(record)


def place_of(one: Input) -> str:
    """The whole path of an image's first file."""
    return str(one.path.parent.resolve() / one.path.name)


def _check_folder(request: Request) -> None:
    """Refuse a folder that holds anything but a run that is to be gone on with."""
    check_folder(request.out, goes_on=request.resume and (request.out / NAME).is_file())


def _options(request: Request) -> tuple[dict[str, object], Learning]:
    """The method's options as given, and those of learning; a name that both have is the method's."""
    kind, config_type = find_method(request.method)
    if not is_few_shot(kind):
        raise InvalidConfig(
            f"supports for the method {request.method}", expected="a few-shot method", do="Leave out --support and --images."
        )
    own = {name: value for name, value in request.options.items() if name in config_type.model_fields}
    check_names(request.options, config_type, Learning)
    learning = check_options(Learning, {name: value for name, value in request.options.items() if name not in own})
    check_options(config_type, own)
    return own, learning


def _supports(request: Request, seed: int) -> _Supports:
    """All cases, unless a file, ratios or the data set itself say which are to learn from."""
    data = open_examples(request.support, request.labels, request.group_by)
    if request.split is None and not data.splits:
        return _Supports(data, data.examples, (), "all cases are supports; none is held out")
    file = request.split if request.split is not None and Path(request.split).is_file() else None
    ratios = _ratios(request.split) if request.split is not None and file is None else None
    if ratios is None:
        split = split_cases(data.entries, seed=seed, file=file, hold_out=False)
    else:
        bare = [(name, group, "") for name, group, _ in data.entries]
        split = split_cases(bare, ratios, seed)
    chosen = set(split.train)
    rest = tuple(example.name for example in data.examples if example.name not in chosen)
    how = f"the training cases are supports, {split.how}; none validates"
    return _Supports(data, tuple(example for example in data.examples if example.name in chosen), rest, how)


def _ratios(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InvalidConfig(
            f"the split {text!r}", expected="a file that exists, or ratios such as 10,90", do="Check the path."
        ) from None


def _unlabelled(request: Request, supports: _Supports, task: Task) -> tuple[list[tuple[Input, str]], dict[str, str]]:
    """The images that are no supports, with their fingerprints, and why others cannot be read."""
    if not request.images:
        return [], {}
    known = {example.image for example in supports.examples} - {""}
    found: list[tuple[Input, str]] = []
    unread: dict[str, str] = {}
    for one in find_inputs(request.images, supports.data.dataset.channels, task.channels).values():
        try:
            digest = one.digest()
        except PromisamError as error:
            unread[place_of(one)] = str(error)
            continue
        if digest not in known:
            found.append((one, digest))
    return found, unread


def _check_axes(ndim: int, name: str, task: Task) -> None:
    if ndim != task.ndim:
        raise InvalidConfig(
            f"supports of {task.ndim} axes for {name}, which takes {ndim}", expected="equal numbers", do="Use another."
        )


def _learn(learn: Callable[..., None], supports: _Supports, others: _Others, seed: int, said: Said) -> None:
    labelled = []
    for number, example in enumerate(supports.examples):
        said("reading supports", number, len(supports.examples))
        labelled.append(example.load())
    said("reading supports", len(labelled), len(labelled))
    learn(labelled, others, torch.Generator().manual_seed(seed), said)


def _record(
    request: Request,
    header: Header,
    learning: Learning,
    supports: _Supports,
    unlabelled: Mapping[str, str],
    unread: Mapping[str, str],
) -> RunRecord:
    named = tuple(example.name for example in supports.examples)
    told = DataRecord.of(
        request.support, supports.data, request.group_by, supports.how, train=named, val=(), test=supports.others
    )
    return RunRecord(
        command=request.command,
        method=header.method,
        options=dict(header.options),
        training=learning.model_dump(),
        task=plain(asdict(header.task)),
        backbone=None if header.backbone is None else asdict(header.backbone),
        data=replace(told, unlabelled=dict(unlabelled), unread=dict(unread)),
        device=str(choose_device(request.source.device)),
        processes=1,
        versions=versions(),
        commit=commit(),
    )


def _check_resumed(now: RunRecord, before: RunRecord) -> None:
    """Refuse other choices, supports or images than those that the run was made with."""
    check_same(now, before)
    then, asked = before.data, now.data
    changed = {path for path in then.unlabelled if asked.unlabelled.get(path) != then.unlabelled[path]}
    if changed or {*then.unlabelled, *then.unread} != {*asked.unlabelled, *asked.unread}:
        raise InvalidConfig(
            f"a run that was made with other images ({len(then.unlabelled)}, now {len(asked.unlabelled)})",
            expected="the very images",
            do="Make a new run in another folder.",
        )
