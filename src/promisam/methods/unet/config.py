"""The options of the U-Net, and what follows from them and a task."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from promisam.core import Task
from promisam.training.augmentation import Augmentation, mirrored_axes


class Config(BaseModel):
    """Options of the U-Net.

    Attributes:
        window: how raw intensities become 0..255: "auto", a preset, or "level,width" (`promisam.core.Window`).
        side: pixels of the longer side of a picture in the network; volumes have `patch`. (LiteMedSAM's; on one core a step of
            eight pictures then takes under two seconds.)
        patch: (z, y, x) samples of a volume that the network sees at once, fewer on axes on which the median volume is
            shorter. (Ours: what trains on one core. nnU-Net fills a GPU with 128 to a side.)
        width: channels of the first level, doubled from level to level up to 256. (32: U-Nets of nnU-Net.)
        levels: resolutions; an axis is halved from one to the next while at least 4 samples remain. (5: Ronneberger et
            al. 2015.)
        rotation: degrees by which training samples are turned either way. (30: nnU-Net.)
        scaling: share by which they shrink or grow. (0.2: milder than nnU-Net's 0.3 and 0.4.)
        flips: axes along which they are mirrored: letters of "xyz", or "none". "auto" takes all (nnU-Net), but none as soon as
            the name of a class holds the word left or right.
        intensity: strength of their changes in brightness, contrast, gamma, noise and sharpness; 1 is nnU-Net's.
        foreground: share of a volume's patches that are laid around a labelled sample. (A third: nnU-Net.)
        overlap: of neighbouring windows when a volume is segmented, as a share of the patch. (A half: nnU-Net.)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    window: str = "auto"
    side: int = Field(256, ge=16)
    patch: tuple[int, int, int] = (64, 64, 64)
    width: int = Field(32, ge=1)
    levels: int = Field(5, ge=2)
    rotation: float = Field(30.0, ge=0, le=180)
    scaling: float = Field(0.2, ge=0, le=0.9)
    flips: str = Field("auto", pattern="^(auto|none|x|y|z|xy|xz|yz|xyz)$")
    intensity: float = Field(1.0, ge=0, le=3)
    foreground: float = Field(1 / 3, ge=0, le=1)
    overlap: float = Field(0.5, ge=0, lt=1)


def augmentation_of(config: Config, task: Task) -> Augmentation:
    """How training samples are changed.

    Raises:
        InvalidConfig: for an axis that the task's images do not have.
    """
    flips = mirrored_axes(config.flips, task)
    return Augmentation(rotation=config.rotation, scale=config.scaling, flips=flips).intensities(config.intensity)
