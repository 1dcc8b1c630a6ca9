"""What can be put right about a mask without guessing, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from promisam.core.errors import GridMismatch, InvalidSegmentation, PromisamError
from promisam.core.grid import Grid
from promisam.core.segmentation import Segmentation
from promisam.io.cases import misplaced, one_class, overlap
from promisam.io.formats import format_of
from promisam.io.layouts import Case
from promisam.io.reading import flattened, read, read_segmentation, smallest

_HALF_A_SAMPLE = 0.5  # nearest neighbours stay the same samples up to here
_SAME_ASPECT = 0.01  # of height to width, before and after a change of size
_INSIDE = 0.99  # share of the labelled samples that must lie on the image, or mask and image are not of one patient
_NEAR = 0.1  # of the range: how far compression and smoothing move black and white
_MOST_NEAR = 0.9  # share of the samples near black or white in a mask of two values
_ROUNDING = 1e-3  # what a scaling in floating point costs


@dataclass(frozen=True)
class Mended:
    """A mask that can be used.

    Attributes:
        mask: on the grid of its image.
        done: what was changed, in words; empty where nothing had to be.
    """

    mask: Segmentation
    done: tuple[str, ...] = ()


def mend(path: Path, grid: Grid | None) -> Mended:
    """Read a mask and put right what can be.

    Args:
        path: of the mask.
        grid: of its image; None where that is unknown, and only the values matter.

    Raises:
        PromisamError: when it cannot be used without a decision by a person.
    """
    try:
        found = Mended(read_segmentation(path))
    except InvalidSegmentation as error:
        found = _cut(path, error)
    return found if grid is None else _moved(path, found, grid)


def proposal(path: Path, grid: Grid | None, otherwise: str) -> str:
    """What `mend` would do about a mask, else what a person has to."""
    try:
        done = mend(path, grid).done
    except PromisamError:
        return otherwise
    return f"--fix can do this: {'; '.join(done)}." if done else otherwise


@dataclass(frozen=True)
class MendedCase:
    """The masks of a case, ready to be written.

    Attributes:
        masks: by class where files draw classes, else one, called "".
        done: what was changed, by file.
    """

    masks: Mapping[str, Segmentation]
    done: tuple[tuple[Path, str], ...]


def mend_case(case: Case, classes: Mapping[int, str], grid: Grid, labels: Sequence[int]) -> MendedCase:
    """Mend every mask of a case.

    Args:
        case: with at least one mask.
        classes: value to name, as far as the data set names its labels.
        grid: of its image.
        labels: the only ones to keep; all without them.

    Raises:
        PromisamError: when one of them cannot be used without a decision by a person.
    """
    if case.values:
        return _mend_classes(case, classes, grid, labels)
    path = case.masks[0]
    found = mend(path, grid)
    held = [int(v) for v in np.unique(found.mask.labels) if v]
    unnamed = [value for value in held if classes and value not in classes and not labels]
    if unnamed:
        raise InvalidSegmentation(
            f"{path} with the labels {unnamed}, which the data set does not name",
            expected=f"{', '.join(map(str, classes))}",
            do="Name them, or choose labels with --label.",
        )
    surplus = [value for value in held if labels and value not in labels]
    kept = np.where(np.isin(found.mask.labels, surplus), 0, found.mask.labels) if surplus else found.mask.labels
    done = [(path, what) for what in found.done]
    if surplus:
        done.append((path, f"labels made background: {', '.join(map(str, surplus))}"))
    return MendedCase({"": Segmentation(smallest(kept), grid)}, tuple(done))


def _mend_classes(case: Case, classes: Mapping[int, str], grid: Grid, labels: Sequence[int]) -> MendedCase:
    drawn: dict[str, np.ndarray] = {}
    done: list[tuple[Path, str]] = []
    for path, value in zip(case.masks, case.values, strict=True):
        name = classes[value]
        if labels and value not in labels:
            done.append((path, f"left away, since {name} is not among the labels asked for"))
            continue
        found = mend(path, grid)
        here = one_class(path, name, found.mask)
        for other, there in drawn.items():
            if other != name and (here & there).any():
                raise overlap(path, (name, other), int((here & there).sum()))
        if name in drawn:
            done.append((path, f"merged with the other parts of {name}"))
        drawn[name] = drawn.get(name, False) | here
        done += [(path, what) for what in found.done]
    if not drawn:  # of the labels asked for, none is in this image: that is knowledge too
        drawn[classes[labels[0]]] = np.zeros(grid.shape, bool)
    masks = {name: Segmentation(there.astype(np.uint8), grid) for name, there in drawn.items()}
    return MendedCase(masks, tuple(done))


def _cut(path: Path, error: InvalidSegmentation) -> Mended:
    """Two values and what lies between, from JPEG, smoothing or interpolation, cut in the middle."""
    image = read(path)
    samples = image.pixels
    spread = np.ptp(samples.astype(np.float64), axis=0)
    values = samples[0].astype(np.float64)
    low, high = float(values.min()), float(values.max())
    if spread.max() > (_NEAR * 255 if format_of(path) == "picture" else 0) or low < 0:
        raise error
    rounded = np.rint(values)
    if 0 < np.abs(values - rounded).max() <= _ROUNDING:
        labels = rounded.astype(np.min_scalar_type(int(high)))
        return Mended(Segmentation(labels, image.grid), ("values rounded to whole numbers",))
    top = 255.0 if high > 1 else 1.0
    near = (values <= _NEAR * top) | (values >= (1 - _NEAR) * top)
    two_ended = high >= (1 - _NEAR) * top and high <= top and near.mean() >= _MOST_NEAR
    if not two_ended:
        raise error
    between = len(np.unique(values[(values > 0) & (values < top)]))
    middle = 128.0 if top == 255 else 0.5
    what = f"values between 0 and {top:g} ({between} of them) cut at {middle:g}"
    return Mended(Segmentation((values >= middle).astype(np.uint8), image.grid), (what,))


def _moved(path: Path, found: Mended, grid: Grid) -> Mended:
    mask = flattened(found.mask, grid)
    fault = misplaced(mask.grid, grid)
    if not fault:
        return Mended(Segmentation(mask.labels, grid, mask.names), found.done)
    refusal = GridMismatch(
        f"{path}: {fault}",
        expected="a mask on the grid of its image, or one that overlaps it",
        do="Find the mask that belongs to the image, or export both again.",
    )
    if mask.grid.ndim != grid.ndim or mask.grid.unit != grid.unit:
        raise refusal
    if mask.grid.matches(grid, _HALF_A_SAMPLE):
        what = "geometry copied from its image, less than half a sample away"
        return Mended(Segmentation(mask.labels, grid, mask.names), (*found.done, what))
    if grid.unit == "px":
        return _resized(mask, found, grid, refusal)
    return _resampled(mask, found, grid, refusal)


def _resized(mask: Segmentation, found: Mended, grid: Grid, refusal: PromisamError) -> Mended:
    """A picture's mask that was drawn at another size."""
    if grid.ndim != 2:
        raise refusal
    before, after = mask.grid.shape, grid.shape
    if abs((before[0] / before[1]) / (after[0] / after[1]) - 1) > _SAME_ASPECT:
        raise refusal
    resized = Segmentation(mask.labels, grid.resample(before), mask.names).resample(grid)
    if _lost(mask, resized):
        raise refusal
    what = f"resized from {before[1]} x {before[0]} to {after[1]} x {after[0]}, nearest neighbour"
    return Mended(resized, (*found.done, what))


def _resampled(mask: Segmentation, found: Mended, grid: Grid, refusal: PromisamError) -> Mended:
    """A mask that lies on the image, on another grid."""
    places = mask.grid.to_mm(np.argwhere(mask.labels))
    on_image = grid.contains(grid.to_index(places)) & (grid.off_plane(places) <= _HALF_A_SAMPLE)
    if not len(places) or on_image.mean() < _INSIDE:
        raise refusal
    moved = mask.resample(grid)
    if _lost(mask, moved):
        raise refusal
    return Mended(moved, (*found.done, "resampled to its image through the patient's space, nearest neighbour"))


def _lost(before: Segmentation, after: Segmentation) -> bool:
    """Whether a label fell between the samples."""
    return set(np.unique(before.labels)) - {0} != set(np.unique(after.labels)) - {0}
