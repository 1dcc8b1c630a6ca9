"""Score all cases of two folders, and account for every file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from promisam.core import Segmentation, Unit
from promisam.core.errors import GridMismatch, InvalidConfig, PromisamError
from promisam.evaluation.bootstrap import RESAMPLES, SEED
from promisam.evaluation.case import check_grids, evaluate_case, nothing_found, unit_of
from promisam.evaluation.metrics import volume
from promisam.evaluation.pairing import Pair, find_pairs
from promisam.evaluation.scores import DEFAULT_TOLERANCE, CaseScore, Status, check_labels, check_tolerances, check_units
from promisam.evaluation.summary import Summary, summarise

Progress = Callable[[int, int, str], None]  # done, of, case


@dataclass(frozen=True)
class Settings:
    """What an evaluation was asked to do."""

    predictions: Path
    truth: Path
    labels: tuple[int, ...] = ()
    tolerances: tuple[float, ...] = (DEFAULT_TOLERANCE,)
    spacing_aware: bool = True
    resamples: int = RESAMPLES
    seed: int = SEED


@dataclass(frozen=True)
class Failure:
    """A case, or a prediction without one, that could not be compared."""

    case: str
    status: Status | str
    reason: str


@dataclass(frozen=True)
class Evaluation:
    """The scores of a set, and everything that a report needs.

    Attributes:
        settings: what was asked.
        pairs: the files of each case.
        scores: one for each case and label.
        summary: over all cases.
        failures: cases that could not be compared, then predictions without a truth (status "unexpected").
        foreign_labels: labels that predictions hold and no truth does, with the number of cases; they are not scored.
        warnings: what speaks against the result.
        left_out: names of predictions that were not to be scored.
        made_by: what made the predictions, where that is known.
    """

    settings: Settings
    pairs: tuple[Pair, ...]
    scores: tuple[CaseScore, ...]
    summary: Summary
    failures: tuple[Failure, ...]
    foreign_labels: Mapping[int, int]
    warnings: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    made_by: tuple[Mapping[str, str], ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every file could be compared."""
        return not self.failures


def evaluate_folders(
    predictions: str | Path,
    truth: str | Path,
    labels: Sequence[int] = (),
    tolerances: Sequence[float] = (DEFAULT_TOLERANCE,),
    spacing_aware: bool = True,
    seed: int = SEED,
    progress: Progress = lambda done, of, case: None,  # noqa: ARG005 - the names document the call
    leave_out: Collection[Path] = (),
) -> Evaluation:
    """Compare two folders of segmentations, or two files.

    A case without a usable prediction is a failure, never a gap: it scores 0 wherever its truth has the label.

    Args:
        predictions: folder of predictions, or one file.
        truth: folder of the truth, or one file.
        labels: the values to compare; empty for every label that the truth of any case has.
        tolerances: of the surface Dice, in mm, or in samples where files carry no scale.
        spacing_aware: False to measure in samples.
        seed: of the bootstrap.
        progress: called after each case.
        leave_out: predictions that are not to be scored, with their truth.

    Raises:
        UnreadableFile: when a path does not exist or a folder holds no segmentation.
        InvalidConfig: for impossible options, ambiguous files, mixed units, or when there is no label to score.
    """
    settings = Settings(Path(predictions), Path(truth), tuple(labels), tuple(tolerances), spacing_aware, seed=seed)
    check_labels(settings.labels)
    check_tolerances(settings.tolerances)
    pairing = find_pairs(settings.predictions, settings.truth)
    left_out = tuple(p.prediction.name for p in pairing.pairs if p.prediction and p.prediction in leave_out)
    pairs = tuple(pair for pair in pairing.pairs if pair.prediction not in leave_out)
    if not pairs:
        raise InvalidConfig(f"{len(left_out)} cases, all left out", expected="at least one to score", do="Give others.")
    answers: list[_Answer] = []
    for number, pair in enumerate(pairs, start=1):
        answers.append(_answer(pair, settings))
        check_units([*answers[0].scores[:1], *answers[-1].scores[:1]])
        progress(number, len(pairs), pair.case)
    wanted = settings.labels or _labels_of_truth(answers)
    names = {n: name for answer in reversed(answers) for n, name in answer.names.items()}
    scores = tuple(answer.score(label, names, settings) for answer in answers for label in wanted)
    return Evaluation(
        settings=settings,
        pairs=pairs,
        scores=scores,
        summary=summarise(scores, settings.resamples, seed),
        failures=(
            *(Failure(a.pair.case, a.status, a.reason) for a in answers if a.reason),
            *(Failure(p.name, "unexpected", f"{p.name} is a prediction without a truth") for p in pairing.unexpected),
        ),
        foreign_labels=_foreign(answers) if not settings.labels else {},
        left_out=left_out,
    )


