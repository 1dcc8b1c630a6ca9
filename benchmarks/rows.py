"""Rows of a benchmark in a CSV file that grows while it is measured."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any


def read(path: Path) -> list[dict[str, str]]:
    """What was measured before; nothing where there is no file."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, kind: type, rows: Iterable[dict[str, str]]) -> None:
    """Rows with the fields of a dataclass, whole or not at all."""
    partial = path.with_suffix(".part")
    with partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(kind)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    partial.replace(path)


def append(path: Path, row: Any) -> None:  # noqa: ANN401 - a dataclass
    """Print a row and put it below those that are there."""
    print(row, flush=True)
    write(path, type(row), [*read(path), {name: str(value) for name, value in asdict(row).items()}])
