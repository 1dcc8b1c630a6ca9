"""From a picture and its prompts to what the network takes, for every method that stands on a SAM."""

from __future__ import annotations

import copy
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from promisam import zoo
from promisam.core import Image, Prompts
from promisam.sam.frame import Frame
from promisam.sam.model import Sam, Traits

Precision = Literal["float32", "bfloat16"]


@runtime_checkable
class Promptable(Protocol):
    """What answers prompts as a SAM does, whatever computes it: a `Sam`, or one that was exported."""

    @property
    def side(self) -> int:
        """Pixels of the model's square frame."""
        ...

    @property
    def grid(self) -> int:
        """Positions along a side of the image embedding."""
        ...

    @property
    def device(self) -> torch.device:
        """Where tensors are taken and given back."""
        ...

    @property
    def traits(self) -> Traits:
        """How the weights were trained."""
        ...

    def encode(self, images: Tensor) -> Tensor:
        """As of `Sam.encode`."""
        ...

    def decode(
        self,
        embedding: Tensor,
        points_xy: Tensor | None = None,
        labels: Tensor | None = None,
        boxes_xyxy: Tensor | None = None,
        masks: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """As of `Sam.decode`."""
        ...


def framed(sam: Promptable, prepared: Image) -> tuple[Frame, Float[Tensor, "1 3 side side"]]:
    """A picture in 0..255 as the image encoder takes it, and how it sits in the frame."""
    height, width = prepared.grid.shape
    frame = Frame((height, width), sam.side)
    pixels = frame.resize(prepared.pixels, antialias=sam.traits.antialias).to(sam.device)
    return frame, frame.pad(sam.traits.scale(pixels)).contiguous(memory_format=torch.channels_last)


def prompt_tensors(sam: Promptable, frame: Frame, prompts: Prompts) -> dict[str, Tensor]:
    """Points, box and mask of one object in the model's frame, under the names of `PromptEncoder.forward`."""
    given: dict[str, Tensor] = {}
    if len(prompts.points_zyx):
        given["points_xy"] = frame.points_xy(prompts.points_zyx)
        given["labels"] = torch.from_numpy(prompts.labels.astype(np.int64))[None]
    if prompts.box_zyx is not None:
        given["boxes_xyxy"] = frame.box_xyxy(prompts.box_zyx)
    if prompts.mask is not None:
        given["masks"] = frame.mask_logits(prompts.mask, sam.grid)
    return {name: tensor.to(sam.device) for name, tensor in given.items()}


def weights_advice(sam: Promptable, prompts: Prompts, way: str = "use weights") -> str:
    """What to do about prompts of a kind that a SAM's weights never learned: other prompts, or weights that did."""
    able = [name for name in zoo.CATALOGUE if all(name in zoo.that_learned(kind) for kind in prompts.kinds)]
    return (
        f"The weights {sam.traits.name} never learned that: give {' or '.join(sorted(sam.traits.prompts))}, "
        f"or {way} that did, e.g. --weights {able[0] if able else 'sam_vit_b'}."
    )


def encoder_precision(sam: Promptable, precision: Precision) -> AbstractContextManager[object]:
    """What to run the image encoder in: float32 means float32, also on GPUs that would shorten it."""
    device = sam.device.type
    if precision == "bfloat16":
        return torch.autocast(device, torch.bfloat16)
    if device == "cuda":
        return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
    return nullcontext()


def device_of(sam: Sam) -> torch.device:
    """Where the SAM is."""
    return sam.device


def frozen(sam: Sam) -> Sam:
    """A copy in structure that shares the tensors and never learns; the SAM that is given stays as it is."""
    shared: dict[int, object] = {id(p): nn.Parameter(p.detach(), requires_grad=False) for p in sam.parameters()}
    shared.update({id(b): b for b in sam.buffers()})
    return copy.deepcopy(sam, shared).eval()