@dataclass(frozen=True)
class _Answer:
    """What reading and comparing one case gave: scores, or a reason why there are none."""

    pair: Pair
    scores: tuple[CaseScore, ...] = ()
    names: Mapping[int, str] = field(default_factory=dict)  # of the labels of the truth
    volumes: Mapping[int, float] = field(default_factory=dict)  # of the truth, by label; of failures only
    unit: Unit | None = None
    ndim: int | None = None
    status: Status = "ok"
    reason: str = ""

    def score(self, label: int, names: Mapping[int, str], settings: Settings) -> CaseScore:
        """The score of one label: measured, both empty, or failed."""
        row = next((s for s in self.scores if s.label == label), None) or self._unmeasured(label, settings)
        prediction = self.pair.prediction.name if self.pair.prediction else ""
        return replace(row, name=names.get(label, f"label {label}"), truth=self.pair.truth.name, prediction=prediction)

    def _unmeasured(self, label: int, settings: Settings) -> CaseScore:
        row = CaseScore(self.pair.case, label, "", self.status, self.unit, self.ndim, settings.tolerances, reason=self.reason)
        if not self.reason:
            return replace(row, status="both_empty", volume_truth=0.0, volume_prediction=0.0)
        if self.volumes.get(label):  # a failure where there was something to find
            return replace(row, **nothing_found(settings.tolerances), volume_truth=self.volumes[label])
        return row if self.unit is None else replace(row, volume_truth=0.0)


def _answer(pair: Pair, settings: Settings) -> _Answer:
    from promisam.io import read_segmentation

    try:
        truth = read_segmentation(pair.truth)
    except (PromisamError, OSError) as error:
        return _Answer(pair, status="unreadable", reason=_reason("truth", error, pair))
    known = _Answer(
        pair,
        names={n: truth.name(n) for n in truth.values},
        unit=unit_of(truth.grid, settings.spacing_aware),
        ndim=truth.grid.ndim,
    )
    if pair.prediction is None:
        return _failed(known, truth, settings, "missing", f"no prediction for {pair.truth.name}")
    try:
        prediction = read_segmentation(pair.prediction)
        check_grids(prediction.grid, truth.grid)
    except GridMismatch as error:
        return _failed(known, truth, settings, "geometry", str(error))
    except (PromisamError, OSError) as error:
        return _failed(known, truth, settings, "unreadable", _reason("prediction", error, pair))
    labels = settings.labels or sorted({*known.names, *prediction.values})
    scores = evaluate_case(prediction, truth, labels, settings.tolerances, settings.spacing_aware, pair.case)
    return replace(known, scores=tuple(scores))


def _failed(known: _Answer, truth: Segmentation, settings: Settings, status: Status, reason: str) -> _Answer:
    size = truth.grid.sample_size if settings.spacing_aware else 1.0
    volumes = {n: volume(truth.mask(n), size) for n in known.names}
    return replace(known, volumes=volumes, status=status, reason=reason)


def _reason(which: str, error: Exception, pair: Pair) -> str:
    """The message with the names of files instead of their full paths, so that a report can be passed on."""
    text = str(error)
    for path in (pair.truth, pair.prediction):
        text = text.replace(str(path), path.name) if path else text
    return f"{which}: {text}"


def _labels_of_truth(answers: Sequence[_Answer]) -> tuple[int, ...]:
    labels = tuple(sorted({n for answer in answers for n in answer.names}))
    if labels:
        return labels
    unreadable = [a.reason for a in answers if a.unit is None]
    raise InvalidConfig(
        f"{len(answers)} cases whose truth has no label" + (f" ({unreadable[0]})" if unreadable else ""),
        expected="at least one label in the truth of at least one case",
        do="For a set of empty truths, name the label: --label 1.",
    )


def _foreign(answers: Sequence[_Answer]) -> dict[int, int]:
    known = {n for answer in answers for n in answer.names}
    found = [s.label for a in answers for s in a.scores if s.label not in known and s.volume_prediction]
    return {n: found.count(n) for n in sorted(set(found))}
