"""What the numbers mean and what computed them, in the words that every output repeats."""

from __future__ import annotations

import platform
from importlib.metadata import version

from promisam.evaluation.summary import Summary

SOURCES = (
    "Maier-Hein et al. 2024, Metrics reloaded: recommendations for image analysis validation, Nature Methods 21, 195-212",
    "Nikolov et al. 2021, Clinically applicable segmentation of head and neck anatomy for radiotherapy, "
    "J Med Internet Res 23(7):e26151",
)

UNDEFINED = "n/a (both empty)"


def definitions(summary: Summary) -> dict[str, str]:
    """Each term with its definition, in the unit of the evaluation."""
    unit, size = summary.unit, volume_unit(summary)
    return {
        "Dice": "2 |P and T| / (|P| + |T|) of prediction P and truth T, in samples; 0 to 1.",
        "IoU": "|P and T| / |P or T|; 0 to 1.",
        "HD95": f"Hausdorff distance at the 95th percentile, in {unit}: the distance within which 95 % of a surface lies from "
        "the other, the larger of both directions; surface elements weighted by their length or area.",
        "NSD": f"Normalised surface Dice at a tolerance in {unit}: the share of both surfaces that lies within the tolerance "
        "of the other; 0 to 1.",
        "Volume difference": f"Prediction less truth, in {size}, or in percent of the truth (undefined for an empty truth).",
        "Both empty": f"Neither truth nor prediction has the label: shown as {UNDEFINED}, counted apart, in no mean of an "
        "overlap or a distance. Counting it as 1 would lift the mean by cases in which there was nothing to find.",
        "One empty": "Dice, IoU and NSD are 0; HD95 is infinite.",
        "Infinite HD95": "Mean, median, interval and extremes are over the finite cases; the number of infinite ones stands "
        "beside them. A method that misses more can thus have a smaller mean: read both.",
        "Failure": "A missing or unreadable prediction, or one on another grid than the truth: Dice, IoU and NSD count as 0 "
        "and HD95 as infinite wherever the truth has the label; elsewhere, and for an unreadable truth, there is no value.",
        "Overall": "The mean over all pairs of case and label.",
        "95 % interval": f"Percentile bootstrap of the mean: {summary.resamples:,} resamples of whole cases, seed "
        f"{summary.seed}; none for fewer than two cases.",
    }


def volume_unit(summary: Summary) -> str:
    """Unit of areas or volumes: mm², mm³, pixels or voxels."""
    if summary.unit == "mm":
        return "mm²" if summary.ndim == 2 else "mm³"
    return "pixels" if summary.ndim == 2 else "voxels"


def versions() -> dict[str, str]:
    """What computed the numbers."""
    packages = {name: version(name) for name in ("numpy", "scipy", "scikit-image")}
    return {"promisam": version("promisam"), "python": platform.python_version(), **packages}
