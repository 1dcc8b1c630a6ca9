"""How numbers are written, on the console and on the page alike."""

from __future__ import annotations

from promisam.evaluation.definitions import UNDEFINED
from promisam.evaluation.scores import CaseScore
from promisam.evaluation.summary import Statistic

NONE = "n/a"


def number(metric: str, value: float | None) -> str:
    """A value with the digits that its metric deserves; "inf" for infinite, "n/a" for undefined."""
    if value is None:
        return NONE
    if value in (float("inf"), float("-inf")):
        return "inf"
    if metric.endswith("percent"):
        return f"{value:.1f}"
    if metric.startswith("volume"):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:.2f}" if metric == "hd95" else f"{value:.3f}"


def cell(metric: str, score: CaseScore, value: float | None) -> str:
    """A value of one case, with the reason where it is undefined."""
    if value is None and score.status == "both_empty" and not metric.startswith("volume"):
        return UNDEFINED
    return number(metric, value)


def mean(metric: str, statistic: Statistic) -> str:
    """Mean with its interval, and the number of infinite values: 0.912 [0.890, 0.931] (2 inf)."""
    text = number(metric, statistic.mean)
    if statistic.low is not None and statistic.high is not None:
        text += f" [{number(metric, statistic.low)}, {number(metric, statistic.high)}]"
    return f"{text} ({statistic.infinite} inf)" if statistic.infinite else text


def title(metric: str) -> str:
    """Heading of a column."""
    plain = {"dice": "Dice", "iou": "IoU", "hd95": "HD95"}
    return plain.get(
        metric, metric.replace("nsd@", "NSD@") if metric.startswith("nsd") else metric.replace("_", " ").capitalize()
    )
