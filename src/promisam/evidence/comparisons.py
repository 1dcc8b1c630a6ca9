"""Methods compared on the same cases: paired differences, with intervals and tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isnan

import numpy as np
from scipy.stats import wilcoxon

from promisam.evaluation.bootstrap import mean_interval
from promisam.evidence.answers import OWN, Answer, case_means
from promisam.evidence.contestants import SAM_BOXES, UNET
from promisam.evidence.measuring import Measured

REFERENCES = (SAM_BOXES, UNET)
LEAST_GROUPS = 6  # with fewer, no difference can have p < 0.05


@dataclass(frozen=True)
class Comparison:
    """Two methods on the same cases.

    Attributes:
        dataset: what both learned from, and were tested on.
        key: of the method.
        method: its title.
        seen: as in `Figure`.
        shots: that it learned from.
        prompt: how it was asked.
        from_truth: whether its prompts were made from the truth.
        other_key: of the method that it is compared with.
        other: its title.
        other_shots: that the other learned from.
        other_prompt: how the other was asked.
        other_from_truth: whether the other's prompts were made from the truth.
        cases: pairs of case and class.
        groups: patients or sequences among them.
        difference: mean of the paired differences of Dice.
        low: of the 95 % bootstrap interval of the difference, over resampled groups.
        high: of it.
        p: of Wilcoxon's signed-rank test of the groups' mean differences, two-sided; NaN where all are
            zero, or the groups are fewer than `LEAST_GROUPS`.
        p_holm: corrected for all comparisons of the report (Holm 1979).
    """

    dataset: str
    key: str
    method: str
    seen: bool
    shots: str
    prompt: str
    from_truth: bool
    other_key: str
    other: str
    other_shots: str
    other_prompt: str
    other_from_truth: bool
    cases: int
    groups: int
    difference: float
    low: float
    high: float
    p: float
    p_holm: float


def compare(measured: Sequence[Measured]) -> tuple[Comparison, ...]:
    """Every method with plain SAM and the U-Net, in their order, corrected for all of them together."""
    return _corrected([pair for one in measured for pair in _compared(one, measured)])


def _main(one: Measured) -> list[Answer]:
    """Answers to the prompt that comparisons rest on: the entry's first, after one click where it clicks."""
    own = [answer for answer in one.answers if answer.size == OWN]
    first = own[0].prompt if own else ""
    return [answer for answer in own if answer.prompt == first and answer.clicks <= 1]


def _compared(one: Measured, measured: Sequence[Measured]) -> Iterator[Comparison]:
    """With plain SAM and the U-Net of as many labels, on the same set; a reference is not compared with itself."""
    about = one.about
    for other in measured:
        beside = other.about
        same = beside.tested == about.tested and (beside.shots == "0" or beside.dataset == about.dataset)
        if not same or beside.key not in REFERENCES or beside.key == about.key:
            continue
        if about.key == SAM_BOXES or beside.shots not in ("0", _reference_shots(one, measured)):
            continue  # the U-Net against plain SAM is there once already
        found = _pair(one, other)
        if found is not None:
            yield found


def _reference_shots(one: Measured, measured: Sequence[Measured]) -> str:
    """Labels of the U-Net that a method stands beside: its own number where there is such a U-Net, else all."""
    of_unet = {other.about.shots for other in measured if other.about.key == UNET and other.about.title == one.about.title}
    return one.about.shots if one.about.shots in of_unet else "all"


def _pair(one: Measured, other: Measured) -> Comparison | None:
    about, beside = one.about, other.about
    mine, theirs = _main(one), _main(other)
    our_means, their_means = case_means(mine), case_means(theirs)
    common = [key for key in our_means if key in their_means]
    if not common:
        return None
    by_group: dict[str, list[float]] = {}
    for key in common:
        by_group.setdefault(key[1], []).append(our_means[key] - their_means[key])
    sums, counts = np.array([sum(v) for v in by_group.values()]), np.array([float(len(v)) for v in by_group.values()])
    interval = mean_interval(sums, counts) or (float("nan"), float("nan"))
    means = sums / counts
    p = float(wilcoxon(means).pvalue) if len(means) >= LEAST_GROUPS and np.any(means) else float("nan")
    return Comparison(
        dataset=about.title,
        key=about.key,
        method=about.method,
        seen=about.seen,
        shots=about.shots,
        prompt=mine[0].prompt,
        from_truth=mine[0].from_truth,
        other_key=beside.key,
        other=beside.method,
        other_shots=beside.shots,
        other_prompt=theirs[0].prompt,
        other_from_truth=theirs[0].from_truth,
        cases=len(common),
        groups=len(by_group),
        difference=float(sums.sum() / counts.sum()),
        low=interval[0],
        high=interval[1],
        p=p,
        p_holm=float("nan"),
    )


def _corrected(pairs: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """With Holm's step-down correction over all that have a p."""
    order = sorted((i for i, pair in enumerate(pairs) if not isnan(pair.p)), key=lambda i: pairs[i].p)
    corrected = {i: pair.p for i, pair in enumerate(pairs)}
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * pairs[i].p))
        corrected[i] = highest
    return tuple(replace(pair, p_holm=corrected[i]) for i, pair in enumerate(pairs))
