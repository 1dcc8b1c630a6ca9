"""Scored answers: what an entry's measurement leaves on the disk, and what every table is made of."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import numpy as np

from promisam.core.errors import UnreadableFile

T = TypeVar("T")

OWN = 0  # size of answers on the image's own grid


@dataclass(frozen=True)
class Answer:
    """One scored answer.

    Attributes:
        prompt: title of the protocol.
        from_truth: whether the prompt was made from the truth.
        draw: from 1.
        clicks: made so far; 0 for a protocol without.
        size: samples along the longer side; `OWN` for the image's own.
        how: "as it is", or how an answer at another size was made.
        case: its name.
        group: patient or sequence.
        name: of the class.
        dice: Dice coefficient.
        nsd: surface Dice at 2 mm, or 2 samples without a scale; NaN where it was not measured.
        hd95: Hausdorff distance at the 95th percentile, in mm or samples; infinite where nothing was found.
        seconds: of the answer; NaN where it was not timed.
        encode_seconds: of the image.
    """

    prompt: str
    from_truth: bool
    draw: int
    clicks: int
    size: int
    how: str
    case: str
    group: str
    name: str
    dice: float
    nsd: float
    hd95: float
    seconds: float
    encode_seconds: float


@dataclass(frozen=True)
class About:
    """What was measured, as tables need it.

    Attributes:
        dataset: what was learned from.
        tested: what was tested on.
        key: of the method.
        method: its title.
        seen: whether the weights that it begins with were made from cases of the set that it is tested on.
        shots: labelled images that were learned from, "all", or "0" for a method that learns nothing.
        profile: that it is part of.
        warnings: what speaks against results with the sets' parts.
        cases: fingerprint of the test cases: rows of one table have the same.
    """

    dataset: str
    tested: str
    key: str
    method: str
    seen: bool
    shots: str
    profile: str
    warnings: str
    cases: str

    @property
    def title(self) -> str:
        """Of the data: the set, or the two of them."""
        return self.dataset if self.tested == self.dataset else f"{self.dataset} → {self.tested}"


@dataclass(frozen=True)
class Cost:
    """What a measurement took, on one machine.

    Attributes:
        train_minutes: of all steps and validations, or of remembering supports; encoding of images apart; 0 without any.
        cpu_minutes: processor time of all of it: encoding, learning, answering, scoring; what another entry learned apart.
        train_peak_mb: largest resident memory of the process that learned, all included.
        test_peak_mb: of the process that answered.
        steps: of training.
        best_validation: Dice that the checkpoint was chosen by; NaN without.
        train_cases: that it learned from.
        test_cases: that it was tested on.
        commands: that make the figures again by hand.
        machine: processor and threads.
        load: average of the machine over the last five minutes, its own work included; NaN where the system does not say.
        date: of the measurement.
        version: of promisam.
        commit: of its source; empty where it is not known.
    """

    train_minutes: float
    cpu_minutes: float
    train_peak_mb: int
    test_peak_mb: int
    steps: int
    best_validation: float
    train_cases: int
    test_cases: int
    commands: str
    machine: str
    load: float
    date: str
    version: str
    commit: str


def as_csv(kind: type, rows: Iterable[Any]) -> str:
    """A table of frozen values; numbers with six digits."""
    text = io.StringIO()
    names = [one.name for one in fields(kind)]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: f"{v:.6g}" if isinstance(v, float) else v for name, v in asdict(row).items()})
    return text.getvalue()


def from_csv(kind: type[T], path: Path, count: int | None = None) -> list[T]:
    """The values of a table that `as_csv` made.

    Args:
        kind: of the values.
        path: of the table.
        count: how many there must be, where that is known.

    Raises:
        UnreadableFile: when it is none.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            found = list(_rows(kind, csv.DictReader(file, strict=True)))
        if count not in (None, len(found)):
            raise ValueError(f"{len(found)} rows")
        return found
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise UnreadableFile(
            f"{path} ({error})",
            expected="a table that `promisam report` wrote",
            do=f"Remove {path.parent}; it is measured again.",
        ) from error


def _rows(kind: type[T], reader: Iterable[dict[str, str]]) -> Iterator[T]:
    types = get_type_hints(kind)
    for row in reader:
        yield kind(**{name: _value(row[name], types[name]) for name in types})


def _value(text: str, kind: type) -> object:
    if kind is bool:
        return text == "True"
    return kind(text)


def case_means(answers: Iterable[Answer]) -> dict[tuple[str, str, str], float]:
    """Dice of each case, group and class, over the draws."""
    found: dict[tuple[str, str, str], list[float]] = {}
    for answer in answers:
        found.setdefault((answer.case, answer.group, answer.name), []).append(answer.dice)
    return {key: float(np.mean(values)) for key, values in found.items()}
