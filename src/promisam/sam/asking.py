"""A SAM asked as it was released: a picture's embedding, and the mask for one object's prompts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from promisam.core import Grid, Image, Prompts, Scores
from promisam.sam.frame import Frame
from promisam.sam.picture import Precision, Promptable, encoder_precision, framed, prompt_tensors

Multimask = Literal["auto", "always", "never"]
"""Whether the best of a SAM's three masks for ambiguous prompts is taken, by predicted quality, or its single mask for clear
prompts. "auto" follows the official advice: three for one lone click, else the single one."""


@dataclass(frozen=True, eq=False)
class EncodedPicture:
    """A picture's embedding and how the picture sits in the model's frame."""

    grid: Grid
    frame: Frame
    embedding: Float[Tensor, "1 c h w"]


@torch.inference_mode()
def embed(sam: Promptable, prepared: Image, precision: Precision) -> EncodedPicture:
    """The image encoder's embedding of one picture in 0..255."""
    frame, pixels = framed(sam, prepared)
    with encoder_precision(sam, precision):
        embedding = sam.encode(pixels)
    return EncodedPicture(prepared.grid, frame, embedding.float())


@torch.inference_mode()
def answer(sam: Promptable, encoded: EncodedPicture, prompts: Prompts, multimask: Multimask) -> Scores:
    """The mask that the prompts ask for and the IoU that the SAM expects of it."""
    logits, quality = sam.decode(encoded.embedding, **prompt_tensors(sam, encoded.frame, prompts))
    best = _choose(quality[0], prompts, multimask)
    restored = encoded.frame.restore(logits[:, best : best + 1])[0]
    return Scores(restored.float().cpu().numpy(), encoded.grid, (float(quality[0, best]),))


def _choose(quality: Float[Tensor, " k"], prompts: Prompts, multimask: Multimask) -> int:
    lone_click = prompts.kinds == {"points"} and len(prompts.points_zyx) == 1
    several = {"always": True, "never": False, "auto": lone_click}[multimask] and len(quality) > 1
    return 1 + int(quality[1:].argmax()) if several else 0
