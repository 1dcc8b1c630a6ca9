"""Options of SAM-MPA."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Config(BaseModel):
    """Options of SAM-MPA (Xu et al. 2024, arXiv 2411.17363). No code was released: what figures show is marked "figure", what
    stands in the abstract "abstract", and all else is ours.

    Attributes:
        window: how raw intensities become 0..255: "auto", a preset, or "level,width".
        registration: "auto" takes warped masks where they help, as far as the supports among themselves can tell; "always" takes
            them alone where `location` is "never"; "never" does without.
        location: the same for the prior that knows places by their features in the frozen SAM.
        engine: of the registration; `promisam.spatial.registration.register`.
        neighbours: how many supports, those most alike, are registered to an image.
        side: samples to a side that images are registered at; of volumes, the longest side at most.
        sharpness: of the vote: weights are the softmax of this times the similarity after warping.
        members: networks whose mean tells where the object is.
        steps: that each of them is fitted with.
        tuned: whether supports, each left out in turn, decide how much each part counts, and what a confidence means.
        prompt: whether SAM is asked at all ("never": the coarse mask is the answer).
        margin: of a box around a coarse mask, as a share of the picture's longer side (figure: 2 to 3 %).
        smallest: share of the largest part of a coarse mask that a part needs, to be prompted on its own.
        parts: that are prompted, at most.
        candidates: levels of the coarse mask that boxes are drawn around; SAM's answers to all of them are combined.
        cascade: whether SAM is asked once more, by the box of its own answer.
        cleaning: whether parts away from the coarse mask are dropped, holes filled and edges smoothed.
        agreement: Dice with the coarse mask below which SAM is not believed: the coarse mask is kept, and the case is flagged.
        precision: of the frozen image encoder.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    window: str = "auto"
    registration: Literal["auto", "always", "never"] = "auto"
    location: Literal["auto", "always", "never"] = "auto"
    engine: Literal["ffd", "demons", "greedy", "dipy"] = "demons"
    neighbours: int = Field(3, ge=1, le=20)
    side: int = Field(256, ge=32, le=512)
    sharpness: float = Field(20.0, ge=0)
    members: int = Field(4, ge=1, le=32)
    steps: int = Field(300, ge=1)
    tuned: bool = True
    prompt: Literal["auto", "always", "never"] = "auto"
    margin: float = Field(0.025, ge=0, le=0.5)
    smallest: float = Field(0.05, ge=0, le=1)
    parts: int = Field(8, ge=1)
    candidates: tuple[float, ...] = (0.3, 0.5, 0.7)
    cascade: bool = True
    cleaning: bool = True
    agreement: float = Field(0.3, ge=0, le=1)
    precision: Literal["float32", "bfloat16"] = "float32"
