"""How good a method is on held-out examples: its own line of data, asked by a simulated user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from promisam.core import Example, Labelled, Prompts, Segmentation, Task, to_segmentation
from promisam.evaluation.metrics import dice
from promisam.training.contract import Trainable
from promisam.training.kept import Kept
from promisam.training.seeds import seed_of
from promisam.training.stream import precomputed


@dataclass(frozen=True)
class CaseDice:
    """One validated example.

    Attributes:
        name: of the example.
        dice: of every class that was asked for; classes that are rightly absent have none.
        held: the classes that are there.
    """

    name: str
    dice: Mapping[str, float]
    held: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Shown:
    """What a preview needs of one example."""

    name: str
    labelled: Labelled
    prediction: Segmentation
    prompts: tuple[Prompts, ...]


@torch.no_grad()
def validate(
    method: Trainable, examples: Sequence[Example], kept: Kept, seed: int, *, first: int = 0, stride: int = 1, show: int = 0
) -> tuple[list[CaseDice], list[Shown]]:
    """Dice of the examples number `first`, `first + stride`, ...; and what the first `show` of them look like.

    The simulated prompts depend on the seed and the example alone, so that validations can be compared.
    """
    rows: list[CaseDice] = []
    shown: list[Shown] = []
    for number in range(first, len(examples), stride):
        example = examples[number]
        labelled = example.load()
        encoded = method.recall(labelled.image.grid, precomputed(method, example, 0, kept))
        asked = method.validation_prompts(labelled, np.random.default_rng(seed_of(seed, 2, number)))
        prediction = _answer(method, encoded, asked, _task(method), labelled)
        held = tuple(name for label, name in enumerate(_task(method).classes, 1) if labelled.truth.mask(label).any())
        rows.append(CaseDice(example.name, _dice(prediction, labelled.truth, asked, _task(method)), held))
        if len(shown) < show:
            shown.append(Shown(example.name, labelled, prediction, tuple(asked)))
    return rows, shown


def mean_dice(rows: Sequence[CaseDice]) -> dict[str, float]:
    """Mean over cases by class; classes that no case had are left out."""
    values: dict[str, list[float]] = {}
    for row in rows:
        for name, value in row.dice.items():
            values.setdefault(name, []).append(value)
    return {name: float(np.mean(found)) for name, found in sorted(values.items())}


def _answer(method: Trainable, encoded: Any, asked: Sequence[Prompts], task: Task, labelled: Labelled) -> Segmentation:  # noqa: ANN401
    grid = labelled.image.grid
    if not asked:
        return Segmentation(np.zeros(grid.shape, np.uint8), grid)
    found = to_segmentation((method.decode(encoded, one) for one in asked), task.classes if method.automatic else ())
    if method.automatic:
        return found
    meaning = np.array([0, *(_label(one, task) for one in asked)], np.uint16)  # the n-th answer is of the n-th prompts' class
    return Segmentation(meaning[found.labels], grid, dict(enumerate(task.classes, 1)))


def _dice(prediction: Segmentation, truth: Segmentation, asked: Sequence[Prompts], task: Task) -> dict[str, float]:
    wanted = range(1, len(task.classes) + 1) if any(not one.kinds for one in asked) else [_label(one, task) for one in asked]
    found = {task.classes[label - 1]: dice(prediction.mask(label), truth.mask(label)) for label in wanted}
    return {name: value for name, value in found.items() if not np.isnan(value)}


def _label(prompts: Prompts, task: Task) -> int:
    return 1 + (task.classes.index(prompts.target) if prompts.target else 0)


def _task(method: Trainable) -> Task:
    if method.task is None:
        raise ValueError("a method without a task cannot be validated")
    return method.task
