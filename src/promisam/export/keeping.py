"""Exports that are made when they are first needed, and kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from promisam import __version__, store, zoo
from promisam.core import Segmenter
from promisam.core.errors import UnreadableFile, WeightsError
from promisam.export.header import FORMAT
from promisam.export.loading import load
from promisam.export.packages import optional
from promisam.export.places import checkpoint
from promisam.io.digest import file_digest
from promisam.store.backbone import Report

KEPT = "_onnx"  # folder of the cache: no name of weights begins like that


def kept(
    source: str | Path,
    sam: store.Source,
    *,
    ndim: int = 2,
    config: Mapping[str, object] | None = None,
    slices: Report | None = None,
) -> Segmenter:
    """The method of an export in the cache, which is made now if it is not there.

    Args:
        source: as of `export`.
        sam: likewise.
        ndim: as of `load`.
        config: likewise.
        slices: likewise.

    Raises:
        PromisamError: as of `export` and of `load`.
    """
    optional("onnxruntime")
    cache = sam.cache or zoo.Cache.default()
    name = cache.root / KEPT / f"{_key(source, sam, cache)}.onnx"
    with suppress(UnreadableFile, WeightsError):  # never made, or damaged since
        return load(name, ndim=ndim, config=config, slices=slices)
    from promisam.export.exporting import export

    export(source, name, sam=sam, overwrite=True)
    return load(name, ndim=ndim, config=config, slices=slices)


def _key(source: str | Path, sam: store.Source, cache: zoo.Cache) -> str:
    """Changes with everything that an export depends on."""
    trained = checkpoint(source)
    facts: list[Any] = [FORMAT, __version__, sam.side]
    if trained is None:
        found = zoo.resolve(source, cache, like=sam.like, offline=sam.offline, report=sam.report)
        name = found.name
        below = found.entry.source.base if isinstance(found.entry.source, zoo.Packaged) else ""
        facts += [found.sha256, found.entry.scaling, sorted(found.entry.prompts), zoo.entry(below).sha256 if below else ""]
    else:
        name = trained.resolve().parent.name
        facts += [file_digest(trained)]
    return f"{name}-{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]}"
