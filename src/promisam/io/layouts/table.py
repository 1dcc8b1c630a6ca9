"""Data sets that a CSV lists: one line per case, with group and split where they are known."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from promisam.core.errors import InvalidConfig, UnreadableFile
from promisam.io.findings import Finding
from promisam.io.layouts.listing import classes_of, read_json
from promisam.io.layouts.naming import by_class, stem_of
from promisam.io.layouts.values import Case, Dataset, split_word

COLUMNS: dict[str, tuple[str, ...]] = {
    "image": ("image", "images", "img", "image_path"),
    "mask": ("mask", "masks", "label", "seg", "segmentation", "mask_path", "label_path"),
    "group": ("group", "patient", "subject", "case_group", "sequence", "group_id", "patient_id", "subject_id"),
    "split": ("split", "fold", "set", "partition"),
    "name": ("id", "name", "case"),
}
CLASSES = "classes.json"  # beside it: {"1": "name", ...}
JOINED = ";"  # between the masks, or the channels, of one case
TABLE = "dataset.csv"  # the table of a folder that needs no naming
_MANY = 20  # wrong lines that are listed one by one


@dataclass(frozen=True)
class _Line:
    number: int
    cells: Mapping[str, str]

    def paths(self, role: str, folder: Path) -> tuple[Path, ...]:
        return tuple(folder / part.strip() for part in self.cells.get(role, "").split(JOINED) if part.strip())


def table(path: Path) -> Dataset | None:
    """A `.csv` file, or a folder that holds `dataset.csv`, beside which `classes.json` may name the labels.

    Raises:
        UnreadableFile: when it is no text, has no image column, or names one thing in two columns.
        InvalidConfig: for an unknown split, and for names that occur twice.
    """
    file = path / TABLE if path.is_dir() else path
    if file.suffix.lower() != ".csv" or not file.is_file():
        return None
    header, rows = _read(file)
    columns = _columns(file, header)
    lines = [_Line(n, {role: row[i].strip() for role, i in columns.items() if i < len(row)}) for n, row in rows]
    names = _names(file, lines)
    cases = [
        Case(
            name,
            line.paths("image", file.parent),
            line.paths("mask", file.parent),
            line.cells.get("group", ""),
            split_word(line.cells.get("split", ""), f"line {line.number} of {file}"),
        )
        for name, line in zip(names, lines, strict=True)
    ]
    findings = [*_unused(file, header, columns), *_imageless(file, lines)]
    classed = by_class(sorted(cases, key=lambda case: case.name))
    beside = file.with_name(CLASSES)
    named = file.name == TABLE and not classed.classes and beside.is_file()
    return Dataset(
        f"the table {file.name}",
        classed.cases,
        paired="mask" in columns,
        classes=classes_of(beside, read_json(beside)) if named else classed.classes,
        findings=(*findings, *classed.findings),
    )


def _read(file: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            first = stream.readline()
            stream.seek(0)
            delimiter = next((d for d in ",\t;" if d in first), ",")
            reader = csv.reader(stream, delimiter=delimiter, strict=True)
            rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UnreadableFile(f"{file} ({error})", expected="a CSV in UTF-8", do="Export it again.") from error
    if len(rows) < 2:
        raise UnreadableFile(f"{file}, which lists no case", expected="a header and a line per case", do="Fill it.")
    return rows[0][1], rows[1:]


def _columns(file: Path, header: Sequence[str]) -> dict[str, int]:
    names = [title.strip().lower() for title in header]
    columns: dict[str, int] = {}
    for role, aliases in COLUMNS.items():
        found = [alias for alias in aliases if alias in names]
        if len(found) > 1 and role != "name":
            raise UnreadableFile(
                f"{file}, whose columns {' and '.join(found)} both give the {role}",
                expected="one of them",
                do="Rename the other.",
            )
        if found:
            columns[role] = names.index(found[0])
    if "image" not in columns:
        raise UnreadableFile(
            f"{file} with the columns {', '.join(header)}",
            expected="a column image, and mask, group, split and id where they are known",
            do="Rename the columns.",
        )
    return columns


def _names(file: Path, lines: Sequence[_Line]) -> list[str]:
    """From the table, else the images' stems where they tell the cases apart, else their paths."""
    if all(line.cells.get("name") for line in lines):
        names = [line.cells["name"] for line in lines]
    else:
        images = [line.paths("image", Path())[:1] for line in lines]
        stems = [stem_of(found[0]) if found else f"line {line.number}" for found, line in zip(images, lines, strict=True)]
        paths = ["/".join((*found[0].parts[:-1], stem)) if found else stem for found, stem in zip(images, stems, strict=True)]
        names = stems if len(set(stems)) == len(stems) else paths
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        at = [str(line.number) for name, line in zip(names, lines, strict=True) if name == doubled[0]]
        raise InvalidConfig(
            f"{file}, whose lines {', '.join(at[:_MANY])} are all the case {doubled[0]}",
            expected="a line per case, with a name of its own",
            do=f"Join several masks of an image with {JOINED!r}, or add a column id.",
        )
    return names


def _unused(file: Path, header: Sequence[str], columns: Mapping[str, int]) -> list[Finding]:
    rest = [title for i, title in enumerate(header) if i not in columns.values()]
    return [Finding(str(file), "note", f"columns not used: {', '.join(rest)}", "Nothing.")] if rest else []


def _imageless(file: Path, lines: Sequence[_Line]) -> list[Finding]:
    return [
        Finding(str(file), "error", f"line {line.number} names no image", "Fill the cell, or remove the line.")
        for line in lines
        if not line.cells.get("image") and not line.cells.get("mask")
    ]
