"""How far a command has come: from what it says, and from what lies on the disk while it works."""

from __future__ import annotations

import csv
import math
import os
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

METRICS, VALIDATION = "metrics.csv", "validation.csv"
_MARK = "promisam: "
_NO_ERROR = ("warning: ", "left out ")
_KEPT_LINES = 200
_TAIL = 4096  # bytes in which the last row of a table stands


@dataclass(frozen=True)
class Progress:
    """How far it is.

    Attributes:
        text: for people.
        done: so many steps or images; None where that is not known.
        of: so many.
    """

    text: str
    done: int | None = None
    of: int | None = None


@dataclass
class Said:
    """The last lines of a command."""

    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_LINES))

    def hear(self, line: str) -> None:
        """Note a line."""
        if line.strip():
            self.lines.append(line.strip())

    def complaint(self, status: int) -> str:
        """Why it failed: its last error, in its own words, else how it ended."""
        errors = [line.removeprefix(_MARK) for line in list(self.lines) if line.startswith(_MARK)]
        errors = [line for line in errors if not line.startswith(_NO_ERROR)] or errors
        if errors:
            return errors[-1]
        if status < 0:
            return f"It was ended from outside (signal {-status}): perhaps memory ran out."
        last = f": {self.lines[-1]}" if self.lines else "."
        return f"It failed with status {status}{last}"

    def left_out(self) -> int:
        """How many images it named as unreadable."""
        return sum(line.startswith(f"{_MARK}{_NO_ERROR[1]}") for line in list(self.lines))


def training(run: Path, epochs: int, kept: Kept) -> Progress:
    """Of a training, from the tables that it writes into its run folder."""
    row = last_row(run / METRICS)
    score = last_row(run / VALIDATION).get("dice", "")
    validation = f", validation Dice {float(score):.2f}" if _number(score) else ""
    if not _number(row.get("step", "")) or not _number(row.get("epoch", "")):
        made = kept.made()
        return Progress(f"looking at the images ({made} encoded)" if made else "reading the images")
    step, epoch = int(row["step"]), float(row["epoch"])
    of = max(step, round(epochs * step / epoch)) if epoch > 0 else None
    loss = f", loss {float(row['loss']):.2f}" if _number(row.get("loss", "")) else ""
    return Progress(f"step {step}{f' of {of}' if of else ''}{loss}{validation}", step, of)


class Kept:
    """Counts what was encoded since it was made: the folder of kept arrays holds one file for each."""

    def __init__(self, folder: Path) -> None:
        """Look at what is there already."""
        self.folder = folder
        self._before = self._count()

    def made(self) -> int:
        """Files that were not there before."""
        return max(0, self._count() - self._before)

    def _count(self) -> int:
        return sum(1 for _ in self.folder.glob("*/*.safetensors"))


def last_row(table: Path) -> Mapping[str, str]:
    """The last whole row of a CSV file that is being written; empty where there is none."""
    try:
        with table.open("rb") as file:
            header = file.readline().decode()
            size = file.seek(0, os.SEEK_END)
            file.seek(max(len(header), size - _TAIL))
            lines = file.read().decode(errors="replace").split("\n")[:-1]  # behind the last line end stands half a row
    except (OSError, UnicodeDecodeError):
        return {}
    if not lines or not lines[-1]:
        return {}
    names, values = next(csv.reader([header]), []), next(csv.reader([lines[-1]]), [])
    return dict(zip(names, values, strict=True)) if len(names) == len(values) else {}


def _number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
