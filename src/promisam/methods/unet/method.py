"""The method: what `Segmenter` and `Trainable` ask for, over pictures or volumes."""

from __future__ import annotations

import copy
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from promisam.core import Grid, Image, Labelled, PromptKind, Prompts, Scores, Task, Window, check_ndim, check_prompts
from promisam.core.errors import NotFitted
from promisam.methods.unet.config import Config
from promisam.methods.unet.network import build
from promisam.methods.unet.pictures import Pictures
from promisam.methods.unet.prepared import Prepared, channels_of
from promisam.methods.unet.volumes import Volumes
from promisam.training.contract import Arrays, Sample
from promisam.training.losses import bce_dice
from promisam.training.recipe import Recipe


class UNet:
    """A U-Net on pictures or volumes: every class at once, no prompts, no SAM."""

    accepts: frozenset[PromptKind] = frozenset()
    automatic = True
    uses_sam: ClassVar[bool] = False
    recipe: ClassVar[Recipe] = Recipe(epochs=100, batch=8, learning_rate=1e-3, weight_decay=1e-2)
    variants = 1

    def __init__(self, sam: object = None, config: Config | None = None, task: Task | None = None) -> None:  # noqa: ARG002
        """A network with new weights, always the same, for a task; without one the method knows nothing yet.

        Args:
            sam: not looked at; every method is made alike.
            config: options.
            task: what is to be learned.
        """
        self.config = config or Config()
        self.task = task
        self.window = Window.parse(self.config.window)
        self._way: Pictures | Volumes | None = None
        self._network: nn.Module | None = None
        if task is not None:
            self._way = Pictures(self.config, task) if task.ndim == 2 else Volumes(self.config, task)
            self._network = self._new(0)

    @property
    def ndim(self) -> int:
        """2 for pictures, 3 for volumes, as in the task."""
        return 2 if self.task is None else self.task.ndim

    @property
    def classes(self) -> tuple[str, ...]:
        """Those of the task."""
        return () if self.task is None else self.task.classes

    @property
    def network(self) -> nn.Module:
        """All that is trained and saved."""
        if self._network is None:
            raise _unfitted()
        return self._network

    @property
    def channels(self) -> int:
        """Of what the network takes."""
        return channels_of(self._working.task)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Samples of what the network takes, along each axis."""
        return self._working.plan.shape

    def answered_by(self, network: nn.Module) -> UNet:
        """The same method with another network of equal inputs and answers, such as an exported one."""
        other = copy.copy(self)
        other._network = network
        return other

    def initialise(self, seed: int) -> None:
        """Draw the network's first weights anew, in place; equal seeds give equal weights."""
        self.network.load_state_dict(self._new(seed).state_dict())

    def prepare(self, image: Image) -> Image:
        """Through the window to 0..255."""
        return self.window.apply(image)

    def check(self, grid: Grid, prompts: Prompts) -> None:
        """Refuse prompts: there is nothing to ask."""
        check_prompts(self.accepts, grid, prompts, "Leave the prompts out: this method finds its classes by itself.")

    def encode(self, image: Image) -> Prepared:
        """The image at its working size and scale. The network runs in `decode`.

        Raises:
            NotFitted: without a task.
            GeometryError: for a volume where pictures were learned, and the reverse.
            InvalidImage: for a number of channels that the network cannot take.
        """
        working = self._working
        check_ndim(self, image.grid)
        return Prepared(image.grid, working.pixels(self.prepare(image).pixels, image.grid.spacing))

    @torch.inference_mode()
    def decode(self, encoded: Prepared, prompts: Prompts) -> Scores:
        """Logits of every class, in the order of `classes`."""
        self.check(encoded.grid, prompts)
        device = next((p.device for p in self.network.parameters()), torch.device("cpu"))
        return Scores(self._working.logits(self.network, encoded, device), encoded.grid)

    @property
    def precompute_settings(self) -> dict[str, object]:
        """What the kept arrays depend on: window, working size or spacing, channels, number of classes."""
        settings = {"ndim": self.ndim, "window": self.config.window, "classes": len(self.classes)}
        return {**settings, **self._working.settings, "channels": self.channels}

    def precompute(self, example: Labelled, variant: int) -> dict[str, np.ndarray]:  # noqa: ARG002 - there is one
        """The image as `encode` makes it, and its labels at the same size."""
        truth = self._working.truth(example.truth.labels, example.image.grid.spacing)
        return {"pixels": self.encode(example.image).pixels, **truth}

    def recall(self, grid: Grid, kept: Arrays) -> Prepared:
        """What `encode` answers, from what `precompute` kept."""
        return Prepared(grid, kept["pixels"])

    def sample(self, kept: Arrays, generator: torch.Generator) -> dict[str, Tensor] | None:
        """A changed picture, or patch of a volume, and one map per class; an image without any object is worth learning too."""
        return self._working.sample(kept, generator)

    def loss(self, batch: Sample) -> dict[str, Tensor]:
        """Cross-entropy and Dice of every class by itself."""
        return bce_dice(self.network(batch["pixels"]), batch["truth"])

    def validation_prompts(self, labelled: Labelled, generator: np.random.Generator) -> list[Prompts]:  # noqa: ARG002
        """One value without prompts."""
        return [Prompts(labelled.image.grid)]

    def _new(self, seed: int) -> nn.Module:
        strides = self._working.plan.strides
        return build(self.channels, len(self.classes), self.config.width, strides, seed)

    @property
    def _working(self) -> Pictures | Volumes:
        if self._way is None:
            raise _unfitted()
        return self._way


def _unfitted() -> NotFitted:
    return NotFitted(
        "a U-Net that has learned nothing",
        expected="one with a task",
        do="Train it first: promisam fit unet DATASET -o RUN, then give RUN as the method; in Python, UNet(task=...).",
    )
