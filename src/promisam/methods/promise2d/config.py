"""Options of ProMISe-2D."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Config(BaseModel):
    """Options of ProMISe-2D. Sources: Wang et al. 2024 and its release, unless a line says "ours".

    Attributes:
        window: how raw intensities become 0..255: "auto", a preset, or "level,width".
        mode: "ips" shifts SAM's mask tokens and is prompted; "apm" finds points itself; "apm+ips" does both.
        points: slots of points, the first half (rounded down) on the object; 16 as released, 3 and 5 in the paper's figure 4.
        form: of the network that finds points: "resnet" and "cross" as published, "light" ours.
        anchored: whether each point begins at a place of its own (ours) or all near the centre (as released).
        area: whether found points lie on the picture (ours) or anywhere in the padded frame (as released).
        distance_weight: of a second loss that pulls points to their side of the border (ours); 0 as released.
        start: "zero" begins with SAM as it is (ours), "random" as released.
        mask: which of the decoder's masks is trained and answered: 1 as released, the first of those for ambiguous prompts, or
            0, that for clear ones. "auto" is 1, or 0 on weights that were trained to give one mask only (ours).
        loss: "logits" takes the sigmoid once (ours); "official" twice, with the release's smoothing and clamp.
        smooth: whether masks of shifted tokens are freed from the pattern of four cells that the decoder's up-sampling leaves
            on them (ours).
        opening: side of the box that masks are opened with, in cells of the decoder's masks: 5 in the release's evaluation,
            0 for none (ours, since the release tuned it by data set).
        variants: how many versions of each training image are encoded: one as it is, the others augmented (ours; the release
            augments at every visit, which costs an encoder pass each).
        flips: axes along which variants are mirrored: letters of "xy", or "none"; "auto" takes both (the release's), but none
            as soon as the name of a class holds the word left or right.
        views: of a picture that are asked and whose answers are averaged: 1 as released, 2 with its mirror image from left to
            right, 4 with both kinds and both at once (ours). Each costs an encoder pass. Validation asks the picture alone.
        precision: of the frozen image encoder.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    window: str = "auto"
    mode: Literal["ips", "apm", "apm+ips"] = "apm+ips"
    points: int = Field(16, ge=2, le=64)
    form: Literal["resnet", "cross", "light"] = "resnet"
    anchored: bool = False
    area: Literal["picture", "frame"] = "picture"
    distance_weight: float = Field(0.0, ge=0)
    start: Literal["zero", "random"] = "zero"
    mask: Literal["auto"] | Annotated[int, Field(ge=0)] = "auto"
    loss: Literal["logits", "official"] = "logits"
    smooth: bool = True
    opening: int = Field(0, ge=0, le=31)
    variants: int = Field(4, ge=1)
    flips: str = Field("auto", pattern="^(auto|none|x|y|xy)$")
    views: Literal[1, 2, 4] = 1
    precision: Literal["float32", "bfloat16"] = "float32"

    @property
    def finds_points(self) -> bool:
        """Whether the method needs no prompt."""
        return "apm" in self.mode

    @property
    def shifts_tokens(self) -> bool:
        """Whether the mask tokens are shifted."""
        return "ips" in self.mode
