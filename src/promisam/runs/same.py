"""Whether a run is gone on with as it was begun."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from promisam.core.errors import InvalidConfig
from promisam.runs.record import RunRecord


def check_same(now: RunRecord, before: RunRecord, free: Sequence[str] = ()) -> None:
    """Refuse to go on with other choices than those that a run was begun with.

    Args:
        now: what is asked for.
        before: what the run was begun with.
        free: names of options that may differ.

    Raises:
        InvalidConfig: naming what differs.
    """
    for what in ("method", "options", "training", "task", "backbone"):
        then, asked = (_without(plain(getattr(record, what)), free) for record in (before, now))
        if then != asked:
            raise InvalidConfig(
                f"a run that was begun with other {what}: {_difference(then, asked)}",
                expected="the choices that stand in its run.json",
                do="Begin a new run in another folder.",
            )
    if now.data.split != before.data.split or now.data.content != before.data.content:
        raise InvalidConfig(
            "a run that was begun with other cases", expected="the very data and split", do="Begin a new run in another folder."
        )


def _without(value: Any, names: Sequence[str]) -> Any:  # noqa: ANN401 - JSON values
    return {name: inner for name, inner in value.items() if name not in names} if isinstance(value, dict) else value


def _difference(before: Any, now: Any) -> str:  # noqa: ANN401 - JSON values
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        names = [name for name in {**before, **now} if plain(before.get(name)) != plain(now.get(name))]
        return ", ".join(f"{name} {before.get(name)!r}, now {now.get(name)!r}" for name in names)
    return f"{before!r}, now {now!r}"


def plain(value: Any) -> Any:  # noqa: ANN401 - JSON values
    """Tuples as lists, as JSON knows them."""
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, tuple | list) else value
