"""What is written down beside a cached file: its digest, where it came from, and when."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from promisam.core.errors import WeightsError


@dataclass(frozen=True)
class Stamp:
    """A file's digest, with the size and time it had when the digest was taken.

    Hashing gigabytes at every start is slow, so a file that still has this size and time is taken to be the one hashed.

    Attributes:
        sha256: hexadecimal digest.
        size: bytes.
        mtime_ns: time of last change, in nanoseconds.
    """

    sha256: str
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> Stamp:
        """Hash a file; its size and time are read first, so that a change meanwhile shows."""
        before = path.stat()
        return cls(sha256(path), before.st_size, before.st_mtime_ns)

    def fits(self, path: Path) -> bool:
        """Whether the file still has the size and time of the stamp."""
        if not path.is_file():
            return False
        now = path.stat()
        return (now.st_size, now.st_mtime_ns) == (self.size, self.mtime_ns)


@dataclass(frozen=True)
class Record:
    """One installed checkpoint.

    Attributes:
        name: in the catalogue, or as the user called it.
        file: name of the original file in the checkpoint's folder.
        stamp: digest of that file.
        origin: address, wheel or local file that it came from.
        date: when it was stored, ISO 8601, UTC.
        like: for a user's own file: the catalogue's entry whose preprocessing, frame and learned prompts apply.
        converted: digest of `model.safetensors`, once it was made from the original.
    """

    name: str
    file: str
    stamp: Stamp
    origin: str
    date: str
    like: str | None = None
    converted: Stamp | None = None

    @property
    def sha256(self) -> str:
        """Digest of the original file."""
        return self.stamp.sha256

    def restamped(self, stamp: Stamp) -> Record:
        """The record after its file was hashed anew; what was converted from other content is forgotten."""
        return replace(self, stamp=stamp, converted=self.converted if stamp.sha256 == self.sha256 else None)

    def to_json(self) -> str:
        """Text of `record.json`."""
        rest = {"origin": self.origin, "date": self.date, "like": self.like}
        converted = asdict(self.converted) if self.converted else None
        fields = {"name": self.name, "file": self.file, **asdict(self.stamp), **rest, "converted": converted}
        return json.dumps(fields, indent=2) + "\n"

    @classmethod
    def read(cls, path: Path) -> Record:
        """Read `record.json`.

        Raises:
            WeightsError: for a file that is no such record.
        """
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            converted = _stamp(fields["converted"]) if fields["converted"] else None
            texts = {key: _text(fields[key]) for key in ("name", "file", "origin", "date")}
            like = None if fields["like"] is None else _text(fields["like"])
            found = cls(**texts, stamp=_stamp(fields), like=like, converted=converted)
        except (ValueError, KeyError, TypeError, OSError, RecursionError) as error:
            raise _damaged(path, f"{type(error).__name__}: {error}") from error
        if found.name != path.parent.name or Path(found.file).name != found.file or found.file in {"", ".."}:
            raise _damaged(path, f"names {found.name!r} and {found.file!r}")
        return found


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def today() -> str:
    """The present moment, ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _stamp(fields: dict[str, object]) -> Stamp:
    digest, size, mtime_ns = fields["sha256"], fields["size"], fields["mtime_ns"]
    if not isinstance(size, int) or not isinstance(mtime_ns, int):
        raise TypeError("size and mtime_ns must be whole numbers")
    return Stamp(_text(digest), size, mtime_ns)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} must be text")
    return value


def _damaged(path: Path, problem: str) -> WeightsError:
    return WeightsError(
        f"damaged record {path} ({problem})",
        expected="the record that promisam wrote",
        do=f"Delete the folder {path.parent} and get or import {path.parent.name} again.",
    )
