"""The check of a data set before hours are spent on it: which file, what is wrong, what to do."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from promisam.core.errors import PromisamError
from promisam.core.grid import Grid
from promisam.core.image import Image
from promisam.core.segmentation import Segmentation
from promisam.io.cases import chosen_labels, misplaced, read_image, read_labels
from promisam.io.findings import Finding, refused
from promisam.io.formats import format_of
from promisam.io.layouts import Case, Dataset, find_cases
from promisam.io.layouts.naming import INSTANCES
from promisam.io.mending import proposal
from promisam.io.reading import flattened, read, read_segmentation

Progress = Callable[[int, int | None], None]  # done, of


@dataclass(frozen=True)
class CheckReport:
    """What was looked at and what was found.

    Attributes:
        path: of the data set.
        layout: how it lies on the disk, in words.
        images: how many images were looked at; the channels of one are counted once.
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


def check(
    path: str | Path,
    labels: Sequence[int] = (),
    progress: Progress = lambda done, of: None,  # noqa: ARG005 - the names document the call
) -> CheckReport:
    """Read every image and mask of a data set and compare them.

    Args:
        path: a data set in one of the layouts that `find_cases` knows, a folder of images, or one file.
        labels: the labels that the masks are meant to hold; without them, any.
        progress: called before each case and at the end.

    Raises:
        UnreadableFile: when nothing is there, or its description cannot be followed.
        InvalidConfig: for labels that the data set does not name.
    """
    dataset = find_cases(Path(path))
    if dataset.classes:
        chosen_labels(labels, dataset.classes, path)
    seen = Seen()
    findings = list(dataset.findings)
    for done, case in enumerate(dataset.cases):
        progress(done, len(dataset.cases))
        findings.extend(_unpaired(case, findings) if dataset.paired else ())
        findings.extend(_CaseCheck(case, dataset, tuple(labels), seen).run())
    progress(len(dataset.cases), len(dataset.cases))
    images = sum(bool(case.images) for case in dataset.cases)
    masks = sum(len(case.masks) for case in dataset.cases)
    return CheckReport(str(path), dataset.layout, images, masks, tuple(findings))


@dataclass
class Seen:
    """The images met so far, by what they show."""

    by_content: dict[str, Case] = field(default_factory=dict)

    def first(self, case: Case, image: Image) -> Case:
        """The first case with the same pixels; this one, where there is none."""
        content = hashlib.sha256(f"{image.pixels.dtype}{image.pixels.shape}".encode())
        content.update(np.ascontiguousarray(image.pixels).data)
        return self.by_content.setdefault(content.hexdigest(), case)


