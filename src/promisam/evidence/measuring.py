"""Entries measured one after the other, each in processes of its own, so that its memory is its own; what is there is kept."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from promisam import __version__
from promisam.core import Example
from promisam.core.errors import InvalidConfig
from promisam.evidence.answers import About, Answer, Cost, as_csv, from_csv
from promisam.evidence.apart import Taken, apart
from promisam.evidence.learning import NOTHING, Learned, write_split
from promisam.evidence.machine import Machine, load
from promisam.evidence.plan import Entry
from promisam.evidence.sets import folder_name
from promisam.io import atomic_text
from promisam.runs.claim import claimed
from promisam.runs.record import commit
from promisam.store import Source

ENTRIES = "entries"
ABOUT, ANSWERS, COST, FINGERPRINT = "about.csv", "answers.csv", "cost.csv", "fingerprint.txt"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Measured:
    """What was measured, and what came of it."""

    about: About
    answers: tuple[Answer, ...]
    cost: Cost


def kept(entry: Entry, out: Path) -> Measured | None:
    """What was measured before; None where nothing was.

    Raises:
        InvalidConfig: where an entry of that name was measured with other settings.
        UnreadableFile: for damaged tables.
    """
    place = out / ENTRIES / entry.name
    if not is_complete(place):
        return None
    if (place / FINGERPRINT).read_text().strip() != entry.fingerprint:
        raise _otherwise(place, entry, out)
    return read_entry(place)


def _otherwise(place: Path, entry: Entry, out: Path) -> InvalidConfig:
    return InvalidConfig(
        f"{place}, measured with other settings, cases or files",
        expected="those of now",
        do=f"Name another folder, or remove {out / ENTRIES / entry.name} and {out / 'runs' / entry.run}*.",
    )


def is_complete(place: Path) -> bool:
    """Whether a folder holds a whole entry."""
    return all((place / name).is_file() for name in (ABOUT, ANSWERS, COST, FINGERPRINT))


def read_entry(place: Path) -> Measured:
    """What a folder holds.

    Raises:
        UnreadableFile: for damaged tables.
    """
    (about,), (cost,) = from_csv(About, place / ABOUT, 1), from_csv(Cost, place / COST, 1)
    return Measured(about, tuple(from_csv(Answer, place / ANSWERS)), cost)


def measure(entry: Entry, out: Path, machine: Machine, say: Say) -> Measured:
    """What an entry reaches, written whole or not at all; a training that is there is gone on with.

    Args:
        entry: a method on a set.
        out: the report's folder.
        machine: where.
        say: told what is being done.

    Raises:
        FolderInUse: when another process measures it.
        ProcessDied: when the system ended the process, most often for want of memory.
        PromisamError: for what is wrong with data, weights or training.
    """
    place = out / ENTRIES / entry.name
    with claimed(place):
        before = kept(entry, out)  # by another process, since somebody asked
        if before is not None:
            return before
        learned = _learned(entry, out, machine, say)
        say(f"{entry.name}: asking about {len(entry.tested.test)} cases")
        found, taken = _apart(_ask, entry, out, machine)
        answers = tuple(found)
        cost = _cost(entry, learned, taken, machine)
        atomic_text(place / ABOUT, as_csv(About, [entry.about]))
        atomic_text(place / ANSWERS, as_csv(Answer, answers))
        atomic_text(place / COST, as_csv(Cost, [cost]))
        atomic_text(place / FINGERPRINT, entry.fingerprint + "\n")  # last: with it, the entry is complete
        return Measured(entry.about, answers, cost)


def _learned(entry: Entry, out: Path, machine: Machine, say: Say) -> Learned:
    if entry.contestant.learns == "nothing":
        if entry.data.train:  # so that its commands find the test cases
            write_split(entry, out, entry.data.train, entry.data.val)
        return NOTHING
    place = out / "runs" / f"{entry.run}.json"
    if place.is_file():
        learned = Learned.read(place)
        if learned.lesson != entry.lesson:
            raise _otherwise(place, entry, out)
        return learned
    say(f"{entry.run}: learning")
    found, taken = _apart(_learn, entry, out, machine)
    told: Learned = replace(found, peak_mb=taken.peak_mb, cpu_minutes=round(taken.cpu_minutes, 3))
    told.write(place)
    return told


def _cost(entry: Entry, learned: Learned, taken: Taken, machine: Machine) -> Cost:
    here = learned.cpu_minutes if entry.tested is entry.data else 0.0
    return Cost(
        train_minutes=round(learned.minutes, 2),
        cpu_minutes=round(taken.cpu_minutes + here, 3),
        train_peak_mb=learned.peak_mb,
        test_peak_mb=taken.peak_mb,
        steps=learned.steps,
        best_validation=float("nan") if learned.best_validation is None else learned.best_validation,
        train_cases=len(learned.train),
        test_cases=len(entry.tested.test),
        commands=commands(entry),
        machine=str(machine),
        load=load(),
        date=datetime.now(UTC).date().isoformat(),
        version=__version__,
        commit=commit() or "",
    )


def commands(entry: Entry) -> str:
    """What makes the figures by hand; SPLIT is the file in `splits`."""
    one = entry.contestant
    prompts = [word for text in entry.asked for word in ("--prompt", text)]
    more = ["--clicks", str(one.clicks)] if "click" in entry.asked else []
    if one.learns == "nothing":
        told = ["--part", "test", "--split", "SPLIT"] if entry.tested.train else []
        options = [word for name, value in entry.options.items() for word in (f"--{name}", str(value))]
        return shlex.join(["promisam", "benchmark", one.weights, entry.tested.name, *options, *prompts, *more, *told])
    sets = [word for name, value in entry.options.items() for word in ("--set", f"{name}={_written(value)}")]
    split = ["--part", "test", "--split", "SPLIT"] if entry.tested.train else []
    fit = ["promisam", "fit", one.method, entry.data.name, "-o", "RUN", "--split", "SPLIT", *sets]
    return f"{shlex.join(fit)} && {shlex.join(['promisam', 'benchmark', 'RUN', entry.tested.name, *prompts, *more, *split])}"


def _written(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _learn(entry: Entry, out: Path, machine: Machine) -> Learned:
    from promisam.evidence.learning import learn

    return learn(entry, out, _source(entry, machine))


def _ask(entry: Entry, out: Path, machine: Machine) -> list[Answer]:
    from promisam import store
    from promisam.evidence.asking import answers
    from promisam.io import open_examples

    found = {example.name: example for example in open_examples(entry.tested.path).examples}
    wanted = [found[name] for name in entry.tested.test]
    if entry.tested is not entry.data:
        wanted = _not_learned_from(wanted, entry)
    fixed: dict[str, Any] = {"device": machine.device, "offline": machine.offline, "ndim": entry.tested.ndim}
    if entry.contestant.learns == "nothing":
        method = store.load(entry.contestant.weights, method=entry.contestant.method, config=entry.options, **fixed)
    else:
        method = store.load(method=out / "runs" / entry.run, **fixed)
    return list(answers(entry, method, wanted, lambda *_: None))


def _not_learned_from(wanted: Sequence[Example], entry: Entry) -> list[Example]:
    """Without the images that stand in the set that was learned from as well, by their files."""
    from promisam.io import open_examples

    names = {*entry.data.train, *entry.data.val}
    learned = {example.image for example in open_examples(entry.data.path).examples if example.name in names} - {""}
    return [example for example in wanted if example.image not in learned]


def _source(entry: Entry, machine: Machine) -> Source:
    return Source(entry.contestant.weights or None, machine.device, offline=machine.offline)


def _apart(work: Callable[..., Any], entry: Entry, out: Path, machine: Machine) -> tuple[Any, Taken]:
    log = out / "logs" / f"{folder_name(entry.name)}.{work.__name__.strip('_')}.txt"
    return apart(work, (entry, out, machine), f"the process for {entry.name}", log, machine.threads)
