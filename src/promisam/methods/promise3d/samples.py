"""What one visit of a volume teaches: a cube of it, clicks as a user would give them, and the object there."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from scipy import ndimage
from torch import Tensor

from promisam.core import Task
from promisam.methods.promise3d.config import Config
from promisam.spatial.patches import cut
from promisam.training.augmentation import Augmentation, mirrored_axes
from promisam.training.contract import Arrays

_RELEASED = 10, 20  # clicks of the release: on the object, and anywhere
_NEAR = 0.125  # of a cube's side: how far from the object half of the clicks beside it lie, at most
_CENTRED = 0.5  # of the cubes around an object have their first click in the middle, as when a user clicks (ours)


class Sampler:
    """Draws training samples from what is kept of a volume."""

    def __init__(self, config: Config, task: Task) -> None:
        self.config = config
        self.augment = Augmentation(
            rotation=config.rotation,
            scale=config.scaling,
            shift=0,
            flips=mirrored_axes(config.flips, task),
            noise=0.1,
            blur=0.7,
        )
        turned = bool(config.rotation or config.scaling)
        self.margin = math.ceil(config.patch / 8) if turned else 0  # so that hardly an empty corner is turned into the cube

    def __call__(self, kept: Arrays, generator: torch.Generator) -> dict[str, Tensor]:
        """`cubes` (1, d, h, w), `truth` (d, h, w), `points` (n, 3) as (d, h, w) in it, `labels` (n): 1, 0, -1 for padding.

        Args:
            kept: `volume`, `labels` and `centres`.
            generator: of all chance.
        """
        chance = np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))
        middle, value = self._middle(kept, chance)
        side = self.config.patch + 2 * self.margin
        first = [m - side // 2 for m in middle]
        cube = cut(kept["volume"][None], first, (side,) * 3).astype(np.float32)
        labels = cut(kept["labels"][None], first, (side,) * 3)[0]
        pixels, labels = self.augment(cube, labels, generator)
        inner = (slice(self.margin, self.margin + self.config.patch),) * 3
        truth = labels[inner] == value
        points, kinds = self._clicks(truth, chance)
        return {
            "cubes": torch.from_numpy(pixels[(slice(None), *inner)].copy()),
            "truth": torch.from_numpy(truth.astype(np.float32)),
            "points": torch.from_numpy(points.astype(np.float32)),
            "labels": torch.from_numpy(kinds),
        }

    def _middle(self, kept: Arrays, chance: np.random.Generator) -> tuple[list[int], int]:
        """Sample in the middle of the cube, and the class that is clicked."""
        known, shape = kept["centres"], kept["volume"].shape
        there = np.unique(known[:, 0])
        value = int(chance.choice(there)) if len(there) else 1
        if len(there) and chance.random() < self.config.foreground:
            of_class = known[known[:, 0] == value]
            return [int(n) for n in of_class[chance.integers(len(of_class)), 1:]], value
        return [int(chance.integers(n)) for n in shape], value

    def _clicks(
        self, truth: Bool[np.ndarray, "d h w"], chance: np.random.Generator
    ) -> tuple[np.ndarray, Int64[np.ndarray, " n"]]:
        """As many rows as there may be clicks."""
        config = self.config
        most = _RELEASED if config.official else (config.positives, config.negatives)
        points, kinds = np.zeros((sum(most), 3)), np.full(sum(most), -1, np.int64)
        inside = np.argwhere(truth)
        if config.official:
            given = chance.integers(config.patch, size=(most[1], 3))
            on = inside[chance.integers(len(inside), size=most[0])] if len(inside) else np.zeros((0, 3))
        else:
            on = self._on(inside, truth, chance)
            given = _beside(truth, int(chance.integers(0 if len(on) else min(1, most[1]), most[1] + 1)), chance)
        both = np.concatenate([on, given])
        points[: len(both)] = both
        kinds[: len(both)] = np.repeat([1, 0], [len(on), len(given)])
        return points, kinds

    def _on(self, inside: np.ndarray, truth: np.ndarray, chance: np.random.Generator) -> Float[np.ndarray, "n 3"]:
        """Clicks on the object; as often as not the first one where the cube was laid around it."""
        if not len(inside):
            return np.zeros((0, 3))
        found = inside[chance.integers(len(inside), size=int(chance.integers(1, self.config.positives + 1)))].astype(float)
        middle = (self.config.patch // 2,) * 3
        if truth[middle] and chance.random() < _CENTRED:
            found[0] = middle
        return found


def _beside(truth: Bool[np.ndarray, "d h w"], count: int, chance: np.random.Generator) -> Float[np.ndarray, "n 3"]:
    """Places that are not on the object, half of them near it."""
    free = np.argwhere(~truth)
    if not count or not len(free):
        return np.zeros((0, 3))
    reach = max(1.0, _NEAR * truth.shape[0]) if truth.any() else np.inf
    near = free[ndimage.distance_transform_edt(~truth)[~truth] <= reach]
    from_near = near[chance.integers(len(near), size=count // 2)] if len(near) else near[:0]
    anywhere = free[chance.integers(len(free), size=count - len(from_near))]
    return np.concatenate([from_near, anywhere]).astype(float)


def click_maps(points: Float[Tensor, "b n 3"], labels: Int64[Tensor, "b n"], side: int) -> Float[Tensor, "b 2 d h w"]:
    """How near each sample of a cube is to a positive and to a negative click: 1 at a click, falling with the distance.

    A Gaussian whose standard deviation is an eighth of the cube's side; clicks may lie outside the cube.
    """
    line = torch.arange(side, device=points.device, dtype=points.dtype)
    apart = (line - points[..., None]).square() / (-2 * (side / 8) ** 2)  # (b, n, axis, index)
    maps = []
    for kind in (1, 0):
        one = apart.masked_fill((labels != kind)[..., None, None], -math.inf).exp()
        product = torch.einsum("bnd,bnh,bnw->bndhw", one[:, :, 0], one[:, :, 1], one[:, :, 2])
        maps.append(product.amax(1) if product.shape[1] else product.sum(1))
    return torch.stack(maps, 1)
