"""From a data set on the disk to examples to learn from."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from promisam.core.errors import InvalidConfig, InvalidSegmentation, UnreadableFile
from promisam.core.example import Example, Labelled
from promisam.core.segmentation import Segmentation
from promisam.io.cases import chosen_labels, read_image, read_labels
from promisam.io.digest import file_digest, joined_digest
from promisam.io.layouts import Case, Dataset, find_cases
from promisam.io.reading import read_segmentation, smallest

_FORMAT = 1  # raise it when the same files are turned into other pixels or labels
_MOST_LABELS = 255  # more unnamed values than this number objects, they do not name classes


@dataclass(frozen=True)
class ExampleSet:
    """A data set, ready to learn from.

    Attributes:
        examples: every case with an image and a mask, by name.
        classes: names of the labels 1..n of the examples.
        dataset: what was found on the disk.
        labels: the data set's own value of each class.
        splits: case name to "train", "val", "test" or "fold <number>", for the cases whose part the data set gives.
        left_out: names of the cases without an image or without a mask.
    """

    examples: tuple[Example, ...]
    classes: tuple[str, ...]
    dataset: Dataset
    labels: tuple[int, ...]
    splits: Mapping[str, str]
    left_out: tuple[str, ...] = ()

    @property
    def entries(self) -> tuple[tuple[str, str, str], ...]:
        """Name, group and given split of each example, for `split_cases`."""
        return tuple((example.name, example.group, self.splits.get(example.name, "")) for example in self.examples)


def open_examples(path: str | Path, labels: Sequence[int] = (), group_by: str | None = None) -> ExampleSet:
    """The cases of a data set that have an image and a mask; pixels are read when an example is loaded.

    Args:
        path: anything that `find_cases` knows.
        labels: the data set's values to learn, which become 1..n in this order; every other becomes background. Without them,
            all labels that the data set names, else all that its masks hold (read once for this), in order.
        group_by: a regular expression that is searched in a case's name; its first group, or else the whole match, is the
            group. It takes the place of the groups that the data set gives.

    Raises:
        UnreadableFile: when nothing is there, when no case has image and mask, or for what is wrong with the data set.
        InvalidConfig: for labels that do not exist, and for an expression that is none or misses a case.
        InvalidSegmentation: when a mask that is searched for labels holds none, or values that are none.
    """
    dataset = find_cases(Path(path))
    _refuse_faults(dataset)
    paired = [case for case in dataset.cases if case.paired]
    if not paired:
        raise UnreadableFile(
            f"{path} ({dataset.layout}), in which no image has a mask",
            expected="images with masks",
            do="See `promisam check-data --help` for the layouts that are known.",
        )
    if group_by is not None:
        paired = _grouped(paired, group_by)
    names = dict(dataset.classes) or _held(paired)
    chosen = chosen_labels(labels, names, path)
    return ExampleSet(
        tuple(_example(case, dataset, chosen, names, exact=not labels) for case in paired),
        tuple(names[value] for value in chosen),
        dataset,
        chosen,
        {case.name: case.split for case in paired if case.split},
        tuple(case.name for case in dataset.cases if not case.paired),
    )


def _refuse_faults(dataset: Dataset) -> None:
    faults = [finding for finding in dataset.findings if finding.severity == "error"]
    if faults:
        more = f" (and {len(faults) - 1} more errors)" if len(faults) > 1 else ""
        raise UnreadableFile(
            f"{faults[0].file}: {faults[0].reason}{more}",
            expected="a data set without errors",
            do=f"{faults[0].do} `promisam check-data` lists everything.",
        )


def _grouped(cases: Sequence[Case], expression: str) -> list[Case]:
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise InvalidConfig(
            f"the groups {expression!r} ({error})", expected="a regular expression, such as '^(patient\\d+)'", do="Correct it."
        ) from error
    found = [(case, pattern.search(case.name)) for case in cases]
    missed = [case.name for case, match in found if match is None]
    if missed:
        raise InvalidConfig(
            f"the groups {expression!r}, which {len(missed)} of {len(cases)} names do not match, such as {missed[0]}",
            expected="an expression that finds the group in every case's name",
            do="Widen it.",
        )
    return [replace(case, group=(match[1] if pattern.groups else match[0]) or "") for case, match in found if match]


def _held(cases: Sequence[Case]) -> dict[int, str]:
    """Every label that the masks hold, by its value."""
    held: dict[int, str] = {}
    for case in cases:
        segmentation = read_segmentation(case.masks[0])
        for value in (int(v) for v in np.unique(segmentation.labels) if v):
            name = segmentation.name(value)
            if held.setdefault(value, name) != name:
                raise InvalidSegmentation(
                    f"{case.masks[0]}, which calls the label {value} {name}",
                    expected=f"{held[value]}, as in the masks before it",
                    do="Give each label one meaning, and name them in a dataset.json.",
                )
    if not held:
        raise InvalidSegmentation(
            f"{len(cases)} masks that are all empty",
            expected="labels to learn",
            do="Check the masks with `promisam check-data`.",
        )
    if len(held) > _MOST_LABELS:
        raise InvalidSegmentation(
            f"masks with {len(held)} values up to {max(held)}",
            expected=f"up to {_MOST_LABELS} labels that mean the same in every mask",
            do="If the values number objects, make every object one label; else choose labels, or name them in a dataset.json.",
        )
    return dict(sorted(held.items()))


def _example(case: Case, dataset: Dataset, chosen: tuple[int, ...], names: Mapping[int, str], *, exact: bool) -> Example:
    content = hashlib.sha256(
        repr(
            (_FORMAT, chosen, [names[v] for v in chosen], exact, case.values, len(dataset.channels) > 1, len(case.images))
        ).encode()
    )
    images = [file_digest(path) for path in case.images]
    for digest in (*images, *map(file_digest, case.masks)):
        content.update(digest.encode())
    load = partial(_load, case, dataset, chosen, names, exact=exact)
    return Example(case.name, load, content.hexdigest(), case.group, joined_digest(images))


def _load(case: Case, dataset: Dataset, chosen: tuple[int, ...], names: Mapping[int, str], *, exact: bool) -> Labelled:
    image = read_image(case, dataset)
    found = read_labels(case, image.grid, names, () if exact else chosen)
    labels = np.zeros(found.grid.shape, np.min_scalar_type(len(chosen)))
    for new, value in enumerate(chosen, 1):
        labels[found.labels == value] = new
    called = {new: names[value] for new, value in enumerate(chosen, 1)}
    return Labelled(image, Segmentation(smallest(labels), image.grid, called))
