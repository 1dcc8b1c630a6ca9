"""What stands beside the masks of a method that explains itself: prompts to edit, a table, and a page to look through."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from promisam.core import Explanation, Image, Prompts, Segmentation
from promisam.core.errors import PromisamError
from promisam.io import NamedPrompts, atomic_text, write_prompts
from promisam.io.atomic import writing
from promisam.io.digest import file_digest
from promisam.runs.predictions import Done, case_of, read_reports
from promisam.runs.review import page, write_picture

PROMPTS, PICTURES = "prompts", "review"
TABLE, PAGE = "report.csv", "review.html"
BY_HAND = "prompted by hand"


def write_explained(
    out: Path, name: str, image: Image, found: Segmentation, explanation: Explanation | None, given: Sequence[Prompts] = ()
) -> None:
    """Write what was asked, to be edited and given back, and a small picture for the page.

    Args:
        out: the folder of masks.
        name: of the image.
        image: as the method looked at it.
        found: its answer.
        explanation: None for prompts that were given by hand, which stay where they are.
        given: these.

    Raises:
        UnwritableOutput: when the operating system refuses.
    """
    asked = given if explanation is None else [one for one in explanation.prompts if one.kinds]
    file = out / PROMPTS / f"{name}.json"
    if explanation is not None and asked:
        write_prompts(file, [NamedPrompts(one.target or "object", one) for one in asked])
    elif explanation is not None:
        with writing(file):
            file.unlink(missing_ok=True)  # of an earlier answer
    write_picture(_picture(out, name), image, found, asked)


def write_overview(out: Path, table: str, rows: Iterable[Done]) -> None:
    """Write the table of these rows, and, of all rows that reports in the folder tell of, `report.csv` and the page.

    Of several rows on one mask, that one counts which knows this very file, as everywhere where reports are read. Whichever of
    several shards ends last thus tells of all.

    Raises:
        UnwritableOutput: when the operating system refuses.
        UnreadableFile: for a damaged report.
    """
    everything = told(out)
    if not any(row.confidence is not None for row in everything):
        return
    if table != TABLE:
        atomic_text(out / table, table_text(rows))
    atomic_text(out / TABLE, table_text(everything))
    shown = [(row, case_of(row), _picture(out, case_of(row))) for row in ordered(everything)]
    failed = [row for row in everything if row.status == "failed"]
    atomic_text(out / PAGE, page(out.resolve().name, shown, failed))


def told(out: Path) -> list[Done]:
    """What the reports in a folder say, one row for each case, by name."""
    found: dict[str, list[Done]] = {}
    for report in read_reports(out):
        for row in report.rows:
            if row.status == "failed" or (out / row.mask).is_file():
                found.setdefault(case_of(row), []).append(row)
    return [_best(out, found[case]) for case in sorted(found)]


def ordered(rows: Iterable[Done]) -> list[Done]:
    """Those that have a mask, the least trusted first; those without a confidence last."""
    masks = [row for row in rows if row.status != "failed"]
    return sorted(masks, key=lambda row: (row.confidence is None, row.confidence or 0.0, case_of(row)))


def table_text(rows: Iterable[Done]) -> str:
    """The table, the least trusted first."""
    lines = ordered(rows)
    measures = list(dict.fromkeys(name for row in lines for name in row.measures))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "confidence", "flags", *measures, "mask", "seconds"])
    for row in lines:
        known = "" if row.confidence is None else f"{row.confidence:.4f}"
        values = [f"{row.measures[name]:.6g}" if name in row.measures else "" for name in measures]
        writer.writerow([case_of(row), known, "; ".join(row.flags), *values, row.mask, f"{row.seconds:g}"])
    return text.getvalue()


def _best(out: Path, rows: Sequence[Done]) -> Done:
    made = [row for row in rows if row.status != "failed"] or list(rows)
    if len(made) > 1:
        try:
            digest = file_digest(out / made[0].mask)
        except PromisamError:
            digest = ""
        made = [row for row in made if row.sha256 == digest] or made
    return max(made, key=lambda row: row.confidence is not None)


def _picture(out: Path, name: str) -> Path:
    return out / PICTURES / f"{name}.jpg"
