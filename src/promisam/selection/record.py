"""The files of a choice: a table of the chosen images, a record of all of them, and a contact sheet."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from promisam.core.errors import UnreadableFile, UnwritableOutput
from promisam.io import Input, atomic_text, folders_of
from promisam.selection.selecting import Selected

COLUMNS = ("name", "image", "rank", "represents", "spread", "why")
_DIGITS = 6


@dataclass(frozen=True)
class Place:
    """Where a choice is written.

    Attributes:
        table: the CSV file; record and sheet stand beside it.
        overwrite: replace files that are there.
    """

    table: Path
    overwrite: bool = False

    @property
    def record(self) -> Path:
        """The JSON file of all images."""
        return self.table.with_suffix(".json")

    @property
    def sheet(self) -> Path:
        """The contact sheet."""
        return self.table.with_suffix(".png")

    def check(self, inputs: Iterable[Input], given: Iterable[Path] = ()) -> None:
        """Refuse, before any work, what could not be written, and a place where the sheet would be taken for an image.

        Raises:
            UnwritableOutput: with the reason.
        """
        if self.table.suffix.lower() != ".csv":
            raise UnwritableOutput(f"the output {self.table}", expected="a name that ends in .csv", do="Rename it.")
        folder = self.table.absolute().parent
        if folder.resolve() in folders_of(inputs, given):
            raise UnwritableOutput(
                f"the output {self.table}, in a folder of the images",
                expected="another folder: the contact sheet would be taken for an image",
                do="Choose one with -o.",
            )
        for path in (self.table, self.record, self.sheet):
            if path.is_dir() or (path.exists() and not self.overwrite):
                raise UnwritableOutput(
                    f"the output {path}, which is {'a folder' if path.is_dir() else 'already there'}",
                    expected="a new file",
                    do="Choose another name with -o, or pass --overwrite.",
                )
        there = next(above for above in (folder, *folder.parents) if above.exists())
        if not there.is_dir() or not os.access(there, os.W_OK):
            raise UnwritableOutput(
                f"the output {self.table}", expected="a file in a folder that you may write to", do="Choose another folder."
            )


def read_former(path: Path) -> tuple[str, ...]:
    """The names of an earlier choice, by rank where the table has one.

    Raises:
        UnreadableFile: for a file that is no table of images, or names none or one twice.
    """
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UnreadableFile(
            f"{path} ({getattr(error, 'strerror', None) or error})", expected="a table of images", do="Check the path."
        ) from None
    names = [str(row.get("name") or "").strip() for row in rows]
    if not names or not all(names):
        raise UnreadableFile(
            f"{path} without {'a name in each row' if names else 'any row'}",
            expected="a table with the column name, such as one that `promisam select` wrote",
            do="Give that table, separated by commas.",
        )
    doubled = next((name for at, name in enumerate(names) if name in names[:at]), None)
    if doubled is not None:
        raise UnreadableFile(f"{path} with {doubled} twice", expected="each image once", do="Remove one of the rows.")
    ranks = [str(row.get("rank") or "") for row in rows]
    order = sorted(range(len(rows)), key=lambda at: int(ranks[at])) if all(map(str.isdecimal, ranks)) else range(len(rows))
    return tuple(names[at] for at in order)


def table_text(selected: Selected, inputs: Mapping[str, Input]) -> str:
    """The chosen images as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for one in selected.selection.chosen:
        row = {**asdict(one), "image": str(inputs[one.name].path), "spread": f"{one.spread:.{_DIGITS}f}"}
        writer.writerow(row)
    return text.getvalue()


def record_of(selected: Selected, inputs: Mapping[str, Input], about: Mapping[str, Any]) -> dict[str, Any]:
    """All that is known of a choice, as JSON values; `about` says how it was made."""
    found = selected.selection
    return {
        **about,
        "chosen": [
            {**asdict(one), "image": str(inputs[one.name].path), "spread": round(one.spread, _DIGITS)} for one in found.chosen
        ],
        "outlier_beyond": round(found.outlier_beyond, _DIGITS),
        "near_duplicate_below": round(found.duplicate_below, _DIGITS),
        "outliers": [one.name for one in found.outliers],
        "near_duplicates": [
            {"name": one.name, "of": one.near_duplicate_of, "same_file": one.same_file} for one in found.near_duplicates
        ],
        "unreadable": [
            {"name": name, "image": str(inputs[name].path), "reason": reason} for name, reason in selected.failures.items()
        ],
        "images": [
            {
                "name": one.name,
                "image": str(inputs[one.name].path),
                "nearest": one.nearest,
                "distance": round(one.distance, _DIGITS),
                "outlier": one.outlier,
                "near_duplicate_of": one.near_duplicate_of or None,
            }
            for one in found.images
        ],
    }


def write_texts(place: Place, selected: Selected, inputs: Mapping[str, Input], record: Mapping[str, Any]) -> None:
    """Write record and table, each whole or not at all, the table last.

    Raises:
        UnwritableOutput: when the operating system refuses.
    """
    atomic_text(place.record, json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    atomic_text(place.table, table_text(selected, inputs))
