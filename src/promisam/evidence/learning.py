"""One entry's method learned from its labels: the run folder, and what it took."""

from __future__ import annotations

import csv
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promisam import zoo
from promisam.core.errors import UnreadableFile
from promisam.evidence.plan import Entry
from promisam.evidence.sets import folder_name
from promisam.io import atomic_text, find_inputs
from promisam.runs import few_shot
from promisam.runs import fit as fitting
from promisam.runs.log import METRICS, VALIDATION
from promisam.store import Source
from promisam.training.events import Stopped
from promisam.training.kept import Kept

if TYPE_CHECKING:
    from promisam.evidence.sets import LabelledSet


@dataclass(frozen=True)
class Learned:
    """How learning ended.

    Attributes:
        steps: of training; 0 for a few-shot method.
        best_validation: Dice that the checkpoint was chosen by; None where nothing chose it.
        minutes: of steps and validations, or of remembering supports.
        peak_mb: largest resident memory of the process, all included; known when it has ended.
        cpu_minutes: processor time of the process; known when it has ended.
        train: names of the cases.
        lesson: `Entry.lesson`.
    """

    steps: int
    best_validation: float | None
    minutes: float
    train: tuple[str, ...]
    lesson: str = ""
    peak_mb: int = 0
    cpu_minutes: float = 0.0

    @classmethod
    def read(cls, path: Path) -> Learned:
        """As it was written.

        Raises:
            UnreadableFile: for a damaged file.
        """
        try:
            told = json.loads(path.read_text())
            return cls(**{**told, "train": tuple(told["train"])})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UnreadableFile(f"{path} ({error})", expected="what a training left", do="Remove it.") from error

    def write(self, path: Path) -> None:
        """Whole or not at all."""
        atomic_text(path, json.dumps(asdict(self), indent=1) + "\n")


NOTHING = Learned(0, None, 0.0, ())


def learn(entry: Entry, out: Path, source: Source) -> Learned:
    """Train, or go on with a training, into `out/runs`; what is complete is left as it is.

    With K labels nothing chooses the checkpoint: the last weights are kept, and the K cases are all that is learned from.

    Args:
        entry: what to learn.
        out: the report's folder.
        source: of the SAM, and the device.

    Raises:
        PromisamError: for what is wrong with the data, the weights or the training.
    """
    train = entry.data.train if entry.shots is None else chosen(entry.data, entry.shots, out, source)
    val = entry.data.val if entry.shots is None else entry.data.val[:1]  # in the log alone: the last weights are kept
    split = write_split(entry, out, train, val)
    run = out / "runs" / entry.run
    begun = time.perf_counter()
    told: dict[str, Any] = {"split": str(split), "options": entry.options, "source": source, "resume": True}
    told["group_by"] = entry.data.group_by
    if entry.contestant.learns == "supports":
        few_shot.remember(few_shot.Request(entry.contestant.method, entry.data.path, run, **told))
        return Learned(0, None, (time.perf_counter() - begun) / 60, train, entry.lesson)
    end: Stopped | None = None
    for event in fitting.fit(fitting.Request(entry.contestant.method, entry.data.path, run, **told)):
        end = event if isinstance(event, Stopped) else end
    if end is None:
        raise RuntimeError("a training ended without saying so")
    best = None if entry.shots is not None or end.best_score != end.best_score else end.best_score
    return Learned(end.step, best, _logged(run) / 60, train, entry.lesson)


def write_split(entry: Entry, out: Path, train: Sequence[str], val: Sequence[str]) -> Path:
    """Which case is in which part, as `--split` takes it."""
    told = {"train": list(train), "val": list(val), "test": list(entry.data.test)}
    return atomic_text(out / "splits" / f"{entry.run}.json", json.dumps(told, indent=1) + "\n")


def chosen(data: LabelledSet, k: int, out: Path, source: Source) -> tuple[str, ...]:
    """K of the training cases, as `promisam select` chooses, kept in `out/supports`."""
    from promisam.selection import Encoder, Request, select

    learned = hashlib.sha256(json.dumps([data.content.get(name, name) for name in data.train]).encode()).hexdigest()[:8]
    place = out / "supports" / folder_name(f"{data.name}.{k}.{learned}.json")
    if place.is_file():
        return tuple(json.loads(place.read_text()))
    inputs: Mapping[str, Any] = {name: one for name, one in find_inputs([data.path]).items() if name in data.train}
    sam, backbone = source.sam()
    encoder = Encoder(sam, backbone.fingerprint, "auto", Kept(zoo.Cache.default().root / "precomputed"))
    names = tuple(one.name for one in select(inputs, Request(k), encoder).selection.chosen)
    atomic_text(place, json.dumps(names, indent=1) + "\n")
    return names


def _logged(run: Path) -> float:
    """Seconds of all steps and validations, interrupted ones included."""
    seconds = 0.0
    for name in (METRICS, VALIDATION):
        if (run / name).is_file():
            with (run / name).open(newline="") as file:
                seconds += sum(float(row["seconds"]) for row in csv.DictReader(file))
    return seconds
