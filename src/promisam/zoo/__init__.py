"""Known checkpoints: fetch, verify, import. No torch, and no weight file is opened here beyond its bytes."""

from promisam.zoo.cache import Cache
from promisam.zoo.catalogue import (
    BACKBONE,
    CATALOGUE,
    DEFAULT,
    Entry,
    Manual,
    Packaged,
    Source,
    Url,
    Wheel,
    by_sha256,
    entry,
    in_words,
    that_learned,
)
from promisam.zoo.fetch import get
from promisam.zoo.imports import Resolved, import_file, path, resolve, verify
from promisam.zoo.record import Record, Stamp

__all__ = [
    "BACKBONE",
    "CATALOGUE",
    "DEFAULT",
    "Cache",
    "Entry",
    "Manual",
    "Packaged",
    "Record",
    "Resolved",
    "Source",
    "Stamp",
    "Url",
    "Wheel",
    "by_sha256",
    "entry",
    "get",
    "import_file",
    "in_words",
    "path",
    "resolve",
    "that_learned",
    "verify",
]
