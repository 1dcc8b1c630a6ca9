"""What is asked for and what comes out, on features made by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from promisam.core.errors import InvalidConfig
from promisam.selection import Request, choose

NAMES = ["a", "b", "c", "d", "e", "f", "g"]
# three at the left, three at the right, one far above
POINTS = np.array([[0.0, 0], [1, 0], [2.1, 0], [20, 0], [21, 0], [22.1, 0], [10, 60]])


def test_what_stands_for_what():
    found = choose(NAMES, POINTS, Request(2, exclude=("g",)))
    assert {one.name for one in found.chosen} == {"b", "e"}
    assert [one.rank for one in found.chosen] == [1, 2]
    assert sum(one.represents for one in found.chosen) == 7
    left = next(one for one in found.chosen if one.name == "b")
    spread = {one.name: one.distance for one in found.images if one.nearest == "b"}
    assert left.spread == pytest.approx(np.mean(list(spread.values())))
    assert [one.name for one in found.images] == NAMES
    assert [one.name for one in found.members("b")][:2] == ["a", "c"], "from near to far"
    assert next(one for one in found.images if one.name == "b").distance == 0


def test_the_order_of_the_names_does_not_matter():
    order = [4, 2, 6, 0, 5, 1, 3]
    assert choose([NAMES[i] for i in order], POINTS[order], Request(3)) == choose(NAMES, POINTS, Request(3))


def test_the_far_one_is_chosen_or_an_outlier():
    assert "g" in {one.name for one in choose(NAMES, POINTS, Request(3)).chosen}
    found = choose(NAMES, POINTS, Request(2, exclude=("g",)))
    assert [one.name for one in found.outliers] == ["g"]
    away = [one.distance for one in found.images if one.name not in {c.name for c in found.chosen}]
    median = np.median(away)
    assert found.outlier_beyond == pytest.approx(median + 3 * 1.4826 * np.median(np.abs(away - median)), abs=1e-5)


def test_reasons():
    found = choose(NAMES, POINTS, Request(4, include=("c",), former=("f", "a")))
    assert [one.name for one in found.chosen][:3] == ["f", "a", "c"], "the former ones keep their ranks"
    assert [one.why for one in found.chosen] == ["former", "former", "included", "medoid"]
    assert found.chosen[3].name == "g"


def test_an_extension_never_replaces():
    one = choose(NAMES, POINTS, Request(1))
    longer = [choose(NAMES, POINTS, Request(k, former=tuple(c.name for c in one.chosen))) for k in range(1, 8)]
    names = [[c.name for c in each.chosen] for each in longer]
    assert all(after[: len(before)] == before for before, after in pairwise(names))


def test_all_of_them():
    found = choose(NAMES, POINTS, Request(7))
    assert {one.name for one in found.chosen} == set(NAMES)
    assert all(one.represents == 1 and one.spread == 0 for one in found.chosen)
    assert not found.outliers
    assert found.outlier_beyond == 0


def test_one_image_alone():
    found = choose(["x"], np.zeros((1, 4)), Request(1))
    assert (found.chosen[0].name, found.chosen[0].represents, found.outliers, found.near_duplicates) == ("x", 1, (), ())
    assert 0 < found.duplicate_below < 1e-3, "there is no distance to take a part of"


def test_near_duplicates_by_features():
    points = np.concatenate([POINTS, POINTS[3:4] + 0.01, POINTS[:1] + 0.3])
    found = choose([*NAMES, "h", "i"], points, Request(2))
    assert [(one.name, one.near_duplicate_of, one.same_file) for one in found.near_duplicates] == [("h", "d", False)]
    assert choose(NAMES, POINTS, Request(2)).near_duplicates == ()


def test_copies_by_their_files():
    digests = {name: f"{at}" for at, name in enumerate(NAMES)} | {"f": "0"}
    found = choose(NAMES, POINTS, Request(2), digests)
    assert [(one.name, one.near_duplicate_of, one.same_file) for one in found.near_duplicates] == [("f", "a", True)]


def test_all_alike():
    found = choose(NAMES, np.zeros((7, 3)), Request(2))
    assert [one.represents for one in found.chosen] == [6, 1]
    assert not found.outliers
    assert {one.near_duplicate_of for one in found.near_duplicates} == {"a"}


@pytest.mark.parametrize(
    ("request_", "saying"),
    [
        (Request(8), "8 images to choose out of 7; expected at most 7"),
        (Request(7, exclude=("a",)), "out of 6 that are not excluded"),
        (Request(0), "a number from 1"),
        (Request(1, include=("a", "b")), "a number from 2"),
        (Request(1, former=("a", "b")), "a number from 2"),
        (Request(2, include=("a",), exclude=("a",)), "a, excluded and included"),
        (Request(2, former=("a",), exclude=("a",)), "a, excluded and a former choice"),
        (Request(2, include=("gg",)), "include 'gg'.*Did you mean g"),
        (Request(2, exclude=("ff",)), "exclude 'ff'.*Did you mean f"),
        (Request(2, former=("dd",)), "former choice 'dd'.*Did you mean d"),
    ],
)
def test_what_cannot_be(request_, saying):
    with pytest.raises(InvalidConfig, match=saying):
        request_.check(NAMES)
    with pytest.raises(InvalidConfig, match=saying):
        choose(NAMES, POINTS, request_)
