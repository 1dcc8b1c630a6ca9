from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from evaluation.toys import empty, square
from promisam.core.errors import InvalidConfig
from promisam.evaluation import CaseScore, bootstrap, evaluate_case, summarise
from promisam.evaluation.bootstrap import mean_interval
from promisam.evaluation.summary import describe


def with_dice(*values: float | None) -> list[CaseScore]:
    return [
        CaseScore(
            f"c{i}", 1, "label 1", "both_empty" if v is None else "ok", "px", 2, (2.0,), dice=None if v is None else float(v)
        )
        for i, v in enumerate(values)
    ]


def test_numbers_of_a_metric():
    found = summarise(with_dice(0.2, 0.4, 0.9, None)).labels[0]
    dice = found.metrics["dice"]

    assert (found.rows, found.both_empty, dice.n) == (4, 1, 3)
    assert dice.mean == pytest.approx(0.5)
    assert dice.sd == pytest.approx(np.std([0.2, 0.4, 0.9], ddof=1))
    assert (dice.median, dice.minimum, dice.maximum) == (0.4, 0.2, 0.9)
    assert dice.low < dice.mean < dice.high


def test_both_empty_lifts_no_mean():
    scores = evaluate_case(empty(), empty(), labels=[1], case="a") + evaluate_case(square(5, 7, 10), square(5, 5, 10), case="b")

    assert summarise(scores).overall.metrics["dice"].mean == pytest.approx(0.8)


def test_infinite_distances_are_counted_and_never_dropped_in_silence():
    values = [("a", 2.0), ("b", math.inf), ("c", 4.0), ("d", None)]
    found = describe(values)

    assert (found.n, found.infinite, found.mean, found.maximum) == (2, 1, 3.0, 4.0)
    assert describe([("a", math.inf)]) == replace(describe([]), infinite=1)


def test_a_failure_counts_as_zero():
    failed = CaseScore("b", 1, "label 1", "missing", "px", 2, (2.0,), dice=0.0, iou=0.0, hd95=math.inf, nsd=(0.0,))
    found = summarise([*evaluate_case(square(5, 5, 10), square(5, 5, 10), case="a"), failed]).overall

    assert found.failures == 1
    assert found.metrics["dice"].mean == 0.5
    assert found.metrics["nsd@2px"].mean == 0.5
    assert (found.metrics["hd95"].n, found.metrics["hd95"].infinite) == (1, 1)


def test_overall_pools_pairs_and_counts_add_up():
    scores = [*with_dice(0.2, 0.4), *[replace(s, label=7, name="x") for s in with_dice(0.9, None)]]
    found = summarise(scores)

    assert found.cases == 2
    assert found.overall.metrics["dice"].mean == pytest.approx((0.2 + 0.4 + 0.9) / 3)
    assert found.overall.rows == sum(g.rows for g in found.labels) == 4
    assert [g.title for g in found.groups] == ["label 1", "7 x", "all labels"]


def test_one_case_has_no_interval():
    found = summarise(with_dice(0.7)).overall.metrics["dice"]

    assert (found.mean, found.sd, found.low, found.high) == (0.7, None, None, None)


def test_bootstrap_repeats_itself_and_follows_its_seed():
    values = np.random.default_rng(0).random(20)
    ones = np.ones(20)

    first = mean_interval(values, ones)
    bootstrap._draws.cache_clear()
    assert mean_interval(values, ones) == first
    assert mean_interval(values, ones, seed=1) != first


def test_bootstrap_covers_a_known_mean():
    """Of many samples of a known distribution, about 95 % of the intervals hold its mean."""
    generator = np.random.default_rng(3)
    ones = np.ones(60)
    hits = 0
    for _ in range(400):
        low, high = mean_interval(generator.normal(0.7, 0.1, 60), ones, resamples=500)
        hits += low <= 0.7 <= high

    assert 0.91 <= hits / 400 <= 0.98


def test_bootstrap_resamples_cases_with_all_their_labels():
    """Ten labels that agree within each case say no more than one does; taken as independent, they would."""
    values = np.random.default_rng(0).random(12)
    one = mean_interval(values, np.ones(12))
    ten = mean_interval(10 * values, np.full(12, 10.0))

    assert ten == pytest.approx(one)

    table = with_dice(*values) + [replace(s, label=2, name="label 2") for s in with_dice(*values)]
    overall, label = summarise(table).overall.metrics["dice"], summarise(table).labels[0].metrics["dice"]
    assert (overall.n, label.n) == (24, 12)
    assert (overall.low, overall.high) == pytest.approx((label.low, label.high))


def test_mixed_units_are_refused():
    scores = with_dice(0.5, 0.6)

    with pytest.raises(
        InvalidConfig, match=r"2 axes in px \(c0\).*3 axes in mm \(c1\)|3 axes in mm \(c1\).*2 axes in px \(c0\)"
    ):
        summarise([scores[0], replace(scores[1], unit="mm", ndim=3)])


def test_nothing_to_summarise():
    with pytest.raises(InvalidConfig, match="no scores"):
        summarise([])
