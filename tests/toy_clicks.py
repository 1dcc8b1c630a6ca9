"""A method of volumes that learns one number and marks a ball around each click: to test experiments of clicks with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from promisam.core import Grid, Image, PromptKind, Prompts, Scores, check_prompts
from promisam.methods.promise3d.config import Config
from promisam.training.recipe import Recipe

__all__ = ["Ball", "Config"]  # options are those of ProMISe-3D, so that those of its experiments are tested
REACH = 4.0  # millimetres


@dataclass(frozen=True)
class Seen:
    grid: Grid


class Ball:
    uses_sam = False
    ndim = 3
    automatic = False
    variants = 1
    recipe = Recipe(epochs=1)
    accepts: frozenset[PromptKind] = frozenset({"points"})
    precompute_settings: dict[str, object] = {}  # noqa: RUF012

    def __init__(self, sam, config, task=None):
        assert sam is None
        self.config, self.task = config, task
        self.network = nn.Linear(1, 1)

    @property
    def classes(self):
        return () if self.task is None else self.task.classes

    def prepare(self, image: Image) -> Image:
        return image

    def check(self, grid: Grid, prompts: Prompts) -> None:
        check_prompts(self.accepts, grid, prompts, "Give a click.")

    def encode(self, image: Image) -> Seen:
        return Seen(image.grid)

    def decode(self, encoded: Seen, prompts: Prompts) -> Scores:
        self.check(encoded.grid, prompts)
        reach = REACH + self.config.adapters + self.config.boundary / 20  # so that components differ
        places = encoded.grid.to_mm(np.argwhere(np.ones(encoded.grid.shape)))
        away = np.linalg.norm(places[:, None] - encoded.grid.to_mm(prompts.points_zyx), axis=2).min(axis=1)
        return Scores((reach - away).reshape(1, *encoded.grid.shape).astype(np.float32), encoded.grid)

    def precompute(self, example, variant):
        return {"share": np.array([example.truth.mask().mean()], np.float32)}

    def recall(self, grid, kept):
        return Seen(grid)

    def sample(self, kept, generator):
        return {"share": torch.from_numpy(np.array(kept["share"]))}

    def loss(self, batch):
        return {"square": (self.network(torch.ones_like(batch["share"])) - batch["share"]).square().mean()}

    def validation_prompts(self, labelled, generator):
        return [Prompts(labelled.image.grid).click(np.argwhere(labelled.truth.mask())[0].tolist())]
