"""An exported file and the network that it was made of, asked the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from promisam.core.errors import WeightsError
from promisam.export.running import OnnxFile, OnnxNetwork, OnnxSam
from promisam.methods.unet import UNet
from promisam.sam.model import Sam

CLOSE = {"float32": 1e-2, "int8": 10.0}
"""Largest difference that an export may have, as a share of the largest answer. In float32 it is the rounding of sums taken in
another order: 1e-6 measured on released weights, up to 1e-2 on random ones, where torch is as far from float64. In eight bits
only what is no answer at all is refused, and the difference reported."""


@dataclass(frozen=True)
class Compared:
    """How a file answers.

    Attributes:
        largest_difference: between any two answers.
        largest_answer: of torch, in size.
        quality_difference: between any two expected IoUs; 0 where there are none.
        seconds: of one answer with onnxruntime.
        torch_seconds: of the same with torch, in float32.
    """

    largest_difference: float
    largest_answer: float
    quality_difference: float
    seconds: float
    torch_seconds: float

    def check(self, part: str, numbers: str) -> None:
        """Refuse a file that answers something else.

        Raises:
            WeightsError: then.
        """
        close = self.largest_difference <= CLOSE[numbers] * self.largest_answer and self.quality_difference <= CLOSE[numbers]
        if not close:  # nor is what is no number
            raise WeightsError(
                f"an exported {part} that differs from the network by {self.largest_difference:.3g} where the largest answer "
                f"is {self.largest_answer:.3g}, and in its expected IoU by {self.quality_difference:.3g}",
                expected=f"at most {CLOSE[numbers]:g} of it",
                do="No file was written. Try another version of torch or onnxruntime.",
            )


@torch.inference_mode()
def compare_sam(sam: Sam, encoder: Path, decoder: Path) -> dict[str, Compared]:
    """Both parts of a SAM on a random picture and on every way of asking."""
    exported = OnnxSam(OnnxFile.open(encoder), OnnxFile.open(decoder))
    images = torch.rand(1, 3, sam.side, sam.side, generator=torch.Generator().manual_seed(0))
    seen: list[Tensor] = []

    def encode() -> tuple[Tensor]:
        seen.append(sam.encode(images))
        return (seen[0],)

    encoded = compared([encode], [lambda: (exported.encode(images),)])
    (embedding,) = seen
    ways = questions(sam)
    own = [lambda given=given: sam.decode(embedding, **given) for given in ways]
    other = [lambda given=given: exported.decode(embedding, **given) for given in ways]
    return {"encoder": encoded, "decoder": compared(own, other)}


@torch.inference_mode()
def compare_network(method: UNet, file: Path) -> Compared:
    """A U-Net on a random input."""
    network = OnnxNetwork(OnnxFile.open(file))
    pixels = torch.randn(1, method.channels, *method.input_shape, generator=torch.Generator().manual_seed(0))
    return compared([lambda: (method.network(pixels),)], [lambda: (network(pixels),)])


def questions(sam: Sam) -> list[Mapping[str, Tensor]]:
    """Prompts of every kind that a SAM learned, one and two objects: clicks on and off, a box, a mask, and all together."""
    side, cells = float(sam.side), 4 * sam.grid
    clicks = {"points_xy": torch.tensor([[[0.5, 0.4], [0.2, 0.7]]]) * side, "labels": torch.tensor([[1, 0]])}
    box = {"boxes_xyxy": torch.tensor([[0.2, 0.3, 0.7, 0.8]]) * side}
    mask = {"masks": torch.linspace(-8, 8, cells).expand(1, 1, cells, cells)}
    two = {name: torch.cat([value, value]) for name, value in {**clicks, **box}.items()}
    learned = sam.traits.prompts
    ways: Sequence[tuple[set[str], Mapping[str, Tensor]]] = (
        ({"points"}, {name: value[:, :1] for name, value in clicks.items()}),
        ({"points"}, clicks),
        ({"box"}, box),
        ({"box", "points"}, {**box, **clicks}),
        ({"box", "points"}, two),
        ({"mask"}, mask),
        ({"points", "mask"}, {**clicks, **mask}),
        ({"box", "mask"}, {**box, **mask}),
    )
    return [given for kinds, given in ways if kinds <= learned]


def compared(own: Sequence[Callable[[], Sequence[Tensor]]], other: Sequence[Callable[[], Sequence[Tensor]]]) -> Compared:
    """The same questions to both, answered by logits or features and perhaps qualities; the fastest answer's seconds."""
    differences, sizes, qualities = [], [], [torch.zeros(())]
    seconds: list[tuple[float, float]] = []
    for ours, theirs in zip(own, other, strict=True):
        begun = time.perf_counter()
        right = ours()
        between = time.perf_counter()
        found = theirs()
        seconds.append((time.perf_counter() - between, between - begun))
        gaps = [(a - b).abs().max() for a, b in zip(right, found, strict=True)]  # a single mask stands for all
        differences.append(gaps[0])
        qualities += gaps[1:]
        sizes.append(right[0].abs().max())
    largest = (float(torch.stack(values).max()) for values in (differences, sizes, qualities))  # NaN, where one is
    return Compared(*largest, *(round(min(taken), 4) for taken in zip(*seconds, strict=True)))
