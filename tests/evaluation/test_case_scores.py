from __future__ import annotations

import math

import numpy as np
import pytest

from evaluation.toys import boxes, empty, grid, square
from promisam.core import Grid, Segmentation
from promisam.core.errors import GridMismatch, InvalidConfig
from promisam.evaluation import CaseScore, evaluate_case


def score(prediction: Segmentation, truth: Segmentation, **options) -> CaseScore:
    scores = evaluate_case(prediction, truth, **options)
    assert len(scores) == 1
    return scores[0]


def test_shifted_squares_in_pixels():
    found = score(square(5, 7, 10), square(5, 5, 10), tolerances=(1.0, 2.0), case="a")

    assert (found.case, found.label, found.status, found.unit, found.ndim) == ("a", 1, "ok", "px", 2)
    assert found.dice == pytest.approx(0.8)
    assert found.iou == pytest.approx(80 / 120)
    assert found.hd95 == pytest.approx(2.0)
    assert found.nsd[1] == 1.0
    assert 0.5 < found.nsd[0] < 1.0
    assert (found.volume_truth, found.volume_prediction, found.volume_difference) == (100, 100, 0)


def test_anisotropic_cuboid_in_millimetres_and_in_samples():
    on = grid((20, 16, 18), (3.0, 0.7, 0.9))
    truth = boxes(on, (1, (slice(4, 10), slice(3, 11), slice(4, 14))))
    prediction = boxes(on, (1, (slice(4, 13), slice(3, 11), slice(4, 14))))

    real = score(prediction, truth)
    assert real.unit == "mm"
    assert real.hd95 == pytest.approx(9.0)
    assert real.volume_truth == pytest.approx(6 * 8 * 10 * 3.0 * 0.7 * 0.9)
    assert real.volume_difference == pytest.approx(3 * 8 * 10 * 3.0 * 0.7 * 0.9)
    assert real.volume_difference_percent == pytest.approx(50.0)
    assert real.dice == pytest.approx(2 * 6 / 15)

    counted = score(prediction, truth, spacing_aware=False)
    assert counted.unit == "px"
    assert counted.hd95 == pytest.approx(3.0)
    assert counted.volume_truth == pytest.approx(480)
    assert counted.dice == real.dice


def test_every_column_has_its_name():
    found = score(square(5, 7, 10), square(5, 5, 8), tolerances=(0.5, 2.0))

    assert list(found.metrics("px")) == [
        "dice", "iou", "hd95", "nsd@0.5px", "nsd@2px",
        "volume_truth", "volume_prediction", "volume_difference", "volume_difference_absolute", "volume_difference_percent",
    ]  # fmt: skip
    assert found.metrics("px")["volume_difference"] == 36
    assert found.metrics("px")["volume_difference_percent"] == pytest.approx(100 * 36 / 64)
    smaller = score(square(5, 5, 8), square(5, 7, 10)).metrics("px")
    assert (smaller["volume_difference"], smaller["volume_difference_absolute"]) == (-36, 36)


def test_both_empty_has_no_overlap_and_no_distance():
    found = score(empty(), empty(), labels=[1])

    assert found.status == "both_empty"
    assert (found.dice, found.iou, found.hd95, found.nsd) == (None, None, None, ())
    assert found.volume_truth == found.volume_prediction == 0


@pytest.mark.parametrize("swapped", [False, True])
def test_one_empty_scores_nothing_and_is_infinitely_far(swapped: bool):
    pair = (empty(), square(3, 4, 5))
    found = score(*(reversed(pair) if swapped else pair), tolerances=(1.0, 2.0))

    assert found.status == ("truth_empty" if swapped else "prediction_empty")
    assert (found.dice, found.iou, found.nsd) == (0, 0, (0, 0))
    assert found.hd95 == math.inf
    assert found.volume_difference == (25 if swapped else -25)
    assert found.volume_difference_percent == (None if swapped else -100)


def test_identical_masks_are_perfect():
    found = score(square(3, 4, 5), square(3, 4, 5), tolerances=(0.0,))

    assert (found.dice, found.iou, found.hd95, found.nsd, found.volume_difference) == (1, 1, 0, (1,), 0)


def test_labels_are_scored_apart_and_can_be_restricted():
    on = Grid.of_picture((20, 20))
    truth = boxes(on, (1, (slice(0, 5), slice(0, 5))), (300 - 45, (slice(10, 15), slice(10, 15))))
    prediction = boxes(on, (1, (slice(0, 5), slice(0, 5))), (2, (slice(10, 15), slice(10, 15))))

    every = {s.label: s for s in evaluate_case(prediction, truth)}
    assert {n: s.status for n, s in every.items()} == {1: "ok", 2: "truth_empty", 255: "prediction_empty"}
    assert every[1].dice == 1
    assert [s.label for s in evaluate_case(prediction, truth, labels=[255])] == [255]


def test_huge_label_values_are_found_without_a_table_of_all():
    labels = np.zeros((8, 9), np.uint32)
    labels[2:4, 3:6] = 2_000_000_000
    huge = Segmentation(labels, Grid.of_picture((8, 9)))

    assert score(huge, huge).dice == 1


def test_another_grid_is_refused_with_both_grids():
    here = boxes(grid((6, 7, 8), (2.0, 1.0, 1.0)), (1, (slice(1, 3),) * 3))
    moved = boxes(grid((6, 7, 8), (2.0, 1.0, 1.0), origin=(10.0, 0.0, 0.0)), (1, (slice(1, 3),) * 3))

    with pytest.raises(GridMismatch) as caught:
        evaluate_case(moved, here)
    assert "8 x 7 x 6 samples of 1 x 1 x 2 mm, origin 10 0 0" in caught.value.given
    assert "8 x 7 x 6 samples of 1 x 1 x 2 mm, origin 0 0 0" in caught.value.expected


@pytest.mark.parametrize("tolerances", [(), (-1.0,), (math.inf,), (math.nan,), (2.0, 2.0000001)])
def test_impossible_tolerances(tolerances: tuple[float, ...]):
    with pytest.raises(InvalidConfig, match="toleranc"):
        evaluate_case(square(1, 1, 3), square(1, 1, 3), tolerances=tolerances)


def test_the_background_is_no_label():
    with pytest.raises(InvalidConfig, match="label 0"):
        evaluate_case(square(1, 1, 3), square(1, 1, 3), labels=[1, 0])


def test_scores_are_frozen():
    with pytest.raises(AttributeError):
        score(square(1, 1, 3), square(1, 1, 3)).dice = 1.0
