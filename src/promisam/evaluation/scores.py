"""The score of one label of one case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from promisam.core import Unit
from promisam.core.errors import InvalidConfig
from promisam.evaluation.metrics import volume_difference_percent

Status = Literal["ok", "missing", "geometry", "unreadable", "both_empty", "truth_empty", "prediction_empty"]
FAILED: frozenset[Status] = frozenset({"missing", "geometry", "unreadable"})

# In mm, or in samples for files without a scale. 2 mm lies within the tolerances between experts that Nikolov et al. 2021
# measured for organs at risk (about 1 to 3 mm). For small structures choose a smaller one.
DEFAULT_TOLERANCE = 2.0


@dataclass(frozen=True)
class CaseScore:
    """What was measured for one label of one case; None where a value is not defined.

    Attributes:
        case: name of the case.
        label: value of the label.
        name: name of the label.
        status: "ok"; an empty truth, prediction, or both; or why there is no usable prediction.
        unit: of distances and, squared or cubed, of volumes: "mm", or "px" for samples; None when the truth is unreadable.
        ndim: 2 for pictures, 3 for volumes.
        tolerances: of the surface Dice, in `unit`.
        dice: Dice coefficient.
        iou: intersection over union.
        hd95: Hausdorff distance at the 95th percentile; infinite when one of both is empty.
        nsd: normalised surface Dice, one for each tolerance.
        volume_truth: in `unit` squared or cubed.
        volume_prediction: in `unit` squared or cubed.
        reason: for a failure, what went wrong.
        prediction: file name, relative to the folder of predictions.
        truth: file name, relative to the folder of the truth.
    """

    case: str
    label: int
    name: str
    status: Status
    unit: Unit | None
    ndim: int | None
    tolerances: tuple[float, ...]
    dice: float | None = None
    iou: float | None = None
    hd95: float | None = None
    nsd: tuple[float | None, ...] = ()
    volume_truth: float | None = None
    volume_prediction: float | None = None
    reason: str = ""
    prediction: str = ""
    truth: str = ""

    @property
    def failed(self) -> bool:
        """Whether there was no usable prediction, or no readable truth."""
        return self.status in FAILED

    @property
    def volume_difference(self) -> float | None:
        """Volume of the prediction less that of the truth."""
        if self.volume_truth is None or self.volume_prediction is None:
            return None
        return self.volume_prediction - self.volume_truth

    @property
    def volume_difference_percent(self) -> float | None:
        """The difference relative to the truth; None for an empty truth."""
        if self.volume_truth is None or self.volume_prediction is None:
            return None
        return volume_difference_percent(self.volume_prediction, self.volume_truth)

    def metrics(self, unit: Unit) -> dict[str, float | None]:
        """Every metric under its column name, in the order of the tables.

        Args:
            unit: of the whole set, which stands in the names.
        """
        difference = self.volume_difference
        nsd = self.nsd or (None,) * len(self.tolerances)
        return {
            "dice": self.dice,
            "iou": self.iou,
            "hd95": self.hd95,
            **{nsd_column(t, unit): value for t, value in zip(self.tolerances, nsd, strict=True)},
            "volume_truth": self.volume_truth,
            "volume_prediction": self.volume_prediction,
            "volume_difference": difference,
            "volume_difference_absolute": None if difference is None else abs(difference),
            "volume_difference_percent": self.volume_difference_percent,
        }


def nsd_column(tolerance: float, unit: Unit) -> str:
    """Name of the column of one tolerance, as in nsd@2mm."""
    return f"nsd@{tolerance:g}{unit}"


def label_title(label: int, name: str) -> str:
    """Value and name of a label; one of them where the name says no more."""
    return name if name == f"label {label}" else f"{label} {name}"


def check_tolerances(tolerances: tuple[float, ...]) -> None:
    """Refuse tolerances that are negative, infinite, given twice, or none.

    Raises:
        InvalidConfig: with the values.
    """
    shown = [f"{t:g}" for t in tolerances]
    if not tolerances or len(set(shown)) < len(shown) or any(not 0 <= t < float("inf") for t in tolerances):
        raise InvalidConfig(
            f"tolerances {', '.join(shown) or '(none)'}",
            expected="one or more different distances of at least 0",
            do=f"Give for example --tolerance {DEFAULT_TOLERANCE:g}.",
        )


def check_labels(labels: tuple[int, ...]) -> None:
    """Refuse the background and negative labels.

    Raises:
        InvalidConfig: with the values.
    """
    wrong = [n for n in labels if n < 1]
    if wrong:
        raise InvalidConfig(
            f"label {wrong[0]}",
            expected="whole numbers from 1; 0 is the background",
            do="Leave --label out to evaluate every label of the truth.",
        )


def check_units(scores: Sequence[CaseScore]) -> Unit:
    """The unit that all scores share; "px" when there is none.

    Raises:
        InvalidConfig: for a mixture, whose mean distance or volume would mean nothing.
    """
    kinds = {(s.unit, s.ndim): s.case for s in scores if s.unit is not None}
    if len(kinds) > 1:
        shown = " and ".join(f"{ndim} axes in {unit} ({case})" for (unit, ndim), case in sorted(kinds.items(), key=str))
        raise InvalidConfig(
            f"cases of {shown}",
            expected="one kind, since distances and volumes of different units have no mean",
            do="Evaluate each kind in a folder of its own; --no-spacing-aware counts all in samples.",
        )
    return next((unit for unit, _ in kinds if unit is not None), "px")
