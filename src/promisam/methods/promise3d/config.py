"""Options of ProMISe-3D."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Config(BaseModel):
    """Options of ProMISe-3D. Sources: Li et al. 2023 (arXiv 2310.19721), unless a line says "ours" or "released".

    Attributes:
        mode: "paper" as published, its defects mended; "official" as released: the back adapters' outputs count twice, the
            boundary term looks at both channels and at the cube's faces, negatives are drawn anywhere, no click has a label,
            one cube is looked at.
        spacing: millimetres between samples, along each axis, of the volume that the network sees.
        patch: samples along a side of the cube that the network sees at once: 128 as published.
        enlargement: how many pixels of SAM's input one sample becomes along each axis: 4 as published.
        window: tokens along a side of the windows of attention.
        adapters: in each block: 2 before and behind it; 1 before it, as in 3DSAM-adapter; 0 none.
        neck: channels of the four features.
        decoder: channels of the decoder's branches and of the convolutional path.
        upsampling: of the features: "transposed" convolutions, or "trilinear" as in 3DSAM-adapter.
        path: of convolutions over the cube itself: "C", concatenated with it; "R", with a residual connection and without it
            (our reading: the release has C alone); "none", the cube alone, as in 3DSAM-adapter.
        fineness: how many times finer than the branches, which have twice the tokens' resolution, the convolutional path and
            the head see the cube: 1 as published; 2 is the cube's own resolution where a token covers four samples (ours).
        queries: global queries of each layer of the prompt encoder.
        prompt_mlp: hidden channels of its MLP.
        labels: whether a learned label tells negative clicks from positive ones (ours; as published, none does).
        click_map: whether the decoder sees the clicks as maps beside the cube (ours).
        boundary: weight of the boundary term: 10 as released.
        boundary_plane: in which planes the boundary is told by pooling: "slices" those of the volume's slices, "released" the
            first two axes, "all" in every direction (ours).
        positives: most clicks on the object while training; from 1 to so many are drawn (released: always so many).
        negatives: most clicks on the background while training, from 0 (released: 20 anywhere, also on the object).
        foreground: share of training cubes around a sample of an object (released: two thirds; paper: a half).
        percentiles: of the objects' intensities, at which volumes are clipped.
        rotation: degrees, about each axis, of training cubes (released: within the slices).
        scaling: share by which training cubes shrink or grow.
        flips: axes along which they are mirrored: letters of "xyz", or "none"; "auto" takes all, but none as soon as the name
            of a class holds the word left or right.
        view: where an object is looked for: in "cubes" around the clicks and on from there wherever it leaves one, or in the
            whole "volume", in overlapping cubes that all see the clicks as maps (ours; needs click_map).
        cubes: at most so many are looked at for one object; 1 as published. As many stay encoded for further clicks, each in
            0.2 GB at the published sizes.
        precision: of the image encoder when a volume is answered.
        checkpointing: whether training computes each block twice to keep less of it in memory.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Literal["paper", "official"] = "paper"
    spacing: float = Field(1.0, gt=0)
    patch: int = Field(128, ge=8, multiple_of=4)
    enlargement: int = Field(4, ge=1, le=8)
    window: int = Field(8, ge=1)
    adapters: Literal[0, 1, 2] = 2
    neck: int = Field(256, ge=8)
    decoder: int = Field(128, ge=4)
    upsampling: Literal["transposed", "trilinear"] = "transposed"
    path: Literal["C", "R", "none"] = "C"
    fineness: int = Field(1, ge=1, le=4)
    queries: int = Field(10, ge=1)
    prompt_mlp: int = Field(2048, ge=8)
    labels: bool = True
    click_map: bool = False
    boundary: float = Field(10.0, ge=0)
    boundary_plane: Literal["slices", "released", "all"] = "slices"
    positives: int = Field(10, ge=1)
    negatives: int = Field(10, ge=0)
    foreground: float = Field(0.5, ge=0, le=1)
    percentiles: tuple[float, float] = (0.5, 99.5)
    rotation: float = Field(30.0, ge=0, le=180)
    scaling: float = Field(0.1, ge=0, le=0.9)
    flips: str = Field("auto", pattern="^(auto|none|x?y?z?)$")
    view: Literal["cubes", "volume"] = "cubes"
    cubes: int = Field(12, ge=1)
    precision: Literal["float32", "bfloat16"] = "float32"
    checkpointing: bool = False

    @model_validator(mode="after")
    def _seen_from_afar(self) -> Config:
        if self.view == "volume" and not self.click_map:
            raise ValueError("view=volume needs click_map=true, which shows the clicks to cubes that hold none")
        if self.official and (self.view != "cubes" or self.cubes not in (1, type(self).model_fields["cubes"].default)):
            raise ValueError("mode=official looks at one cube: leave view and cubes out")
        return self

    @property
    def official(self) -> bool:
        """Whether everything is as released."""
        return self.mode == "official"
