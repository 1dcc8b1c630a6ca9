"""What a method offers beside `Segmenter` so that the loop can train it.

An image travels in three steps. `precompute` does, once, what is costly and does not depend on weights that are trained
(windowing, resampling, a frozen image encoder); its arrays are kept on disk. `sample` makes, at every visit, the tensors of one
training sample from them (a random crop, random prompts). `loss` takes a batch of samples through the method's one forward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from promisam.core import Example, Grid, Image, Labelled, Prompts, Scores, Segmenter, Task
from promisam.training.recipe import Recipe

Arrays = Mapping[str, np.ndarray]
Sample = Mapping[str, Tensor]


@runtime_checkable
class Trainable(Segmenter, Protocol):
    """A method that learns from examples.

    It is made as `Kind(sam, config, task)`. Without a task it has no network, and everything that needs one raises `NotFitted`.
    """

    recipe: ClassVar[Recipe]
    """How it is best trained, unless the user says otherwise."""

    @property
    def task(self) -> Task | None:
        """What it learns; None as long as that is open."""
        ...

    @property
    def network(self) -> nn.Module:
        """All that is trained and saved, and nothing of the SAM."""
        ...

    @property
    def variants(self) -> int:
        """How many `precompute` results an example has: 1, or more where augmentation must come before a frozen part."""
        ...

    @property
    def precompute_settings(self) -> Mapping[str, object]:
        """All that `precompute` depends on beside the example, as JSON values: frozen weights, sizes, options."""
        ...

    def precompute(self, example: Labelled, variant: int) -> dict[str, np.ndarray]:
        """The costly, fixed part; variant 0 is the example as it is, the others are augmented, each always in the same way."""
        ...

    def sample(self, kept: Arrays, generator: torch.Generator) -> dict[str, Tensor] | None:
        """The tensors of one training sample, of equal shapes for all examples; None when it has nothing to learn from."""
        ...

    def loss(self, batch: Sample) -> dict[str, Tensor]:
        """Named parts, each a mean over the samples, whose sum is the loss."""
        ...

    def recall(self, grid: Grid, kept: Arrays) -> Any:  # noqa: ANN401 - each method has its own Encoded
        """What `encode` answers for the image on this grid, from what `precompute` kept of it as variant 0."""
        ...

    def decode(self, encoded: Any, prompts: Prompts) -> Scores:  # noqa: ANN401 - each method has its own Encoded
        """As in `Segmenter`."""
        ...

    def validation_prompts(self, labelled: Labelled, generator: np.random.Generator) -> list[Prompts]:
        """What a simulated user would ask while the method is validated: one value for each class that is there.

        One without prompts for an automatic method, which answers all classes at once.
        """
        ...


@runtime_checkable
class Scheduled(Protocol):
    """What a trainable method may have beside `Trainable`, if its loss changes while it learns."""

    def reached(self, epoch: int) -> None:
        """Told before each step which epoch it belongs to, from 0."""
        ...


@runtime_checkable
class Measuring(Protocol):
    """What a trainable method may have beside `Trainable`, if it needs numbers of its training set, such as intensities."""

    def measure(self, examples: Sequence[Example]) -> None:
        """Told what it will learn from, before anything is precomputed; the same examples always give the same numbers.

        The numbers are buffers of the network, and so are saved with it.
        """
        ...


Said = Callable[[str, int, int | None], None]
"""Told of what is being done, how much of it is, and of how much (None where that is not known)."""


@runtime_checkable
class FewShot(Segmenter, Protocol):
    """A method that remembers a few labelled images, the supports, and is not trained.

    It is made as `Kind(sam, config, task)`, like a trainable one; before `learn` or a checkpoint it raises `NotFitted`.
    """

    few_shot: ClassVar[bool]
    """True: what tells such methods from others."""

    @property
    def task(self) -> Task | None:
        """What it is to segment."""
        ...

    @property
    def network(self) -> nn.Module:
        """All that is remembered and saved, as buffers, and nothing of the SAM."""
        ...

    def learn(self, supports: Sequence[Labelled], others: Iterable[Image], generator: torch.Generator, said: Said) -> None:
        """Remember the supports, and what other, unlabelled images of the same kind look like."""
        ...

    def make_room(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Have a network with tensors of these names and shapes, into which a checkpoint is then read."""
        ...


@dataclass(frozen=True)
class Released:
    """What a method's authors released: the answer of a method's `released(state)`, for the methods that have one.

    Where the file alone does not tell how to answer, the method names the data sets of its `releases`, and the one that the
    file was trained on is a second argument.

    Attributes:
        sam: the tensors of the SAM in the file, under Meta's names. Where its image encoder, its prompt encoder or its mask
            decoder is missing, all that the file leaves out is that of `like`.
        own: the method's tensors, under the names of its network.
        options: of the method's `Config`, by which it answers as the release does.
        like: the known weights that the SAM was trained like.
        side: pixels of the frame, if not that of `like`.
    """

    sam: Mapping[str, Tensor]
    own: Mapping[str, Tensor]
    options: Mapping[str, object] = field(default_factory=dict)
    like: str = "sam_vit_b"
    side: int | None = None
