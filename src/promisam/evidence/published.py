"""The papers' own figures, for the table that says why they do not stand beside ours."""

from __future__ import annotations

from collections.abc import Iterator

from promisam.reproduce import STUDIES


def published_lines() -> Iterator[tuple[str, ...]]:
    """Method, experiment, part, Dice, source, command: of whole methods with one click or none."""
    for study in STUDIES:
        known: set[str] = set()
        for one in study.published:
            if one.component or one.clicks > 1 or one.part in known:
                continue
            known.add(one.part)
            command = f"`promisam reproduce {study.method} {study.name} DATA -o OUT`"
            yield study.method, study.title, one.part, f"{one.dice:.3f}", one.source, command
