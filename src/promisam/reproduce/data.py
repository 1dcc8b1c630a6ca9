"""From the public layout of an experiment's data to a table that every command reads."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from promisam.core.errors import InvalidConfig, UnreadableFile
from promisam.io import atomic_text, read, write
from promisam.io.digest import file_digest
from promisam.io.layouts.naming import entries, image_stem, stem_of
from promisam.io.layouts.table import CLASSES, TABLE
from promisam.io.mending import mend
from promisam.reproduce.values import Lying, Part, Study
from promisam.runs.seen import some

MASKS = "masks"  # beside the table: those that had to be made exact
WRITTEN = (TABLE, CLASSES, MASKS)
_LOSSY = (".jpg", ".jpeg")
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
        labels: values of the masks that are meant, with their names; empty for any value.
    """

    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    labels: Mapping[int, str] = field(default_factory=dict)

    def names(self, part: Part) -> tuple[str, ...]:
        """The cases of a part."""
        return tuple(line.name for line in self.lines if line.part == part.name)


def find(study: Study, data: Path, limit: int | None = None, seed: int = 0) -> Found:
    """The experiment's cases, and how they differ in number or content from what was published.

    Args:
        study: the experiment.
        data: the folder of its data.
        limit: take so many of each part only, evenly spaced, to try things out.
        seed: of a random division, where the data come without one.

    Raises:
        UnreadableFile: for a part that is not there, naming the folders that were looked for, and for two masks of one image.
        InvalidConfig: for an impossible limit.
    """
    if limit is not None and limit < 2:
        raise InvalidConfig(f"a limit of {limit} cases", expected="at least 2", do="Raise it, or leave it out.")
    wanted = (("train", study.train), ("val", study.val), *(("test", part) for part in study.tests))
    divided = {} if study.divide is None else study.divide(data, seed)
    found = [(split, part, divided.get(part.name) or _lying(data, part, seed)) for split, part in wanted if part is not None]
    parts = [(split, part, lying or _nowhere(study, data, part)) for split, part, lying in found]
    notes = list(dict.fromkeys(note for _, _, lying in parts for note in lying.notes))
    total = sum(len(lying.pairs) for _, _, lying in parts)
    if study.total is not None and total != study.total:
        notes.append(f"{plural(total, 'image')} with masks in all; the published set has {study.total}")
    lines: list[Line] = []
    for split, part, lying in parts:
        notes += _lacking(lying, part)
        chosen = list(lying.pairs) if limit is None else _spaced(list(lying.pairs), limit)
        if limit is not None:
            notes.append(f"{part.name}: {len(chosen)} of its {plural(len(lying.pairs), 'case')}, as asked for")
        for case in chosen:
            group = study.group(case) if split == "train" else ""
            lines.append(Line(f"{part.name}_{case}", *lying.pairs[case], group, split, part.name))
    notes += _smeared(lines)
    return Found(tuple(lines), (*notes, *_leaks(lines)), study.labels)


def write_table(found: Found, folder: Path) -> Path:
    """The cases as a CSV with absolute paths, in which `promisam fit` reads the split, and the names of their labels.

    Masks in JPEG, which smears their edges, are written beside it as PNG.

    Raises:
        InvalidSegmentation: for such a mask that is not black and white.
    """
    if found.labels:
        atomic_text(folder / CLASSES, json.dumps({str(value): name for value, name in found.labels.items()}) + "\n")
    exact = {line.name: _exact(line, folder / MASKS) for line in found.lines if _is_lossy(line)}
    atomic_text(folder / TABLE, table_text(found, exact))
    return folder / TABLE


def table_text(found: Found, exact: Mapping[str, Path] | None = None) -> str:
    """What the table holds; `exact` names masks in place of those that came with the data."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "image", "mask", "group", "split"])
    for line in found.lines:
        mask = (exact or {}).get(line.name, line.mask)
        writer.writerow([line.name, line.image.resolve(), mask.resolve(), line.group, line.split])
    return text.getvalue()


def plural(count: int, thing: str, things: str = "") -> str:
    """So many of them, for messages."""
    return f"{count} {thing if count == 1 else things or f'{thing}s'}"


def _lacking(lying: Lying, part: Part) -> Iterator[str]:
    """Where a part is not what was published."""
    if part.cases is not None and len(lying.pairs) != part.cases:
        yield f"{part.name}: {plural(len(lying.pairs), 'image')} with masks; published were {part.cases}"
    for names, kind, missing in ((lying.maskless, "image", "a mask"), (lying.imageless, "mask", "an image")):
        if names:
            left = "is" if len(names) == 1 else "are"
            yield f"{part.name}: {plural(len(names), kind)} without {missing} {left} left out: {some(names)}"


def _lying(data: Path, part: Part, seed: int) -> Lying | None:
    """The part in the first of its places that holds any of it; None where none does."""
    for place in part.places:
        if (data / place.images).is_dir() and (data / place.masks).is_dir():
            pictures = _by_stem([(place.case(stem_of(path)), path) for path in entries(data / place.images)[0]], "images")
            owned = [(image_stem(place.case(stem_of(path)), pictures), path) for path in entries(data / place.masks)[0]]
            everyone = sorted({*pictures, *(stem for stem, _ in owned)})
            mine = set(place.chosen(everyone, seed))
            drawn = _by_stem([(stem, path) for stem, path in owned if stem in pictures and stem in mine], "masks")
            pairs = {stem: (path, drawn[stem]) for stem, path in pictures.items() if stem in drawn}
            if pairs:
                maskless = tuple(stem for stem in pictures if stem in mine and stem not in drawn)
                alone = [path for stem, path in owned if stem not in pictures and stem in mine]
                notes = (place.note,) if place.note else ()
                return Lying(pairs, maskless, tuple(stem_of(path) for path in alone), notes)
    return None


def _nowhere(study: Study, data: Path, part: Part) -> NoReturn:
    looked = " or ".join(f"{place.images} with {place.masks}" for place in part.places)
    raise UnreadableFile(
        f"{data} without the part {part.name} of {study.title}",
        expected=f"{study.data} (looked for {looked})" if looked else study.data,
        do="Name the folder that holds them.",
    )


def _is_lossy(line: Line) -> bool:
    return line.mask.suffix.lower() in _LOSSY


def _exact(line: Line, folder: Path) -> Path:
    """The mask of two values that a compressed one was."""
    target = folder / f"{line.name}.png"
    write(target, mend(line.mask, read(line.image).grid).mask, source=line.image)
    return target


def _smeared(lines: list[Line]) -> Iterator[str]:
    count = sum(map(_is_lossy, lines))
    if count:
        yield f"{plural(count, 'mask')} in JPEG, which smears edges: values were cut in the middle"


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


def _spaced(cases: list[str], limit: int) -> list[str]:
    count = min(limit, len(cases))
    return [cases[i * len(cases) // count] for i in range(count)]


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
