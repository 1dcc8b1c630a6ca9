"""`predictions.json`: what became of each image, what made its mask, and whether that had seen the image before."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from promisam import __version__
from promisam.core.errors import InvalidConfig, PromisamError, UnreadableFile, UnwritableOutput
from promisam.io import atomic_text
from promisam.io.atomic import full_suffix
from promisam.io.digest import file_digest
from promisam.io.json_file import load_json

REPORT = "predictions.json"
UNKNOWN = "unknown"
_REPORTS = "predictions*.json"
_SHARE = 0.05  # of the time may go into writing a report that grows
_SHOWN = 12  # characters of a fingerprint in a message


@dataclass(frozen=True)
class Maker:
    """What makes masks.

    Attributes:
        method: its name.
        file: its checkpoint; empty for a method that never learned.
        sha256: of that file.
        weights: of the SAM below it, by name; empty without one.
        fingerprint: of those weights.
    """

    method: str
    file: str = ""
    sha256: str = ""
    weights: str = ""
    fingerprint: str = ""

    @property
    def identity(self) -> str:
        """Differs for all that differ in what they answer, wherever their files lie."""
        return self.sha256 or " ".join(part for part in (self.method, self.weights, self.fingerprint) if part)

    def __str__(self) -> str:
        """As a person tells them apart."""
        return f"{self.file or self.method} ({(self.sha256 or self.fingerprint)[:_SHOWN] or 'no fingerprint'})"


@dataclass(frozen=True)
class Done:
    """What became of one input.

    Attributes:
        image: whole path of its first file, from whichever folder the report is read; relative in older reports.
        output: path of the mask.
        status: "done", "skipped" (there already) or "failed".
        reason: why it failed, or what is not known of one that was there already.
        seconds: that it took to make.
        trained_on: whether the method learned from this image.
        trained_by: what says so: "content" (equal files), "name", "group", or "name alone" for a training case's name on other
            content in another data set, which does not count.
        validated_on: whether the method's checkpoint was chosen by its score on this image.
        mask: name of the mask in the folder of the report.
        sha256: of the mask's file.
        made_by: identity of what made the mask, where it is not what the head of the report names.
        confidence: the Dice that the method expects to have reached, where it says so.
        flags: what a person should know of the mask.
        measures: what the confidence was made of.
    """

    image: str
    output: str
    status: str
    reason: str = ""
    seconds: float = 0.0
    trained_on: bool = False
    trained_by: str = ""
    validated_on: bool = False
    mask: str = ""
    sha256: str = ""
    made_by: str = ""
    confidence: float | None = None
    flags: tuple[str, ...] = ()
    measures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """One file of the folder's reports."""

    path: Path
    maker: Maker | None
    rows: tuple[Done, ...]

    @property
    def identity(self) -> str:
        """Of what made the masks, unless a row says otherwise."""
        return UNKNOWN if self.maker is None else self.maker.identity


def read_reports(folder: Path) -> list[Report]:
    """All reports of predictions in a folder, those of shards included; JSON files of other programs are passed over.

    Raises:
        UnreadableFile: for a damaged one.
    """
    found = [_read(path) for path in sorted(folder.glob(_REPORTS)) if path.is_file()]
    return [report for report in found if report is not None]


def _read(path: Path) -> Report | None:
    try:
        told = load_json(path)
    except (OSError, ValueError) as error:
        raise UnreadableFile(
            f"{path} ({error})", expected="a report of predictions", do="Remove it if it is not needed."
        ) from None
    rows = told.get("predictions") if isinstance(told, dict) else None
    if not isinstance(rows, list) or not all(_is_row(row) for row in rows):
        return None
    head = told.get("checkpoint")
    maker = Maker(**_known(Maker, head)) if isinstance(head, dict) and "method" in head else None
    read = [row_of(row) for row in rows]
    return Report(path, maker, tuple(replace(row, mask=row.mask or Path(row.output).name) for row in read))


def row_of(told: Mapping[str, Any]) -> Done:
    """A row from its JSON values; those of a newer version are passed over."""
    return Done(**_known(Done, told))


def _is_row(row: object) -> bool:
    return isinstance(row, dict) and all(isinstance(row.get(name), str) for name in ("image", "output", "status"))


def _known(kind: type[Done] | type[Maker], told: Mapping[str, Any]) -> dict[str, Any]:
    names = {one.name for one in fields(kind)}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in told.items() if name in names}


