"""A training of milliseconds: a U-Net of a few hundred weights on pictures with one ellipse each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from promisam.core import Example, Grid, Image, Segmentation, Task
from promisam.methods.unet import Config, UNet
from promisam.training.checkpoint import Header
from promisam.training.course import Course
from promisam.training.events import Step, Validated
from promisam.training.loop import train
from promisam.training.recipe import Recipe

TASK = Task(("object",), 2, 1, (1.0, 1.0), (20, 31))
SHAPES = [(20, 31), (31, 20), (17, 17), (25, 12)]


def ellipses(number: int, first: int = 0, empty: bool = False) -> list[Example]:
    """Bright ellipses, each another one; or pictures without any."""
    found = []
    for i in range(first, first + number):
        h, w = SHAPES[i % 4]
        y, x = np.indices((h, w))
        inside = ((y / h - 0.4 - 0.02 * (i % 8)) / 0.25) ** 2 + ((x / w - 0.5) / 0.3) ** 2 < (0 if empty else 1)
        pixels = (60 + 20 * np.sin(x / 3 + i) + 100 * inside).astype(np.uint8)
        grid = Grid.of_picture((h, w))
        truth = Segmentation(inside.astype(np.uint8), grid, {1: "object"})
        found.append(Example.of(f"case {i}", Image(pixels[None], grid), truth))
    return found


def course(
    folder: Path | None = None,
    *,
    kind: type[UNet] = UNet,
    training: list[Example] | None = None,
    validation: list[Example] | None = None,
    **recipe: Any,
) -> Course:
    """Three epochs of two steps, unless the recipe says otherwise."""
    method = kind(None, Config(side=16, width=2, levels=2), TASK)
    options = {"epochs": 3, "batch": 2, "validate_every": 1, "learning_rate": 0.01, "warmup": 0.0, **recipe}
    header = Header("unet", method.config.model_dump(mode="json"), TASK, None, "0")
    training = ellipses(4) if training is None else training
    validation = ellipses(2, 4) if validation is None else validation
    return Course(method, training, validation, Recipe(**options), header, folder)


def trained(made: Course, **how: Any) -> list[Any]:
    """All events."""
    return list(train(made, **how))


def steps(events: list[Any]) -> list[Step]:
    return [event for event in events if isinstance(event, Step)]


def validations(events: list[Any]) -> list[Validated]:
    return [event for event in events if isinstance(event, Validated)]


def weights(made: Course) -> dict[str, Any]:
    return {name: tensor.detach().clone() for name, tensor in made.method.network.state_dict().items()}


def gap(one: dict[str, Any], other: dict[str, Any]) -> float:
    """The largest difference of two sets of weights."""
    assert one.keys() == other.keys()
    return max(float((one[name].float() - other[name].float()).abs().max()) for name in one)
