"""Volumes as pictures, for methods that learn from pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from promisam.core import Example, Image, Labelled
from promisam.core.errors import GeometryError


def pictures_of(
    examples: Sequence[Example],
    report: Callable[[int, int], None] | None = None,
    *,
    empty: bool = False,
    prepare: Callable[[Image], Image] | None = None,
    background: bool = False,
) -> list[Example]:
    """Pictures as they are, and of every volume the labelled slices across its coarsest axis.

    Slices keep the volume's name as group where it has none, so that they are never torn apart. Reads every volume once.

    Args:
        examples: pictures or volumes.
        report: called with the examples looked at, and their number.
        empty: whether none may be left.
        prepare: a method's intensity step, which sees the whole volume, as it does when it is to be segmented: slices that were
            windowed one by one would look otherwise. Without it the slices hold raw values.
        background: whether as many slices without a label come with them, evenly spaced, for methods that are asked about every
            slice and have to learn that some hold nothing.

    Raises:
        GeometryError: when no volume has a labelled slice.
    """
    pictures: list[Example] = []
    latest = _Latest(prepare)
    for number, example in enumerate(examples, 1):
        labelled = latest.load(example)
        if labelled.image.grid.ndim == 2:
            pictures.append(example)
        else:
            pictures.extend(_slices(example, labelled, latest, background=background))
        if report is not None:
            report(number, len(examples))
    if examples and not pictures and not empty:
        raise GeometryError(
            f"{len(examples)} volumes without a labelled slice",
            expected="at least one label",
            do="Check the masks with `promisam check-data`, and --label.",
        )
    return pictures


class _Latest:
    """The volume that was opened last, so that its slices in turn open and prepare it once."""

    def __init__(self, prepare: Callable[[Image], Image] | None) -> None:
        self.prepare = prepare
        self._held: tuple[str, Labelled] | None = None

    def load(self, example: Example) -> Labelled:
        if self._held is None or self._held[0] != example.content:
            found = example.load()
            if self.prepare is not None and found.image.grid.ndim == 3:
                found = Labelled(self.prepare(found.image), found.truth)
            self._held = (example.content, found)
        return self._held[1]


def _slices(example: Example, labelled: Labelled, latest: _Latest, *, background: bool) -> list[Example]:
    axis = labelled.image.grid.coarsest_axis
    others = tuple(a for a in range(3) if a != axis)
    held = labelled.truth.mask().any(axis=others)
    indices = np.flatnonzero(held)
    if background:
        rest = np.flatnonzero(~held)
        spread = np.linspace(0, len(rest) - 1, min(len(rest), len(indices))).round().astype(np.int64)
        indices = np.sort(np.concatenate([indices, rest[spread]]))
    way = "" if latest.prepare is None else ":prepared as a volume"
    return [
        Example(
            name=f"{example.name} {'zyx'[axis]}={index}",
            load=partial(_slice, example, latest, axis, index),
            content=hashlib.sha256(f"{example.content}:{axis}:{index}{way}".encode()).hexdigest(),
            group=example.group or example.name,
        )
        for index in indices.tolist()
    ]


def _slice(example: Example, latest: _Latest, axis: int, index: int) -> Labelled:
    volume = latest.load(example)
    return Labelled(volume.image.slice(axis, index), volume.truth.slice(axis, index))
