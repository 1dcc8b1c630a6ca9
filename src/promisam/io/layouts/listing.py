"""Data sets that a JSON file lists: the Medical Segmentation Decathlon's dataset.json and MONAI's datalists."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from promisam.core.errors import InvalidConfig, UnreadableFile, UnsupportedFile
from promisam.io.findings import Finding
from promisam.io.json_file import load_json
from promisam.io.layouts.folders import images_and_masks
from promisam.io.layouts.naming import stem_of
from promisam.io.layouts.values import FOLD, Case, Dataset

DESCRIPTION = "dataset.json"
_PARTS = {"training": "train", "validation": "val", "testing": "test", "test": "test"}


def listing(path: Path) -> Dataset | None:
    """A JSON file with the list `training`, or a folder whose `dataset.json` has one.

    Raises:
        UnreadableFile: when it is no such list.
        UnsupportedFile: for regions and ignored labels.
    """
    file = path / DESCRIPTION if path.is_dir() else path
    if file.suffix.lower() != ".json" or not file.is_file():
        return None
    told = read_json(file)
    if not any(isinstance(told.get(part), list) for part in _PARTS):
        if path.is_dir() and images_and_masks(path):
            return None  # some other tool's description
        raise UnreadableFile(
            f"{file} without the list {', '.join(_PARTS)}",
            expected="the dataset.json of nnU-Net or of the Medical Segmentation Decathlon, or a datalist of MONAI",
            do="Check the file, or list the cases in a CSV with the columns image and mask.",
        )
    decathlon = "labels" in told
    found: list[Case] = []
    unlabelled = 0
    for part, split in _PARTS.items():
        for number, entry in enumerate(told.get(part) or (), 1):
            if split == "test" and (decathlon or not (isinstance(entry, dict) and entry.get("label"))):
                unlabelled += 1
                continue
            found.append(_case(file, f"entry {number} of {part}", entry, "" if decathlon and part == "training" else split))
    findings = [Finding(str(file), "note", f"{unlabelled} images to test, without labels; passed over", "Nothing.")]
    return Dataset(
        f"the list {file.name}",
        tuple(sorted(_named_apart(file, found), key=lambda case: case.name)),
        paired=True,
        classes=classes_of(file, told.get("labels") or {}),
        channels=channels_of(file, told),
        findings=tuple(findings) if unlabelled else (),
    )


def read_json(file: Path) -> Mapping[str, Any]:
    """The object that a file holds.

    Raises:
        UnreadableFile: when it holds none.
    """
    try:
        told = load_json(file)
    except (ValueError, OSError) as error:
        raise UnreadableFile(f"{file} ({error})", expected="JSON in UTF-8", do="Correct or export it again.") from error
    if not isinstance(told, dict):
        raise UnreadableFile(f"{file}, which holds no object", expected='{"training": [...], ...}', do="Check the file.")
    return told


def classes_of(file: Path, labels: Any) -> dict[int, str]:  # noqa: ANN401 - as it stands in the file
    """Value to name, from either direction: {"liver": 1} or {"1": "liver"}.

    Raises:
        UnsupportedFile: for regions (several values under one name) and for labels to be ignored.
        UnreadableFile: for anything else that is no such table, or gives one value two names.
    """
    if not isinstance(labels, dict):
        raise _no_labels(file, labels)
    classes: dict[int, str] = {}
    for name, value in labels.items():
        if isinstance(value, list):
            raise UnsupportedFile(
                f"{file}, whose label {name!r} is a region of the values {value}",
                expected="one value per label; regions overlap, and a mask file holds each voxel once",
                do="Write a dataset.json that names each value of the files, and build the regions from the results.",
            )
        if str(name).strip().lower() == "ignore":
            raise UnsupportedFile(
                f"{file}, whose value {value} is to be ignored",
                expected="labels everywhere",
                do="Make it a label or background.",
            )
        try:
            number, called = (int(value), str(name)) if not isinstance(value, str) else (int(name), value)
        except (TypeError, ValueError, OverflowError):
            raise _no_labels(file, labels) from None
        if number in classes or number < 0 or (number and called in classes.values()):
            raise _no_labels(file, labels)
        classes[number] = called
    classes.pop(0, None)
    return dict(sorted(classes.items()))


def channels_of(file: Path, told: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the channels, in the order of their numbers, from `channel_names` or `modality`.

    Raises:
        UnreadableFile: when they are not numbered from 0.
    """
    named = told.get("channel_names", told.get("modality", {}))
    if not isinstance(named, dict):  # MONAI's "modality": "CT"
        return ()
    if set(named) != {str(n) for n in range(len(named))}:
        raise UnreadableFile(
            f"{file}, whose channels are {', '.join(named)}", expected="numbers from 0, each with a name", do="Renumber them."
        )
    return tuple(str(named[str(n)]) for n in range(len(named)))


def _case(file: Path, where: str, entry: Any, split: str) -> Case:  # noqa: ANN401 - as it stands in the file
    images = entry.get("image") if isinstance(entry, dict) else None
    images = [images] if isinstance(images, str) else images
    label = entry.get("label") if isinstance(entry, dict) else None
    sound = isinstance(images, list) and images and all(isinstance(image, str) and image for image in images)
    if not sound or not isinstance(images, list) or not (label is None or isinstance(label, str)):
        raise UnreadableFile(
            f"{file}, whose {where} is {json.dumps(entry)[:200]}",
            expected='{"image": "path" or ["path", ...], "label": "path"}',
            do="Correct the entry.",
        )
    fold = entry.get("fold")
    return Case(
        stem_of(Path(images[0])),
        tuple(file.parent / image for image in images),
        (file.parent / label,) if label else (),
        str(entry.get("group") or ""),
        f"{FOLD}{fold}" if isinstance(fold, int) and split in ("", "train") else split,
    )


def _named_apart(file: Path, cases: Sequence[Case]) -> list[Case]:
    """By the images' stems where they differ, else by their paths."""
    if len({case.name for case in cases}) == len(cases):
        return list(cases)
    folder = file.parent
    paths = [(p.relative_to(folder) if p.is_relative_to(folder) else p).as_posix() for p in (case.images[0] for case in cases)]
    twice = [path for path, count in Counter(paths).items() if count > 1]
    if twice:
        raise InvalidConfig(f"{file}, which lists {twice[0]} more than once", expected="each image once", do="Remove one.")
    return [replace(case, name=path) for path, case in zip(paths, cases, strict=True)]


def _no_labels(file: Path, labels: object) -> UnreadableFile:
    return UnreadableFile(
        f"{file} with the labels {json.dumps(labels)[:200]}",
        expected='a name for each value, such as {"liver": 1} or {"1": "liver"}, each name and value once',
        do="Correct the labels.",
    )
