"""Boxes from the truth, answered at several resolutions: how methods of prompts were published."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool

from promisam.core import Continuous, Example, Grid, Prompts, Segmentation, Segmenter
from promisam.evaluation import Protocol, dice, iou, surface_distances
from promisam.evaluation.benchmark import Progress, asked_classes
from promisam.evaluation.benchmark_table import Spread
from promisam.evaluation.summary import describe
from promisam.io import atomic_text
from promisam.spatial.users import jittered_box
from promisam.training.slices import pictures_of

BOX = Protocol("box")
NOTHING = 100.0  # pixels: the distance of an answer that is empty, as in I-MedSAM's release


@dataclass(frozen=True)
class Answer:
    """One answer to one box, scored on a square.

    Attributes:
        case: that was asked about: a picture, or a slice of a volume.
        patient: or whatever its cases have in common.
        name: of the class.
        side: of the square, in pixels.
        dice: Dice coefficient.
        iou: intersection over union.
        hausdorff: largest distance between the borders, in pixels of the square.
    """

    case: str
    patient: str
    name: str
    side: int
    dice: float
    iou: float
    hausdorff: float


def box_answers(
    method: Segmenter,
    examples: Sequence[Example],
    classes: Sequence[str],
    sides: Sequence[int],
    *,
    continuous: bool,
    report: Progress = lambda done, of, case: None,  # noqa: ARG005 - the names document the call
) -> list[Answer]:
    """Ask about every class that is there with the box around it; score the answer on squares over the whole picture.

    Of volumes, every labelled slice is a picture. The truth comes to a square by nearest neighbour; where it is too small to
    leave anything there, the answer is not scored. Each picture is encoded once.

    Args:
        method: of pictures.
        examples: labelled images whose labels are 1..n, in the order of `classes`.
        classes: names of the labels 1..n.
        sides: of the squares, in pixels.
        continuous: whether the method's answer is a function of place, which is asked on each square. Otherwise its scores on
            the picture are interpolated.
        report: called after each picture.

    Raises:
        InvalidConfig: for classes that the method does not know.
        UnsupportedPrompt: for a method that takes no boxes.
    """
    asked = asked_classes(method, tuple(classes))
    BOX.check(method)
    pictures = pictures_of(examples, prepare=method.prepare)
    found: list[Answer] = []
    for number, example in enumerate(pictures, 1):
        labelled = example.load()
        encoded = method.encode(method.prepare(labelled.image))
        for one in asked:
            truth = labelled.truth.mask(one.label)
            if truth.any():
                grid = labelled.image.grid
                prompts = jittered_box(truth, grid, np.random.default_rng(0), target=one.target)
                for at, mask in _answers(method, encoded, prompts, [_square(grid, side) for side in sides], continuous):
                    right = _on(truth, grid, at)
                    if right.any():
                        scores = dice(mask, right), iou(mask, right), _hausdorff(mask, right)
                        found.append(Answer(example.name, example.group or example.name, one.name, at.shape[0], *scores))
        report(number, len(pictures), example.name)
    return found


def mean_of(answers: Sequence[Answer], metric: str) -> Spread:
    """Mean over answers, with its interval over patients."""
    told = describe([(one.patient, getattr(one, metric)) for one in answers])
    return Spread(told.mean, None, told.low, told.high)


def write_answers(answers: Sequence[Answer], file: Path) -> None:
    """One row for each answer, numbers in full precision; every prompt was made from the truth.

    Raises:
        UnwritableOutput: when the operating system refuses.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [one.name for one in fields(Answer)]
    writer.writerow([*names, "prompt", "prompt_from_truth"])
    writer.writerows([*(getattr(one, name) for name in names), BOX.title, "yes"] for one in answers)
    atomic_text(file, text.getvalue())


def _square(grid: Grid, side: int) -> Grid:
    return grid if grid.shape == (side, side) else grid.resample((side, side))


def _answers(
    method: Segmenter,
    encoded: Any,  # noqa: ANN401 - whatever the method's encoding is
    prompts: Prompts,
    grids: Sequence[Grid],
    continuous: bool,
) -> Iterator[tuple[Grid, Bool[np.ndarray, "y x"]]]:
    """The object on each grid."""
    if continuous and isinstance(method, Continuous):
        field = method.field(encoded, prompts)
        for grid in grids:
            yield grid, field.on(grid).logits[0] > 0
        return
    logits = torch.from_numpy(method.decode(encoded, prompts).logits[:1])[None]
    for grid in grids:
        yield grid, (F.interpolate(logits, grid.shape, mode="bilinear", align_corners=False)[0, 0] > 0).numpy()


def _on(truth: Bool[np.ndarray, "y x"], grid: Grid, other: Grid) -> Bool[np.ndarray, "v u"]:
    if other is grid:
        return truth
    return Segmentation(truth.astype(np.uint8), grid).resample(other).mask()


def _hausdorff(mask: Bool[np.ndarray, "y x"], truth: Bool[np.ndarray, "y x"]) -> float:
    return surface_distances(mask, truth, (1.0, 1.0)).hausdorff(100.0) if mask.any() else NOTHING
