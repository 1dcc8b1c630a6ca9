"""Random changes of an image and its labels that leave it a plausible image: what every method trains with."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Integer
from monai.transforms.compose import Compose
from monai.transforms.intensity.array import (
    RandAdjustContrast,
    RandGaussianNoise,
    RandGaussianSmooth,
    RandScaleIntensityFixedMean,
    RandShiftIntensity,
)
from monai.transforms.spatial.dictionary import RandAffined, RandFlipd

from promisam.core import Task
from promisam.core.errors import InvalidConfig

# How often each change is made. Intensities: nnU-Net (Isensee et al. 2021, supplement on data augmentation). Geometry: ours;
# nnU-Net turns and scales one sample in five each, in trainings about a hundred times as long as ours.
OFTEN = {"geometry": 0.5, "noise": 0.1, "blur": 0.2, "brightness": 0.15, "contrast": 0.15, "gamma": 0.3}
# Coarsest over finest spacing above which slices are moved within their planes only (the threshold of nnU-Net).
ANISOTROPIC = 3.0


@dataclass(frozen=True)
class Augmentation:
    """How far a sample may be changed; every change is drawn evenly from its range, and 0 turns it off.

    What comes in from outside the image is 0, in pixels and labels alike.

    Attributes:
        rotation: degrees either way, in the plane or about each axis of a volume (nnU-Net: 30 in volumes).
        scale: share by which the image shrinks or grows (nnU-Net: 0.3 and 0.4; ours is milder).
        shift: share of the size, along each axis (ours; nnU-Net shifts by where it cuts its patches).
        flips: array axes along which one sample in two is mirrored; none where left and right are classes.
        brightness: standard deviations of the pixels by which all are raised or lowered (nnU-Net multiplies, by as much).
        contrast: share by which pixels move away from their mean, or towards it (nnU-Net: 0.25).
        gamma: the exponent is drawn from 1 - 0.75 gamma to 1 + 1.25 gamma, so that 0.4 is nnU-Net's 0.7 to 1.5.
        noise: largest standard deviation of Gaussian noise, in those of the pixels (nnU-Net: a variance up to 0.1).
        blur: largest sigma of a Gaussian, in samples; the smallest is half of it (nnU-Net: 0.5 to 1).

    Raises:
        InvalidConfig: for numbers that are negative, or so large that no image is left.
    """

    rotation: float | int = 30.0
    scale: float | int = 0.2
    shift: float | int = 0.1
    flips: tuple[int, ...] = ()
    brightness: float | int = 0.25
    contrast: float | int = 0.25
    gamma: float | int = 0.4
    noise: float | int = 0.3
    blur: float | int = 1.0

    def __post_init__(self) -> None:
        """Refuse what would leave no image."""
        limits = {"rotation": 180.0, "scale": 0.9, "shift": 1.0, "contrast": 1.0, "gamma": 1.3}
        for field in fields(self):
            value, largest = getattr(self, field.name), limits.get(field.name, math.inf)
            if field.name != "flips" and not (math.isfinite(value) and 0 <= value <= largest):
                raise InvalidConfig(
                    f"an augmentation with {field.name} {value}",
                    expected=f"a number from 0 to {largest:g}",
                    do="Use 0 to turn it off.",
                )

    def intensities(self, factor: float | int) -> Augmentation:
        """The same, with every change of intensity that many times as strong."""
        names = ("brightness", "contrast", "gamma", "noise", "blur")
        return replace(self, **{name: getattr(self, name) * factor for name in names})

    def __call__(
        self,
        pixels: Float32[np.ndarray, "c *grid"],
        labels: Integer[np.ndarray, "*grid"] | Float32[np.ndarray, "k *grid"],
        generator: torch.Generator,
        spacing: Sequence[float | int] = (),
    ) -> tuple[Float32[np.ndarray, "c *grid"], np.ndarray]:
        """A changed copy of both, moved alike; equal generators give equal copies.

        Args:
            pixels: on any scale: changes of intensity are relative. Those of 0..255 may leave that range a little.
            labels: whole numbers up to 2 ** 24, moved to the nearest sample; or maps of shares 0..1, which are interpolated.
            generator: where chance comes from; it moves on by one draw.
            spacing: of the samples along each array axis; equal if not given.

        Returns:
            Pixels and labels of the types and shapes that were given.
        """
        state = np.random.RandomState(int(torch.randint(2**31 - 1, (), generator=generator)))
        whole = labels.dtype.kind in "iu"
        both = {"pixels": pixels.copy(), "labels": (labels[None] if whole else labels).astype(np.float32)}
        geometry = Compose(self._geometry(pixels.shape[1:], free_axes(spacing or (1,) * (pixels.ndim - 1)), whole))
        moved = geometry.set_random_state(state=state)(both)
        found = np.asarray(moved["labels"][0] if whole else moved["labels"])
        changed = self._with_other_intensities(np.asarray(moved["pixels"]), state)
        return np.array(changed, np.float32), np.array(found, labels.dtype)

    def _geometry(self, shape: Sequence[int], free: Sequence[int], whole: bool) -> list[Any]:
        keys = ("pixels", "labels")
        steps: list[Any] = [RandFlipd(keys, 0.5, axis) for axis in self.flips]
        along = [axis in free for axis in range(len(shape))]
        ranges: dict[str, Any] = {
            "rotate_range": _angles(math.radians(self.rotation), len(shape), free),
            "scale_range": [self.scale * yes for yes in along],
            "translate_range": [self.shift * n * yes for n, yes in zip(shape, along, strict=True)],
        }
        if any(any(values) for values in ranges.values()):
            mode = ("bilinear", "nearest" if whole else "bilinear")
            steps.append(RandAffined(keys, prob=OFTEN["geometry"], mode=mode, padding_mode="zeros", **ranges))
        return steps

    def _with_other_intensities(self, pixels: np.ndarray, state: np.random.RandomState) -> np.ndarray:
        mean, deviation = float(pixels.mean()), float(pixels.std())
        steps = self._intensities()
        if not deviation or not steps:
            return pixels
        changed = Compose(steps).set_random_state(state=state)((pixels - mean) / deviation)
        return np.asarray(changed) * deviation + mean

    def _intensities(self) -> list[Any]:
        """On pixels of mean 0 and deviation 1, in nnU-Net's order."""
        steps: list[Any] = []
        if self.noise:
            steps.append(RandGaussianNoise(OFTEN["noise"], std=self.noise))
        if self.blur:
            sigma = (self.blur / 2, self.blur)
            steps.append(RandGaussianSmooth(sigma, sigma, sigma, prob=OFTEN["blur"]))
        if self.brightness:
            steps.append(RandShiftIntensity(self.brightness, prob=OFTEN["brightness"]))
        if self.contrast:
            steps.append(RandScaleIntensityFixedMean(factors=self.contrast, prob=OFTEN["contrast"]))
        if self.gamma:
            exponents = (1 - 0.75 * self.gamma, 1 + 1.25 * self.gamma)
            steps.append(RandAdjustContrast(OFTEN["gamma"], exponents, retain_stats=True))
        return steps


