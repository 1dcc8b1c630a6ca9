"""A method of a few lines that remembers what objects of each class look like: its mean intensity, without a SAM."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from scipy import ndimage

from data_maker import picture
from promisam.core import Explanation, Grid, Image, Labelled, PromptKind, Prompts, Scores, Task, check_prompts
from promisam.core.errors import NotFitted


class Config(BaseModel):
    """`wait` seconds for each image; a process that meets an image whose brightest sample is `deadly` dies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    wait: float = 0.0
    deadly: int = -1


class Memory(torch.nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.register_buffer("means", torch.zeros(classes + 1))
        self.register_buffer("others", torch.zeros(2))  # how many, and their mean
        self.register_buffer("drawn", torch.zeros(1))


@dataclass(frozen=True)
class Seen:
    image: Image

    @property
    def grid(self) -> Grid:
        return self.image.grid


class Toy:
    few_shot = True
    uses_sam = False
    automatic = True
    accepts: frozenset[PromptKind] = frozenset({"box"})
    axes: int | None = None
    encodings = 0  # of all instances

    def __init__(self, sam: None, config: Config, task: Task | None = None) -> None:
        self.config, self.task = config, task
        self._network: Memory | None = None

    @property
    def ndim(self) -> int:
        return self.axes or (2 if self.task is None else self.task.ndim)

    @property
    def classes(self) -> tuple[str, ...]:
        return () if self.task is None else self.task.classes

    @property
    def network(self) -> Memory:
        if self._network is None:
            raise NotFitted("the toy without supports", expected="some", do="Learn.")
        return self._network

    def learn(self, supports: Sequence[Labelled], others: Iterable[Image], generator: torch.Generator, said) -> None:
        network = Memory(len(self.classes))
        for value in range(len(self.classes) + 1):
            inside = [one.image.pixels[0][one.truth.labels == value] for one in supports]
            network.means[value] = float(np.concatenate(inside).mean())
        means = []
        for done, image in enumerate(others, 1):
            time.sleep(self.config.wait)
            means.append(float(image.pixels.mean()))
            said("looking at others", done, None)
        network.others[:] = torch.tensor([len(means), float(np.mean(means)) if means else 0.0])
        network.drawn[0] = float(torch.rand(1, generator=generator))
        self._network = network

    def make_room(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._network = Memory(shapes["means"][0] - 1)

    def prepare(self, image: Image) -> Image:
        return image

    def check(self, grid: Grid, prompts: Prompts) -> None:
        check_prompts(self.accepts, grid, prompts, "Give a box.", automatic=True)

    def encode(self, image: Image) -> Seen:
        type(self).encodings += 1
        time.sleep(self.config.wait)
        if image.pixels.max() == self.config.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return Seen(image)

    def decode(self, encoded: Seen, prompts: Prompts) -> Scores:
        self.check(encoded.grid, prompts)
        pixels = encoded.image.pixels[0].astype(np.float32)
        away = np.stack([np.abs(pixels - float(mean)) for mean in self.network.means])
        logits = away[0] - away[1:]
        for at in range(len(logits)):
            logits[at] -= 1000 * (np.delete(away[1:], at, 0) < away[1:][at]).any(0)
        if prompts.kinds:
            chosen = self.classes.index(prompts.target) if prompts.target in self.classes else 0
            low, high = prompts.box_zyx.round().astype(int)
            inside = np.zeros(pixels.shape, bool)
            inside[tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))] = True
            logits = np.where(inside, 5.0, -5.0)[None] + 0 * logits[chosen : chosen + 1]
        return Scores(logits.astype(np.float32), encoded.grid)

    def explain(self, encoded: Seen) -> Explanation:
        logits = self.decode(encoded, Prompts(encoded.grid)).logits
        share = float((logits > 0).mean())
        boxes = []
        for name, channel in zip(self.classes, logits, strict=True):
            parts, _ = ndimage.label(channel > 0)
            for found in ndimage.find_objects(parts)[:3]:
                low, high = [p.start for p in found], [p.stop - 1 for p in found]
                if all(a < b for a, b in zip(low, high, strict=True)):
                    boxes.append(Prompts(encoded.grid, target=name).with_box(low, high))
        flags = () if boxes else ("nothing here",)
        return Explanation(
            min(1.0, 4 * share), flags, {"share": share, "brightest": float(encoded.image.pixels.max())}, tuple(boxes)
        )


class OfPictures(Toy):
    """One that takes pictures only, so that volumes go through it slice by slice."""

    axes = 2


def scene(number: int, size: int = 24, side: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """A picture with a bright square, and its label."""
    drawn = np.zeros((size, size + 6), np.uint8)
    drawn[4 : 4 + side, 3 + number % 5 : 3 + side + number % 5] = 1
    rest = np.random.default_rng(number).integers(0, 40, drawn.shape)
    return (rest + 150 * drawn).astype(np.uint8), drawn


def labelled(folder: Path, scenes: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
    """A data set of pictures s0, s1, ... with what is drawn on them."""
    for number, (pixels, drawn) in enumerate(scenes):
        picture(folder / "images" / f"s{number}.png", pixels)
        picture(folder / "masks" / f"s{number}.png", drawn)
