"""From scored answers to the figures of the report: means with intervals, and paired comparisons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from promisam.core.errors import UnreadableFile
from promisam.evaluation.summary import describe
from promisam.evidence.answers import Answer, as_csv, case_means, from_csv
from promisam.evidence.comparisons import Comparison, compare
from promisam.evidence.measuring import Measured
from promisam.io import atomic_text

SUMMARY, COMPARISONS = "summary.csv", "comparisons.csv"


@dataclass(frozen=True)
class Figure:
    """One line of the summary: a method, asked in one way, over the test cases of a set.

    Attributes:
        dataset: as in `About`.
        tested: as in `About`.
        key: as in `About`.
        method: as in `About`.
        seen: as in `About`.
        shots: as in `About`.
        train_cases: that it learned from.
        prompt: how it was asked.
        from_truth: whether the prompts were made from the truth.
        clicks: made; 0 for a prompt without.
        size: of the answer, samples along the longer side; 0 for the image's own.
        how: an answer at another size was made.
        draws: of random prompts.
        cases: pairs of case and class in the mean.
        groups: patients or sequences among them.
        dice: mean over cases of the mean over draws.
        dice_sd: standard deviation (n - 1) of the draws' means; NaN for one draw.
        low: of the 95 % interval of the mean, over resampled groups; NaN for one group.
        high: of it.
        lowest: case.
        nsd: mean surface Dice at 2 mm, or 2 samples.
        hd95: median Hausdorff distance at the 95th percentile.
        seconds: median, of an answer.
        encode_seconds: median, of an image.
        train_minutes: as in `Cost`.
        cpu_minutes: as in `Cost`.
        train_peak_mb: as in `Cost`.
        test_peak_mb: as in `Cost`.
        steps: of training.
        best_validation: Dice that the checkpoint was chosen by.
        profile: as in `About`.
        warnings: as in `About`.
        machine: that measured it.
        load: as in `Cost`.
        date: of it.
        version: of promisam.
        commit: of its source.
        commands: that make it again by hand.
    """

    dataset: str
    tested: str
    key: str
    method: str
    seen: bool
    shots: str
    train_cases: int
    prompt: str
    from_truth: bool
    clicks: int
    size: int
    how: str
    draws: int
    cases: int
    groups: int
    dice: float
    dice_sd: float
    low: float
    high: float
    lowest: float
    nsd: float
    hd95: float
    seconds: float
    encode_seconds: float
    train_minutes: float
    cpu_minutes: float
    train_peak_mb: int
    test_peak_mb: int
    steps: int
    best_validation: float
    profile: str
    warnings: str
    machine: str
    load: float
    date: str
    version: str
    commit: str
    commands: str


@dataclass(frozen=True)
class Tables:
    """The figures of a report."""

    summary: tuple[Figure, ...]
    comparisons: tuple[Comparison, ...]

    def write(self, folder: Path) -> None:
        """`summary.csv` and `comparisons.csv`, each whole."""
        atomic_text(folder / SUMMARY, as_csv(Figure, self.summary))
        atomic_text(folder / COMPARISONS, as_csv(Comparison, self.comparisons))


def read_tables(folder: Path) -> Tables:
    """The figures of a report that was written before.

    Raises:
        UnreadableFile: where there is none.
    """
    if not (folder / SUMMARY).is_file():
        raise UnreadableFile(
            f"{folder}, without {SUMMARY}", expected="a folder that `promisam report` wrote", do="Check the path."
        )
    return Tables(tuple(from_csv(Figure, folder / SUMMARY)), tuple(from_csv(Comparison, folder / COMPARISONS)))


def tables_of(measured: Sequence[Measured]) -> Tables:
    """The figures of what was measured, in its order."""
    summary = tuple(figure for one in measured for figure in _figures(one))
    return Tables(summary, compare(measured))


def _figures(one: Measured) -> Iterator[Figure]:
    asked = {text: place for place, text in enumerate(dict.fromkeys(a.prompt for a in one.answers))}
    order = sorted(one.answers, key=lambda a: (a.size, asked[a.prompt], a.clicks, a.how))
    for _, found in groupby(order, key=lambda a: (a.size, a.prompt, a.clicks, a.how)):
        yield _figure(one, list(found))


def _figure(one: Measured, answers: list[Answer]) -> Figure:
    first, about, cost = answers[0], one.about, one.cost
    means = case_means(answers)
    spread = describe((group, value) for (_, group, _), value in means.items())
    draws: dict[int, list[float]] = {}
    for answer in answers:
        draws.setdefault(answer.draw, []).append(answer.dice)
    of_draws = [float(np.mean(values)) for values in draws.values()]
    nan = float("nan")
    return Figure(
        dataset=about.dataset,
        tested=about.tested,
        key=about.key,
        method=about.method,
        seen=about.seen,
        shots=about.shots,
        train_cases=cost.train_cases,
        prompt=first.prompt,
        from_truth=first.from_truth,
        clicks=first.clicks,
        size=first.size,
        how=first.how,
        draws=len(draws),
        cases=len(means),
        groups=len({group for _, group, _ in means}),
        dice=float(np.mean(list(means.values()))),
        dice_sd=float(np.std(of_draws, ddof=1)) if len(of_draws) > 1 else nan,
        low=nan if spread.low is None else spread.low,
        high=nan if spread.high is None else spread.high,
        lowest=min(means.values()),
        nsd=float(np.mean([a.nsd for a in answers])),
        hd95=float(np.median([a.hd95 for a in answers])),
        seconds=_median(a.seconds for a in answers),
        encode_seconds=_median(a.encode_seconds for a in answers),
        train_minutes=cost.train_minutes,
        cpu_minutes=cost.cpu_minutes,
        train_peak_mb=cost.train_peak_mb,
        test_peak_mb=cost.test_peak_mb,
        steps=cost.steps,
        best_validation=cost.best_validation,
        profile=about.profile,
        warnings=about.warnings,
        machine=cost.machine,
        load=cost.load,
        date=cost.date,
        version=cost.version,
        commit=cost.commit,
        commands=cost.commands,
    )


def _median(values: Iterable[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.median(known)) if known else float("nan")
