"""Pictures of cases: the outlines of truth and prediction on the image."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image as Pillow
from scipy import ndimage

from promisam.core import Grid, Segmentation, Window
from promisam.core.errors import PromisamError
from promisam.evaluation.folders import Evaluation
from promisam.evaluation.pairing import Pair
from promisam.evaluation.scores import CaseScore
from promisam.evaluation.surface import bounding_box

# Okabe and Ito's palette, told apart by every kind of colour vision, and apart in lightness as well.
TRUTH_COLOUR = (230, 159, 0)
PREDICTION_COLOUR = (86, 180, 233)
_SIDE = 480  # of the picture, in pixels of the screen
_SMALLEST = 24  # samples shown around a tiny object


@dataclass(frozen=True)
class Panel:
    """One picture of the report: a title, the score that it shows, a data URI, and what to know about it."""

    title: str
    score: CaseScore
    source: str
    note: str


def panels(evaluation: Evaluation, images: Mapping[str, Path]) -> list[Panel]:
    """The worst, the median and the best of the cases that could be compared, by Dice.

    Args:
        evaluation: with the paths of the files, which are read again.
        images: the image of each case, as far as there is one.
    """
    compared = [s for s in evaluation.scores if s.dice is not None and not s.failed]
    ranked = sorted(compared, key=lambda s: (s.dice or 0.0, s.case, s.label))
    if not ranked:
        return []
    chosen = {"Worst": 0, "Median": (len(ranked) - 1) // 2, "Best": len(ranked) - 1}
    pairs = {pair.case: pair for pair in evaluation.pairs}
    shown: dict[int, str] = {}
    for title, place in chosen.items():
        shown[place] = f"{shown[place]} and {title.lower()}" if place in shown else title
    return [_panel(title, ranked[place], pairs[ranked[place].case], images) for place, title in shown.items()]


def _panel(title: str, score: CaseScore, pair: Pair, images: Mapping[str, Path]) -> Panel:
    from promisam.io import read_segmentation

    truth = read_segmentation(pair.truth)
    prediction = read_segmentation(pair.prediction or pair.truth)
    place = ""
    axis, index = 0, 0
    if truth.grid.ndim == 3:
        axis, index = slice_of_disagreement(prediction, truth, score.label)
        place = f"slice {index} along {'zyx'[axis]}"
        background, note = _background(images.get(score.case), truth.grid, (axis, index))
        truth, prediction = truth.slice(axis, index), prediction.slice(axis, index)
    else:
        background, note = _background(images.get(score.case), truth.grid, None)
    picture = draw(background, prediction.mask(score.label), truth.mask(score.label), truth.grid.spacing)
    return Panel(title, score, data_uri(picture), ", ".join(part for part in (place, note) if part))


def slice_of_disagreement(prediction: Segmentation, truth: Segmentation, label: int) -> tuple[int, int]:
    """Axis and index of the slice in which most samples differ (where none does, that with most of the truth).

    Slices are taken across the coarsest axis, as they were acquired.
    """
    axis = truth.grid.coarsest_axis
    others = tuple(a for a in range(3) if a != axis)
    differs = (prediction.mask(label) ^ truth.mask(label)).sum(axis=others)
    return axis, int(np.argmax(differs if differs.any() else truth.mask(label).sum(axis=others)))


def draw(
    background: UInt8[np.ndarray, "y x 3"],
    prediction: Bool[np.ndarray, "y x"],
    truth: Bool[np.ndarray, "y x"],
    spacing: tuple[float, ...],
) -> UInt8[np.ndarray, "h w 3"]:
    """The region around both masks, enlarged to true proportions, with the outlines: truth wide, prediction narrow upon it."""
    window = _around(prediction | truth)
    size = [(part.stop - part.start) * step for part, step in zip(window, spacing, strict=True)]
    height, width = (max(1, round(_SIDE * extent / max(size))) for extent in size)
    shown = Pillow.fromarray(np.ascontiguousarray(background[window])).resize((width, height), Pillow.Resampling.BILINEAR)
    picture = np.array(shown)
    outline_t, outline_p = (_outline(_enlarge(mask[window], height, width), w) for mask, w in ((truth, 4), (prediction, 2)))
    picture[ndimage.binary_dilation(outline_t | outline_p, np.ones((3, 3)))] = 0  # a dark rim, to be seen on bright tissue
    picture[outline_t] = TRUTH_COLOUR
    picture[outline_p] = PREDICTION_COLOUR
    return picture


def data_uri(picture: UInt8[np.ndarray, "h w 3"]) -> str:
    """A picture that stands inside a page."""
    buffer = io.BytesIO()
    Pillow.fromarray(picture).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _background(path: Path | None, grid: Grid, place: tuple[int, int] | None) -> tuple[UInt8[np.ndarray, "y x 3"], str]:
    """The image (of one slice) as colours, or black with the reason."""
    from promisam.io import read

    shape = grid.shape if place is None else grid.slice(*place).shape
    black = np.zeros((*shape, 3), np.uint8)
    if path is None:
        return black, "no image"
    try:
        image = read(path)
        if not image.grid.matches(grid):
            return black, "image on another grid, not shown"
        part = Window().apply(image if place is None else image.slice(*place))
    except (PromisamError, OSError):
        return black, "image unreadable"
    channels = part.pixels if part.channels == 3 else np.repeat(part.pixels[:1], 3, axis=0)
    return np.ascontiguousarray(np.moveaxis(channels, 0, -1)), ""


def _around(mask: Bool[np.ndarray, "y x"]) -> tuple[slice, ...]:
    """The box around a mask with as much again on each side, within the picture."""
    if not mask.any():
        return tuple(slice(0, n) for n in mask.shape)
    box = bounding_box(mask)
    margin = max(*(part.stop - part.start for part in box), _SMALLEST) // 2
    return tuple(slice(max(0, p.start - margin), min(n, p.stop + margin)) for p, n in zip(box, mask.shape, strict=True))


def _enlarge(mask: Bool[np.ndarray, "y x"], height: int, width: int) -> Bool[np.ndarray, "h w"]:
    rows = (np.arange(height) + 0.5) * mask.shape[0] / height
    columns = (np.arange(width) + 0.5) * mask.shape[1] / width
    return mask[np.ix_(rows.astype(np.int64), columns.astype(np.int64))]


def _outline(mask: Bool[np.ndarray, "h w"], width: int) -> Bool[np.ndarray, "h w"]:
    return np.asarray(mask & ~ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=width))
