"""Ours beside the published."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from promisam.evaluation.benchmark_table import Spread
from promisam.io import atomic_text
from promisam.reproduce.values import AnyStudy, FewShotStudy, Published

_NONE = "none found"
_DIFFERENCES = "What differs from the published protocol, so that the columns must not be compared digit by digit"


@dataclass(frozen=True)
class Reached:
    """What was measured on one test part with one way of asking.

    Attributes:
        part: its name.
        cases: that were scored.
        prompt: how the method was asked.
        from_truth: whether the prompts were made from the truth.
        dice: over draws.
        iou: over draws.
        published: to stand beside; None where nothing was.
        hausdorff: largest distance in pixels, over cases; None where it is not of interest.
        nsd: surface Dice over draws, by tolerance, the published one first; empty where it is not of interest.
    """

    part: str
    cases: int
    prompt: str
    from_truth: bool
    dice: Spread
    iou: Spread
    published: Published | None
    hausdorff: Spread | None = None
    nsd: Mapping[str, Spread] = field(default_factory=dict)

    def measured(self, *, distances: bool) -> dict[str, str]:
        """Our figures by head of a table's column. Where there is a surface Dice, overlap is told once, as Dice."""
        overlap = {"Dice": str(self.dice)} if self.nsd else {"Dice": str(self.dice), "IoU": str(self.iou)}
        far = {"HD, px": _distance(self)} if distances else {}
        return {**overlap, **far, **{name.replace("nsd", "NSD"): str(one) for name, one in self.nsd.items()}}

    def beside(self, *, distances: bool) -> dict[str, str]:
        """Published figures by head of a column."""
        dice = {"Dice": self._known("dice")}
        if self.nsd:
            return {**dice, "NSD": self._known("nsd")}
        far = {"HD": self._known("hausdorff", 2)} if distances else {}
        return {**dice, "IoU": self._known("iou"), **far}

    def _known(self, name: str, digits: int = 3) -> str:
        figure = None if self.published is None else getattr(self.published, name)
        return _NONE if figure is None else f"{figure:.{digits}f}"


@dataclass(frozen=True)
class Comparison:
    """An experiment, run again.

    Attributes:
        study: what was published.
        rows: one for each test part and way of asking.
        setup: method, weights, options and run, as they were.
        notes: where the data are not what was published.
        differences: between our protocol and the published one.
        warnings: what takes the meaning from the figures.
        remarks: what else is known, or not, of what the run has seen.
    """

    study: AnyStudy
    rows: tuple[Reached, ...]
    setup: Mapping[str, Any]
    notes: Sequence[str]
    differences: Sequence[str]
    warnings: Sequence[str] = ()
    remarks: Sequence[str] = ()

    @property
    def title(self) -> str:
        """What was done, on what."""
        return f"{self.study.method} on {self.study.title}"

    @property
    def beside(self) -> tuple[str, ...]:
        """Published figures of other methods."""
        return () if isinstance(self.study, FewShotStudy) else self.study.beside

    @property
    def has_distances(self) -> bool:
        """Whether the table has columns for them."""
        return any(row.hausdorff is not None for row in self.rows)

    @property
    def lists(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """All that has to be known to read the table: titles, and sentences below each."""
        sources = sorted({row.published.source for row in self.rows if row.published})
        return (
            ("Warnings", tuple(self.warnings)),
            ("What the run has seen", tuple(self.remarks)),
            ("As it was run", tuple(f"{name}: {value}" for name, value in self.setup.items())),
            ("Where the data are not what was published", tuple(self.notes)),
            ("The published figures", tuple(sources)),
            ("Other methods, as published there", self.beside),
            (_DIFFERENCES, tuple(self.differences)),
        )


def comparison_record(found: Comparison) -> dict[str, Any]:
    """As JSON values."""
    return {
        "experiment": f"{found.study.method} {found.study.name}",
        "title": found.study.title,
        "setup": dict(found.setup),
        "rows": [asdict(row) for row in found.rows],
        "data": list(found.notes),
        "differences": list(found.differences),
        "warnings": list(found.warnings),
        "run": list(found.remarks),
    }


def comparison_text(found: Comparison) -> str:
    """As Markdown: a table, then all that has to be known to read it."""
    far = found.has_distances
    first = found.rows[0]
    heads = [*first.measured(distances=far), *(f"published {name}" for name in first.beside(distances=far))]
    lines = ["| " + " | ".join(["test part", "cases", "prompt", *heads]) + " |", "|" + "---|" * (len(heads) + 3)]
    for row in found.rows:
        prompt = f"{row.prompt} (from the truth)" if row.from_truth else row.prompt
        figures = [*row.measured(distances=far).values(), *row.beside(distances=far).values()]
        lines.append("| " + " | ".join([row.part, str(row.cases), prompt, *figures]) + " |")
    blocks = [f"# {found.title}", "\n".join(lines), *(_listed(title, sentences) for title, sentences in found.lists)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def write_results(found: Comparison, folder: Path) -> None:
    """Store results.json and results.md.

    Raises:
        UnwritableOutput: when the operating system refuses.
    """
    record = json.dumps(comparison_record(found), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    for name, text in (("results.json", record), ("results.md", comparison_text(found))):
        atomic_text(folder / name, text)


def _distance(row: Reached) -> str:
    return "n/a" if row.hausdorff is None or row.hausdorff.mean is None else f"{row.hausdorff.mean:.2f}"


def _listed(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"## {title}", "", *(f"* {line}" for line in lines)]) if lines else ""
