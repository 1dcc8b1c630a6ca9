"""Parts of volumes: where to lay them, and how to cut them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Integer, Real

CENTRES = 1000  # labelled samples of each class that are kept to lay patches around (nnU-Net: 10,000)


def centres(labels: np.ndarray, classes: int) -> Integer[np.ndarray, "n 4"]:
    """Samples of every class as (class, z, y, x), evenly picked."""
    rows = [np.zeros((0, 4), np.int32)]
    for value in range(1, classes + 1):
        where = np.flatnonzero(labels == value)
        if len(where):
            picked = where[np.linspace(0, len(where) - 1, min(CENTRES, len(where))).round().astype(np.int64)]
            index = np.stack(np.unravel_index(picked, labels.shape), 1)
            rows.append(np.insert(index, 0, value, axis=1).astype(np.int32))
    return np.concatenate(rows)


def cut(array: Real[np.ndarray, "c z y x"], start: Sequence[int], shape: Sequence[int]) -> Real[np.ndarray, "c v u t"]:
    """`array[:, start:start + shape]` with 0 where that lies outside."""
    out = np.zeros((len(array), *shape), array.dtype)
    low = [max(a, 0) for a in start]
    high = [min(a + n, m) for a, n, m in zip(start, shape, array.shape[1:], strict=True)]
    there = tuple(slice(lo, hi) for lo, hi in zip(low, high, strict=True))
    here = tuple(slice(lo - a, hi - a) for lo, hi, a in zip(low, high, start, strict=True))
    out[(slice(None), *here)] = array[(slice(None), *there)]
    return out
