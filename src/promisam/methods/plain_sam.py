"""Zero-shot SAM: a prompt in, a mask out, nothing trained (Kirillov et al. 2023; Ma et al. 2024 for medical weights).

The shortest method: read it before writing another. A method is a class that keeps the `Segmenter` contract, made
from a SAM and the `Config` of its module.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from promisam.core import Grid, Image, PromptKind, Prompts, Scores, Window, check_ndim, check_prompts
from promisam.sam.frame import Frame
from promisam.sam.model import Sam
from promisam.sam.picture import encoder_precision, framed, prompt_tensors, weights_advice


class Config(BaseModel):
    """Options of zero-shot SAM.

    Attributes:
        window: how raw intensities become 0..255: "auto", a preset, or "level,width" (`promisam.core.Window`).
        multimask: whether the best of SAM's three masks for ambiguous prompts is taken, by predicted quality, or its single
            mask for clear prompts. "auto" follows the official advice: three for one lone click, else the single one.
        precision: of the image encoder. float32 is the reference; bfloat16 is faster and differs slightly.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    window: str = "auto"
    multimask: Literal["auto", "always", "never"] = "auto"
    precision: Literal["float32", "bfloat16"] = "float32"


@dataclass(frozen=True, eq=False)
class EncodedPicture:
    """A picture's embedding and how the picture sits in the model's frame."""

    grid: Grid
    frame: Frame
    embedding: Float[Tensor, "1 c h w"]


class PlainSam:
    """SAM as it was released, on pictures."""

    ndim = 2
    automatic = False
    classes: tuple[str, ...] = ()

    def __init__(self, sam: Sam, config: Config | None = None) -> None:
        """Use a SAM on whatever device it is; it is not changed."""
        self.sam = sam
        self.config = config or Config()
        self.window = Window.parse(self.config.window)

    @property
    def accepts(self) -> frozenset[PromptKind]:
        """The kinds of prompt that the weights learned."""
        return self.sam.traits.prompts

    def prepare(self, image: Image) -> Image:
        """Through the window to 0..255."""
        return self.window.apply(image)

    def check(self, grid: Grid, prompts: Prompts) -> None:
        """Refuse prompts off the image and kinds that the weights never learned, naming weights that did."""
        check_prompts(self.accepts, grid, prompts, weights_advice(self.sam, prompts))

    @torch.inference_mode()
    def encode(self, image: Image) -> EncodedPicture:
        """The image encoder's embedding of one picture."""
        check_ndim(self, image.grid)
        frame, pixels = framed(self.sam, self.prepare(image))
        with encoder_precision(self.sam, self.config.precision):
            embedding = self.sam.image_encoder(pixels)
        return EncodedPicture(image.grid, frame, embedding.float())

    @torch.inference_mode()
    def decode(self, encoded: EncodedPicture, prompts: Prompts) -> Scores:
        """The mask that the prompts ask for.

        Raises:
            UnsupportedPrompt: for a kind of prompt that the weights never learned.
        """
        self.check(encoded.grid, prompts)
        logits, quality = self.sam.decode(encoded.embedding, **prompt_tensors(self.sam, encoded.frame, prompts))
        best = self._choose(quality[0], prompts)
        restored = encoded.frame.restore(logits[:, best : best + 1])[0]
        return Scores(restored.float().cpu().numpy(), encoded.grid, (float(quality[0, best]),))

    def _choose(self, quality: Float[Tensor, " k"], prompts: Prompts) -> int:
        lone_click = prompts.kinds == {"points"} and len(prompts.points_zyx) == 1
        several = {"always": True, "never": False, "auto": lone_click}[self.config.multimask] and len(quality) > 1
        return 1 + int(quality[1:].argmax()) if several else 0
