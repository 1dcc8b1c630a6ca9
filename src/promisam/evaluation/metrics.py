"""Overlap and volume: what two masks share, sample by sample."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool


def dice(prediction: Bool[np.ndarray, "*grid"], truth: Bool[np.ndarray, "*grid"]) -> float:
    """Dice similarity coefficient, 2 |P ∩ T| / (|P| + |T|), from 0 to 1; NaN when both masks are empty.

    Source: Maier-Hein et al. 2024, "Metrics reloaded", Nature Methods 21, 195-212 (DSC); Dice 1945.
    """
    total = _count(prediction) + _count(truth)
    return 2 * _count(prediction & truth) / total if total else float("nan")


def iou(prediction: Bool[np.ndarray, "*grid"], truth: Bool[np.ndarray, "*grid"]) -> float:
    """Intersection over union (Jaccard index), |P ∩ T| / |P ∪ T|, from 0 to 1; NaN when both masks are empty.

    Source: Maier-Hein et al. 2024, "Metrics reloaded" (IoU); Jaccard 1912. It equals Dice / (2 - Dice).
    """
    union = _count(prediction | truth)
    return _count(prediction & truth) / union if union else float("nan")


def volume(mask: Bool[np.ndarray, "*grid"], sample_size: float) -> float:
    """Area or volume: the number of samples times the size of one."""
    return _count(mask) * sample_size


def volume_difference_percent(prediction: float, truth: float) -> float | None:
    """Relative volume difference, 100 (V_P - V_T) / V_T: positive when too much was segmented; None for an empty truth.

    Source: Maier-Hein et al. 2024, "Metrics reloaded" (absolute volume difference ratio, here with its sign kept).
    """
    return 100 * (prediction - truth) / truth if truth else None


def _count(mask: Bool[np.ndarray, "*grid"]) -> int:
    return int(np.count_nonzero(mask))
