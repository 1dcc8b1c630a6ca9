"""A method without weights whose answer is a function of place: the ellipse that fills the box, less one in its middle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from pydantic import BaseModel, ConfigDict

from geometries import every_index
from promisam.core import Grid, Image, PromptKind, Prompts, Scores, check_prompts

HOLE = 0.4  # of the ellipse, where a click off the object asks for one


class Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class Level:
    """A field that any function of array coordinates makes; it counts the points that were asked of it."""

    grid: Grid
    level: Callable[[np.ndarray, np.ndarray], np.ndarray]  # of y and x
    rounds: list[int] = field(default_factory=list)

    def at(self, points_zyx: np.ndarray) -> np.ndarray:
        self.rounds.append(len(points_zyx))
        assert len(points_zyx)
        assert (points_zyx >= -0.5).all()
        assert (points_zyx <= np.array(self.grid.shape) - 0.5).all()
        return np.asarray(self.level(*points_zyx.T), np.float32)

    def on(self, grid: Grid) -> Scores:
        places = self.grid.to_index(grid.to_mm(every_index(grid.shape)))
        return Scores(np.asarray(self.level(*places.T), np.float32).reshape(1, *grid.shape), grid, (0.75,))


def disc(y0: float, x0: float, ry: float, rx: float, hole: float = 0.0) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """An ellipse; `hole` is the share of its radii that is left out in the middle. Steep, and not linear, as networks are."""

    def level(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        r = np.hypot((y - y0) / ry, (x - x0) / rx)
        return 20 * np.tanh(3 * np.minimum(1 - r, r - hole if hole else 1 - r))

    return level


@dataclass(frozen=True)
class Seen:
    grid: Grid


class Disc:
    uses_sam = False
    ndim = 2
    automatic = False
    classes: tuple[str, ...] = ()
    accepts: frozenset[PromptKind] = frozenset({"box", "points"})

    def __init__(self, sam: None, config: Config) -> None:
        assert sam is None
        self.config = config

    def prepare(self, image: Image) -> Image:
        return image

    def check(self, grid: Grid, prompts: Prompts) -> None:
        check_prompts(self.accepts, grid, prompts, "Give a box.")

    def encode(self, image: Image) -> Seen:
        return Seen(image.grid)

    def field(self, encoded: Seen, prompts: Prompts) -> Level:
        self.check(encoded.grid, prompts)
        (y0, x0), (ry, rx) = prompts.box_zyx.mean(0), np.diff(prompts.box_zyx, axis=0)[0] / 2 + 0.5
        return Level(encoded.grid, disc(y0, x0, ry, rx, HOLE if (prompts.labels == 0).any() else 0.0))

    def decode(self, encoded: Seen, prompts: Prompts) -> Scores:
        return self.field(encoded, prompts).on(encoded.grid)


class Pixels(Disc):
    """The same, of a method that can answer on the image's own samples only."""

    field = None
