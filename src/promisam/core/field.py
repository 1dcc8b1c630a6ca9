"""Answers that are functions of place rather than arrays, so that a mask has any size and an outline no pixels."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Float64

from promisam.core.grid import Grid
from promisam.core.prompts import Prompts
from promisam.core.scores import Scores


@runtime_checkable
class Field(Protocol):
    """What a method answers as a continuous function over a picture, for one object: logits, positive inside."""

    @property
    def grid(self) -> Grid:
        """Grid of the picture that was encoded."""
        ...

    def at(self, points_zyx: Float64[np.ndarray, "n 2"]) -> Float32[np.ndarray, " n"]:
        """Logits at array coordinates (y, x) of `grid`; the picture reaches from -0.5 to its size - 0.5, both included."""
        ...

    def on(self, grid: Grid) -> Scores:
        """One channel of scores on a grid that covers the same picture at another resolution (`Grid.resample`)."""
        ...


@runtime_checkable
class Continuous(Protocol):
    """What a method of pictures may offer beside `Segmenter`: answers at any resolution."""

    def field(self, encoded: Any, prompts: Prompts) -> Field:  # noqa: ANN401 - each method has its own Encoded
        """The object that the prompts ask for, as `decode` answers it on the picture's own grid.

        Raises:
            PromisamError: as of `decode`.
        """
        ...
