"""Which figures a table or a picture of the report is about."""

from __future__ import annotations

from promisam.evidence.answers import OWN
from promisam.evidence.tables import Figure, Tables


def at_home(tables: Tables) -> list[Figure]:
    """Tested on the set that was learned from."""
    return [f for f in tables.summary if f.tested == f.dataset]


def main(tables: Tables) -> list[Figure]:
    """At home, on the images' own grids, with the prompt that a method's comparisons rest on, after one click."""
    first: dict[tuple[str, str, str], str] = {}
    for f in at_home(tables):
        first.setdefault((f.dataset, f.key, f.shots), f.prompt)
    return [f for f in at_home(tables) if f.size == OWN and f.clicks <= 1 and f.prompt == first[f.dataset, f.key, f.shots]]


def whole(tables: Tables) -> list[Figure]:
    """Of `main`, those that learned from as many labels as their method did at most."""
    most: dict[tuple[str, str], float] = {}
    for f in tables.summary:
        most[f.dataset, f.key] = max(most.get((f.dataset, f.key), 0), _labels(f))
    return [f for f in main(tables) if _labels(f) == most[f.dataset, f.key]]


def points(tables: Tables) -> list[Figure]:
    """Asked by points, of what learned from nothing or from all."""
    return [f for f in at_home(tables) if f.prompt.startswith("points:") and f.shots in ("0", "all")]


def clicks(tables: Tables) -> list[Figure]:
    """Asked by clicks and corrections."""
    return [f for f in at_home(tables) if f.prompt == "click"]


def sizes(tables: Tables) -> list[Figure]:
    """Answered at other sizes than the images' own."""
    return [f for f in tables.summary if f.size != OWN]


def _labels(figure: Figure) -> float:
    return float("inf" if figure.shots == "all" else figure.shots)
