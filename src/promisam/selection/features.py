"""What an image shows, as a row of numbers: the frozen SAM's embedding, averaged over the picture's part of the frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float

from promisam.core import Image, Window
from promisam.core.errors import PromisamError, UnwritableOutput
from promisam.io import Input
from promisam.sam.model import Sam
from promisam.sam.picture import encoder_precision, framed
from promisam.sam.pooling import means_inside
from promisam.training.kept import Kept

Features = Literal["both", "pooled", "grid"]
Report = Callable[[int, int | None], None]
Means = Mapping[str, np.ndarray]

CELLS = 4  # of the grid, to a side
SLICES = 8  # of a volume, at most
COMPONENTS = 64  # that the grid is reduced to, at most
_VERSION = 1  # raised when the same image would give other means
_FITTED = 2000  # images that the components are fitted to, at most
_NOTHING = 1e-6  # spread of rows of length 1 that is rounding


@dataclass(frozen=True, eq=False)
class Encoder:
    """A SAM that averages its embeddings of images, and a store for the averages.

    Attributes:
        sam: on whatever device it is.
        weights: what names its weights for the store: equal exactly when they are.
        window: how raw intensities become 0..255, as text of `promisam.core.Window`.
        kept: where the averages are kept.
    """

    sam: Sam
    weights: str
    window: str = "auto"
    kept: Kept = field(default_factory=Kept)

    def of_input(self, one: Input, digest: str) -> Means:
        """As of `of_image`, from the store where it is there.

        Raises:
            PromisamError: when the image cannot be read, or the store cannot be written.
        """
        key = {
            "what": "selection",
            "version": _VERSION,
            "weights": self.weights,
            "scaling": self.sam.traits.scaling,
            "side": self.sam.side,
            "window": self.window,
            "cells": CELLS,
            "slices": SLICES,
            "image": digest,
            "channels": list(one.channels),
        }
        return self.kept.get(key, lambda: self.of_image(one.read()))

    @torch.inference_mode()
    def of_image(self, image: Image) -> Means:
        """Means of the embedding: `pooled` over the picture, `grid` over its 4 x 4 parts; of a volume, over its slices."""
        shown = Window.parse(self.window).apply(image)
        found = [self._of_picture(picture) for picture in _pictures(shown)]
        return {name: np.mean([one[name] for one in found], axis=0).astype(np.float32) for name in ("pooled", "grid")}

    def _of_picture(self, shown: Image) -> dict[str, Float[np.ndarray, " f"]]:
        frame, pixels = framed(self.sam, shown)
        with encoder_precision(self.sam, "float32"):
            embedding = self.sam.image_encoder(pixels).float().cpu()
        return {
            "pooled": means_inside(embedding, frame, 1).numpy().astype(np.float64).ravel(),
            "grid": means_inside(embedding, frame, CELLS).numpy().astype(np.float64).ravel(),
        }


@dataclass(frozen=True, eq=False)
class Encoded:
    """Images as means of their embeddings.

    Attributes:
        means: by name, in alphabetical order.
        digests: of their files, by name.
        failures: why others could not be read, by name.
    """

    means: Mapping[str, Means]
    digests: Mapping[str, str]
    failures: Mapping[str, str]


def encode(
    inputs: Mapping[str, Input],
    encoder: Encoder,
    needed: Sequence[str] = (),
    report: Report = lambda _done, _total: None,
) -> Encoded:
    """Encode every image; one that cannot be read stops nothing, unless it is needed.

    Args:
        inputs: by name.
        encoder: what encodes them.
        needed: names that nothing can be done without; they come first.
        report: called with images done and their number.

    Raises:
        PromisamError: for a needed image that cannot be read, and when the store cannot be written.
    """
    means: dict[str, Means] = {}
    digests: dict[str, str] = {}
    failures: dict[str, str] = {}
    names = [*needed, *sorted(set(inputs) - set(needed))]
    report(0, len(names))
    for done, name in enumerate(names, 1):
        try:
            digests[name] = inputs[name].digest()
            means[name] = encoder.of_input(inputs[name], digests[name])
        except (PromisamError, OSError, MemoryError) as error:
            if name in needed or isinstance(error, UnwritableOutput):
                raise
            failures[name] = " ".join(str(error).split()) or type(error).__name__
        report(done, len(names))
    return Encoded({name: means[name] for name in sorted(means)}, digests, failures)


def together(means: Sequence[Means], features: Features = "both") -> Float[np.ndarray, "n d"]:
    """A row for each image, to be compared by distance.

    Each part is brought to length 1 per image; the grid is reduced to its main components. Then each is centred and scaled so
    that its squared distance from the mean is 1 on average, so that both parts weigh the same however much either varies.
    """
    parts = []
    if features in ("both", "pooled"):
        parts.append(_scaled(_unit(np.stack([one["pooled"] for one in means]))))
    if features in ("both", "grid"):
        parts.append(_scaled(reduced(_unit(np.stack([one["grid"] for one in means])))))
    return np.asarray(np.concatenate(parts, axis=1) / np.sqrt(len(parts)))


def reduced(rows: Float[np.ndarray, "n d"], components: int = COMPONENTS) -> Float[np.ndarray, "n c"]:
    """The main components of rows; the largest weight of each is positive, so that the sign is no accident."""
    centred = rows - rows.mean(axis=0)
    sample = centred[:: -(-len(rows) // _FITTED)]
    values, vectors = np.linalg.eigh(sample @ sample.T)
    order = np.argsort(values)[::-1][:components]
    order = order[values[order] > max(float(values.max()) * 1e-10, 1e-20)]
    if not len(order):
        return np.zeros((len(rows), 1))
    axes = sample.T @ vectors[:, order] / np.sqrt(values[order])
    largest = np.abs(axes).argmax(axis=0)
    return np.asarray(centred @ (axes * np.sign(axes[largest, np.arange(axes.shape[1])])))


def _pictures(image: Image) -> list[Image]:
    """A picture itself; of a volume, slices across its coarsest axis, the middles of equal parts."""
    if image.grid.ndim == 2:
        return [image]
    axis = image.grid.coarsest_axis
    depth = image.grid.shape[axis]
    number = min(depth, SLICES)
    return [image.slice(axis, (2 * i + 1) * depth // (2 * number)) for i in range(number)]


def _unit(rows: np.ndarray) -> Float[np.ndarray, "n d"]:
    rows = rows.astype(np.float64)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))


def _scaled(rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    centred = rows - rows.mean(axis=0)
    spread = float(np.sqrt((centred**2).sum(axis=1).mean()))
    return centred / spread if spread > _NOTHING else np.zeros_like(centred)
