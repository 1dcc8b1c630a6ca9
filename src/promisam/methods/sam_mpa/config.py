"""Options of SAM-MPA."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Share = Literal["auto"] | Annotated[float, Field(ge=0, le=1)]


class Config(BaseModel):
    """Options of SAM-MPA (Xu et al. 2024, arXiv 2411.17363).

    No code was released: what the paper's figure shows is marked "figure"; all else is ours.

    Attributes:
        window: how raw intensities become 0..255: "auto", a preset, or "level,width".
        registration: share of the warped masks in the coarse mask; the rest is the location prior's. 1 is registration alone,
            as in the paper; 0 does without it. "auto" takes what does best on the supports, each left out in turn.
        sam: share of SAM's answer in the final mask; the rest is the coarse mask. 0 never asks SAM. "auto" as above.
        engine: of the registration (`promisam.spatial.registration.register`).
        neighbours: how many supports, those most alike, are registered to an image.
        side: samples to a side of the square that pictures are registered on; volumes have half as many on their longest side.
        sharpness: of the vote among warped masks, whose weights are the softmax of this times the similarity after warping.
        members: small networks whose mean is the location prior.
        steps: that each of them is fitted with.
        margin: of a box around a coarse mask, as a share of the picture's longer side (figure: 2 to 3 %).
        smallest: share of the largest part of a coarse mask that another part needs, to be prompted on its own.
        parts: that an object has on a picture, at most; the others are dropped, first those that are small and unsure. "auto"
            takes as many as the support with the most has.
        levels: of the coarse mask that boxes are drawn around; SAM's answers to all of them are combined.
        cascade: whether SAM is asked once more, by the outline of its own answer.
        cleaning: whether parts away from the coarse mask are dropped, holes filled and edges smoothed.
        agreement: Dice with the coarse mask below which SAM is not believed: the coarse mask is kept, and the case is flagged.
        evidence: share of what the least certain support shows that an image must show, or it is said to hold nothing.
        precision: of the frozen image encoder.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    window: str = "auto"
    registration: Share = "auto"
    sam: Share = "auto"
    engine: Literal["ffd", "demons", "greedy", "dipy"] = "ffd"
    neighbours: int = Field(3, ge=1, le=20)
    side: int = Field(256, ge=32, le=512)
    sharpness: float = Field(20.0, ge=0)
    members: int = Field(4, ge=1, le=32)
    steps: int = Field(300, ge=1)
    margin: float = Field(0.025, ge=0, le=0.5)
    smallest: float = Field(0.05, ge=0, le=1)
    parts: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    levels: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field((0.3, 0.5, 0.7), min_length=1)
    cascade: bool = True
    cleaning: bool = True
    agreement: float = Field(0.3, ge=0, le=1)
    evidence: float = Field(0.7, ge=0)
    precision: Literal["float32", "bfloat16"] = "float32"
