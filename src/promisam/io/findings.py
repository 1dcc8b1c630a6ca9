"""What is to be known about a file of a data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from promisam.core.errors import PromisamError

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing to know about one file.

    Attributes:
        file: its path.
        severity: an error keeps the file from being used as it is meant, a warning may, a note does not.
        reason: what is wrong or unusual.
        do: the fix that is proposed.
        label: the label that it concerns; None when it concerns the file.
        case: the case that it concerns, where that is known before its files are opened.
    """

    file: str
    severity: Severity
    reason: str
    do: str
    label: int | None = None
    case: str = ""


def refused(path: Path, error: PromisamError) -> Finding:
    """The finding for a file that could not be read."""
    reason = error.given.removeprefix(f"{path}, ").removeprefix(f"{path} ").removeprefix(f"the folder {path}, ")
    return Finding(str(path), "error", f"{reason}; expected {error.expected}", error.do)
