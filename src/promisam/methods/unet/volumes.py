"""Volumes in the U-Net: at one spacing, in patches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from jaxtyping import Float32, Integer, Real
from monai.inferers.utils import sliding_window_inference
from torch import Tensor, nn

from promisam.core import Task
from promisam.methods.unet.config import Config, augmentation_of
from promisam.methods.unet.network import plan
from promisam.methods.unet.prepared import Prepared, matched, standardised
from promisam.spatial.patches import centres, cut
from promisam.spatial.resizing import resized, resized_labels
from promisam.training.augmentation import free_axes
from promisam.training.contract import Arrays

WINDOWS = 4  # of a volume in the network at once


class Volumes:
    """Resampled along their own axes to the median spacing of the task, and seen patch by patch."""

    def __init__(self, config: Config, task: Task) -> None:
        self.task, self.foreground, self.overlap = task, config.foreground, config.overlap
        wanted = [min(most, n) for most, n in zip(config.patch, task.shape, strict=True)]
        self.plan = plan(wanted, task.spacing, config.levels)
        self.augment = augmentation_of(config, task)
        self.margins = _margins(self.plan.shape, task.spacing, config)

    @property
    def settings(self) -> dict[str, object]:
        """What the kept arrays depend on."""
        return {"spacing": list(self.task.spacing)}

    def pixels(self, pixels: Real[np.ndarray, "c z y x"], spacing: Sequence[float | int]) -> np.ndarray:
        """A windowed volume as the network takes it."""
        return standardised(resized(matched(pixels, self.task), self._size(pixels.shape[1:], spacing)))

    def truth(self, labels: Integer[np.ndarray, "z y x"], spacing: Sequence[float | int]) -> dict[str, np.ndarray]:
        """The class that has the largest share of each sample, where that is at least a half; and where the classes lie."""
        found = resized_labels(labels, len(self.task.classes), self._size(labels.shape, spacing))
        return {"labels": found, "centres": centres(found, len(self.task.classes))}

    def sample(self, kept: Arrays, generator: torch.Generator) -> dict[str, Tensor]:
        """A patch, one in so many around a labelled sample of a class drawn first; turned with what lies around it."""
        start = self._start(kept, generator)
        first = [a - margin for a, margin in zip(start, self.margins, strict=True)]
        shape = [n + 2 * margin for n, margin in zip(self.plan.shape, self.margins, strict=True)]
        pixels = cut(kept["pixels"], first, shape).astype(np.float32)
        labels = cut(kept["labels"][None], first, shape)[0]
        pixels, labels = self.augment(pixels, labels, generator, self.task.spacing)
        inner = tuple(slice(m, m + n) for m, n in zip(self.margins, self.plan.shape, strict=True))
        values = np.arange(1, len(self.task.classes) + 1)[:, None, None, None]
        truth = (labels[inner] == values).astype(np.float32)
        return {"pixels": torch.from_numpy(pixels[(slice(None), *inner)].copy()), "truth": torch.from_numpy(truth)}

    def logits(self, network: nn.Module, prepared: Prepared, device: torch.device) -> Float32[np.ndarray, "k z y x"]:
        """The network's answers in overlapping windows, those near a window's middle counting more, on the volume's own grid.

        Windows go to the device one batch at a time; what they answer is gathered in main memory.
        """
        answer = sliding_window_inference(
            torch.from_numpy(np.array(prepared.pixels, np.float32))[None],
            self.plan.shape,
            WINDOWS,
            lambda windows: network(windows).float(),
            overlap=self.overlap,
            mode="gaussian",
            sw_device=device,
            device="cpu",
        )
        return resized(cast(Tensor, answer)[0].numpy(), prepared.grid.shape)

    def _size(self, shape: Sequence[int], spacing: Sequence[float | int]) -> tuple[int, ...]:
        pairs = zip(shape, spacing, self.task.spacing, strict=True)
        return tuple(max(1, round(n * here / there)) for n, here, there in pairs)

    def _start(self, kept: Arrays, generator: torch.Generator) -> list[int]:
        """First sample of a patch: within the volume, or, where that is too short, with the volume in its middle."""
        chances = torch.rand(5, generator=generator).tolist()
        size, labelled = kept["labels"].shape, kept["centres"]
        if len(labelled) and chances[0] < self.foreground:
            there = np.unique(labelled[:, 0])
            of_class = labelled[labelled[:, 0] == there[int(chances[1] * len(there))]]
            middle = of_class[int(chances[2] * len(of_class)), 1:].tolist()
            wanted = [c - n // 2 for c, n in zip(middle, self.plan.shape, strict=True)]
        else:
            rooms = [max(m - n, 0) + 1 for m, n in zip(size, self.plan.shape, strict=True)]
            wanted = [int(chance * room) for chance, room in zip(chances[2:], rooms, strict=True)]
        pairs = zip(wanted, size, self.plan.shape, strict=True)
        return [min(max(a, 0), m - n) if m > n else (m - n) // 2 for a, m, n in pairs]


def _margins(shape: Sequence[int], spacing: Sequence[float | int], config: Config) -> tuple[int, ...]:
    """What a patch is cut with on either side, so that no empty corner is turned into it (up to an eighth of its length)."""
    turned = bool(config.rotation or config.scaling)
    return tuple(math.ceil(n / 8) if turned and axis in free_axes(spacing) else 0 for axis, n in enumerate(shape))
