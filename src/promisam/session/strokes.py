"""What a brush covers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from promisam.core import Grid
from promisam.core.errors import InvalidPrompt
from promisam.session.region import Region


def stroke(path: Sequence[Sequence[float | int]], radius: float | int, grid: Grid) -> Region:
    """All samples of a slice or picture within a radius, in samples, of a line through places."""
    if not path or not 0 < radius <= max(grid.shape):
        raise InvalidPrompt(
            f"a stroke of {len(path)} places and radius {radius:g}", expected="places, and a radius above 0", do="Draw again."
        )
    places = np.asarray(path, np.float64)
    if not np.isfinite(places).all():
        raise InvalidPrompt("a stroke with places that are no numbers", expected="finite numbers", do="Draw again.")
    low = np.maximum(np.floor(places.min(0) - radius), 0).astype(int)
    high = np.minimum(np.ceil(places.max(0) + radius) + 1, grid.shape).astype(int)
    if (low >= high).any():
        return Region.none(2)
    near = np.zeros(high - low, bool)
    for start, end in pairwise(places) if len(places) > 1 else [(places[0], places[0])]:
        ends = np.stack([start, end])  # each piece of the line in its own box: a long stroke covers little of its own
        first = np.maximum(np.floor(ends.min(0) - radius).astype(int), low)
        last = np.minimum(np.ceil(ends.max(0) + radius).astype(int) + 1, high)
        if (first < last).all():
            part = tuple(slice(a - c, b - c) for a, b, c in zip(first, last, low, strict=True))
            near[part] |= _near(start, end, radius, first, last)
    return Region.of(near, [int(n) for n in low])


def _near(start: np.ndarray, end: np.ndarray, radius: float | int, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Which samples of a box lie within a radius of a piece of a line."""
    y, x = np.mgrid[first[0] : last[0], first[1] : last[1]]
    along = end - start
    length = float(along @ along)
    share = ((y - start[0]) * along[0] + (x - start[1]) * along[1]) / length if length else np.zeros(y.shape)
    share = np.clip(share, 0, 1)
    return np.asarray((y - start[0] - share * along[0]) ** 2 + (x - start[1] - share * along[1]) ** 2 <= radius**2)