class Book:
    """The report of this run as it grows, with what earlier ones said of masks that are still there."""

    def __init__(self, folder: Path, name: str, maker: Maker | None) -> None:
        """Read what is there.

        Raises:
            UnreadableFile: for a damaged report.
            UnwritableOutput: when a file of another program has the report's name.
        """
        self.path = folder / name
        self.maker = maker
        self._reports = read_reports(folder) if folder.is_dir() else []
        own = next((report for report in self._reports if report.path == self.path), None)
        if own is None and self.path.exists():
            raise UnwritableOutput(
                f"{self.path}, which is no report of promisam", expected="a folder for masks", do="Choose another folder."
            )
        self._rows = {case_of(row): self._foreign(row, own) for row in own.rows if _there(row, folder)} if own else {}
        self._written, self._cost = time.monotonic(), 0.0

    @property
    def identity(self) -> str:
        """Of what makes masks now."""
        return UNKNOWN if self.maker is None else self.maker.identity

    def check_same(self) -> None:
        """Refuse to add to the masks of another method.

        Raises:
            InvalidConfig: naming both.
        """
        for report in self._reports:
            made = any(row.status != "failed" and (self.path.parent / row.mask).is_file() for row in report.rows)
            if made and self.maker and report.maker and report.identity != self.identity:
                raise InvalidConfig(
                    f"{self.path.parent}, whose masks {report.maker} made, for those of {self.maker}",
                    expected="one method's masks in a folder",
                    do="Choose another folder, or pass --overwrite to make them again.",
                )

    def skipped(self, row: Done, file: Path) -> Done:
        """A row for a mask that is there, with what an earlier report says of it."""
        digest = file_digest(file)
        told = [(self._foreign(old, report), report) for report in self._reports for old in report.rows if old.mask == row.mask]
        told = [(old, report) for old, report in told if old.status != "failed"]
        exact = [(old, report) for old, report in told if old.sha256 == digest] or [one for one in told if not one[0].sha256]
        if not exact:
            reason = "changed since it was made" if told else "there before, and no report says what made it"
            return replace(row, status="skipped", reason=reason, sha256=digest, made_by=UNKNOWN)
        old = exact[-1][0]
        return replace(
            row,
            status="skipped",
            reason=old.reason,
            seconds=old.seconds,
            trained_on=row.trained_on or old.trained_on,
            trained_by=row.trained_by or old.trained_by,
            validated_on=row.validated_on or old.validated_on,
            sha256=digest,
            made_by=old.made_by,
            confidence=old.confidence,
            flags=old.flags,
            measures=old.measures,
        )

    def add(self, row: Done) -> None:
        """Note a row, and write as often as it costs little: a process that is killed then leaves hardly a mask untold."""
        self._rows[case_of(row)] = row
        if time.monotonic() - self._written > self._cost / _SHARE:
            self.write()

    def write(self) -> None:
        """Store the report, whole or not at all.

        Raises:
            UnwritableOutput: when the operating system refuses.
        """
        begun = time.monotonic()
        content = {
            "format": 1,
            "promisam": __version__,
            "checkpoint": None if self.maker is None else asdict(self.maker),
            "predictions": [asdict(self._rows[case]) for case in sorted(self._rows)],
        }
        atomic_text(self.path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        self._written = time.monotonic()
        self._cost = self._written - begun

    def _foreign(self, row: Done, report: Report | None) -> Done:
        """The row as it reads below this run's head."""
        maker = row.made_by or (report.identity if report else UNKNOWN)
        return replace(row, made_by="" if maker == self.identity else maker)


def case_of(row: Done) -> str:
    """Name of the case: of the mask without its suffix, which may not have been known when it failed."""
    return row.mask.removesuffix(full_suffix(row.mask))


def _there(row: Done, folder: Path) -> bool:
    """Whether what a row tells of still exists."""
    return Path(row.image).exists() if row.status == "failed" else (folder / row.mask).is_file()


@dataclass(frozen=True)
class Told:
    """What reports say of masks.

    Attributes:
        rows: by the mask's file; where several reports tell of it, those that knew this very file.
        makers: what made them.
    """

    rows: Mapping[Path, tuple[Done, ...]]
    makers: tuple[Maker, ...]

    def trained(self) -> list[Path]:
        """Masks of images that their method learned from."""
        return [file for file, rows in self.rows.items() if any(row.trained_on for row in rows)]

    def validated(self) -> list[Path]:
        """Masks of images that their method's checkpoint was chosen by."""
        return [file for file, rows in self.rows.items() if any(row.validated_on for row in rows)]


def told_of(masks: Sequence[Path]) -> Told:
    """What the reports beside masks say of them. A mask that was changed since keeps its marks.

    Raises:
        UnreadableFile: for a damaged report.
    """
    reports = {folder: read_reports(folder) for folder in {mask.parent for mask in masks}}
    rows: dict[Path, tuple[Done, ...]] = {}
    makers: dict[Maker, None] = {}
    for mask in masks:
        found = [(row, report) for report in reports[mask.parent] for row in report.rows if row.mask == mask.name]
        if len(found) > 1:
            digest = _digest(mask)
            found = [one for one in found if one[0].sha256 == digest] or found
        if found:
            rows[mask] = tuple(row for row, _ in found)
            makers |= {report.maker: None for row, report in found if report.maker and not row.made_by}
    return Told(rows, tuple(makers))


def _digest(path: Path) -> str:
    try:
        return file_digest(path)
    except PromisamError:
        return ""
