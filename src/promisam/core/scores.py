"""What a method answers: how sure it is of every sample."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from promisam.core.errors import GeometryError, GridMismatch
from promisam.core.grid import Grid
from promisam.core.segmentation import Segmentation


@dataclass(frozen=True, eq=False)
class Scores:
    """Logits on the input's own grid, one channel per object or class: positive means inside.

    Attributes:
        logits: (objects, *grid.shape).
        grid: the grid of the image that was encoded.
        quality: the method's own estimate of the IoU of each object; empty when it gives none.

    Raises:
        GeometryError: when logits and grid disagree.
    """

    logits: Float32[np.ndarray, "c *grid"]
    grid: Grid
    quality: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Check the shape."""
        if self.logits.shape[1:] != self.grid.shape:
            raise GeometryError(
                f"scores of shape {self.logits.shape} on a grid of {self.grid.shape}",
                expected="equal shapes behind the channel",
                do="Bring the scores back to the image's grid before returning them.",
            )


def to_segmentation(scores: Iterable[Scores], names: Sequence[str] = ()) -> Segmentation:
    """One label per object, in order from 1; objects of one name share theirs. Where objects overlap, the higher score wins.

    Takes an iterable and holds one running maximum, so that many objects of a large volume need the memory of one.

    Args:
        scores: answers on one grid, one or more channels each.
        names: a name for each object, in order; the rest are called "object <number>".

    Raises:
        GridMismatch: when the answers lie on different grids.
    """
    best: np.ndarray | None = None
    labels: np.ndarray = np.zeros(0, np.uint16)
    grid: Grid | None = None
    number = 0  # of the object
    values: dict[str, int] = {}
    for answer in scores:
        if grid is None or best is None:
            grid, best, labels = answer.grid, np.zeros(answer.grid.shape, np.float32), np.zeros(answer.grid.shape, np.uint16)
        elif not answer.grid.matches(grid):
            raise GridMismatch(f"scores on {answer.grid}", expected=f"all on {grid}", do="Predict on one image at a time.")
        for channel in answer.logits:
            number += 1
            name = names[number - 1] if number <= len(names) else f"object {number}"
            wins = channel > best
            labels[wins] = values.setdefault(name, len(values) + 1)
            best[wins] = channel[wins]
    if grid is None:
        raise GeometryError("no scores", expected="at least one object", do="Give at least one prompt.")
    smallest = labels.astype(np.uint8) if len(values) < 256 else labels
    return Segmentation(smallest, grid, {value: name for name, value in values.items()})
