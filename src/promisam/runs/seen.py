"""Which images a run has seen already: by name, content or group."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from promisam.core.errors import PromisamError
from promisam.io import Input
from promisam.runs.record import DataRecord

How = Literal["", "content", "name", "group", "name alone"]
_SHOWN = 3  # names in a message


@runtime_checkable
class Known(Protocol):
    """What is known of an image; `Example` is one."""

    @property
    def name(self) -> str:
        """In its data set."""
        ...

    @property
    def content(self) -> str:
        """Of image, labels and their meaning; empty where there are no labels."""
        ...

    @property
    def image(self) -> str:
        """Fingerprint of the image's files; empty where it is not known."""
        ...

    @property
    def group(self) -> str:
        """What it shares with others; empty where there is none."""
        ...


def same_data(cases: Iterable[Known], path: Path, run: DataRecord) -> bool:
    """Whether the run saw this data set: by its place, the fingerprint of any case, or the names of all.

    Some equal names alone are no sign: everybody has a case_001.
    """
    return path.resolve() == Path(run.path).resolve() or _same_cases(cases, run)


def _same_cases(cases: Iterable[Known], run: DataRecord) -> bool:
    contents = {*run.content.values(), *run.images.values()} - {""}
    cases = list(cases)
    return {c.name for c in cases} == set(run.content) or any({c.content, c.image} & contents for c in cases)


def seen(chosen: Iterable[Known], cases: Iterable[Known], run: DataRecord, part: str, *, same: bool) -> dict[str, How]:
    """The chosen cases that stand in a part of the run, or share a group with one that does, and what gives them away.

    "name alone" is a case of other data with other content: its name may be chance.

    Args:
        chosen: those in question.
        cases: all of their data set.
        run: what was learned from.
        part: "train", "val" or "test".
        same: whether it is the data set of the run; only then do groups mean the same.
    """
    names = set(run.split.get(part, ()))
    contents = {known[name] for known in (run.content, run.images) for name in names if known.get(name)}
    groups = {run.groups[name] for name in names if same and name in run.groups}
    groups |= {case.group for case in cases if same and case.group and case.name in names}

    def how(case: Known) -> How:
        if {case.content, case.image} & contents:
            return "content"
        if case.name in names:
            differs = bool(case.image and run.images.get(case.name))
            return "name alone" if differs and not same else "name"
        return "group" if case.group in groups else ""

    return {case.name: found for case in chosen if (found := how(case))}


def some(names: Sequence[str]) -> str:
    """The first names of a list, for messages."""
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


@dataclass(frozen=True)
class Marks:
    """How a run knows an image from training and from validation; empty where it does not."""

    trained: How = ""
    validated: How = ""


@dataclass(frozen=True)
class _Sight:
    name: str
    group: str
    image: str = ""
    content: str = ""


def marker(inputs: Mapping[str, Input], run: DataRecord | None) -> Callable[[Input], Marks]:
    """What marks images that are to be segmented. Their files are compared one by one, when each is asked for.

    Records of runs from before images had fingerprints leave their names.
    """
    if run is None:
        return lambda _one: Marks()
    place = Path(run.path).resolve()
    root = place.parent if place.suffix.lower() in (".csv", ".json") else place
    sights = [_Sight(one.name, _group(one, run)) for one in inputs.values()]
    inside = any(one.path.resolve().is_relative_to(root) for one in inputs.values())
    same = inside or _same_cases(sights, run)

    def mark(one: Input) -> Marks:
        try:
            digest = one.digest()
        except PromisamError:
            digest = ""  # a file that cannot be read is marked by its name
        sight = _Sight(one.name, _group(one, run), digest)
        trained, validated = (seen([sight], sights, run, part, same=same).get(one.name, "") for part in ("train", "val"))
        return Marks(trained, validated)

    return mark


def _group(one: Input, run: DataRecord) -> str:
    """As the run found it: by its expression in the name, else what the data set gives."""
    match = re.search(run.group_by, one.name) if run.group_by else None
    if match is None:
        return "" if run.group_by else one.case.group
    return (match[1] if match.re.groups else match[0]) or ""
