"""The labelled sets that a report is about, and which of their cases learn, choose and test."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from promisam.core.errors import InvalidConfig, PromisamError
from promisam.io import ExampleSet, open_examples, split_cases

RATIOS = (50.0, 15.0, 35.0)  # by groups, seed 0: a large test part, since these sets are small
LEAST_CASES = 8
ALONE = "no patients or sequences are known, so every image counts as one: frames of one video in several parts would flatter"
_INDEX = "index.csv"


@dataclass(frozen=True)
class LabelledSet:
    """A labelled data set and its parts.

    Attributes:
        name: of its folder.
        path: what `open_examples` reads.
        ndim: of its images.
        classes: names of the labels 1..n.
        train: names of the cases to learn from.
        val: to choose a checkpoint by.
        test: to report on; all cases of a set that is too small to learn from.
        groups: group by case; a case without one is its own.
        content: fingerprint of image and labels by case, of all parts.
        warnings: what speaks against results with these parts.
        shapes: of some training images, in array order.
        group_by: regular expression that found the groups in the cases' names.
    """

    name: str
    path: Path
    ndim: int
    classes: tuple[str, ...]
    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    groups: dict[str, str]
    content: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    shapes: tuple[tuple[int, ...], ...] = ()
    group_by: str | None = None


def find_sets(
    data: Path,
    wanted: Sequence[str],
    cases: int | None = None,
    say: Callable[[str], None] = lambda _: None,
    group_by: str | None = None,
) -> tuple[LabelledSet, ...]:
    """The sets in a folder: the folder itself where it is one, else those of its subfolders that are.

    Args:
        data: a labelled data set, or a folder of them.
        wanted: names of subfolders; empty for all that can be read. Those that are named must be readable.
        cases: at most so many of each of train and test, drawn at random, and a third of it of val; None for all.
        say: told which subfolders are left out, and why.
        group_by: regular expression that finds the patient or sequence in a case's name, as of `open_examples`.

    Raises:
        InvalidConfig: for names that are no labelled sets, for sets without test cases, and where there is none.
        PromisamError: for a named set that cannot be read.
    """
    if not data.is_dir():
        raise InvalidConfig(
            f"the folder {data}", expected="a folder of labelled data sets, or one of them", do="Check the path."
        )
    places = {place.name: place for place in sorted(data.iterdir()) if place.is_dir()}
    unknown = [name for name in wanted if name not in places]
    if unknown:
        raise InvalidConfig(f"the set {unknown[0]}", expected=f"one of {', '.join(places) or '(none)'}", do="Check the name.")
    if not wanted:
        alone, fault = _opened(data, group_by)
        if alone is not None:
            return (_divided(data.resolve().name, data, alone, cases, group_by),)
    found, lacking = [], []
    for name in wanted or places:
        place = _readable(places[name])
        opened, why = (open_examples(place, group_by=group_by), "") if wanted else _opened(places[name], group_by)
        if opened is not None:
            found.append(_divided(name, place, opened, cases, group_by))
        else:
            lacking.append(f"left out: {places[name]} ({why})")
    if not found:
        raise InvalidConfig(
            f"{data}, with no labelled set" + (f" ({fault})" if not wanted else ""),
            expected="images with masks",
            do="See `promisam check-data --help` for the layouts.",
        )
    for line in lacking:
        say(line)
    return tuple(found)


def folder_name(text: str) -> str:
    """A name for a file, of a name of anything."""
    return re.sub(r"[^\w.-]+", "_", text)


def _readable(place: Path) -> Path:
    return place / _INDEX if (place / _INDEX).is_file() else place


def _opened(place: Path, group_by: str | None) -> tuple[ExampleSet | None, str]:
    """The set, or why there is none."""
    try:
        return open_examples(_readable(place), group_by=group_by), ""
    except PromisamError as error:
        return None, error.given


def _divided(name: str, path: Path, data: ExampleSet, cases: int | None, group_by: str | None) -> LabelledSet:
    groups = {example.name: example.group or example.name for example in data.examples}
    names = tuple(example.name for example in data.examples)
    train: tuple[str, ...] = ()
    val: tuple[str, ...] = ()
    test = names
    warnings: tuple[str, ...] = ()
    if len(names) >= LEAST_CASES and len(set(groups.values())) > 2:
        split = split_cases(data.entries, RATIOS)
        train, val, test, warnings = split.train, split.val, split.test, split.warnings
    if not test:
        raise InvalidConfig(
            f"the set {name}, none of whose cases is a test case",
            expected="a part `test`, or no parts, so that they are drawn",
            do="Give some cases to the part test.",
        )
    if not any(example.group for example in data.examples):
        warnings = (*warnings, ALONE)
    train, test = _some(train, cases), _some(test, cases)
    val = _some(val, None if cases is None else max(1, cases // 3))
    loaded = {example.name: example for example in data.examples}
    shapes = tuple(loaded[one].load().image.grid.shape for one in (train or test)[:5])
    content = {one: loaded[one].content for one in (*train, *val, *test)}
    return LabelledSet(name, path, len(shapes[0]), data.classes, train, val, test, groups, content, warnings, shapes, group_by)


def _some(names: tuple[str, ...], most: int | None) -> tuple[str, ...]:
    """So many of them at random, always the same."""
    if most is None or len(names) <= most:
        return names
    return tuple(sorted(names[i] for i in np.random.default_rng(0).permutation(len(names))[:most]))
