"""From the public layout of an experiment's data to a table that every command reads."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from promisam.core.errors import InvalidConfig, UnreadableFile
from promisam.io import atomic_text
from promisam.io.digest import file_digest
from promisam.io.layouts.naming import entries, image_stem, stem_of
from promisam.reproduce.values import Part, Study
from promisam.runs.seen import some

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
        UnreadableFile: for a part that is not there, naming the folders that were looked for, and for two masks of one image.
        InvalidConfig: for an impossible limit.
    """
    if limit is not None and limit < 2:
        raise InvalidConfig(f"a limit of {limit} cases", expected="at least 2", do="Raise it, or leave it out.")
    parts = [("train", study.train), *([("val", study.val)] if study.val else []), *(("test", part) for part in study.tests)]
    lines: list[Line] = []
    notes: list[str] = []
    for split, part in parts:
        pairs, maskless, imageless = _pairs(study, data, part)
        if len(pairs) != part.cases:
            notes.append(f"{part.name}: {plural(len(pairs), 'image')} with masks; published were {part.cases}")
        for names, kind, missing in ((maskless, "image", "a mask"), (imageless, "mask", "an image")):
            if names:
                left = "is" if len(names) == 1 else "are"
                notes.append(f"{part.name}: {plural(len(names), kind)} without {missing} {left} left out: {some(names)}")
        chosen = pairs if limit is None else _spaced(pairs, limit)
        if limit is not None:
            notes.append(f"{part.name}: {len(chosen)} of its {plural(len(pairs), 'case')}, as asked for")
        for image, mask in chosen:
            group = study.group(stem_of(image)) if split == "train" else ""
            lines.append(Line(f"{part.name}_{stem_of(image)}", image, mask, group, split, part.name))
    return Found(tuple(lines), (*notes, *_leaks(lines)))


def write_table(found: Found, folder: Path) -> Path:
    """The cases as a CSV with absolute paths, in which `promisam fit` reads the split."""
    atomic_text(folder / TABLE, table_text(found))
    return folder / TABLE


def table_text(found: Found) -> str:
    """What the table holds."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "image", "mask", "group", "split"])
    for line in found.lines:
        writer.writerow([line.name, line.image.resolve(), line.mask.resolve(), line.group, line.split])
    return text.getvalue()


def plural(count: int, thing: str) -> str:
    """So many of them, for messages."""
    return f"{count} {thing}{'' if count == 1 else 's'}"


def _pairs(study: Study, data: Path, part: Part) -> tuple[list[tuple[Path, Path]], list[str], list[str]]:
    """Images with their masks, names of images without one, and names of masks without an image."""
    for images, masks in part.places:
        if (data / images).is_dir() and (data / masks).is_dir():
            pictures = _by_stem([(stem_of(path), path) for path in entries(data / images)[0]], "images")
            drawn = entries(data / masks)[0]
            owned = [(image_stem(stem_of(path), pictures), path) for path in drawn]
            mine = _by_stem([(stem, path) for stem, path in owned if stem in pictures], "masks")
            found = [(path, mine[stem]) for stem, path in pictures.items() if stem in mine]
            if found:
                alone = [stem_of(path) for stem, path in owned if stem not in pictures]
                return found, [stem for stem in pictures if stem not in mine], alone
    looked = " or ".join(f"{images} with {masks}" for images, masks in part.places)
    raise UnreadableFile(
        f"{data} without the part {part.name} of {study.title}",
        expected=f"{study.data} (looked for {looked})",
        do="Name the folder that holds them.",
    )


def _by_stem(named: Iterable[tuple[str, Path]], kind: str) -> dict[str, Path]:
    """Files by the case that they belong to; two for one case are refused, since either could be meant."""
    found: dict[str, Path] = {}
    for stem, path in named:
        if stem in found:
            raise UnreadableFile(
                f"two {kind} of {stem}, {found[stem]} and {path.name}",
                expected="one for each case",
                do="Take one of them away.",
            )
        found[stem] = path
    return found


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
        which = ", ".join(f"{a} = {b}" for a, b in twice[:_SHOWN])
        stand = "stands" if len(twice) == 1 else "stand"
        yield f"{plural(len(twice), 'test image')} {stand}, byte for byte, in training or validation too: {which}"
