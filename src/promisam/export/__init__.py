"""Methods as ONNX files: written, compared with torch, and run by onnxruntime."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Name -> module. Resolved on first use: running a file needs nothing of what writes one.
_HOMES = {
    "EXPORTED": "promisam.export.places",
    "ExportedSam": "promisam.export.loading",
    "Written": "promisam.export.exporting",
    "described": "promisam.export.exporting",
    "export": "promisam.export.exporting",
    "is_exported": "promisam.export.places",
    "kept": "promisam.export.keeping",
    "load": "promisam.export.loading",
}

__all__ = ["EXPORTED", "ExportedSam", "Written", "described", "export", "is_exported", "kept", "load"]

if TYPE_CHECKING:
    from promisam.export.exporting import Written, described, export
    from promisam.export.keeping import kept
    from promisam.export.loading import ExportedSam, load
    from promisam.export.places import EXPORTED, is_exported


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module attribute can be anything
    """Import a public name from its module."""
    if name not in _HOMES:
        raise AttributeError(f"module 'promisam.export' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
