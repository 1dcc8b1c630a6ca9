"""The folder that holds weights: one folder a checkpoint, and in each the original file, its record, and its conversion.

    root/<name>/<file>               the original, byte for byte
    root/<name>/record.json          its digest, origin and date
    root/<name>/model.safetensors    what another layer made from it

Every file lands by a rename, so a crash never leaves half a file under a final name.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

from promisam.core.errors import InvalidConfig, UnwritableOutput, WeightsError
from promisam.zoo.record import Record, Stamp

CONVERTED = "model.safetensors"
RECORD = "record.json"

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")  # one case only: some disks do not tell `A` from `a`


@dataclass(frozen=True)
class Cache:
    """A folder of weights. Creating the value touches no disk.

    Attributes:
        root: the folder; it need not exist yet.
    """

    root: Path

    @classmethod
    def default(cls) -> Cache:
        """The user's cache folder, or the one that PROMISAM_CACHE names."""
        chosen = os.environ.get("PROMISAM_CACHE")
        return cls(Path(chosen).expanduser().absolute() if chosen else user_cache_path("promisam", appauthor=False))

    def folder(self, name: str) -> Path:
        """Where a checkpoint lives.

        Raises:
            InvalidConfig: for a name that could lead out of the cache.
        """
        return self.root / checked_name(name)

    def converted(self, name: str) -> Path:
        """Where a checkpoint's safetensors conversion lives, whether or not it was made."""
        return self.folder(name) / CONVERTED

    def record(self, name: str) -> Record | None:
        """What is known about an installed checkpoint; None if it is not installed.

        Raises:
            WeightsError: for a damaged record.
        """
        path = self.folder(name) / RECORD
        return Record.read(path) if path.is_file() else None

    def names(self) -> list[str]:
        """Names that have a record, readable or not, in alphabetical order."""
        if not self.root.is_dir():
            return []
        return sorted(f.name for f in self.root.iterdir() if _NAME.fullmatch(f.name) and (f / RECORD).is_file())

    def installed(self) -> list[Record]:
        """The readable records of files that are there, imported ones included."""
        found = []
        for name in self.names():
            with suppress(WeightsError):
                record = Record.read(self.folder(name) / RECORD)
                if (self.folder(name) / record.file).is_file():
                    found.append(record)
        return found

    def keep(self, record: Record) -> None:
        """Write a record, whole or not at all.

        Raises:
            UnwritableOutput: if the cache cannot be written.
        """
        path = self.folder(record.name) / RECORD
        temporary = beside(path)
        try:
            with storing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                temporary.write_text(record.to_json(), encoding="utf-8")
                temporary.replace(path)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def keep_converted(self, name: str) -> Record:
        """Hash the conversion that was just made and note it in the record.

        Raises:
            WeightsError: if the checkpoint is not installed.
            UnwritableOutput: if the conversion is missing or the record cannot be written.
        """
        record = self.record(name)
        if record is None:
            raise WeightsError(f"no weights {name!r} in {self.root}", expected="an installed checkpoint", do="Get it first.")
        with storing(self.converted(name)):
            stamp = Stamp.of(self.converted(name))
        kept = replace(record, converted=stamp)
        self.keep(kept)
        return kept

    def has_converted(self, name: str) -> bool:
        """Whether the conversion is there and is the one that the record describes."""
        record = self.record(name)
        if record is None or record.converted is None or not self.converted(name).is_file():
            return False
        return record.converted.fits(self.converted(name)) or record.converted.sha256 == Stamp.of(self.converted(name)).sha256

    @contextmanager
    def lock(self, name: str) -> Iterator[Path]:
        """Hold a checkpoint's folder alone among all processes; the others wait. Gives the folder, which then exists.

        Raises:
            UnwritableOutput: if the folder cannot be made or locked.
        """
        folder = self.folder(name)
        with storing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(folder / ".lock")
            try:
                lock.acquire()
            except NotImplementedError as error:  # filelock without a fallback for such disks
                raise OSError(errno.ENOLCK, "this file system has no locks") from error
        try:
            yield folder
        finally:
            lock.release()


def checked_name(name: str) -> str:
    """The name itself, if it is safe as the name of a folder.

    Raises:
        InvalidConfig: otherwise.
    """
    if _NAME.fullmatch(name):
        return name
    raise InvalidConfig(
        f"the name {name!r} for weights",
        expected="1 to 64 of a-z, 0-9, _ and -, beginning with a letter or digit",
        do="Choose another name, without folders.",
    )


@contextmanager
def storing(target: Path) -> Iterator[None]:
    """Turn the disk's refusals into UnwritableOutput."""
    try:
        yield
    except OSError as error:
        raise UnwritableOutput(
            f"cannot write {target} ({error.strerror or error})",
            expected="a folder with room that you may write",
            do=_remedy(error),
        ) from error


def beside(final: Path) -> Path:
    """A temporary name in the same folder, never used twice."""
    return final.with_name(f".{final.name}.{secrets.token_hex(4)}")


def land(partial: Path, final: Path) -> None:
    """Move a complete file to its final name, after it reached the disk.

    Raises:
        UnwritableOutput: if the disk refuses.
    """
    with storing(final):
        with partial.open("rb") as stream:
            os.fsync(stream.fileno())
        partial.replace(final)


def _remedy(error: OSError) -> str:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "Free some space, or set PROMISAM_CACHE to a folder on a larger disk, and repeat."
    return "Set PROMISAM_CACHE to a folder that you may write, and repeat."
