"""Cases to train on, to validate with and to test with; a group is never cut."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from promisam.core.errors import InvalidConfig, UnreadableFile
from promisam.io.json_file import load_json
from promisam.io.layouts.table import COLUMNS
from promisam.io.layouts.values import FOLD, SPLIT_WORDS, split_word
from promisam.io.pickled_split import PICKLED, read_fold

PARTS = ("train", "val", "test")
RATIOS = (70.0, 15.0, 15.0)
_SHOWN = 5  # names in a message

Entry = tuple[str, str, str]  # name, group, split of a case; the latter two may be empty


@dataclass(frozen=True)
class Split:
    """Names of the cases of each part, in order.

    Attributes:
        train: to learn from.
        val: to choose by.
        test: to report on; may be empty.
        how: where the parts come from, in words.
        warnings: what speaks against results obtained with it.
    """

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...] = ()
    how: str = ""
    warnings: tuple[str, ...] = ()


def split_cases(
    cases: Sequence[Entry],
    ratios: Sequence[float | int] = RATIOS,
    seed: int = 0,
    file: str | Path | None = None,
    fold: int = 0,
    *,
    hold_out: bool = True,
) -> Split:
    """Divide cases as a file says, else as the data set says, else at random by groups.

    Args:
        cases: name, group and split of each; a case without a group is a group of its own.
        ratios: of train, val and, if wanted, test, by number of cases. Where train and no val is given, val is held out of it
            in the ratio of the first two.
        seed: of what is drawn at random.
        file: JSON `{"train": [names], "val": [...], "test": [...]}`, a list of such objects (one per fold), a CSV with the
            columns name and split, or a published `split.pkl` of folds, of which nothing is executed.
        fold: which of several folds is validated with.
        hold_out: whether val is held out of train where only the latter is given.

    Raises:
        InvalidConfig: for names that do not exist or stand there twice, unknown parts, impossible ratios, and too few groups.
        UnreadableFile: for a file that is no split.
    """
    shares = _shares(ratios)
    if file is not None:
        told = _from_file(Path(file), [name for name, _, _ in cases], fold)
        return _given(cases, told, shares, seed, f"the file {file}", hold_out=hold_out)
    if any(split for _, _, split in cases):
        where = "the data set" + _of_fold(cases, fold)
        return _given(cases, _from_column(cases, fold), shares, seed, where, hold_out=hold_out)
    groups = _groups(cases)
    parts = _deal(groups, shares, seed)
    kind = f"{len(groups)} groups" if len(groups) < len(cases) else "no groups known"
    how = f"at random with seed {seed}, {':'.join(f'{share:g}' for share in ratios)}, {kind}"
    lost = ("too few groups for a test part; it is empty",) if shares[2] and not parts["test"] else ()
    return Split(parts["train"], parts["val"], parts["test"], how, lost)


def _shares(ratios: Sequence[float | int]) -> tuple[float, float, float]:
    train, val, test = (*ratios, 0.0, 0.0, 0.0)[:3]
    if len(ratios) not in (2, 3) or not np.isfinite(ratios).all() or min(train, val) <= 0 or test < 0:
        raise InvalidConfig(
            f"the ratios {', '.join(f'{share:g}' for share in ratios)}",
            expected="two or three numbers, train and val above 0 and test not below, such as 70,15,15",
            do="Change them.",
        )
    return float(train), float(val), float(test)


def _groups(cases: Iterable[Entry]) -> dict[tuple[str, str], list[str]]:
    """Names by group, in an order that does not depend on that of the cases."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, group, _ in sorted(cases):
        groups.setdefault((group, "") if group else ("", name), []).append(name)
    return groups


def _deal(groups: Mapping[tuple[str, str], list[str]], shares: Sequence[float], seed: int) -> dict[str, tuple[str, ...]]:
    """Shuffled groups, large ones first, each to the part that lacks most."""
    if len(groups) < 2:
        cases = sum(map(len, groups.values()))
        raise InvalidConfig(
            f"{cases} case{'s' if cases != 1 else ''} in {len(groups)} group{'s' if len(groups) != 1 else ''}",
            expected="at least two groups, one to train on and one to validate with",
            do="Add cases of other patients, correct the groups, or give a split file.",
        )
    shuffled = [list(groups.values())[i] for i in np.random.default_rng(seed).permutation(len(groups))]
    shuffled.sort(key=len, reverse=True)
    wanted = np.asarray(shares) / sum(shares) * sum(map(len, shuffled))
    dealt: list[list[list[str]]] = [[], [], []]
    for group in shuffled:
        lacking = [want - sum(map(len, part)) for want, part in zip(wanted, dealt, strict=True)]
        dealt[int(np.argmax(lacking))].append(group)
    for part in [i for i in range(3) if shares[i]]:  # one group at least, as far as they go
        fullest = max(range(3), key=lambda i: (len(dealt[i]) > 1, sum(map(len, dealt[i])), -i))
        needy = not dealt[part] and len(dealt[fullest]) > 1
        if needy or (part < 2 and not dealt[part]):
            dealt[part].append(dealt[fullest if needy else 2].pop())
    return {name: tuple(sorted(n for group in part for n in group)) for name, part in zip(PARTS, dealt, strict=True)}


