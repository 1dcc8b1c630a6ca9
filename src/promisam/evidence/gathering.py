"""What a report's folder holds, whoever measured it, and the page of it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from promisam.core.errors import FolderInUse, InvalidConfig
from promisam.evidence.answers import About
from promisam.evidence.contestants import CONTESTANTS
from promisam.evidence.measuring import ENTRIES, Measured, is_complete, read_entry
from promisam.evidence.tables import read_tables, tables_of
from promisam.evidence.writing import render
from promisam.runs.claim import claimed

_TITLES = [one.title for one in CONTESTANTS]
_WRITING = ".writing"


def gathered(out: Path) -> tuple[Measured, ...]:
    """All that is complete in a report's folder: by set, method and number of labels.

    Raises:
        InvalidConfig: where two entries about a set were measured on different cases.
        UnreadableFile: for damaged tables.
    """
    found = [read_entry(place) for place in sorted((out / ENTRIES).glob("*")) if is_complete(place)]
    check_same_cases((one.about for one in found), out)
    return tuple(sorted(found, key=lambda one: _place(one.about)))


def check_same_cases(abouts: Iterable[About], out: Path) -> None:
    """Refuse one table about different test cases of a set: of another profile, or of data that changed.

    Raises:
        InvalidConfig: naming the set and two rows.
    """
    known: dict[str, About] = {}
    for about in abouts:
        first = known.setdefault(about.tested, about)
        if first.cases != about.cases:
            raise InvalidConfig(
                f"{out}, where {first.method} and {about.method} have other test cases of {about.tested}",
                expected="the same cases for all rows about a set",
                do="Name another folder for this profile or state of the data.",
            )


def publish(out: Path) -> Path:
    """Write tables, texts and pictures of everything that is in the folder; of several processes one after the other.

    Without entries, of its tables alone.

    Raises:
        InvalidConfig: as `gathered`.
        UnreadableFile: for damaged tables, and where there is nothing.
    """
    if not (out / ENTRIES).is_dir():
        return render(read_tables(out), out)[0]
    with _alone(out / _WRITING):
        return render(tables_of(gathered(out)), out)[0]


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    while True:
        try:
            with claimed(place):
                yield
                return
        except FolderInUse:
            time.sleep(0.2)


def _place(about: About) -> tuple[Any, ...]:
    method = _TITLES.index(about.method) if about.method in _TITLES else len(_TITLES)
    shots = float("inf") if about.shots == "all" else int(about.shots)
    return about.dataset, method, shots, about.tested != about.dataset, about.tested
