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
    y, x = np.mgrid[low[0] : high[0], low[1] : high[1]]
    near = np.zeros(y.shape, bool)
    ends = list(pairwise(places)) or [(places[0], places[0])]
    for start, end in ends:
        along = end - start
        length = float(along @ along)
        share = ((y - start[0]) * along[0] + (x - start[1]) * along[1]) / length if length else np.zeros(y.shape)
        share = np.clip(share, 0, 1)
        near |= (y - start[0] - share * along[0]) ** 2 + (x - start[1] - share * along[1]) ** 2 <= radius**2
    return Region.of(near, [int(n) for n in low])
