"""`segment --size`, `--scale` and `--contour`: what methods can whose answer is a continuous function."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promisam.core.errors import InvalidConfig, UnwritableOutput

if TYPE_CHECKING:
    from promisam.core import Grid, Polygon, Prompts, Scores, Segmenter

LARGEST = 16384  # samples along a side: a mask of 256 million


@dataclass(frozen=True)
class AnySize:
    """What one call asks for beyond a mask on the image's own samples.

    Attributes:
        size_xy: width and height of the mask; None where `scale`, or the image, says it.
        scale: of the image's width and height; None likewise.
        contour: the file for outlines; None without.
    """

    size_xy: tuple[int, int] | None = None
    scale: float | None = None
    contour: Path | None = None

    @classmethod
    def parse(cls, size: str | None, scale: float | None, contour: Path | None) -> AnySize:
        """From options as they were typed.

        Raises:
            InvalidConfig: for both a size and a scale, and for what is neither.
        """
        if size is not None and scale is not None:
            raise InvalidConfig("--size beside --scale", expected="one of them", do="Leave the other out.")
        if scale is not None and not (math.isfinite(scale) and scale > 0):
            raise InvalidConfig(f"--scale {scale:g}", expected="a positive number, such as 2 or 0.5", do="Correct it.")
        found = re.fullmatch(r"\s*(\d+)\s*[xX]\s*(\d+)\s*", size or "")
        if size is not None and found is None:
            raise InvalidConfig(f"--size {size}", expected="width x height in pixels, such as 896x896", do="Correct it.")
        return cls(None if found is None else (int(found[1]), int(found[2])), scale, contour)

    @property
    def asked(self) -> str:
        """The options that were given, for messages; empty without."""
        named = {"--size": self.size_xy, "--scale": self.scale, "--contour": self.contour}
        return " and ".join(name for name, value in named.items() if value is not None)

    def grid(self, picture: Grid) -> Grid:
        """Where the mask lies: over the same extent as the picture.

        Raises:
            InvalidConfig: for a volume, and a size that is none or too large.
        """
        if not self.asked:
            return picture
        if picture.ndim != 2:
            raise InvalidConfig(
                f"{self.asked} on a volume of {picture}",
                expected="a picture, since such methods answer slice by slice",
                do="Leave the option out, or segment one slice that was saved as a picture.",
            )
        shape = picture.shape
        if self.scale is not None:
            shape = tuple(math.floor(n * self.scale + 0.5) for n in shape)
        if self.size_xy is not None:
            shape = self.size_xy[::-1]
        if shape == picture.shape:
            return picture
        if min(shape) < 1 or max(shape) > LARGEST:
            raise InvalidConfig(
                f"a mask of {shape[1]} x {shape[0]} pixels",
                expected=f"1 to {LARGEST} along each side",
                do="Choose another size.",
            )
        return picture.resample(shape)

    def check_mask(self, path: Path, picture: Grid) -> None:
        """Refuse a format that cannot hold a mask of another size than its image.

        Raises:
            UnwritableOutput: for DICOM-SEG.
        """
        if path.suffix.lower() == ".dcm" and self.grid(picture) is not picture:
            raise UnwritableOutput(
                f"the output {path}, a DICOM-SEG of another size than its source",
                expected="the pixels of the source, which it refers to",
                do=f"Write .nii.gz, .nrrd or .png, or leave {self.asked} out.",
            )

    def check_method(self, method: Any, name: str) -> None:  # noqa: ANN401 - a method, or its class
        """Refuse a method whose answers are arrays.

        Raises:
            InvalidConfig: naming what can.
        """
        from promisam.core import Continuous

        if self.asked and not isinstance(method, Continuous):
            raise InvalidConfig(
                f"{self.asked} with the method {name}, which answers on the image's own pixels",
                expected="a method whose answer is a continuous function: imedsam",
                do="Leave the option out and resample or trace the mask with an image tool (nearest neighbour for labels).",
            )

    def check_name(self, method: str) -> None:
        """The same before anything is loaded, as far as a name tells: a run folder has to be opened first."""
        from promisam import store

        if self.asked and store.checkpoint_of(method) is None:
            self.check_method(store.find_method(method)[0], method)

    def decode(
        self,
        method: Segmenter,
        encoded: Any,  # noqa: ANN401 - each method has its own Encoded
        prompts: Prompts,
    ) -> tuple[Scores, tuple[Polygon, ...]]:
        """What the prompts ask for: scores on the mask's grid, and the object's outlines where a file is to hold them.

        Objects are looked for on the finer of the picture's and the mask's samples.
        """
        from promisam.core import Continuous

        if not self.asked or not isinstance(method, Continuous):
            return method.decode(encoded, prompts), ()
        field = method.field(encoded, prompts)
        scores = field.on(self.grid(field.grid))
        if self.contour is None:
            return scores, ()
        from promisam.spatial.contours import contours, trace

        finer = all(mine >= given for mine, given in zip(scores.grid.shape, field.grid.shape, strict=True))
        return scores, tuple(trace(field, scores) if finer else contours(field))
