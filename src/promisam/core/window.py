"""From raw intensities to the 8-bit range that Segment Anything models were trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from promisam.core.errors import InvalidConfig

if TYPE_CHECKING:
    from promisam.core.image import Image

# (level, width) in Hounsfield units: the usual reading windows (Radiopaedia, "Windowing (CT)").
PRESETS: dict[str, tuple[float, float]] = {
    "abdomen": (40.0, 400.0),
    "liver": (60.0, 160.0),
    "lung": (-600.0, 1500.0),
    "mediastinum": (40.0, 400.0),
    "bone": (400.0, 1800.0),
    "brain": (40.0, 80.0),
    "stroke": (40.0, 40.0),
    "subdural": (75.0, 215.0),
    "spine": (50.0, 250.0),
    "angio": (300.0, 600.0),
}
# Cut at both ends when no window is named, over samples above the background (MedSAM, Ma et al. 2024, preprocessing).
PERCENTILES = (0.5, 99.5)


@dataclass(frozen=True)
class Levels:
    """The intensities shown as black and as white, and how they were chosen."""

    low: float
    high: float
    how: Literal["window", "percentiles", "8-bit"]


@dataclass(frozen=True)
class Window:
    """How raw values become 0..255.

    `None` for both numbers chooses by the image: 8-bit pixels pass as they are, all others are cut at `PERCENTILES`.

    Raises:
        InvalidConfig: for one number alone, or a width that is not positive.
    """

    level: float | None = None
    width: float | None = None

    def __post_init__(self) -> None:
        """Refuse half a window and an impossible one."""
        if self.level is None and self.width is None:
            return
        numbers = (np.nan if self.level is None else self.level, np.nan if self.width is None else self.width)
        largest = float(np.finfo(np.float64).max) / 4
        if not (np.isfinite(numbers).all() and 0 < numbers[1] < largest and abs(numbers[0]) < largest):
            raise _impossible(f"level {self.level} and width {self.width}")

    @classmethod
    def parse(cls, text: str) -> Window:
        """From "auto", a preset's name, or "level,width".

        Raises:
            InvalidConfig: when the text is none of them.
        """
        if text == "auto":
            return cls()
        if text in PRESETS:
            return cls(*PRESETS[text])
        try:
            level, width = (float(part) for part in text.split(","))
            return cls(level, width)
        except (ValueError, InvalidConfig):
            raise _impossible(repr(text)) from None

    def levels(self, image: Image) -> Levels:
        """The black and white levels for one image, over all its channels and slices."""
        if self.level is not None and self.width is not None:
            return Levels(self.level - self.width / 2, self.level + self.width / 2, "window")
        if image.pixels.dtype == np.uint8:
            return Levels(0.0, 255.0, "8-bit")
        return Levels(*_percentiles(image.pixels), "percentiles")

    def apply(self, image: Image) -> Image:
        """The image as 8-bit pixels that remember their levels; an image that remembers some is returned as it is."""
        from promisam.core.image import Image

        if image.levels is not None:
            return image
        levels = self.levels(image)
        if levels.how == "8-bit":
            return Image(image.pixels, image.grid, levels)
        shown = np.empty(image.pixels.shape, np.uint8)
        width = levels.high - levels.low or np.inf
        for channel in range(image.channels):
            for row in range(image.grid.shape[0]):  # by rows or slices: a float copy of a whole volume would not fit
                values = (image.pixels[channel, row].astype(np.float64) - levels.low) / width * 255.0
                shown[channel, row] = np.clip(np.rint(values), 0, 255)
        return Image(shown, image.grid, levels)


def _impossible(given: str) -> InvalidConfig:
    return InvalidConfig(
        f"the window {given}",
        expected=f"auto, level,width with a positive width, or one of {', '.join(sorted(PRESETS))}",
        do="For soft tissue in CT, try --window abdomen or --window 40,400.",
    )


def _percentiles(pixels: np.ndarray) -> tuple[float, float]:
    values = pixels.ravel()
    if values.size > 4_000_000:  # a regular sample decides a percentile to well below one grey level
        values = values[:: (values.size // 4_000_000) | 1]
    above = values[values > values.min()]
    if not above.size:
        return float(values[0]), float(values[0])
    low, high = np.percentile(above.astype(np.float64), PERCENTILES)
    if low == high:
        low = float(values.min())
    return float(low), float(high)
