"""JSON files as people and other programs leave them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def load_json(path: Path, *, pairs: Callable[[list[tuple[str, Any]]], dict[str, Any]] | None = None) -> Any:  # noqa: ANN401
    """What a file in UTF-8 holds, with or without a byte order mark.

    Args:
        path: the file.
        pairs: makes an object of its keys and values; by default the last of equal keys counts.

    Raises:
        OSError: when it cannot be read.
        ValueError: when it is no JSON, or nested deeper than any file that means something.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=pairs)
    except RecursionError:
        raise ValueError("nested too deeply") from None
