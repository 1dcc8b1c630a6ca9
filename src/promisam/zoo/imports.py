"""Weights that come from a person: import a file, and turn what was typed into a verified file and its entry.

No file is unpickled here.
"""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from promisam.core.errors import InvalidConfig, UnwritableOutput, WeightsError
from promisam.zoo.cache import Cache, beside, checked_name, land, storing
from promisam.zoo.catalogue import CATALOGUE, Entry, Manual, by_sha256, entry, nearest
from promisam.zoo.download import Report
from promisam.zoo.fetch import get, in_cache
from promisam.zoo.record import Record, Stamp, sha256, today

SIZE_TOLERANCE = 0.05  # of an entry whose exact size is not published

_OWN = "for weights of your own pass `--as NAME --like {}`."


@dataclass(frozen=True)
class Resolved:
    """Verified weights.

    Attributes:
        path: the original file.
        sha256: its digest.
        entry: what is known about it; for a user's own file, that of the weights it is like, renamed.
        name: how to call it.
    """

    path: Path
    sha256: str
    entry: Entry
    name: str


def import_file(path: str | Path, cache: Cache, *, name: str | None = None, like: str | None = None) -> Record:
    """Copy a local file into the cache, whole or not at all. A catalogue's file is recognised by its digest.

    Args:
        path: the file; it stays where it is.
        cache: where the copy goes.
        name: how to call it; may be left out for a file that is recognised.
        like: for a file that is not recognised: the catalogue's entry whose preprocessing, frame and learned prompts apply.

    Raises:
        WeightsError: for a file that is missing, unknown, or not the one that its name promises.
        InvalidConfig: for an unsafe name, or a `like` that contradicts what the file is.
        UnwritableOutput: if the cache cannot be written.
    """
    source = _existing(Path(path))
    digest = _stamped(source).sha256
    known = by_sha256(digest)
    name, like = _identify(source, digest, known, name, like)
    with cache.lock(name) as folder:
        before = cache.record(name)
        _refuse_other_content(name, digest, before, folder)
        final = folder / (entry(name).file if name in CATALOGUE else _own_file(source))
        if not (final.is_file() and final.samefile(source)):
            _copy(source, final, digest)
        record = Record(name, final.name, Stamp.of(final), f"imported from {source.resolve()}", today(), like)
        if before and before.converted and before.like == like:
            record = replace(record, converted=before.converted)
        cache.keep(record)
    return record


def resolve(
    name_or_path: str | Path, cache: Cache, *, like: str | None = None, offline: bool = False, report: Report | None = None
) -> Resolved:
    """Turn what a person typed into a verified file and what is known about it.

    Tried in this order: a name in the catalogue (fetched if need be), an imported name, an existing file.

    Raises:
        WeightsError: for what is none of these, for a damaged file, or for an unknown file without `like`.
        InvalidConfig: if `like` contradicts what the weights are.
        DownloadFailed: if a catalogue's file is not at hand and cannot be fetched.
    """
    text = str(name_or_path)
    if text in CATALOGUE:
        _agree(text, like, text)
        file = get(text, cache, offline=offline, report=report)
        digest = CATALOGUE[text].sha256 or _recorded(text, cache).sha256
        return Resolved(file, digest, CATALOGUE[text], text)
    if text in cache.names():
        record = _recorded(text, cache)
        _agree(text, like, record.like)
        return Resolved(path(text, cache), record.sha256, _renamed(record.like or "", text, record.file, record.stamp), text)
    if not Path(name_or_path).is_file() and Path(text).name == text and not Path(text).suffix:
        raise _unknown_name(text, cache)
    file = _existing(Path(name_or_path))
    stamp = _stamped(file)
    known = by_sha256(stamp.sha256)
    if known:
        _agree(text, like, known.name)
        return Resolved(file, stamp.sha256, known, known.name)
    if like is None:
        raise _unknown_file(file, stamp.sha256, "Pass `--like NAME`")
    return Resolved(file, stamp.sha256, _renamed(like, file.stem, file.name, stamp), file.stem)


def verify(name: str, cache: Cache) -> Record:
    """Read an installed checkpoint again in full, its conversion too, and renew its stamp.

    Raises:
        WeightsError: if it is not installed or its content changed, with both digests.
    """
    record = _recorded(name, cache)
    published = CATALOGUE[name].sha256 if name in CATALOGUE else None
    stamp = _check(cache.folder(name) / record.file, published or record.sha256, f"get or import {name} again")
    kept = record.restamped(stamp)
    if kept.converted and cache.converted(name).is_file():
        kept = replace(kept, converted=_check(cache.converted(name), kept.converted.sha256, "it is then made again"))
    if kept != record:
        with suppress(UnwritableOutput):  # a cache that is read-only can be verified too
            cache.keep(kept)
    return kept


def path(name: str, cache: Cache) -> Path:
    """The verified original file of an installed checkpoint. Nothing is fetched.

    Raises:
        WeightsError: if it is not installed or its content changed.
    """
    if name in CATALOGUE:
        file = in_cache(CATALOGUE[name], cache)
        if file:
            return file
    record = _recorded(name, cache)
    file = cache.folder(name) / record.file
    return file if record.stamp.fits(file) else cache.folder(name) / verify(name, cache).file


