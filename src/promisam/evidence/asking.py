"""One entry's method asked about its test cases: every answer scored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Bool
from scipy.ndimage import map_coordinates

from promisam.core import Continuous, Example, Field, Grid, Segmenter
from promisam.evaluation import Benchmark, Protocol, Trial, benchmark, dice
from promisam.evaluation.benchmark import asked_classes
from promisam.evaluation.stopwatch import settled
from promisam.evidence.answers import OWN, Answer
from promisam.evidence.plan import Entry
from promisam.spatial.users import jittered_box

COARSE = 256  # samples along the longer side of the masks that are resized, for comparison


def answers(
    entry: Entry, method: Segmenter, test: Sequence[Example], report: Callable[[int, int, str], None]
) -> Iterator[Answer]:
    """All answers on the images' own grids, then those at other sizes.

    Args:
        entry: how to ask.
        method: ready to answer.
        test: the cases.
        report: called after each case.
    """
    protocols = [Protocol.parse(text, entry.contestant.clicks) for text in entry.asked]
    found = benchmark(method, test, entry.tested.classes, protocols, draws=entry.draws, settle=settled, report=report)
    yield from _own(found, entry)
    if entry.sizes:
        for example in test:
            yield from _sized(entry, method, example)


def _own(found: Benchmark, entry: Entry) -> Iterator[Answer]:
    encoding = {one.case: one.seconds for one in found.encoding}
    for trial in found.trials:
        if trial.status == "scored":
            yield _answer(trial, entry, encoding[trial.score.case])


def _answer(trial: Trial, entry: Entry, encode_seconds: float) -> Answer:
    score = trial.score
    nsd = score.nsd[0] if score.nsd and score.nsd[0] is not None else float("nan")
    return Answer(
        prompt=trial.protocol.title,
        from_truth=trial.protocol.sees_truth,
        draw=trial.draw,
        clicks=trial.clicks or 0,
        size=OWN,
        how="as it is",
        case=score.case,
        group=entry.tested.groups[score.case],
        name=score.name,
        dice=float(score.dice or 0.0),
        nsd=float(nsd),
        hd95=float("inf") if score.hd95 is None else float(score.hd95),
        seconds=float("nan") if trial.seconds is None else trial.seconds,
        encode_seconds=encode_seconds,
    )


def _sized(entry: Entry, method: Segmenter, example: Example) -> Iterator[Answer]:
    """Of the field at each size, and of its mask with 256 samples resized there, by the box around the truth."""
    if not isinstance(method, Continuous):
        raise TypeError(f"{entry.contestant.title} answers at no size but the image's")
    labelled = example.load()
    encoded = method.encode(method.prepare(labelled.image))
    for one in asked_classes(method, entry.tested.classes):
        truth = labelled.truth.mask(one.label)
        if not truth.any():
            continue
        asked = jittered_box(truth, labelled.image.grid, np.random.default_rng(0), target=one.target)
        field = method.field(encoded, asked)
        for size in entry.sizes:
            grid = with_longer_side(labelled.image.grid, size)
            wanted = labelled.truth.resample(grid).mask(one.label)
            for how, mask in _ways(field, labelled.image.grid, grid, size):
                yield Answer(
                    prompt="box",
                    from_truth=True,
                    draw=1,
                    clicks=0,
                    size=size,
                    how=how,
                    case=example.name,
                    group=entry.tested.groups[example.name],
                    name=one.name,
                    dice=dice(mask, wanted),
                    nsd=float("nan"),
                    hd95=float("nan"),
                    seconds=float("nan"),
                    encode_seconds=float("nan"),
                )


def _ways(field: Field, own: Grid, grid: Grid, size: int) -> Iterator[tuple[str, Bool[np.ndarray, "y x"]]]:
    yield "field", field.on(grid).logits[0] > 0
    if size != COARSE:
        mask = field.on(with_longer_side(own, COARSE)).logits[0] > 0
        yield f"mask of {COARSE}, linear", resized(mask, grid.shape)


def with_longer_side(grid: Grid, longer: int) -> Grid:
    """The same picture with so many samples along its longer side."""
    return grid.resample(tuple(max(1, round(n * longer / max(grid.shape))) for n in grid.shape))


def resized(mask: Bool[np.ndarray, "y x"], shape: Sequence[int]) -> Bool[np.ndarray, "h w"]:
    """A mask on another grid over the same picture, linearly, and more than a half is in."""
    rows, columns = ((np.arange(n) + 0.5) * m / n - 0.5 for n, m in zip(shape, mask.shape, strict=True))
    places = np.meshgrid(rows, columns, indexing="ij")
    shown: Bool[np.ndarray, "h w"] = map_coordinates(mask.astype(float), np.stack(places), order=1, mode="nearest") > 0.5
    return shown
