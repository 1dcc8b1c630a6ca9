"""Score one prediction against one truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Integer
from scipy import ndimage

from promisam.core import Grid, Segmentation, Unit
from promisam.core.errors import GridMismatch
from promisam.evaluation.metrics import dice, iou, volume
from promisam.evaluation.scores import DEFAULT_TOLERANCE, CaseScore, check_labels, check_tolerances
from promisam.evaluation.surface import bounding_box, surface_distances

_MOST_LABELS = 100_000  # beyond, labels are looked for one by one instead of in a table of all


def evaluate_case(
    prediction: Segmentation,
    truth: Segmentation,
    labels: Sequence[int] = (),
    tolerances: Sequence[float] = (DEFAULT_TOLERANCE,),
    spacing_aware: bool = True,
    case: str = "",
) -> list[CaseScore]:
    """One score for each label.

    Args:
        prediction: what a method answered.
        truth: what is right.
        labels: the values to compare; empty for every label of either.
        tolerances: of the surface Dice, in the unit of the scores.
        spacing_aware: distances and volumes in the grid's unit; otherwise in samples, as if the spacing were 1.
        case: a name that the scores carry.

    Raises:
        GridMismatch: when the two lie on different grids.
        InvalidConfig: for impossible labels or tolerances.
    """
    tolerances = tuple(float(t) for t in tolerances)
    check_labels(tuple(labels))
    check_tolerances(tolerances)
    check_grids(prediction.grid, truth.grid)
    wanted = tuple(labels) or tuple(sorted({*truth.values, *prediction.values}))
    spacing = truth.grid.spacing if spacing_aware else (1.0,) * truth.grid.ndim
    unit = unit_of(truth.grid, spacing_aware)
    boxes_p, boxes_t = _boxes(prediction.labels, wanted), _boxes(truth.labels, wanted)
    scores = []
    for label in wanted:
        box = _around(boxes_p.get(label), boxes_t.get(label))
        measured = _measure(prediction.labels[box] == label, truth.labels[box] == label, spacing, tolerances)
        scores.append(
            CaseScore(case, label, truth.name(label), unit=unit, ndim=truth.grid.ndim, tolerances=tolerances, **measured)
        )
    return scores


def check_grids(prediction: Grid, truth: Grid) -> None:
    """Refuse a prediction that lies elsewhere than its truth.

    Raises:
        GridMismatch: with both grids, position and orientation included.
    """
    if not prediction.matches(truth):
        raise GridMismatch(
            f"a prediction on the grid [{_describe(prediction)}]",
            expected=f"the grid of the truth [{_describe(truth)}]",
            do="Predict on the image that the truth was drawn on, or resample the prediction to it.",
        )


def unit_of(grid: Grid, spacing_aware: bool) -> Unit:
    """Unit of distances on a grid: its own, or samples when the spacing is set aside."""
    return grid.unit if spacing_aware else "px"


def nothing_found(tolerances: tuple[float, ...]) -> dict[str, Any]:
    """The scores of an answer that has nothing in common with a truth, and of no answer at all."""
    return {"dice": 0.0, "iou": 0.0, "hd95": float("inf"), "nsd": (0.0,) * len(tolerances)}


def _describe(grid: Grid) -> str:
    origin = " ".join(f"{v:.4g}" for v in grid.origin)
    direction = " ".join(f"{v:.3g}" for v in (grid.direction + 0.0).ravel())
    return f"{grid}, origin {origin}, direction {direction}"


def _measure(
    prediction: Bool[np.ndarray, "*box"],
    truth: Bool[np.ndarray, "*box"],
    spacing: tuple[float, ...],
    tolerances: tuple[float, ...],
) -> dict[str, Any]:
    """Status and values; the definitions for empty masks are made here."""
    size = float(np.prod(spacing))
    volumes = {"volume_truth": volume(truth, size), "volume_prediction": volume(prediction, size)}
    if not truth.any() and not prediction.any():
        return {"status": "both_empty", **volumes}
    if not truth.any() or not prediction.any():
        status = "truth_empty" if not truth.any() else "prediction_empty"
        return {"status": status, **nothing_found(tolerances), **volumes}
    surfaces = surface_distances(prediction, truth, spacing)
    return {
        "status": "ok",
        "dice": dice(prediction, truth),
        "iou": iou(prediction, truth),
        "hd95": surfaces.hausdorff(),
        "nsd": tuple(surfaces.surface_dice(t) for t in tolerances),
        **volumes,
    }


def _boxes(labels: Integer[np.ndarray, "*grid"], wanted: tuple[int, ...]) -> dict[int, tuple[slice, ...]]:
    """The box around each label that is present, in one pass over a large volume."""
    if max(wanted, default=0) > _MOST_LABELS:
        masks = ((n, np.asarray(labels == n)) for n in wanted)
        return {n: bounding_box(mask) for n, mask in masks if mask.any()}
    present = ndimage.find_objects(labels, max_label=max(wanted, default=0))
    return {n: present[n - 1] for n in wanted if present[n - 1] is not None}


def _around(first: tuple[slice, ...] | None, second: tuple[slice, ...] | None) -> tuple[slice, ...]:
    """The box around two boxes; an empty one for none."""
    if first is None or second is None:
        return first or second or (slice(0, 0),)
    return tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(first, second, strict=True))
