"""What was computed once and is needed again: arrays on disk, found by what they were computed from.

A folder of files that can be deleted at any time. A key names everything that the arrays depend on, so nothing stale is found.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import safetensors
from safetensors.numpy import load_file, save_file

from promisam.sam.disk import tensor_file

FORMAT = 1  # raised when equal keys would mean other arrays
Arrays = Mapping[str, np.ndarray]


class Kept:
    """A store of arrays: on disk below a folder, or, without one, in memory."""

    def __init__(self, root: Path | None = None) -> None:
        """Use a folder, which is made when something is stored."""
        self.root = root
        self._memory: dict[str, Arrays] = {}

    def get(self, key: Mapping[str, object], make: Callable[[], Arrays]) -> Arrays:
        """The arrays of that key, computed and stored if they are not there.

        Args:
            key: JSON values that name everything the arrays depend on.
            make: computes them.

        Raises:
            UnwritableOutput: when the folder cannot be written.
        """
        name = digest(key)
        if self.root is None:
            if name not in self._memory:
                self._memory[name] = make()
            return self._memory[name]
        path = self.root / name[:2] / f"{name}.safetensors"
        if path.exists():
            try:
                return dict(load_file(path))
            except (safetensors.SafetensorError, OSError, ValueError):
                path.unlink(missing_ok=True)  # cut short or damaged by something else: it is made again
        made = {k: np.ascontiguousarray(v) for k, v in make().items()}
        with tensor_file(path) as partial:
            save_file(made, partial)
        return made


def digest(key: Mapping[str, object]) -> str:
    """SHA-256 of JSON values, independent of the order of names."""
    text = json.dumps([FORMAT, key], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
