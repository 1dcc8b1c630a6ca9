"""Labelled sets that are nowhere, for plans of reports."""

from __future__ import annotations

from pathlib import Path

from promisam.evidence import LabelledSet


def some(name, ndim=2, train=20, shape=(64, 64)):
    names = tuple(f"{name}{i}" for i in range(train + 2))
    groups = {one: one for one in (*names, "t")}
    return LabelledSet(name, Path(name), ndim, ("x",), names[:train], names[train:], ("t",), groups, shapes=(shape,) * 3)
