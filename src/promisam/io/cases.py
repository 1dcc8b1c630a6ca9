"""The files of one case to one image and one label map on its grid."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from promisam.core.errors import GridMismatch, InvalidSegmentation, UnsupportedFile
from promisam.core.grid import Grid
from promisam.core.image import Image
from promisam.core.segmentation import Segmentation
from promisam.io.layouts.naming import INSTANCES
from promisam.io.layouts.values import Case, Dataset
from promisam.io.reading import flattened, read, read_segmentation, smallest


def read_image(case: Case, dataset: Dataset) -> Image:
    """The image of a case, its channels put together.

    Raises:
        UnreadableFile: for a file that cannot be read.
        UnsupportedFile: when the channels are not those that the data set names.
        GridMismatch: when the channels lie on different grids.
        InvalidImage: for NaN or infinite values.
    """
    parts = [read(path, channels=len(dataset.channels) > 1) for path in case.images]
    first = parts[0]
    for path, part in zip(case.images[1:], parts[1:], strict=True):
        if not part.grid.matches(first.grid):
            raise GridMismatch(
                f"{path}, a channel on {place(part.grid)}",
                expected=f"the grid of {case.images[0].name}, {place(first.grid)}",
                do="Resample the channels to one grid first.",
            )
    image = first if len(parts) == 1 else Image(np.concatenate([part.pixels for part in parts]), first.grid)
    named = dataset.channels
    if len(named) > 1 and image.channels != len(named):
        raise UnsupportedFile(
            f"{case.images[0]}, with {image.channels} channel{'s' if image.channels > 1 else ''}",
            expected=f"the {len(named)} that the data set names: {', '.join(named)}",
            do="Add the channels, or correct the description.",
        )
    return image


def read_labels(case: Case, grid: Grid, classes: Mapping[int, str], only: Collection[int] = ()) -> Segmentation:
    """The labels of a case on the grid of its image, with the data set's values and names.

    Args:
        case: with at least one mask.
        grid: of its image.
        classes: value to name.
        only: the values that are asked for; all others become background. Empty: all.

    Raises:
        UnreadableFile: for a file that cannot be read.
        GridMismatch: for a mask that lies elsewhere than its image.
        InvalidSegmentation: for values that are no labels, or that the data set does not name; for classes that overlap.
    """
    if case.values:
        return Segmentation(_drawn(case, grid, classes, only), grid, classes)
    path = case.masks[0]
    labels = read_on(path, grid).labels
    if only:
        labels = np.where(np.isin(labels, list(only)), labels, 0)
    elif classes and (unnamed := sorted({int(v) for v in np.unique(labels)} - {0, *classes})):
        raise InvalidSegmentation(
            f"{path} with the label{'s' if len(unnamed) > 1 else ''} {', '.join(map(str, unnamed[:12]))}",
            expected=f"labels that the data set names: {', '.join(f'{v} ({n})' for v, n in classes.items())}",
            do="Name it in the description of the data set, or choose labels.",
        )
    return Segmentation(smallest(labels), grid, classes)


def read_on(path: Path, grid: Grid) -> Segmentation:
    """A mask that lies on the grid of its image.

    Raises:
        UnreadableFile: when it cannot be read.
        InvalidSegmentation: for values that are no labels.
        GridMismatch: when it lies elsewhere, or has another size.
    """
    mask = flattened(read_segmentation(path), grid)
    fault = misplaced(mask.grid, grid)
    if fault:
        raise GridMismatch(f"{path}: {fault}", expected="one grid", do="`promisam check-data` proposes a fix.")
    return Segmentation(mask.labels, grid, mask.names)


def misplaced(mask: Grid, image: Grid) -> str:
    """What separates a mask from its image, in words; empty where they belong together.

    Where one of two files has no physical scale, their sizes are all that can be compared.
    """
    if mask.shape != image.shape:
        return f"the mask has {mask}, its image {image}"
    if mask.unit == image.unit and not mask.matches(image):
        return f"the mask lies elsewhere: {place(mask)}; its image: {place(image)}"
    return ""


def place(grid: Grid) -> str:
    """Size, spacing, origin and directions, as a person compares them."""
    origin = ", ".join(f"{v:.6g}" for v in grid.origin)
    return f"{grid} at {origin}, directions {np.round(grid.direction, 4).tolist()}"


def drawn_mask(path: Path, name: str, grid: Grid) -> np.ndarray:
    """Where one file draws its class.

    Raises:
        InvalidSegmentation: when it holds several values, so that which of them is the class cannot be told.
        GridMismatch: when it lies elsewhere than its image.
    """
    labels = read_on(path, grid).labels
    values = [int(v) for v in np.unique(labels) if v]
    if len(values) > 1 and name not in INSTANCES:
        raise InvalidSegmentation(
            f"{path}, which draws {name} with {len(values)} values: {', '.join(map(str, values[:12]))}",
            expected="one value besides 0 in a mask that is called after one class",
            do="Make it 0 and 1, or name the file after its image alone if its values are the labels.",
        )
    return np.asarray(labels != 0)


def _drawn(case: Case, grid: Grid, classes: Mapping[int, str], only: Collection[int]) -> np.ndarray:
    labels = np.zeros(grid.shape, np.uint16)
    for path, value in zip(case.masks, case.values, strict=True):
        if only and value not in only:
            continue
        here = drawn_mask(path, classes[value], grid)
        both = here & (labels != 0) & (labels != value)
        if both.any():
            other = int(labels[both][0])
            raise InvalidSegmentation(
                f"{path}, whose {classes[value]} overlaps {classes[other]} in {int(both.sum())} samples",
                expected="classes that do not overlap, since a label map holds one label per sample",
                do=f"Choose one of the labels {other} and {value}, or separate the masks"
                f" ({other} is {classes[other]}, {value} is {classes[value]}).",
            )
        labels[here] = value
    return smallest(labels)