def _existing(file: Path) -> Path:
    if file.is_file():
        return file
    found = "a folder" if file.is_dir() else "no file"
    raise WeightsError(f"{file} is {found}", expected="a file of weights", do="Check the path.")


def _stamped(file: Path) -> Stamp:
    try:
        return Stamp.of(file)
    except OSError as error:
        problem = f"{file} cannot be read ({error.strerror})"
        raise WeightsError(problem, expected="a file that you may read", do="Check its permissions.") from error


def _identify(source: Path, digest: str, known: Entry | None, name: str | None, like: str | None) -> tuple[str, str | None]:
    """The name to keep it under, and for a user's own name what it is like."""
    if name is not None:
        checked_name(name)
    if name in CATALOGUE:
        _agree(name, like, name)
        _refuse_foreign(source, digest, known, entry(name))
        return name, None
    if known:
        _agree(str(source), like, known.name)
        return (known.name, None) if name is None else (name, known.name)
    if name is None or like is None:
        raise _unknown_file(source, digest, "Pass `--as NAME --like NAME`")
    return name, entry(like).name


def _refuse_foreign(source: Path, digest: str, known: Entry | None, claimed: Entry) -> None:
    """Refuse a file that is not the entry it is said to be; where no digest is published, judge by the size."""
    if known == claimed:
        return
    if known or claimed.sha256:
        raise WeightsError(
            f"{source} as {claimed.name} has the SHA-256 {digest}",
            expected=claimed.sha256 or "a file that is not another entry of the catalogue",
            do=f"It is {known.name}: leave --as out." if known else f"Fetch it again; {_OWN.format(claimed.name)}",
        )
    size = source.stat().st_size
    if abs(size - claimed.size) > SIZE_TOLERANCE * claimed.size:
        raise WeightsError(
            f"{source} as {claimed.name} has {size} bytes",
            expected=f"about {claimed.size}",
            do=f"Fetch it again; {_OWN.format(claimed.name)}",
        )


def _refuse_other_content(name: str, digest: str, before: Record | None, folder: Path) -> None:
    if before and before.sha256 != digest:
        raise WeightsError(
            f"a file with the SHA-256 {digest} for {name}",
            expected=f"{before.sha256}, recorded on {before.date}",
            do=f"Choose another name with --as, or delete {folder} to forget the first one.",
        )


def _own_file(source: Path) -> str:
    """A file name that cannot collide with the record or the conversion."""
    suffix = source.suffix.lower()
    return "original" + (suffix if re.fullmatch(r"\.[a-z0-9]{1,16}", suffix) else "")


def _copy(source: Path, final: Path, digest: str) -> None:
    temporary = beside(final)
    try:
        with storing(final):
            shutil.copyfile(source, temporary)
        if sha256(temporary) != digest:
            raise WeightsError(
                f"{source} changed while it was read", expected="a file at rest", do="Repeat when it is complete."
            )
        land(temporary, final)
    finally:
        with suppress(OSError):  # the first refusal is the one to tell
            temporary.unlink(missing_ok=True)


def _agree(what: str, like: str | None, actual: str | None) -> None:
    if like is not None and entry(like).name != actual:
        raise InvalidConfig(f"{what} as --like {like}", expected=f"--like {actual}, which it is", do="Leave --like out.")


def _recorded(name: str, cache: Cache) -> Record:
    record = cache.record(name)
    if record is None or not (cache.folder(name) / record.file).is_file():
        raise _unknown_name(name, cache)
    return record


def _check(file: Path, expected: str, then: str) -> Stamp:
    found = Stamp.of(file)
    if found.sha256 != expected:
        do = f"It was damaged or replaced: delete it; {then}."
        raise WeightsError(f"{file} has the SHA-256 {found.sha256}", expected=expected, do=do)
    return found


def _renamed(like: str, name: str, file: str, stamp: Stamp) -> Entry:
    note = f"A user's own weights, used like {like}."
    return replace(entry(like), name=name, file=file, sha256=stamp.sha256, size=stamp.size, source=Manual(()), note=note)


def _unknown_name(text: str, cache: Cache) -> WeightsError:
    if text in CATALOGUE:
        return WeightsError(
            f"{text} is not in the cache {cache.root}", expected="installed weights", do=f"Run `promisam weights get {text}`."
        )
    names = list(dict.fromkeys([*CATALOGUE, *cache.names()]))
    do = f"Did you mean {nearest(text, names)}?"
    return WeightsError(f"unknown weights {text!r}", expected=f"a file, or one of {', '.join(names)}", do=do)


def _unknown_file(file: Path, digest: str, advice: str) -> WeightsError:
    return WeightsError(
        f"{file} is unknown (SHA-256 {digest})",
        expected="a file of the catalogue, or to be told which known weights it was trained like",
        do=f"{advice}: one of {', '.join(CATALOGUE)}.",
    )
