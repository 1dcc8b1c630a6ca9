from __future__ import annotations

import math
from pathlib import Path

import pytest

from evaluation.toys import boxes, empty, grid, save, square
from promisam.core import Grid
from promisam.core.errors import InvalidConfig
from promisam.evaluation import CaseScore, Evaluation, evaluate_folders


def evaluate(tmp_path: Path, predictions: dict, truth: dict, **options) -> Evaluation:
    return evaluate_folders(save(tmp_path / "pred", **predictions), save(tmp_path / "true", **truth), **options)


def by_case(evaluation: Evaluation, label: int = 1) -> dict[str, CaseScore]:
    return {s.case: s for s in evaluation.scores if s.label == label}


def test_a_missing_prediction_counts_as_zero_and_is_listed(tmp_path: Path):
    found = evaluate(tmp_path, {"a": square(5, 5, 10)}, {"a": square(5, 5, 10), "b": square(5, 5, 4)})

    missing = by_case(found)["b"]
    assert (missing.status, missing.dice, missing.iou, missing.nsd, missing.hd95) == ("missing", 0, 0, (0,), math.inf)
    assert (missing.volume_truth, missing.volume_prediction) == (16, None)
    assert found.summary.overall.metrics["dice"].mean == 0.5
    assert found.summary.overall.failures == 1
    assert [(f.case, f.status) for f in found.failures] == [("b", "missing")]
    assert not found.complete


def test_a_missing_prediction_of_an_empty_truth_is_listed_without_a_value(tmp_path: Path):
    found = evaluate(tmp_path, {"a": square(5, 5, 10)}, {"a": square(5, 5, 10), "b": empty()})

    assert (by_case(found)["b"].status, by_case(found)["b"].dice) == ("missing", None)
    assert found.summary.overall.metrics["dice"].mean == 1
    assert found.summary.overall.failures == 1


def test_another_grid_is_a_failure_with_both_grids(tmp_path: Path):
    shape = (6, 7, 8)
    truth = boxes(grid(shape, (2.0, 1.0, 1.0)), (1, (slice(1, 4),) * 3))
    found = evaluate(
        tmp_path,
        {"a": boxes(grid(shape, (2.5, 1.0, 1.0)), (1, (slice(1, 4),) * 3)), "b": truth},
        {"a": truth, "b": truth},
    )

    assert by_case(found)["a"].status == "geometry"
    assert by_case(found)["a"].dice == 0
    assert "1 x 1 x 2.5 mm" in found.failures[0].reason
    assert "1 x 1 x 2 mm" in found.failures[0].reason
    assert found.summary.overall.metrics["dice"].mean == 0.5


def test_unreadable_files_are_failures_with_a_reason_and_no_folder_in_it(tmp_path: Path):
    good = square(5, 5, 10)
    found = evaluate(tmp_path, {"a": b"junk", "b": good, "c": good}, {"a": good, "b": b"junk", "c": good})

    assert by_case(found)["a"].status == by_case(found)["b"].status == "unreadable"
    assert by_case(found)["a"].dice == 0
    assert by_case(found)["b"].dice is None  # nobody knows what was to be found
    assert found.failures[0].reason.startswith("prediction: a.png, ")
    assert found.failures[1].reason.startswith("truth: b.png, ")
    assert not any(str(tmp_path) in f.reason for f in found.failures)


def test_a_prediction_without_truth_is_listed(tmp_path: Path):
    good = square(5, 5, 10)
    found = evaluate(tmp_path, {"a": good, "x": good}, {"a": good})

    assert [(f.case, f.status) for f in found.failures] == [("x.png", "unexpected")]
    assert found.summary.overall.failures == 0


def test_both_empty_is_counted_apart(tmp_path: Path):
    good = square(5, 5, 10)
    found = evaluate(tmp_path, {"a": good, "b": empty()}, {"a": good, "b": empty()})

    assert by_case(found)["b"].status == "both_empty"
    assert (found.summary.overall.both_empty, found.summary.overall.metrics["dice"].n) == (1, 1)
    assert found.complete


def test_labels_of_the_whole_truth_and_none_else(tmp_path: Path):
    on = Grid.of_picture((20, 20))
    here, there = (slice(0, 5), slice(0, 5)), (slice(10, 15), slice(10, 15))
    predictions = {"a": boxes(on, (1, here), (9, there)), "b": boxes(on, (2, there))}
    truth = {"a": boxes(on, (1, here)), "b": boxes(on, (1, here), (2, there))}
    found = evaluate(tmp_path, predictions, truth)

    assert {(s.case, s.label): s.status for s in found.scores} == {
        ("a", 1): "ok", ("a", 2): "both_empty", ("b", 1): "prediction_empty", ("b", 2): "ok",
    }  # fmt: skip
    assert found.foreign_labels == {9: 1}

    only = evaluate_folders(tmp_path / "pred", tmp_path / "true", labels=[2])
    assert {s.label for s in only.scores} == {2}
    assert only.foreign_labels == {}


def test_a_set_of_empty_truths_needs_a_label(tmp_path: Path):
    with pytest.raises(InvalidConfig, match="no label"):
        evaluate(tmp_path, {"a": square(5, 5, 10)}, {"a": empty()})

    found = evaluate_folders(tmp_path / "pred", tmp_path / "true", labels=[1])
    assert [s.status for s in found.scores] == ["truth_empty"]


def test_units_must_agree_unless_spacing_is_set_aside(tmp_path: Path):
    flat = boxes(grid((20, 20), (0.5, 0.5)), (1, (slice(2, 9), slice(2, 9))))
    with pytest.raises(InvalidConfig, match="2 axes in mm"):
        evaluate(tmp_path, {"a": square(1, 1, 5), "b": flat}, {"a": square(1, 1, 5), "b": flat})

    found = evaluate_folders(tmp_path / "pred", tmp_path / "true", spacing_aware=False)
    assert found.summary.unit == "px"
    assert by_case(found)["b"].volume_truth == 49


def test_progress_and_files(tmp_path: Path):
    seen = []
    good = square(5, 5, 10)
    found = evaluate(
        tmp_path, {"a": good, "b": good}, {"a": good, "b": good}, progress=lambda done, of, case: seen.append((done, of, case))
    )

    assert seen == [(1, 2, "a"), (2, 2, "b")]
    assert [(s.truth, s.prediction) for s in found.scores] == [("a.png", "a.png"), ("b.png", "b.png")]