@dataclass(frozen=True)
class _CaseCheck:
    case: Case
    dataset: Dataset
    labels: tuple[int, ...]
    seen: Seen = field(repr=False)

    def run(self) -> Iterator[Finding]:
        """Everything about one case."""
        grid = None
        if self.case.images:
            try:
                image = read_image(self.case, self.dataset)
            except PromisamError as error:
                yield refused(self._faulty(error), error)
            else:
                grid = image.grid
                yield from self._image(image)
        sound = grid is not None
        for path, value in zip(self.case.masks, self.case.values or (None,) * len(self.case.masks), strict=True):
            try:
                mask = read_segmentation(path)
            except PromisamError as error:
                found = refused(path, error)
                yield Finding(found.file, "error", found.reason, proposal(path, grid, found.do), value)
                sound = False
                continue
            for finding in self._mask(path, mask, grid, value):
                sound = sound and finding.severity != "error"
                yield finding
        if sound and grid is not None and len(self.case.masks) > 1:
            yield from self._overlap(grid)
        yield from self._absent()

    def _faulty(self, error: PromisamError) -> Path:
        named = [path for path in self.case.images if str(path) in error.given]
        return max(named or self.case.images[:1], key=lambda path: len(str(path)))

    def _image(self, image: Image) -> Iterator[Finding]:
        path = self.case.images[0]
        first = self.seen.first(self.case, image)
        if first is not self.case:
            yield same_image(self.case, first)
        if image.pixels.min() == image.pixels.max():
            yield Finding(str(path), "warning", f"all values are {image.pixels.min():g}", "Check the export.")
        for part in self.case.images:
            if part.is_file() and format_of(part) == "picture":
                yield from _picture_notes(part)

    def _mask(self, path: Path, mask: Segmentation, grid: Grid | None, value: int | None) -> Iterator[Finding]:
        if grid is not None and (fault := misplaced(flattened(mask, grid).grid, grid)):
            otherwise = "Resample it to the image, nearest neighbour, or export both again."
            if mask.grid.shape == grid.shape:
                otherwise = "Copy the image's geometry if the arrays belong together, else resample."
            yield Finding(str(path), "error", fault, proposal(path, grid, otherwise), value)
        present = mask_values(mask)
        yield from self._drawn(path, present, value) if value is not None else self._held(path, present)
        if present and format_of(path) == "picture" and _is_black_and_white(path):
            yield Finding(str(path), "note", "coded 0 and 255", "Nothing: 255 is read as label 1.", value)

    def _drawn(self, path: Path, present: tuple[int, ...], value: int) -> Iterator[Finding]:
        """A file that draws one class."""
        name = self.dataset.classes[value]
        if len(present) > 1 and name not in INSTANCES:
            reason = f"draws {name} with {len(present)} values: {_some(present)}"
            yield Finding(str(path), "error", reason, "Make it 0 and 1, or call it like its image.", value)
        elif not present:
            do = "Keep it only if the object is truly absent."
            yield Finding(str(path), "warning", "the mask is empty", do, value)

    def _held(self, path: Path, present: tuple[int, ...]) -> Iterator[Finding]:
        """A file whose values are the labels."""
        held = ", ".join(map(str, present)) or "none"
        missing = [label for label in self.labels if label not in present]
        for label in missing:
            reason = f"label {label} is missing; labels held: {held}"
            yield Finding(str(path), "warning", reason, "Check --label; keep it only if the object is truly absent.", label)
        if not self.labels and not present:
            yield Finding(str(path), "warning", "the mask is empty", "Keep it only if the object is truly absent.")
        if not self.labels and len(present) > 1 and not self.dataset.classes:
            yield Finding(
                str(path), "note", f"{len(present)} labels: {_some(present)}", "Choose with --label, if not all are meant."
            )
        for label in present if self.dataset.classes and not self.labels else ():
            if label not in self.dataset.classes:
                do = "Name it in the data set's description, or choose labels with --label."
                yield Finding(str(path), "error", f"label {label} has no name in the data set", do, label)

    def _overlap(self, grid: Grid) -> Iterator[Finding]:
        try:
            read_labels(self.case, grid, self.dataset.classes, self.labels)
        except PromisamError as error:
            yield refused(next((p for p in self.case.masks if str(p) in error.given), self.case.masks[0]), error)

    def _absent(self) -> Iterator[Finding]:
        """Labels that were asked for, and that no mask of the case draws."""
        for label in self.labels if self.case.values else ():
            if label not in self.case.values:
                drawn = ", ".join(f"{value} ({self.dataset.classes[value]})" for value in sorted(set(self.case.values)))
                reason = f"label {label} is missing; its masks draw {drawn}"
                yield Finding(str(self.case.masks[0]), "warning", reason, "Keep it only if the object is truly absent.", label)


def mask_values(mask: Segmentation) -> tuple[int, ...]:
    """The labels that are present, without the background."""
    return tuple(int(v) for v in np.unique(mask.labels) if v)


def same_image(case: Case, first: Case) -> Finding:
    """An image that another case has too: between groups or parts, it would be learned and asked alike."""
    other = first.images[0]
    torn = [
        f"{what} {theirs}"
        for what, ours, theirs in (("group", case.group, first.group), ("split", case.split, first.split))
        if ours and theirs and ours != theirs
    ]
    if torn:
        reason = f"a leak: the same content as {other}, which is in {' and '.join(torn)}"
        return Finding(str(case.images[0]), "error", reason, "Keep one: --fix keeps the first.")
    return Finding(
        str(case.images[0]),
        "warning",
        f"the same content as {other}",
        "Keep one (--fix keeps the first), or give both one group.",
    )


def _unpaired(case: Case, findings: Sequence[Finding]) -> Iterator[Finding]:
    if not case.images:
        for mask in case.masks:
            yield Finding(str(mask), "error", "a mask without an image", f"Add the image {case.name}, or remove the mask.")
    elif not case.masks and not any(f.case == case.name for f in findings):
        do = f"Add the mask {case.name}, or remove the image."
        yield Finding(str(case.images[0]), "error", "an image without a mask", do)


def _picture_notes(path: Path) -> Iterator[Finding]:
    from promisam.io.pictures import alpha_state

    alpha = alpha_state(path)
    if alpha != "none":
        what = "dropped, since all is opaque" if alpha == "opaque" else "used: composited on black"
        yield Finding(str(path), "note", f"an alpha channel, {what}", "Nothing, unless the colour below it matters.")
    pixels = read(path).pixels
    if pixels.dtype.itemsize > 1:
        yield Finding(str(path), "note", f"{pixels.dtype} values", "Nothing: they are windowed when they are used.")


def _is_black_and_white(path: Path) -> bool:
    from promisam.io.pictures import picture_facts

    pixels = read(path).pixels
    return picture_facts(path)[1] == "L" and int(pixels.max()) == 255 and bool(np.isin(pixels, (0, 255)).all())


def _some(values: Sequence[int]) -> str:
    return ", ".join(map(str, values[:12])) + (", ..." if len(values) > 12 else "")
