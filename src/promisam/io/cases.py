"""The files of one case to one image and one label map on its grid."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from promisam.core.errors import GridMismatch, InvalidConfig, InvalidSegmentation, UnsupportedFile
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


def chosen_labels(labels: Sequence[int], names: Mapping[int, str], path: str | Path) -> tuple[int, ...]:
    """The labels that are meant: those asked for, else all.

    Raises:
        InvalidConfig: for labels that the data set does not have, or that are given twice.
    """
    unknown = [value for value in labels if value not in names]
    if unknown or len(set(labels)) != len(labels):
        raise InvalidConfig(
            f"the labels {', '.join(map(str, labels))} of {path}",
            expected=f"some of {', '.join(f'{v} ({n})' for v, n in names.items())}, each once",
            do="Choose among them.",
        )
    return tuple(labels) or tuple(names)


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


def one_class(path: Path, name: str, mask: Segmentation) -> np.ndarray:
    """Where a file draws the class that it is called after.

    Raises:
        InvalidSegmentation: when it holds several values, so that which of them is the class cannot be told.
    """
    values = [int(v) for v in np.unique(mask.labels) if v]
    if len(values) > 1 and name not in INSTANCES:
        raise InvalidSegmentation(
            f"{path}, which draws {name} with {len(values)} values: {', '.join(map(str, values[:12]))}",
            expected="one value besides 0 in a mask that is called after one class",
            do="Make it 0 and 1, or name the file after its image alone if its values are the labels.",
        )
    return mask.mask()


def overlap(path: Path, names: tuple[str, str], samples: int) -> InvalidSegmentation:
    """The error for a mask of the first class that covers some of the second."""
    return InvalidSegmentation(
        f"{path}, whose {names[0]} overlaps {names[1]} in {samples} samples",
        expected="classes that do not overlap, since a label map holds one label per sample",
        do="Choose the label of one of them, or separate the masks.",
    )


def _drawn(case: Case, grid: Grid, classes: Mapping[int, str], only: Collection[int]) -> np.ndarray:
    labels = np.zeros(grid.shape, np.uint16)
    for path, value in zip(case.masks, case.values, strict=True):
        if only and value not in only:
            continue
        here = one_class(path, classes[value], read_on(path, grid))
        both = here & (labels != 0) & (labels != value)
        if both.any():
            other = int(labels[both][0])
            called = f"{classes[value]} (label {value})", f"{classes[other]} (label {other})"
            raise overlap(path, called, int(both.sum()))
        labels[here] = value
    return smallest(labels)
