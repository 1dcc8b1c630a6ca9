"""Promptable medical image segmentation with Segment Anything models."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Name -> module. Resolved on first use, so that `import promisam` stays light and needs no torch.
_HOMES = {
    "Grid": "promisam.core",
    "Image": "promisam.core",
    "Prompts": "promisam.core",
    "Scores": "promisam.core",
    "Segmentation": "promisam.core",
    "Segmenter": "promisam.core",
    "Window": "promisam.core",
    "predict": "promisam.core",
    "to_segmentation": "promisam.core",
    "PromisamError": "promisam.core.errors",
    "read": "promisam.io",
    "read_segmentation": "promisam.io",
    "write": "promisam.io",
    "PlainSam": "promisam.methods.plain_sam",
    "SliceWise": "promisam.spatial.slices",
    "load": "promisam.store",
}

__all__ = [*sorted(_HOMES), "__version__"]

if TYPE_CHECKING:
    from promisam.core import (
        Grid,
        Image,
        Prompts,
        Scores,
        Segmentation,
        Segmenter,
        Window,
        predict,
        to_segmentation,
    )
    from promisam.core.errors import PromisamError
    from promisam.io import read, read_segmentation, write
    from promisam.methods.plain_sam import PlainSam
    from promisam.spatial.slices import SliceWise
    from promisam.store import load


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module attribute can be anything
    """Import a public name from its home module."""
    if name not in _HOMES:
        raise AttributeError(f"module 'promisam' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Public names, for completion."""
    return list(__all__)
