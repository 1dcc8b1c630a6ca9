"""How a method came to its answers, also where it goes through a volume slice by slice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from promisam.core import Explains, Explanation, Grid, Prompts, Segmentation, Segmenter
from promisam.spatial.slices import EncodedVolume, SliceWise

Explain = Callable[[Any, Segmentation], Explanation]


def explainer(method: Segmenter) -> Explain | None:
    """What explains the method's own answer, from the encoded image and the answer; None for methods that do not."""
    if not method.automatic:
        return None
    if isinstance(method, SliceWise):
        inner, axis = method.method, method.axis
        return (lambda encoded, found: _of_volume(inner, axis, encoded, found)) if isinstance(inner, Explains) else None
    return (lambda encoded, _found: method.explain(encoded)) if isinstance(method, Explains) else None


def _of_volume(method: Explains, axis: int | None, encoded: EncodedVolume, found: Segmentation) -> Explanation:
    """Of the slices that hold something, by its area; of all of them where none does."""
    grid = encoded.grid
    along = grid.coarsest_axis if axis is None else axis
    area = found.mask().sum(axis=tuple(a for a in range(3) if a != along)).astype(np.float64)
    held = [int(index) for index in np.flatnonzero(area)] or list(range(len(area)))
    told = [method.explain(encoded.slice(along, index)) for index in held]
    weights = area[held] if area.any() else np.ones(len(held))
    return Explanation(
        float(np.average([one.confidence for one in told], weights=weights)),
        _flags([one.flags for one in told]),
        {name: float(np.mean([one.measures[name] for one in told if name in one.measures])) for name in _names(told)},
        tuple(_lifted(p, grid, along, index) for index, one in zip(held, told, strict=True) for p in one.prompts),
    )


def _names(told: Sequence[Explanation]) -> list[str]:
    return list(dict.fromkeys(name for one in told for name in one.measures))


def _flags(flags: Sequence[Sequence[str]]) -> tuple[str, ...]:
    counts = Counter(flag for some in flags for flag in some)
    return tuple(f"{flag} ({count} of {len(flags)} slices)" for flag, count in counts.items())


def _lifted(prompts: Prompts, grid: Grid, axis: int, index: int) -> Prompts:
    """Prompts of a slice on the volume: the inverse of `Prompts.slice`."""
    box = None if prompts.box_zyx is None else np.insert(prompts.box_zyx, axis, float(index), axis=1)
    mask = None
    if prompts.mask is not None:
        mask = np.zeros(grid.shape, bool)
        mask[(slice(None),) * axis + (index,)] = prompts.mask
    points = np.insert(prompts.points_zyx, axis, float(index), axis=1)
    return Prompts(grid, points, prompts.labels, box, mask, prompts.target)