def mirrored_axes(flips: str, task: Task) -> tuple[int, ...]:
    """The array axes along which samples of a task are mirrored.

    Args:
        flips: letters of "xyz"; "none"; or "auto" for all (nnU-Net), but none as soon as the name of a class holds the word
            left or right.
        task: what is learned.

    Raises:
        InvalidConfig: for an axis that the task's images do not have.
    """
    axes = "yx" if task.ndim == 2 else "zyx"
    sides = any({"left", "right"} & set(re.split(r"[^a-z]+", name.lower())) for name in task.classes)
    letters = {"auto": "" if sides else axes, "none": ""}.get(flips, flips)
    if not set(letters) <= set(axes):
        raise InvalidConfig(f"flips={flips} for pictures", expected='letters of "xy", "none" or "auto"', do="Leave out the z.")
    return tuple(sorted(axes.index(letter) for letter in letters))


def free_axes(spacing: Sequence[float | int]) -> tuple[int, ...]:
    """The array axes along which a sample may move: not the coarsest of an anisotropic volume, as in nnU-Net."""
    apart = len(spacing) == 3 and max(spacing) > ANISOTROPIC * min(spacing)
    return tuple(axis for axis in range(len(spacing)) if not (apart and axis == int(np.argmax(spacing))))


def _angles(largest: float | int, ndim: int, free: Sequence[int]) -> list[float]:
    """About each axis of a volume; of an anisotropic one only about the axis that stays."""
    if ndim == 2:
        return [float(largest)]
    return [float(largest) if len(free) == 3 or axis not in free else 0.0 for axis in range(3)]
