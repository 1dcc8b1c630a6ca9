"""What the names of files say: which image a mask belongs to, and which class it draws."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from promisam.io.atomic import full_suffix
from promisam.io.findings import Finding
from promisam.io.formats import BY_SUFFIX, has_dicom_mark
from promisam.io.layouts.values import Case

IMAGE_FOLDERS = ("images", "imgs", "image")
MASK_FOLDERS = ("masks", "mask", "labels", "label", "annotations", "gt")
MASK_ENDINGS = ("_mask", "_segmentation", "_seg", "_labels", "_label", "_gt")
_SEVERAL = "__"  # <stem>__<class>: one of several masks of an image
_NUMBERED = re.compile(r"(.+)_\d{3}")  # <class>_000, <class>_001: parts of one class
INSTANCES = ("inst", "instance", "instances")  # of a mask whose values number the objects


@dataclass(frozen=True)
class Classed:
    """Cases whose masks are told apart by class.

    Attributes:
        cases: with `values` where files draw classes.
        classes: label value to name, in sorted order of the names.
        findings: what was decided on the way, and what could not be.
    """

    cases: tuple[Case, ...]
    classes: Mapping[int, str]
    findings: tuple[Finding, ...]


def stem_of(path: Path) -> str:
    """Name without the suffix of a known format."""
    suffix = full_suffix(path)
    return path.name[: -len(suffix)] if suffix in BY_SUFFIX and path.name != suffix else path.name


def image_stem(stem: str, names: Container[str]) -> str:
    """The image that a mask of this stem belongs to; the stem itself where there is none."""
    if stem in names:
        return stem
    shorter = [stem[: -len(ending)] for ending in MASK_ENDINGS if stem.lower().endswith(ending)]
    if _SEVERAL in stem:
        shorter.append(stem.rsplit(_SEVERAL, 1)[0])
    return next((name for name in shorter if name in names), stem)


def by_class(cases: Sequence[Case]) -> Classed:
    """Number the classes that the masks' names name, over all cases; masks without a class keep their own values.

    Three digits at the end of a class number its parts, which are merged. Where an image has a plain mask and one that numbers
    instances, the plain one is its mask.
    """
    findings: list[Finding] = []
    plain_first = [_without_instances(case, findings) for case in cases]
    drawn = [tuple(_class_of(mask, case) for mask in case.masks) for case in plain_first]
    names = sorted({name for found in drawn for name in found if name})
    classes = dict(enumerate(names, 1))
    numbers = {name: value for value, name in classes.items()}
    classed: list[Case] = []
    for case, found in zip(plain_first, drawn, strict=True):
        if found and all(found):
            classed.append(replace(case, values=tuple(numbers[name] for name in found)))
        elif not any(found) and (len(found) <= 1) and len(classes) <= 1:
            classed.append(case)
            findings += [_taken_as(mask, classes[1]) for mask in case.masks if classes]
        else:
            classed.append(replace(case, masks=()))
            findings += [_classless(mask, case.name, names) for mask, name in zip(case.masks, found, strict=True) if not name]
    return Classed(tuple(classed), classes, tuple(findings))


def entries(folder: Path) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """The images of a folder, DICOM folders included, and everything else that is not hidden."""
    known: list[Path] = []
    rest: list[Path] = []
    for entry in sorted(p for p in folder.iterdir() if not p.name.startswith(".")):
        (known if is_image(entry) else rest).append(entry)
    return tuple(known), tuple(rest)


def is_image(entry: Path) -> bool:
    """Whether a path is an image by its suffix, its mark, or the files in it."""
    if entry.is_dir():
        return any(p.is_file() and has_dicom_mark(p) for p in sorted(entry.iterdir()))
    return full_suffix(entry) in BY_SUFFIX or has_dicom_mark(entry)


def passed_over(paths: Sequence[Path]) -> tuple[Finding, ...]:
    """A note on each file that is no part of the data set."""
    return tuple(Finding(str(p), "note", "neither image nor mask; passed over", "Nothing.") for p in paths)


def _without_instances(case: Case, findings: list[Finding]) -> Case:
    """A plain mask beside numbered instances is the mask."""
    kinds = [_class_of(mask, case) for mask in case.masks]
    if "" not in kinds or not set(kinds) & set(INSTANCES):
        return case
    plain = next(mask for mask, kind in zip(case.masks, kinds, strict=True) if not kind)
    kept = tuple(mask for mask, kind in zip(case.masks, kinds, strict=True) if kind not in INSTANCES)
    findings.extend(
        Finding(str(mask), "note", "numbers instances; not used", f"Nothing: {plain.name} is the mask.")
        for mask in case.masks
        if mask not in kept
    )
    return replace(case, masks=kept)


def _class_of(mask: Path, case: Case) -> str:
    """The class in a mask's name; empty where it is called like its image, or is the only one of it."""
    stem = stem_of(mask)
    stems = {case.name, *(stem_of(image) for image in case.images)}
    if stem in stems:
        return ""
    if _SEVERAL in stem:
        name = stem.rsplit(_SEVERAL, 1)[1]
    elif len(case.masks) == 1 or image_stem(stem, stems) in stems:
        return ""
    else:
        prefix = next((own for own in sorted(stems, key=len, reverse=True) if stem.startswith(own)), "")
        name = stem[len(prefix) :].strip("_- ") or stem
    numbered = _NUMBERED.fullmatch(name)
    return numbered[1] if numbered else name


def _taken_as(mask: Path, name: str) -> Finding:
    return Finding(
        str(mask), "note", f"its name gives no class, others' names give {name}", "Nothing, if its label 1 is the same thing."
    )


def _classless(mask: Path, case: str, names: Sequence[str]) -> Finding:
    if not names:
        return Finding(
            str(mask),
            "error",
            "one of several masks of its image, and its name gives no class",
            "Call the masks <image>__<class>, or name one of them in a CSV.",
            case=case,
        )
    return Finding(
        str(mask),
        "error",
        f"its name gives no class, while others draw {', '.join(names)}; which of them its values mean cannot be told",
        "Call it <image>__<class>.",
        case=case,
    )
