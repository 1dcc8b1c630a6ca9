"""What a benchmark measured, and the numbers of its table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from promisam.core import Unit
from promisam.evaluation.protocols import Protocol
from promisam.evaluation.scores import CaseScore, check_units
from promisam.evaluation.summary import describe

TrialStatus = Literal["scored", "not prompted", "both empty", "false positive"]


@dataclass(frozen=True)
class Trial:
    """One answer, scored; or the note that a class is not in an image and was not asked for.

    Attributes:
        protocol: how it was asked.
        draw: number of the draw, from 1.
        clicks: clicks that had been made when it was answered; None for a protocol without.
        score: of the answer; where `prompted` is False there was no answer, and only case and class count.
        seconds: that the answer took, encoding apart; None where none was needed: nothing to ask or to correct.
        prompted: whether there was anything to ask for; always so for "auto".
    """

    protocol: Protocol
    draw: int
    clicks: int | None
    score: CaseScore
    seconds: float | None
    prompted: bool = True

    @property
    def status(self) -> TrialStatus:
        """Whether it counts: only an image that holds the class does."""
        if not self.prompted:
            return "not prompted"
        empty: dict[str, TrialStatus] = {"both_empty": "both empty", "truth_empty": "false positive"}
        return empty.get(self.score.status, "scored")


@dataclass(frozen=True)
class EncodeTime:
    """Seconds to encode one image; of a volume walked in slices, all the slices that were encoded."""

    case: str
    seconds: float


@dataclass(frozen=True)
class Spread:
    """A metric over cases and draws; None where it is not defined.

    Attributes:
        mean: of the draws' means over cases.
        sd: of the draws' means (n - 1): what chance in the prompts does to a result. None for one draw.
        low: lower end of the 95 % bootstrap interval over cases of the mean: what the choice of cases does to it.
        high: upper end of it.
    """

    mean: float | None = None
    sd: float | None = None
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        """The mean, and its deviation where there is one, as tables show them."""
        if self.mean is None:
            return "n/a"
        return f"{self.mean:.3f}" if self.sd is None else f"{self.mean:.3f} ± {self.sd:.3f}"


@dataclass(frozen=True)
class Seconds:
    """Times of n calls; None for none."""

    n: int
    mean: float | None = None
    median: float | None = None

    @classmethod
    def of(cls, times: Iterable[float]) -> Seconds:
        """Describe times."""
        found = list(times)
        return cls(len(found), float(np.mean(found)), float(np.median(found))) if found else cls(0)


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        protocol: how it was asked.
        clicks: after how many clicks; None for a protocol without.
        label: of the class; None for all pairs of case and class together.
        name: of the class.
        draws: how often it was run.
        scored: pairs of case and class that the means are over, in each draw.
        nothing_found: of those, answers that were empty, over all draws; they score 0.
        absent: pairs whose image does not hold the class; in no mean.
        false_positives: of those, automatic answers that found something; None where the absent are not asked for.
        dice: Dice coefficient.
        iou: intersection over union.
        nsd: surface Dice, one for each tolerance.
        seconds: of an interaction.
    """

    protocol: Protocol
    clicks: int | None
    label: int | None
    name: str
    draws: int
    scored: int
    nothing_found: int
    absent: int
    false_positives: int | None
    dice: Spread
    iou: Spread
    nsd: tuple[Spread, ...]
    seconds: Seconds


@dataclass(frozen=True)
class Benchmark:
    """All that was measured.

    Attributes:
        classes: names of the labels 1..n.
        protocols: ways in which the method was asked.
        draws: asked for; a protocol without chance was run once.
        seed: of everything random.
        tolerances: of the surface Dice, in `unit`.
        trials: every answer.
        encoding: one for each case, in the order of the run.
    """

    classes: tuple[str, ...]
    protocols: tuple[Protocol, ...]
    draws: int
    seed: int
    tolerances: tuple[float, ...]
    trials: tuple[Trial, ...]
    encoding: tuple[EncodeTime, ...]

    @property
    def unit(self) -> Unit:
        """Unit of distances."""
        return check_units([trial.score for trial in self.trials])

    @property
    def encode_seconds(self) -> Seconds:
        """To encode an image."""
        return Seconds.of(one.seconds for one in self.encoding)

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The table: for each protocol and click number every class, and all together where there are several."""
        labels: list[int | None] = [*range(1, len(self.classes) + 1)]
        labels += [None] if len(labels) > 1 else []
        rows: list[Row] = []
        for protocol in self.protocols:
            of_protocol = [t for t in self.trials if t.protocol == protocol]
            clicks = range(1, protocol.number + 1) if protocol.kind == "click" else [None]
            for number in clicks:
                here = [t for t in of_protocol if t.status != "scored" or t.clicks == number]
                rows.extend(self._row(protocol, number, label, here) for label in labels)
        return tuple(rows)

    def _row(self, protocol: Protocol, clicks: int | None, label: int | None, trials: Sequence[Trial]) -> Row:
        mine = [t for t in trials if label is None or t.score.label == label]
        scored = [t for t in mine if t.status == "scored"]
        first = [t for t in mine if t.draw == 1]
        return Row(
            protocol=protocol,
            clicks=clicks,
            label=label,
            name="all classes" if label is None else self.classes[label - 1],
            draws=self.draws if protocol.random else 1,
            scored=sum(t.status == "scored" for t in first),
            nothing_found=sum(t.score.status == "prediction_empty" for t in scored),
            absent=sum(t.status != "scored" for t in first),
            false_positives=None if protocol.sees_truth else sum(t.status == "false positive" for t in first),
            dice=_spread(scored, [t.score.dice for t in scored]),
            iou=_spread(scored, [t.score.iou for t in scored]),
            nsd=tuple(_spread(scored, [t.score.nsd[place] for t in scored]) for place in range(len(self.tolerances))),
            seconds=Seconds.of(t.seconds for t in mine if t.seconds is not None),
        )


def _spread(trials: Sequence[Trial], values: Sequence[float | None]) -> Spread:
    """Mean over cases in each draw, then mean and sd over draws; interval over cases of each pair's mean over draws."""
    by_draw: dict[int, list[float]] = {}
    by_pair: dict[tuple[str, int], list[float]] = {}
    for trial, value in zip(trials, values, strict=True):
        if value is not None:
            by_draw.setdefault(trial.draw, []).append(value)
            by_pair.setdefault((trial.score.case, trial.score.label), []).append(value)
    if not by_draw:
        return Spread()
    means = [float(np.mean(of_draw)) for of_draw in by_draw.values()]
    cases = describe([(case, float(np.mean(of_pair))) for (case, _), of_pair in by_pair.items()])
    sd = float(np.std(means, ddof=1)) if len(means) > 1 else None
    return Spread(float(np.mean(means)), sd, cases.low, cases.high)
