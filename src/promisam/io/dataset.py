"""The check of a data set before hours are spent on it: which file, what is wrong, what to do."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from promisam.core.errors import PromisamError
from promisam.core.grid import Grid
from promisam.core.image import Image
from promisam.core.segmentation import Segmentation
from promisam.io.formats import format_of
from promisam.io.layouts import Case, find_cases
from promisam.io.reading import flattened, read, read_segmentation

@dataclass(frozen=True)
class CheckReport:
    """What was looked at and what was found.

    Attributes:
        path: of the data set.
        layout: how it lies on the disk, in words.
        images: how many images were looked at.
        masks: how many masks were looked at.
        findings: in the order of the cases.
    """

    path: str
    layout: str
    images: int
    masks: int
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return sum(f.severity == "error" for f in self.findings)


def check(path: str | Path, label: int | None = None) -> CheckReport:
    """Read every image and mask of a data set and compare them.

    Args:
        path: a folder with `images/` and `masks/` (see `layouts.py`), a folder of images, or one file.
        label: the label that the masks are meant to hold; without it, any.

    Raises:
        UnreadableFile: when nothing is there.
    """
    dataset = find_cases(Path(path))
    seen: dict[str, Path] = {}
    findings = list(dataset.findings)
    for case in dataset.cases:
        findings.extend(_unpaired(case) if dataset.paired else ())
        findings.extend(_CaseCheck(case, label, seen).run())
    images = sum(bool(case.images) for case in dataset.cases)
    masks = sum(len(case.masks) for case in dataset.cases)
    return CheckReport(str(path), dataset.layout, images, masks, tuple(findings))


@dataclass(frozen=True)
class _CaseCheck:
    case: Case
    label: int | None
    seen: dict[str, Path] = field(repr=False)  # content of the images so far; grows

    def run(self) -> Iterator[Finding]:
        """Everything about one case."""
        grid = None
        if self.case.image is not None:
            try:
                image = read(self.case.image)
            except PromisamError as error:
                yield _refused(self.case.image, error)
            else:
                grid = image.grid
                yield from self._image(self.case.image, image)
        for path in self.case.masks:
            try:
                mask = read_segmentation(path)
            except PromisamError as error:
                yield _refused(path, error)
            else:
                yield from self._mask(path, mask, grid)

    def _image(self, path: Path, image: Image) -> Iterator[Finding]:
        content = hashlib.sha256(f"{image.pixels.dtype}{image.pixels.shape}".encode())
        content.update(np.ascontiguousarray(image.pixels).data)
        first = self.seen.setdefault(content.hexdigest(), path)
        if first != path:
            yield Finding(str(path), "warning", f"the same content as {first}", "Keep one, or split them as one group.")
        if image.pixels.min() == image.pixels.max():
            yield Finding(str(path), "warning", f"all values are {image.pixels.min():g}", "Check the export.")
        if path.is_file() and format_of(path) == "picture":
            yield from _picture_notes(path, image)

    def _mask(self, path: Path, mask: Segmentation, grid: Grid | None) -> Iterator[Finding]:
        if grid is not None:
            yield from _placement(path, flattened(mask, grid).grid, grid)
        present = mask_values(mask)
        if self.label is not None and self.label not in present:
            held = ", ".join(map(str, present)) or "none"
            yield Finding(str(path), "warning", f"label {self.label} is missing; labels held: {held}", "Check --label.")
        elif not present:
            yield Finding(str(path), "warning", "the mask is empty", "Keep it only if the object is truly absent.")
        elif len(present) > 1 and self.label is None:
            shown = ", ".join(map(str, present[:12])) + (", ..." if len(present) > 12 else "")
            yield Finding(
                str(path), "note", f"{len(present)} labels: {shown}", "Choose one with --label, if only one is meant."
            )
        if present and format_of(path) == "picture" and _is_black_and_white(path):
            yield Finding(str(path), "note", "coded 0 and 255", "Nothing: 255 is read as label 1.")


def mask_values(mask: Segmentation) -> tuple[int, ...]:
    """The labels that are present, without the background."""
    return tuple(int(v) for v in np.unique(mask.labels) if v)


def _unpaired(case: Case) -> Iterator[Finding]:
    if case.image is None:
        for mask in case.masks:
            yield Finding(str(mask), "error", "a mask without an image", f"Add the image {case.name}, or remove the mask.")
    elif not case.masks:
        yield Finding(str(case.image), "error", "an image without a mask", f"Add the mask {case.name}, or remove the image.")


def _placement(path: Path, mask: Grid, image: Grid) -> Iterator[Finding]:
    if mask.shape != image.shape:
        reason = f"the mask has {mask}, its image {image}"
        yield Finding(str(path), "error", reason, "Resample it to the image, nearest neighbour, or export both again.")
    elif mask.unit == image.unit and not mask.matches(image):
        reason = f"the mask lies elsewhere: {_place(mask)}; its image: {_place(image)}"
        yield Finding(str(path), "error", reason, "Copy the image's geometry if the arrays belong together, else resample.")


def _place(grid: Grid) -> str:
    origin = ", ".join(f"{v:.6g}" for v in grid.origin)
    return f"{grid} at {origin}, directions {np.round(grid.direction, 4).tolist()}"


def _picture_notes(path: Path, image: Image) -> Iterator[Finding]:
    from promisam.io.pictures import alpha_state

    alpha = alpha_state(path)
    if alpha != "none":
        what = "dropped, since all is opaque" if alpha == "opaque" else "used: composited on black"
        yield Finding(str(path), "note", f"an alpha channel, {what}", "Nothing, unless the colour below it matters.")
    if image.pixels.dtype.itemsize > 1:
        yield Finding(str(path), "note", f"{image.pixels.dtype} values", "Nothing: they are windowed when they are used.")


def _is_black_and_white(path: Path) -> bool:
    from promisam.io.pictures import picture_facts

    pixels = read(path).pixels
    return picture_facts(path)[1] == "L" and int(pixels.max()) == 255 and bool(np.isin(pixels, (0, 255)).all())


def _refused(path: Path, error: PromisamError) -> Finding:
    reason = error.given.removeprefix(f"{path}, ").removeprefix(f"{path} ").removeprefix(f"the folder {path}, ")
    return Finding(str(path), "error", f"{reason}; expected {error.expected}", error.do)
