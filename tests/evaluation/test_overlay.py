from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evaluation.toys import boxes, grid, save, square
from promisam.evaluation import evaluate_folders
from promisam.evaluation.overlay import PREDICTION_COLOUR, TRUTH_COLOUR, draw, panels, slice_of_disagreement


def colours(picture: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(int(v) for v in c) for c in picture.reshape(-1, 3)}


def test_worst_median_and_best(tmp_path: Path):
    truth = {name: square(5, 5, 10) for name in "abcde"}
    predictions = {name: square(5, 5 + shift, 10) for name, shift in zip("abcde", (3, 0, 4, 1, 2), strict=True)}
    found = evaluate_folders(save(tmp_path / "pred", **predictions), save(tmp_path / "true", **truth))

    assert [(p.title, p.score.case) for p in panels(found, {})] == [("Worst", "c"), ("Median", "e"), ("Best", "b")]
    assert all(p.note == "no image" for p in panels(found, {}))
    assert all(p.source.startswith("data:image/png;base64,") for p in panels(found, {}))


def test_one_case_is_shown_once(tmp_path: Path):
    found = evaluate_folders(save(tmp_path / "pred", a=square(5, 5, 9)), save(tmp_path / "true", a=square(5, 5, 10)))

    assert [p.title for p in panels(found, {})] == ["Worst and median and best"]


def test_both_outlines_are_seen_where_they_coincide():
    mask = square(10, 12, 8).mask()
    picture = draw(np.full((30, 40, 3), 200, np.uint8), mask, mask, (1.0, 1.0))

    assert {TRUTH_COLOUR, PREDICTION_COLOUR} <= colours(picture)


def test_an_outline_on_the_border_of_the_picture_is_closed():
    mask = np.ones((12, 16), bool)
    picture = draw(np.zeros((12, 16, 3), np.uint8), np.zeros_like(mask), mask, (1.0, 1.0))

    assert all(tuple(picture[corner]) == TRUTH_COLOUR for corner in ((0, 0), (0, -1), (-1, 0), (-1, -1)))


def test_proportions_follow_the_spacing():
    mask = np.ones((10, 20), bool)
    picture = draw(np.zeros((10, 20, 3), np.uint8), mask, mask, (4.0, 1.0))

    assert picture.shape[0] / picture.shape[1] == pytest.approx(2.0)


def test_slices_are_taken_across_the_coarsest_axis_where_most_differs():
    on = grid((10, 12, 8), (1.0, 5.0, 1.0))
    truth = boxes(on, (1, (slice(2, 6), slice(1, 9), slice(2, 6))))
    worse = truth.labels.copy()
    worse[2:6, 7, 2:6] = 0
    prediction = type(truth)(worse, on)

    assert slice_of_disagreement(prediction, truth, 1) == (1, 7)
    assert slice_of_disagreement(truth, truth, 1) == (1, 1)


def test_the_image_is_shown_only_on_the_same_grid(tmp_path: Path):
    truth = save(tmp_path / "true", a=square(5, 5, 10))
    found = evaluate_folders(save(tmp_path / "pred", a=square(5, 6, 10)), truth)
    here = save(tmp_path / "images", a=square(2, 2, 25), other=square(2, 2, 9, (20, 20)), broken=b"junk")

    notes = [panels(found, {"a": here / f"{name}.png"})[0].note for name in ("a", "other", "broken")]
    assert notes == ["", "image on another grid, not shown", "image unreadable"]
