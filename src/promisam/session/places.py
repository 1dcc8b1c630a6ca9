"""Places and regions between an image and the slices of it that a method is asked about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool

from promisam.core import Grid, Prompts, Scores
from promisam.session.drawing import Plane
from promisam.session.region import Region, Span


def lifted(at: np.ndarray, plane: Plane | None) -> tuple[float, ...]:
    """A place on a slice as one of the volume."""
    found = [float(x) for x in at]
    if plane is not None:
        found.insert(plane[0], float(plane[1]))
    return tuple(found)


def flat_axis(region: Region, grid: Grid) -> int:
    """The axis across a region of one slice, else that along which slices were acquired."""
    return next((axis for axis, n in enumerate(region.mask.shape) if n == 1), grid.coarsest_axis)


def everything(grid: Grid) -> Span:
    """The box around all of an image."""
    return tuple((0, n) for n in grid.shape)


def mask_of(scores: Scores, place: int) -> Bool[np.ndarray, "*grid"]:
    """The mask of one channel of scores."""
    return np.asarray(scores.logits[place] > 0)


def on_plane(answer: Region, grid: Grid, plane: Plane | None) -> Bool[np.ndarray, "*grid"]:
    """An answer on the image's axes as a mask of the slice, or image, that was asked about."""
    if plane is None:
        return answer.within(everything(grid))
    axis, index = plane
    span = list(everything(grid))
    span.insert(axis, (index, index + 1))
    return np.asarray(np.take(answer.within(tuple(span)), 0, axis))


def without(prompts: Prompts, index: int) -> Prompts:
    """With a point less."""
    kept = np.arange(len(prompts.points_zyx)) != index
    return replace(prompts, points_zyx=prompts.points_zyx[kept], labels=prompts.labels[kept])


def placed(prompts: Prompts, index: int, to: Sequence[float | int], plane: Plane | None) -> Prompts:
    """With a point elsewhere on its slice."""
    points = prompts.points_zyx.copy()
    points[index] = flat(to, prompts.grid, plane)
    return replace(prompts, points_zyx=points)


def flat(at: Sequence[float | int], grid: Grid, plane: Plane | None) -> list[float]:
    """A place on the grid that prompts are given on: of a volume's slice, without the axis across it."""
    if grid.ndim < len(at) and plane is not None:
        return [float(x) for axis, x in enumerate(at) if axis != plane[0]]
    return [float(x) for x in at]
