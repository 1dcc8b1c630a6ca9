"""From the scores of cases to the numbers of a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from promisam.core import Unit
from promisam.core.errors import InvalidConfig
from promisam.evaluation.bootstrap import RESAMPLES, SEED, mean_interval
from promisam.evaluation.scores import CaseScore, check_units, label_title


@dataclass(frozen=True)
class Statistic:
    """One metric over cases; all but the counts are None where there is no finite value.

    Attributes:
        n: finite values, which the other numbers describe.
        infinite: infinite values, left out of the other numbers.
        mean: arithmetic mean.
        sd: standard deviation of the sample (n - 1).
        median: middle value.
        low: lower end of the 95 % bootstrap interval of the mean.
        high: upper end of it.
        minimum: smallest value.
        maximum: largest value.
    """

    n: int
    infinite: int
    mean: float | None = None
    sd: float | None = None
    median: float | None = None
    low: float | None = None
    high: float | None = None
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True)
class Group:
    """All cases of one label, or of all labels together.

    Attributes:
        label: its value; None for all labels together.
        name: its name.
        rows: pairs of case and label.
        failures: pairs without a usable prediction or a readable truth.
        both_empty: pairs in which neither has the label; they are in no mean of an overlap or a distance.
        truth_empty: pairs in which only the prediction has the label.
        prediction_empty: pairs in which only the truth has the label.
        metrics: by column name.
    """

    label: int | None
    name: str
    rows: int
    failures: int
    both_empty: int
    truth_empty: int
    prediction_empty: int
    metrics: Mapping[str, Statistic]

    @property
    def title(self) -> str:
        """Value and name, as far as they differ."""
        return self.name if self.label is None else label_title(self.label, self.name)


@dataclass(frozen=True)
class Summary:
    """The tables of an evaluation.

    Attributes:
        cases: number of cases.
        unit: of distances and, squared or cubed, of volumes.
        ndim: 2 for pictures, 3 for volumes; None when no truth was readable.
        overall: all pairs of case and label together.
        labels: one group for each label.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """

    cases: int
    unit: Unit
    ndim: int | None
    overall: Group
    labels: tuple[Group, ...]
    resamples: int
    seed: int

    @property
    def groups(self) -> tuple[Group, ...]:
        """The rows of a table: each label, and all together where there are several."""
        return self.labels if len(self.labels) == 1 else (*self.labels, self.overall)


def summarise(scores: Sequence[CaseScore], resamples: int = RESAMPLES, seed: int = SEED) -> Summary:
    """Describe scores per label and overall.

    "Overall" is the mean over all pairs of case and label; its interval resamples whole cases.

    Raises:
        InvalidConfig: for no scores, or a mixture of units.
    """
    if not scores:
        raise InvalidConfig("no scores", expected="at least one", do="Evaluate at least one case.")
    unit = check_units(scores)
    names = {s.label: s.name for s in reversed(scores)}
    labels = tuple(
        _group([s for s in scores if s.label == label], label, names[label], unit, resamples, seed) for label in sorted(names)
    )
    return Summary(
        cases=len({s.case for s in scores}),
        unit=unit,
        ndim=next((s.ndim for s in scores if s.ndim), None),
        overall=_group(scores, None, "all labels", unit, resamples, seed),
        labels=labels,
        resamples=resamples,
        seed=seed,
    )


def _group(scores: Sequence[CaseScore], label: int | None, name: str, unit: Unit, resamples: int, seed: int) -> Group:
    columns: dict[str, list[tuple[str, float | None]]] = {}
    for score in scores:
        for column, value in score.metrics(unit).items():
            columns.setdefault(column, []).append((score.case, value))
    status = [s.status for s in scores]
    return Group(
        label=label,
        name=name,
        rows=len(scores),
        failures=sum(s.failed for s in scores),
        both_empty=status.count("both_empty"),
        truth_empty=status.count("truth_empty"),
        prediction_empty=status.count("prediction_empty"),
        metrics={column: describe(values, resamples, seed) for column, values in columns.items()},
    )


def describe(values: Iterable[tuple[str, float | None]], resamples: int = RESAMPLES, seed: int = SEED) -> Statistic:
    """Describe the values of one metric, each with the case that it belongs to; undefined ones are passed over."""
    defined = [(case, value) for case, value in values if value is not None]
    finite = [(case, value) for case, value in defined if np.isfinite(value)]
    if not finite:
        return Statistic(0, len(defined))
    by_case: dict[str, list[float]] = {}
    for case, value in finite:
        by_case.setdefault(case, []).append(value)
    sums = np.array([sum(v) for v in by_case.values()])
    counts = np.array([float(len(v)) for v in by_case.values()])
    interval = mean_interval(sums, counts, resamples, seed)
    numbers = np.array([value for _, value in finite])
    return Statistic(
        n=len(numbers),
        infinite=len(defined) - len(finite),
        mean=float(numbers.mean()),
        sd=float(numbers.std(ddof=1)) if len(numbers) > 1 else None,
        median=float(np.median(numbers)),
        low=interval[0] if interval else None,
        high=interval[1] if interval else None,
        minimum=float(numbers.min()),
        maximum=float(numbers.max()),
    )
