"""Scores to labels: the higher score wins, and memory stays that of one object."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from geometries import flipped, oblique
from promisam.core import Grid, Scores, to_segmentation
from promisam.core.errors import GeometryError, GridMismatch

ROW = Grid.of_picture((1, 5))


def row(*values, grid=ROW):
    return Scores(np.array([[values]], np.float32), grid)


def test_where_objects_overlap_the_higher_score_wins():
    found = to_segmentation([row(2, 1, -1, 3, -5), row(1, 4, -2, 3, 0.5)])
    assert found.labels.tolist() == [[1, 2, 0, 1, 2]]  # a tie stays with the first
    assert found.grid == ROW


def test_order_gives_the_labels_not_the_winners():
    first, second = row(2, 1, -1, 3, -5), row(1, 4, -2, 2, 0.5)
    assert to_segmentation([second, first]).labels.tolist() == [[2, 1, 0, 2, 1]]


def test_zero_is_outside():
    assert to_segmentation([row(0, -0.0, 1e-6, -1e-6, 0)]).labels.tolist() == [[0, 0, 1, 0, 0]]


def test_channels_are_objects_too():
    logits = np.array([[[1, -1, -1, 2, -1]], [[-1, 1, -1, 3, -1]]], np.float32)
    found = to_segmentation([Scores(logits, ROW), row(-1, -1, 1, 1, -1)])
    assert found.labels.tolist() == [[1, 2, 3, 2, 0]]


def test_names_in_order_and_numbers_for_the_rest():
    found = to_segmentation([row(1, 0, 0, 0, 0), row(0, 1, 0, 0, 0), row(-1, -1, -1, -1, -1)], ("liver",))
    assert [found.name(v) for v in (1, 2, 3)] == ["liver", "object 2", "object 3"]
    assert found.values == (1, 2, 3)  # an object that was asked for and not found keeps its label


@pytest.mark.parametrize(("count", "dtype"), [(255, np.uint8), (256, np.uint16), (300, np.uint16)])
def test_many_objects(count, dtype):
    grid = Grid.of_picture((1, count))
    answers = (Scores(np.where(np.arange(count) == i, 1, -1).astype(np.float32)[None, None], grid) for i in range(count))
    found = to_segmentation(answers)
    assert found.labels.dtype == dtype
    assert np.array_equal(found.labels[0], np.arange(1, count + 1))


def test_answers_are_taken_one_at_a_time():
    alive = []

    def answers():
        for i in range(6):
            gc.collect()
            assert sum(reference() is not None for reference in alive) <= 1
            one = row(i, i, i, i, i)
            alive.append(weakref.ref(one))
            yield one
            del one

    assert (to_segmentation(answers()).labels == 6).all()
    assert len(alive) == 6


def test_answers_on_different_grids_are_refused():
    volume = oblique()
    zeros = np.zeros((1, *volume.shape), np.float32)
    with pytest.raises(GridMismatch):
        to_segmentation([Scores(zeros, volume), Scores(zeros, flipped(volume, 1))])


def test_no_answers_are_refused():
    with pytest.raises(GeometryError, match="at least one object"):
        to_segmentation([])


@pytest.mark.parametrize("shape", [(1, 5), (1, 5, 1), (1, 1, 1, 5)])
def test_scores_that_disagree_with_their_grid_are_refused_with_both_shapes(shape):
    with pytest.raises(GeometryError) as caught:
        Scores(np.zeros(shape, np.float32), ROW)
    assert str(shape) in str(caught.value)
    assert "(1, 5)" in str(caught.value)


def test_objects_of_one_name_are_one_label():
    found = to_segmentation([row(1, -1, -1, -1, -1), row(-1, 1, -1, -1, 2), row(-1, -1, 1, -1, 3)], ("lung", "heart", "lung"))
    assert found.labels.tolist() == [[1, 2, 1, 0, 1]]
    assert found.names == {1: "lung", 2: "heart"}
