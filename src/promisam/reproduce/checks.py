"""What is refused, or said, before an experiment is begun: a folder, a run and its cases that cannot end in a fair table."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from promisam.core import Example
from promisam.core.errors import InvalidConfig, UnwritableOutput, WeightsError
from promisam.io import open_examples
from promisam.io.layouts.table import TABLE
from promisam.reproduce.data import WRITTEN, Found, plural, table_text, write_table
from promisam.reproduce.values import Study
from promisam.runs.record import NAME, DataRecord, RunRecord, read_record, record_beside
from promisam.runs.seen import same_data, seen, some
from promisam.store.trained import checkpoint_of
from promisam.training.checkpoint import Header, read_header

UNKNOWN = "imported weights do not say what they were trained on"


@dataclass(frozen=True)
class Trained:
    """A run that is to be scored, or was made here.

    Attributes:
        path: of its checkpoint.
        header: of its checkpoint.
        record: of its making; None for imported weights, which have none.
    """

    path: Path
    header: Header
    record: RunRecord | None


@dataclass(frozen=True)
class Seen:
    """What a run knows of the test cases.

    Attributes:
        warnings: what takes the meaning from the scores.
        notes: what else is to be known of them.
    """

    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def check_folder(out: Path, *, resume: bool) -> None:
    """Refuse a folder that holds something, unless it is gone on with.

    Raises:
        UnwritableOutput: for such a folder, and for a file.
    """
    if out.exists() and not out.is_dir():
        raise UnwritableOutput(f"{out}, which is a file", expected="a folder", do="Choose another name.")
    there = out.is_dir() and any(entry.name not in WRITTEN for entry in out.iterdir())  # another process may have begun
    if there and not resume:
        raise UnwritableOutput(
            f"{out}, in which there is something", expected="a new folder", do="Choose another, or --resume."
        )


def open_run(study: Study, run: Path) -> Trained:
    """What a run says of itself; no tensor is read.

    Raises:
        WeightsError: where there is no checkpoint.
        InvalidConfig: for a run of another method, or of other classes.
        UnreadableFile: for a damaged record.
    """
    path = checkpoint_of(run)
    if path is None:
        raise WeightsError(
            f"the run {run}, which is not there", expected="a run folder, or imported weights", do="Check the path."
        )
    header = read_header(path)
    if header.method != study.method:
        raise InvalidConfig(
            f"the run {run} of {header.method}", expected=f"a run of {study.method}", do="Name another experiment."
        )
    known, wanted = header.task.classes, study.classes
    alone = len(known) == len(wanted) == 1  # and then names may differ
    if not (alone or (study.labels and set(wanted) <= set(known))):
        raise InvalidConfig(
            f"the run {run}, which learned {plural(len(known), 'class', 'classes')} ({some(known)})",
            expected=f"a run that learned {some([name for name in wanted if name not in known])}"
            if study.labels
            else f"a run that learned one, {study.target}",
            do="Name another run, or train one for this experiment.",
        )
    return Trained(path, header, record_beside(path))


def examples_of(found: Found) -> Mapping[str, Example]:
    """The cases by name, before a table of them is written where it stays."""
    with TemporaryDirectory() as place:
        return opened(write_table(found, Path(place)), found)


def opened(table: Path, found: Found) -> Mapping[str, Example]:
    """The cases of a table by name."""
    return {one.name: one for one in open_examples(table, tuple(found.labels)).examples}


def check_resumed(found: Found, out: Path, *, trains: bool) -> None:
    """Refuse to go on with other cases than those that were begun with; nothing is written.

    Raises:
        InvalidConfig: for other names, groups or parts, and, where training goes on, for changed files.
        UnreadableFile: for a damaged record.
    """
    table = out / TABLE
    if table.is_file():
        before, now = _chosen(table.read_text(encoding="utf-8")), _chosen(table_text(found))
        if before != now:
            raise InvalidConfig(
                f"{out}, which was begun with other cases ({len(before)} in its {TABLE}, now {len(now)})",
                expected="the same data and --limit",
                do="Give those, or choose another folder.",
            )
    if trains and (out / "run" / NAME).is_file():
        then = read_record(out / "run").data.content
        content = {name: one.content for name, one in examples_of(found).items()}
        changed = [name for name in content if content[name] != then.get(name)]
        if changed or set(then) - set(content):
            raise InvalidConfig(
                f"{out}, whose run was begun with other files ({plural(len(changed), 'case')} changed: {some(changed)})",
                expected="the very images and masks",
                do="Choose another folder.",
            )


def check_seen(
    tested: Mapping[str, Example], examples: Mapping[str, Example], table: Path, run: DataRecord | None, *, allowed: bool
) -> Seen:
    """What the run has seen of the test cases, by name, content or group.

    Args:
        tested: the cases to be scored.
        examples: all cases of the experiment.
        table: where their table is to be.
        run: what was learned from; None where nobody knows.
        allowed: whether cases that the run was trained on may count.

    Raises:
        InvalidConfig: for such cases, unless they are allowed.
    """
    if run is None:
        return Seen(notes=(UNKNOWN,))
    cases, everything = tuple(tested.values()), tuple(examples.values())
    same = same_data(everything, table, run)
    trained = list(seen(cases, everything, run, "train", same=same))
    if trained and not allowed:
        raise InvalidConfig(
            f"{len(trained)} of {plural(len(cases), 'test case')} that the run was trained on, by name, content or group: "
            f"{some(trained)}",
            expected="a run that has not seen them",
            do="Name another run, or allow it with --allow-training-cases if that is meant.",
        )
    of = f"of {plural(len(cases), 'test case')}"
    learned = f"the run was trained on {len(trained)} {of}, such as {some(trained)}: their scores say little about new ones"
    validated = list(seen(cases, everything, run, "val", same=same))
    chosen = f"the run was chosen by its scores on {len(validated)} {of}, such as {some(validated)}: expect less on new ones"
    return Seen((learned,) if trained else (), (chosen,) if validated else ())


def _chosen(text: str) -> list[tuple[str, ...]]:
    """Names, groups and parts of a table; where the files lie may change."""
    return [tuple(row.get(name) or "" for name in ("id", "group", "split")) for row in csv.DictReader(text.splitlines())]
