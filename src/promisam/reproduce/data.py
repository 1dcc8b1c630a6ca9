"""From the public layout of an experiment's data to a table that every command reads."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from promisam.core.errors import InvalidConfig, UnreadableFile
from promisam.io import atomic_text
from promisam.io.digest import file_digest
from promisam.io.layouts.naming import entries, image_stem, stem_of
from promisam.reproduce.values import Part, Study

TABLE = "data.csv"
_SHOWN = 3


@dataclass(frozen=True)
class Line:
    """One case: a line of the table."""

    name: str
    image: Path
    mask: Path
    group: str
    split: str
    part: str


@dataclass(frozen=True)
class Found:
    """What lies in the folder.

    Attributes:
        lines: of the table.
        notes: where it is not what was published, a sentence each.
    """

    lines: tuple[Line, ...]
    notes: tuple[str, ...]

    def names(self, part: Part) -> tuple[str, ...]:
        """The cases of a part."""
        return tuple(line.name for line in self.lines if line.part == part.name)


def find(study: Study, data: Path, limit: int | None = None) -> Found:
    """The experiment's cases, and how they differ in number or content from what was published.

    Args:
        study: the experiment.
        data: the folder of its data.
        limit: take so many of each part only, evenly spaced, to try things out.

    Raises:
        UnreadableFile: for a part that is not there, naming the folders that were looked for.
        InvalidConfig: for an impossible limit.
    """
    if limit is not None and limit < 2:
        raise InvalidConfig(f"a limit of {limit} cases", expected="at least 2", do="Raise it, or leave it out.")
    parts = [("train", study.train), *([("val", study.val)] if study.val else []), *(("test", part) for part in study.tests)]
    lines: list[Line] = []
    notes: list[str] = []
    for split, part in parts:
        pairs, unpaired = _pairs(study, data, part)
        if len(pairs) != part.cases:
            notes.append(f"{part.name}: {len(pairs)} images with masks; published were {part.cases}")
        if unpaired:
            notes.append(f"{part.name}: {len(unpaired)} images without a mask are left out: {', '.join(unpaired[:_SHOWN])}")
        chosen = pairs if limit is None else _spaced(pairs, limit)
        if limit is not None:
            notes.append(f"{part.name}: {len(chosen)} of its {len(pairs)} cases, as asked for")
        for image, mask in chosen:
            group = study.group(stem_of(image)) if split == "train" else ""
            lines.append(Line(f"{part.name}_{stem_of(image)}", image, mask, group, split, part.name))
    return Found(tuple(lines), (*notes, *_leaks(lines)))


def write_table(found: Found, folder: Path) -> Path:
    """The cases as a CSV with absolute paths, in which `promisam fit` reads the split."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "image", "mask", "group", "split"])
    for line in found.lines:
        writer.writerow([line.name, line.image.resolve(), line.mask.resolve(), line.group, line.split])
    atomic_text(folder / TABLE, text.getvalue())
    return folder / TABLE


def _pairs(study: Study, data: Path, part: Part) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Images with their masks, and names of images without one."""
    for images, masks in part.places:
        if (data / images).is_dir() and (data / masks).is_dir():
            pictures, _ = entries(data / images)
            names = {stem_of(path) for path in pictures}
            drawn = {image_stem(stem_of(path), names): path for path in entries(data / masks)[0]}
            found = [(path, drawn[stem_of(path)]) for path in pictures if stem_of(path) in drawn]
            if found:
                return found, [stem_of(path) for path in pictures if stem_of(path) not in drawn]
    looked = " or ".join(f"{images} with {masks}" for images, masks in part.places)
    raise UnreadableFile(
        f"{data} without the part {part.name} of {study.title}",
        expected=f"{study.data} (looked for {looked})",
        do="Name the folder that holds them.",
    )


def _spaced(pairs: list[tuple[Path, Path]], limit: int) -> list[tuple[Path, Path]]:
    count = min(limit, len(pairs))
    return [pairs[i * len(pairs) // count] for i in range(count)]


def _leaks(lines: list[Line]) -> Iterator[str]:
    """Images that stand in training and test alike."""
    seen = {file_digest(line.image): line.name for line in lines if line.split != "test"}
    twice = [
        (seen[digest], line.name) for line in lines if line.split == "test" and (digest := file_digest(line.image)) in seen
    ]
    if twice:
        some = ", ".join(f"{a} = {b}" for a, b in twice[:_SHOWN])
        yield f"{len(twice)} test images stand, byte for byte, in training or validation too: {some}"
