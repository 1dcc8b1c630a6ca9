"""What is learned, from what and how: one value that a training begins with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from promisam.core import Example
from promisam.training.checkpoint import Header
from promisam.training.contract import Trainable
from promisam.training.kept import Kept
from promisam.training.recipe import Recipe


@dataclass(frozen=True)
class Course:
    """What is learned, from what and how.

    Attributes:
        method: with a task; its network is trained in place.
        training: the examples to learn from.
        validation: held-out examples that choose the checkpoint; without any, the last weights are kept.
        recipe: the options of training.
        header: what the checkpoint says of itself.
        folder: where checkpoint and state are kept; None to keep nothing.
        kept: the store of precomputed arrays.
        show: how many validated cases a preview shows.
    """

    method: Trainable
    training: Sequence[Example]
    validation: Sequence[Example]
    recipe: Recipe
    header: Header | None = None
    folder: Path | None = None
    kept: Kept = field(default_factory=Kept)
    show: int = 4
