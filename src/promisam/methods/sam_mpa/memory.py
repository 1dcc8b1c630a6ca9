"""What the method keeps of its supports: all that a checkpoint holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields, replace
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from promisam.core.errors import WeightsError
from promisam.methods.sam_mpa.config import Config
from promisam.methods.sam_mpa.location import Components, LocationPrior


@dataclass(frozen=True)
class Tuned:
    """What supports, each left out in turn, say of how the parts are best put together.

    Attributes:
        registration: share of the warped masks in the coarse mask.
        sam: share of SAM's answer in the final mask.
        similarity: after warping, that is usual; warped masks count less the further below it an image stays.
        evidence: that the least certain support shows.
        parts: that an object has on a picture, at most.
        bodies: that it has in an image; of a picture, the same.
        highest: Dice that a left-out support reached: more is not expected.
        slope: of the Dice to expect, over what the confidence is made of.
        offset: of the same.
    """

    registration: float = 0.25
    sam: float = 2 / 3
    similarity: float = 0.0
    evidence: float = 0.0
    parts: int = 8
    bodies: int = 8
    highest: float = 1.0
    slope: float = 1.0
    offset: float = 0.0

    def asked(self, config: Config) -> Tuned:
        """With what the options ask for in its place."""
        given: dict[str, Any] = {
            "registration": config.registration,
            "sam": config.sam,
            "parts": config.parts,
            "bodies": config.parts,
        }
        return replace(self, **{name: value for name, value in given.items() if value != "auto"})


class Memory(nn.Module):
    """Supports as they are registered, what whole pictures look like, the location prior, and what was tuned.

    Args:
        pictures: (supports, *space): brightness.
        masks: (supports, classes, *space): how much of each sample a class covers.
        pooled: (supports, p).
        components: of the features.
        location: the prior.
    """

    def __init__(
        self,
        pictures: UInt8[Tensor, "k *space"],
        masks: UInt8[Tensor, "k classes *space"],
        pooled: Float[Tensor, "k p"],
        components: Components,
        location: LocationPrior,
    ) -> None:
        super().__init__()
        for name, tensor in {
            "pictures": pictures,
            "masks": masks,
            "pooled": pooled,
            "mean": pooled.mean(0),
            "tuning": torch.tensor(astuple(Tuned()), dtype=torch.float64),
        }.items():
            self.register_buffer(name, tensor)
        self.components, self.location = components, location
        self.pictures: Tensor
        self.masks: Tensor
        self.pooled: Tensor
        self.mean: Tensor
        self.tuning: Tensor

    @classmethod
    def like(cls, shapes: Mapping[str, tuple[int, ...]]) -> Memory:
        """With tensors of these shapes, to read a checkpoint into.

        Raises:
            WeightsError: when these are not the tensors of this method.
        """
        try:
            members, inputs, _ = shapes["location.inner"]
            classes = shapes["location.outer"][2] - 1
            return cls(
                torch.zeros(shapes["pictures"], dtype=torch.uint8),
                torch.zeros(shapes["masks"], dtype=torch.uint8),
                torch.zeros(shapes["pooled"]),
                Components(shapes["components.centre"][0]),
                LocationPrior(inputs, classes, members),
            ).requires_grad_(False)
        except (KeyError, ValueError, IndexError):
            raise WeightsError(
                f"a checkpoint with the tensors {', '.join(sorted(shapes))[:200]}",
                expected="what SAM-MPA remembers of its supports",
                do="Use the method that wrote it.",
            ) from None

    @property
    def tuned(self) -> Tuned:
        """How the parts are put together."""
        values = dict(zip((one.name for one in fields(Tuned)), self.tuning.tolist(), strict=True))
        return Tuned(**{**values, "parts": round(values["parts"]), "bodies": round(values["bodies"])})

    @tuned.setter
    def tuned(self, value: Tuned) -> None:
        self.tuning = torch.tensor(astuple(value), dtype=torch.float64)

    def moving(self, chosen: Tensor) -> tuple[Float[Tensor, "r *space"], Float[Tensor, "r classes *space"]]:
        """Brightness and masks of supports, 0 to 1."""
        return self.pictures[chosen].float() / 255, self.masks[chosen].float() / 255
