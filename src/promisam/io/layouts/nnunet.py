"""Data sets in nnU-Net's raw form: imagesTr/ with one file per channel, labelsTr/, dataset.json (both versions)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from promisam.core.errors import InvalidConfig, UnreadableFile
from promisam.io.atomic import full_suffix
from promisam.io.findings import Finding
from promisam.io.formats import BY_SUFFIX
from promisam.io.layouts.listing import DESCRIPTION, channels_of, classes_of, read_json
from promisam.io.layouts.naming import passed_over, stem_of
from promisam.io.layouts.values import Case, Dataset

_IMAGES, _LABELS = "imagesTr", "labelsTr"
_TEST_IMAGES, _TEST_LABELS = "imagesTs", "labelsTs"
_CHANNEL = re.compile(r"(.+)_(\d{4})")  # <case>_0000: the number of the channel
_IMAGE_FOLDER = re.compile(r"images[A-Z]\w*")  # imagesTr, imagesTs, imagesVal


def nnunet(path: Path) -> Dataset | None:
    """A folder, or its `dataset.json`, whose images carry the number of their channel in their names.

    Raises:
        UnreadableFile: when imagesTr/ stands there without a dataset.json, or that file is unsound.
        UnsupportedFile: for regions and ignored labels.
    """
    folder = path.parent if path.name == DESCRIPTION else path
    file = folder / DESCRIPTION
    if not (folder / _IMAGES).is_dir():
        return None
    if not file.is_file():
        raise UnreadableFile(
            f"{folder} with {_IMAGES}/ and no {DESCRIPTION}", expected="the file that names channels and labels", do="Add it."
        )
    told = read_json(file)
    ending = str(told.get("file_ending", ""))
    images, rest = _numbered(folder / _IMAGES, ending)
    if not images and "channel_names" not in told:
        return None  # the Medical Segmentation Decathlon: one file per image, without numbers
    channels = channels_of(file, told)
    if not channels:
        raise UnreadableFile(f"{file} without channel_names", expected="a name for each channel", do="Add channel_names.")
    held_out = (folder / _TEST_LABELS).is_dir()
    training = "train" if held_out else ""
    cases, findings = _cases(images, _labels(folder / _LABELS, ending), channels, training)
    if held_out:
        tests, others = _numbered(folder / _TEST_IMAGES, ending)
        more, doubts = _cases(tests, _labels(folder / _TEST_LABELS, ending), channels, "test")
        cases, findings, rest = [*cases, *more], [*findings, *doubts], (*rest, *others)
    return Dataset(
        "nnU-Net's folders",
        tuple(sorted(cases, key=lambda case: case.name)),
        paired=True,
        classes=classes_of(file, told.get("labels", {})),
        channels=channels,
        findings=(*passed_over(rest), *findings),
    )


def images_alone(files: Sequence[Path], channels: Sequence[str] = (), number: int = 1) -> Dataset:
    """Images of one folder, without their masks: named by channel as nnU-Net does, or one file each.

    A dataset.json above a folder such as imagesTs/ names the channels. Without it the files are taken for channels if each
    carries the number of one, `<case>_0000` to below `number`; frames of a video may be called alike, so pictures need names
    of channels for that, and any other number makes all of them images of their own.

    Args:
        files: at least one, all in one folder.
        channels: their names, where nothing beside the files says more.
        number: of channels that are expected.

    Raises:
        UnreadableFile: for a dataset.json that is unsound.
    """
    folder = files[0].parent
    file = folder.parent / DESCRIPTION
    above = _IMAGE_FOLDER.fullmatch(folder.name) is not None and file.is_file()
    told = read_json(file) if above else {}
    named = channels_of(file, told) or tuple(channels)
    pictures = any(BY_SUFFIX.get(full_suffix(path)) == "picture" for path in files)
    expected = len(named) or (1 if pictures else number)
    ending = str(told.get("file_ending", ""))
    parts = [_CHANNEL.fullmatch(_stem(path, ending)) for path in files]
    if not all(part and path.is_file() and int(part[2]) < expected for part, path in zip(parts, files, strict=True)):
        return Dataset("images", tuple(Case(stem_of(path), (path,), ()) for path in files), paired=False, channels=named)
    found: dict[str, dict[int, Path]] = {}
    for part, path in zip(parts, files, strict=True):
        if part:
            _place(found, part, path)
    cases, findings = _cases(found, {}, named or tuple(f"channel {n}" for n in range(expected)), "")
    return Dataset("images by channel", tuple(cases), paired=False, channels=named, findings=tuple(findings))


def _place(found: dict[str, dict[int, Path]], parts: re.Match[str], file: Path) -> None:
    """Put a file under its case and the number of its channel."""
    there = found.setdefault(parts[1], {}).setdefault(int(parts[2]), file)
    if there != file:
        raise InvalidConfig(f"{file} beside {there.name}", expected="one file for a channel", do="Remove one.")


def _stem(file: Path, ending: str) -> str:
    return file.name.removesuffix(ending) if ending else stem_of(file)


def _numbered(folder: Path, ending: str) -> tuple[Mapping[str, Mapping[int, Path]], tuple[Path, ...]]:
    """Files by case and by number of channel, and the files that are neither."""
    found: dict[str, dict[int, Path]] = {}
    rest: list[Path] = []
    for file, stem in _files(folder, ending, rest):
        parts = _CHANNEL.fullmatch(stem)
        if parts:
            _place(found, parts, file)
        else:
            rest.append(file)
    return found, tuple(rest)


def _labels(folder: Path, ending: str) -> Mapping[str, Path]:
    return {stem: file for file, stem in _files(folder, ending, [])}


def _files(folder: Path, ending: str, rest: list[Path]) -> list[tuple[Path, str]]:
    found = []
    for file in sorted(p for p in folder.iterdir() if not p.name.startswith(".")) if folder.is_dir() else ():
        suffix = ending or full_suffix(file)
        if file.is_file() and file.name.endswith(suffix) and (ending or suffix in BY_SUFFIX):
            found.append((file, file.name[: -len(suffix) or None]))
        else:
            rest.append(file)
    return found


def _cases(
    images: Mapping[str, Mapping[int, Path]], labels: Mapping[str, Path], channels: Sequence[str], split: str
) -> tuple[list[Case], list[Finding]]:
    cases: list[Case] = []
    findings: list[Finding] = []
    for name in sorted({*images, *labels}):
        files = images.get(name, {})
        masks = (labels[name],) if name in labels else ()
        # the three colours of a picture may stand in one file
        colour = set(files) == {0} and len(channels) == 3 and BY_SUFFIX.get(full_suffix(files[0])) == "picture"
        missing = [] if colour or not files else [n for n in range(len(channels)) if n not in files]
        surplus = [n for n in files if n >= len(channels)]
        if missing or surplus:
            findings.append(_incomplete(files, name, channels, missing, surplus))
        else:
            cases.append(Case(name, tuple(files[n] for n in sorted(files)), masks, split=split))
    return cases, findings


def _incomplete(
    files: Mapping[int, Path], name: str, channels: Sequence[str], missing: Sequence[int], surplus: Sequence[int]
) -> Finding:
    first = str(files[min(files)])
    if missing:
        which = ", ".join(f"{n:04d} ({channels[n]})" for n in missing)
        return Finding(first, "error", f"case {name} lacks the channel {which}", "Add its file, or remove the case.", case=name)
    which = ", ".join(f"{n:04d}" for n in surplus)
    reason = f"case {name} has the channel {which}; {DESCRIPTION} names {len(channels)}"
    return Finding(first, "error", reason, f"Name it in {DESCRIPTION}, or remove the file.", case=name)