def _given(
    cases: Sequence[Entry],
    parts: Mapping[str, tuple[str, ...]],
    shares: Sequence[float],
    seed: int,
    where: str,
    *,
    hold_out: bool,
) -> Split:
    train, val, test = (parts.get(part, ()) for part in PARTS)
    how = f"as {where} says"
    if not train:
        raise InvalidConfig(
            f"{where}, which puts no case into train", expected="cases to train on", do="Correct the split, or leave it out."
        )
    if not val and hold_out:
        held = _deal(_groups([case for case in cases if case[0] in set(train)]), (*shares[:2], 0.0), seed)
        train, val = held["train"], held["val"]
        how += f"; val was held out of its train by groups, at random with seed {seed}, {shares[0]:g}:{shares[1]:g}"
    named = {*train, *val, *test}
    unused = [name for name, _, _ in cases if name not in named]
    warnings = _torn(cases, {"train": train, "val": val, "test": test}, where)
    if unused:
        warnings.append(f"{where} gives no part to {len(unused)} case{'s' if len(unused) > 1 else ''}: {_some(unused)}")
    return Split(train, val, test, how, tuple(warnings))


def _torn(cases: Sequence[Entry], parts: Mapping[str, Sequence[str]], where: str) -> list[str]:
    part_of = {name: part for part, names in parts.items() for name in names}
    seen: dict[str, set[str]] = {}
    for name, group, _ in cases:
        if group and name in part_of:
            seen.setdefault(group, set()).add(part_of[name])
    torn = [group for group, found in sorted(seen.items()) if len(found) > 1]
    if not torn:
        return []
    which = f"{len(torn)} groups" if len(torn) > 1 else "a group"
    return [f"{where} puts {which} into more than one part, so that scores will flatter: {_some(torn)}"]


def _from_column(cases: Sequence[Entry], fold: int) -> dict[str, tuple[str, ...]]:
    folds = {split for _, _, split in cases if split.startswith(FOLD)}
    asked = f"{FOLD}{fold}"
    if folds and (asked not in folds or len(folds) < 2):
        raise InvalidConfig(
            f"{asked} of a data set with {', '.join(sorted(folds))}", expected="one of two or more folds", do="Choose another."
        )
    if folds and any(split == "val" for _, _, split in cases):
        raise InvalidConfig(
            "a data set that gives folds and a part val", expected="one of the two", do="Give a split file that says which."
        )
    parts: dict[str, list[str]] = {}
    for name, _, split in cases:
        part = split if not split.startswith(FOLD) else "val" if split == asked else "train"
        parts.setdefault(part, []).append(name)
    return {part: tuple(sorted(names)) for part, names in parts.items() if part}


def _of_fold(cases: Sequence[Entry], fold: int) -> str:
    return f", with fold {fold} as val," if any(split.startswith(FOLD) for _, _, split in cases) else ""


def _from_file(file: Path, names: Sequence[str], fold: int) -> dict[str, tuple[str, ...]]:
    kind = file.suffix.lower()
    if kind in PICKLED:
        pairs = [(one.name, part) for part, cases in read_fold(file, fold).parts.items() for one in cases]
    else:
        pairs = _csv_pairs(file) if kind == ".csv" else _json_pairs(file, fold)
    for name, _ in pairs:
        if name not in names:
            near = get_close_matches(name, names, n=1, cutoff=0)
            raise InvalidConfig(
                f"{file} with the case {name}, which the data set does not have",
                expected=f"names of its {len(names)} cases",
                do=f"Did you mean {near[0]}?" if near else "Check the data set.",
            )
    twice = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    if twice:
        raise InvalidConfig(
            f"{file}, which names {_some(twice)} more than once", expected="each case once", do="Decide for one."
        )
    return {part: tuple(sorted(name for name, found in pairs if found == part)) for part in PARTS}


def _json_pairs(file: Path, fold: int) -> list[tuple[str, str]]:
    try:
        told = load_json(file)
    except ValueError as error:
        raise _no_split(file, str(error)) from error
    except OSError as error:
        raise _no_split(file, error.strerror or str(error)) from error
    if isinstance(told, list):
        if not 0 <= fold < len(told):
            raise InvalidConfig(f"fold {fold} of {file}", expected=f"0 to {len(told) - 1}", do="Choose another.")
        told = told[fold]
    if not isinstance(told, dict) or not all(isinstance(names, list) for names in told.values()):
        raise _no_split(file, "no lists of names by part")
    unknown = [part for part in told if part.lower() not in SPLIT_WORDS]
    if unknown:
        near = get_close_matches(unknown[0], PARTS, n=1, cutoff=0)
        raise InvalidConfig(
            f"{file} with the part {unknown[0]!r}", expected="train, val and test", do=f"Did you mean {near[0]}?"
        )
    return [(str(name), SPLIT_WORDS[part.lower()]) for part, listed in told.items() for name in listed]


def _csv_pairs(file: Path) -> list[tuple[str, str]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            titles = {title.strip().lower(): title for title in reader.fieldnames or ()}
            name = next((titles[alias] for alias in COLUMNS["name"] if alias in titles), None)
            part = next((titles[alias] for alias in COLUMNS["split"] if alias in titles), None)
            if name is None or part is None:
                raise _no_split(file, f"the columns {', '.join(titles)}")
            rows = [((row[name] or "").strip(), row[part] or "", reader.line_num) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise _no_split(file, str(error)) from error
    except OSError as error:
        raise _no_split(file, error.strerror or str(error)) from error
    found = [(case, split_word(word, f"line {number} of {file}")) for case, word, number in rows if case]
    odd = [word for _, word in found if word.startswith(FOLD)]
    if odd:
        raise InvalidConfig(f"{file} with {odd[0]}", expected="train, val and test", do="Write the parts in place of folds.")
    return [(case, word) for case, word in found if word]


def _no_split(file: Path, reason: str) -> UnreadableFile:
    return UnreadableFile(
        f"{file} ({reason}) as a split",
        expected='JSON {"train": [names], "val": [...], "test": [...]}, a CSV with the columns name and split, or a split.pkl',
        do="Correct the file.",
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
