"""Options of I-MedSAM."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Config(BaseModel):
    """Options of I-MedSAM. Sources: Wei et al. 2024 (arXiv 2311.17081v3), unless a line says "ours" or "released".

    Attributes:
        window: how raw intensities become 0..255: "auto", a preset, or "level,width".
        mode: "paper" as published, its defects mended; "official" as released: gated LoRA, the red channel's spectrum, a
            position code of three coordinates that is unmasked over 20 epochs, dropout on the coarse answer itself, uncertainty
            that is zero once training is over, no cross-entropy, pictures stretched to a square and divided by 255.
        rank: of the low-rank terms on queries and values; 0 for none.
        spectrum: "linear" amplitude; "log" its logarithm, which spreads it (ours); "none" without a frequency stream.
        injection: of the frequency stream into the tokens: "half" as released, or "learned", a factor for each block that
            begins at zero, so that training begins with SAM as it is (ours).
        decoder: "field", the implicit field; "mask", SAM's own mask decoder, as in the paper's ablation.
        prior: whether the field adds to the logits of SAM's own mask, so that it begins with them (ours).
        frequencies: of the position code, for each axis: 10 as published; 4, whose shortest wave is an eighth of the frame,
            leave fine detail to the image features and outlines smooth where few images are learned from (ours).
        sampling: share of the points, the least certain ones, that the fine field answers; 0 for the coarse field alone.
        passes: stochastic passes from which the uncertainty is told; 2 as released.
        dropout_seed: of the stochastic passes when an image is answered.
        points: of each training image where the field is taught: half near borders, the rest around the object and anywhere
            (ours); 0 for all pixels of the frame, as released.
        box_jitter: of training boxes, largest movement of a side as a fraction of its extent (ours; released: outwards by up
            to 19 of 384 pixels).
        encoder_rate: learning rate of all but the field, as a fraction of the field's: 0.05 as released, with 1e-3 for the
            field over 1000 epochs; 1 with the recipe's 3e-4 over few (ours).
        variants: how many versions of each training image are kept: one as it is, the others augmented (ours).
        flips: axes along which variants are mirrored: letters of "xy", or "none"; "auto" takes both, but none as soon as the
            name of a class holds the word left or right.
        precision: of the image encoder when an image is answered.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    window: str = "auto"
    mode: Literal["paper", "official"] = "paper"
    rank: int = Field(4, ge=0, le=64)
    spectrum: Literal["linear", "log", "none"] = "linear"
    injection: Literal["half", "learned"] = "learned"
    decoder: Literal["field", "mask"] = "field"
    prior: bool = True
    frequencies: int = Field(4, ge=1, le=12)
    sampling: float = Field(0.125, ge=0, le=1)
    passes: int = Field(2, ge=2, le=64)
    dropout_seed: int = Field(0, ge=0)
    points: int = Field(4096, ge=0)
    box_jitter: float = Field(0.1, ge=0, le=0.5)
    encoder_rate: float = Field(1.0, gt=0, le=1)
    variants: int = Field(6, ge=1)
    flips: str = Field("auto", pattern="^(auto|none|x|y|xy)$")
    precision: Literal["float32", "bfloat16"] = "float32"

    @property
    def official(self) -> bool:
        """Whether everything is as released."""
        return self.mode == "official"

    @property
    def adds_prior(self) -> bool:
        """Whether the field adds to SAM's own logits; the release's does not."""
        return self.prior and not self.official
