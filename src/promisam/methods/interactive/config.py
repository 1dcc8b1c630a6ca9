"""Options of interactive training."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from promisam.sam.asking import Multimask
from promisam.sam.picture import Precision


class Config(BaseModel):
    """Options of interactive training.

    The way is SAM's own (Kirillov et al. 2023, arXiv 2304.02643, appendix A); the numbers are ours.

    Attributes:
        trained: "points", what a click on and off the object and its absence mean; "tokens", these, the mask tokens and the
            heads behind them; "all", the whole prompt encoder and mask decoder. The image encoder is never trained.
        objects: what a click asks for: the whole "class" in the image, or the connected "part" of it that was clicked.
        rounds: clicks on mistakes after the first prompt.
        boxes: share of samples that begin with a box in place of a click.
        box_answers: what answers a box without clicks: the SAM below, as before ("kept"; a click that corrects it is still
            learned), or what was trained ("learned").
        box_jitter: largest movement of a box's side as a fraction of its extent.
        feedback: share of corrections that see the last mask as well.
        quality: weight of the error of the predicted IoU.
        flips: axes along which variants are mirrored: letters of "xy", or "none"; "auto" takes both, but none as soon as the
            name of a class holds the word left or right.
        variants: versions of an image that are encoded: itself, and others that are augmented.
        multimask: as of `plain_sam`: whether the best of three masks is taken, by predicted quality, or the single one.
        window: how raw intensities become 0..255, as of `plain_sam`.
        precision: of the image encoder.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trained: Literal["points", "tokens", "all"] = "all"
    objects: Literal["class", "part"] = "class"
    rounds: int = Field(3, ge=0)
    boxes: float = Field(0.4, ge=0, le=1)
    box_answers: Literal["kept", "learned"] = "kept"
    box_jitter: float = Field(0.05, ge=0, le=0.5)
    feedback: float = Field(0.5, ge=0, le=1)
    quality: float = Field(1.0, ge=0)
    flips: str = Field("auto", pattern="^(auto|none|x?y?)$")
    variants: int = Field(3, ge=1)
    multimask: Multimask = "auto"
    window: str = "auto"
    precision: Precision = "float32"

    @property
    def boxed(self) -> float:
        """Share of samples that begin with a box, of those from which something can be learned."""
        return self.boxes if self.rounds or self.box_answers == "learned" else 0.0
