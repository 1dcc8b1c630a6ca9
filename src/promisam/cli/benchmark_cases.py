"""Which cases of a data set a benchmark is on, and whether the method has learned from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from promisam.core.errors import InvalidConfig

if TYPE_CHECKING:
    from promisam.core import Example
    from promisam.io.examples import ExampleSet
    from promisam.runs.record import DataRecord

Part = Literal["train", "val", "test", "all"]


@dataclass(frozen=True)
class Wanted:
    """What was typed about cases.

    Attributes:
        part: of the split; None for "test" where there is a split to take it from, else "all".
        split: a file, or ratios such as "70,15,15"; None for the run's own split, or the data set's.
        seed: of a split by ratios.
        allow_training: whether cases that the method was trained on may count.
    """

    part: Part | None = None
    split: str | None = None
    seed: int = 0
    allow_training: bool = False


@dataclass(frozen=True)
class Chosen:
    """The cases of a benchmark.

    Attributes:
        examples: in the order of the data set.
        how: where they come from, in words.
        warnings: what speaks against the result.
    """

    examples: tuple[Example, ...]
    how: str
    warnings: tuple[str, ...] = ()


def choose(found: ExampleSet, path: Path, run: DataRecord | None, wanted: Wanted) -> Chosen:
    """The cases to ask about.

    Args:
        found: the data set.
        path: where it is.
        run: what a trained method learned from; None for a method that learned nothing here.
        wanted: what was typed.

    Raises:
        InvalidConfig: for a part that nothing defines or that is empty, and for cases that the method was trained on.
        UnreadableFile: for a split file that is none.
    """
    from promisam.runs.seen import same_data

    same = run is not None and same_data(found.examples, path, run)
    parts, how, warnings = _parts(found, run if same else None, wanted)
    part = wanted.part or ("test" if parts is not None and (wanted.split is not None or same) else "all")
    chosen = _of_part(found.examples, parts, part, how)
    if run is not None:
        warnings += _learned(chosen, found.examples, run, wanted, same=same)
    where = "all cases" if part == "all" else f"part {part} {how}"
    return Chosen(chosen, where, tuple(warnings))


def _parts(
    found: ExampleSet, run: DataRecord | None, wanted: Wanted
) -> tuple[Mapping[str, Sequence[str]] | None, str, list[str]]:
    """Names by part, where they come from, and what speaks against them; the split that was typed goes first."""
    from promisam.io import split_cases

    if wanted.split is None and run is not None:
        return run.split, "of the run's own split", list(run.warnings)
    if wanted.split is None and not found.splits:
        return None, "", []
    ratios = None if wanted.split is None or Path(wanted.split).is_file() else _ratios(wanted.split)
    if ratios is not None:
        split = split_cases(found.entries, ratios, wanted.seed)
    else:
        split = split_cases(found.entries, seed=wanted.seed, file=wanted.split)
    names = {"train": split.train, "val": split.val, "test": split.test}
    return names, split.how, list(split.warnings) if wanted.split is not None or wanted.part is not None else []


def _ratios(text: str) -> tuple[float, ...] | None:
    """Numbers between commas or colons; None for the name of a file."""
    try:
        return tuple(float(word) for word in text.replace(":", ",").split(","))
    except ValueError:
        return None


def _of_part(
    examples: Sequence[Example], parts: Mapping[str, Sequence[str]] | None, part: Part, how: str
) -> tuple[Example, ...]:
    if part == "all":
        return tuple(examples)
    if parts is None:
        raise InvalidConfig(
            f"--part {part} of a data set without a split",
            expected="a split: one that the data set or the run gives, or --split FILE or --split 70,15,15",
            do="Give --split, or --part all.",
        )
    names = set(parts.get(part, ()))
    chosen = tuple(example for example in examples if example.name in names)
    if not chosen:
        raise InvalidConfig(
            f"part {part} {how}, which has no case in this data set",
            expected="at least one case",
            do="Choose another --part, or give --split.",
        )
    return chosen


def _learned(
    chosen: Sequence[Example], examples: Sequence[Example], run: DataRecord, wanted: Wanted, *, same: bool
) -> list[str]:
    """What to warn of; cases that the method learned from are refused unless they were asked for.

    Equal names count even where the data set seems another one: a wrong refusal costs a flag, a missed one a result.
    """
    from promisam.runs.seen import seen, some

    trained = list(seen(chosen, examples, run, "train", same=same))
    allowed = wanted.allow_training or wanted.part in ("train", "all")
    if trained and not allowed:
        raise InvalidConfig(
            f"{len(trained)} of {len(chosen)} cases that the run was trained on, by name, content or group: {some(trained)}",
            expected="cases that it has not seen",
            do="Choose --part test, or allow it with --allow-training-cases if that is meant or these are other data.",
        )
    warnings = []
    if trained:
        warnings.append(
            f"the method was trained on {len(trained)} of {len(chosen)} cases: their scores say little about new ones"
        )
    validated = list(seen(chosen, examples, run, "val", same=same))
    if validated:
        warnings.append(f"the run was chosen by its scores on {len(validated)} of {len(chosen)} cases: expect less on new ones")
    return warnings
