"""Which prediction belongs to which truth."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from promisam.core.errors import InvalidConfig, UnreadableFile
from promisam.io.formats import BY_SUFFIX

# The longest first: "a.seg.nrrd" is case "a", not "a.seg".
SUFFIXES = (".seg.nrrd", *sorted(BY_SUFFIX, key=len, reverse=True))
_ENDING = re.compile(r"_(masks?|seg|segmentation|labels?|pred|prediction|gt|truth)$", re.IGNORECASE)
_CHANNEL = re.compile(r"_0000$")  # the first channel of an image in nnU-Net's naming


@dataclass(frozen=True)
class Pair:
    """One case.

    Attributes:
        case: its name.
        truth: file of the truth.
        prediction: file of the prediction; None when there is none.
    """

    case: str
    truth: Path
    prediction: Path | None


@dataclass(frozen=True)
class Pairing:
    """All cases, and the predictions that belong to none."""

    pairs: tuple[Pair, ...]
    unexpected: tuple[Path, ...]


def find_pairs(predictions: Path, truth: Path) -> Pairing:
    """Pair two files, or the files of two folders by the names of the cases.

    A file belongs to the case that its name without the format's suffix says, endings such as `_mask`, `_seg` or `_pred` set
    aside: `a_seg.nii.gz` and `a.png` are both case `a`. Other files and subfolders are passed over.

    Raises:
        UnreadableFile: when one does not exist, or a folder holds no segmentation.
        InvalidConfig: for a file with a folder, a folder with itself, or several files for one case.
    """
    for path in (predictions, truth):
        if not path.exists():
            raise UnreadableFile(f"{path}, which does not exist", expected="a file or a folder", do="Check the path.")
    if predictions.resolve() == truth.resolve():
        raise InvalidConfig(
            f"{truth} as predictions and as truth",
            expected="two different places",
            do="Name the folder of the predictions first.",
        )
    if predictions.is_file() and truth.is_file():
        return Pairing((Pair(case_name(truth), truth, predictions),), ())
    if predictions.is_file() or truth.is_file():
        raise InvalidConfig(
            f"{predictions} and {truth}, a file and a folder", expected="two files or two folders", do="Give both of one kind."
        )
    return _pair(_files(predictions, allow_none=True), _files(truth))


def find_images(folder: Path, cases: Iterable[str]) -> dict[str, Path]:
    """The image of each case that has exactly one in a folder."""
    named: dict[str, list[Path]] = {}
    for path in _files(folder, allow_none=True):
        for name in {stem(path), _CHANNEL.sub("", stem(path)), case_name(path)}:
            named.setdefault(name, []).append(path)
    return {case: named[case][0] for case in cases if len(named.get(case, ())) == 1}


def stem(path: Path) -> str:
    """Name of a file without the suffix of its format."""
    suffix = _suffix(path)
    return path.name[: -len(suffix)] if suffix else path.name


def case_name(path: Path) -> str:
    """Name of the case that a file belongs to."""
    name = stem(path)
    while (shorter := _ENDING.sub("", name)) and shorter != name:
        name = shorter
    return name


def _suffix(path: Path) -> str:
    return next((s for s in SUFFIXES if path.name.lower().endswith(s) and len(path.name) > len(s)), "")


def _files(folder: Path, *, allow_none: bool = False) -> list[Path]:
    found = [p for p in sorted(folder.iterdir()) if p.is_file() and not p.name.startswith(".") and _suffix(p)]
    if not found and not allow_none:
        raise UnreadableFile(
            f"{folder}, which holds no segmentation",
            expected=f"files ending in one of {' '.join(SUFFIXES)}",
            do="Give the folder that holds the files themselves.",
        )
    return found


def _pair(predictions: list[Path], truths: list[Path]) -> Pairing:
    by_case: dict[str, tuple[list[Path], list[Path]]] = {}
    for side, paths in enumerate((predictions, truths)):
        for path in paths:
            by_case.setdefault(case_name(path), ([], []))[side].append(path)
    pairs: list[Pair] = []
    unexpected: list[Path] = []
    for case, (ours, theirs) in sorted(by_case.items()):
        if not theirs:
            unexpected += ours
        elif len(ours) <= 1 and len(theirs) == 1:
            pairs.append(Pair(case, theirs[0], ours[0] if ours else None))
        else:
            pairs += _pair_exactly(case, ours, theirs)
    return Pairing(tuple(pairs), tuple(unexpected))


def _pair_exactly(case: str, predictions: list[Path], truths: list[Path]) -> list[Pair]:
    """Several files of one case are fine when the full names tell them apart, one to one."""
    ours, theirs = {stem(p): p for p in predictions}, {stem(p): p for p in truths}
    if len(ours) == len(predictions) and len(theirs) == len(truths) and ours.keys() == theirs.keys():
        return [Pair(name, theirs[name], ours[name]) for name in sorted(theirs)]
    raise InvalidConfig(
        f"several files for case {case!r}: predictions {_names(predictions)}; truth {_names(truths)}",
        expected="one prediction and one truth for each case",
        do="Move the others to a folder of their own, or give all of them equal names in both folders.",
    )


def _names(paths: list[Path]) -> str:
    return ", ".join(p.name for p in paths) or "none"
