"""Pictures in the U-Net: each at one size, whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32, Integer, Real
from torch import Tensor, nn

from promisam.core import Task
from promisam.methods.unet.config import Config, augmentation_of
from promisam.methods.unet.network import plan
from promisam.methods.unet.prepared import Prepared, matched, standardised
from promisam.spatial.resizing import resized
from promisam.training.contract import Arrays


class Pictures:
    """The longer side fills the network's square input; the rest, on the right and the bottom, is 0."""

    def __init__(self, config: Config, task: Task) -> None:
        self.task, self.side = task, config.side
        self.plan = plan((config.side, config.side), (1, 1), config.levels)
        self.augment = augmentation_of(config, task)

    @property
    def settings(self) -> dict[str, object]:
        """What the kept arrays depend on."""
        return {"side": self.side}

    def pixels(self, pixels: Real[np.ndarray, "c y x"], spacing: Sequence[float | int]) -> np.ndarray:  # noqa: ARG002
        """A windowed picture as the network takes it, not yet padded."""
        return standardised(resized(matched(pixels, self.task), self._size(pixels.shape[1:])))

    def truth(self, labels: Integer[np.ndarray, "y x"], spacing: Sequence[float | int]) -> dict[str, np.ndarray]:  # noqa: ARG002
        """The share of every class in each pixel of the working size: thin objects stay whole."""
        size = self._size(labels.shape)
        classes = range(1, len(self.task.classes) + 1)
        shares = [resized((labels == value)[None], size).clip(0, 1) for value in classes]
        return {"truth": np.concatenate(shares).astype(np.float16)}

    def sample(self, kept: Arrays, generator: torch.Generator) -> dict[str, Tensor]:
        """A changed copy of the whole picture."""
        pixels, truth = (np.array(kept[name], np.float32) for name in ("pixels", "truth"))
        pixels, truth = self.augment(pixels, truth, generator)
        return {"pixels": self._padded(pixels), "truth": self._padded(truth.clip(0, 1))}

    def logits(self, network: nn.Module, prepared: Prepared, device: torch.device) -> Float32[np.ndarray, "k y x"]:
        """The network's answer on the picture's own pixels."""
        height, width = prepared.pixels.shape[1:]
        found = network(self._padded(prepared.pixels)[None].to(device))[0, :, :height, :width]
        return resized(found.float().cpu().numpy(), prepared.grid.shape)

    def _size(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        scale = self.side / max(shape)
        return tuple(max(1, round(n * scale)) for n in shape)

    def _padded(self, array: Real[np.ndarray, "c v u"]) -> Float32[Tensor, "c side side"]:
        tensor = torch.from_numpy(np.array(array, np.float32))
        height, width = self.plan.shape
        return F.pad(tensor, (0, width - tensor.shape[2], 0, height - tensor.shape[1]))
