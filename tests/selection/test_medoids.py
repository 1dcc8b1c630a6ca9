"""The choice on arrays alone, against its definitions."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from promisam.selection import medoids as module
from promisam.selection.medoids import cost, extended, k_medoids, nearest, ranked


@st.composite
def clouds(draw, smallest=1, largest=12):
    """Points, equal ones among them, and how many to choose."""
    n = draw(st.integers(smallest, largest))
    d = draw(st.integers(1, 3))
    values = draw(st.lists(st.integers(-4, 4), min_size=n * d, max_size=n * d))
    noisy = draw(st.booleans())
    points = np.array(values, float).reshape(n, d)
    points += np.random.default_rng(draw(st.integers(0, 99))).normal(size=points.shape) * noisy
    return points, draw(st.integers(1, n))


def groups(number=3, each=8, seed=0):
    """Round clouds far from each other."""
    rng = np.random.default_rng(seed)
    centres = np.array([[0, 0], [20, 0], [0, 20], [20, 20]], float)[:number]
    return np.concatenate([centre + rng.normal(size=(each, 2)) for centre in centres])


def by_hand(points, chosen):
    return cdist(points, points[list(chosen)]).min(axis=1).sum()


@given(clouds(), st.integers(0, 3), st.randoms(use_true_random=False))
@settings(max_examples=80, deadline=None)
def test_the_order_of_the_rows_does_not_matter(cloud, seed, random):
    points, k = cloud
    order = list(range(len(points)))
    random.shuffle(order)
    shuffled = points[order]
    np.testing.assert_array_equal(
        points[list(k_medoids(points, k, seed=seed))], shuffled[list(k_medoids(shuffled, k, seed=seed))]
    )


@given(clouds(), st.integers(0, 3))
@settings(max_examples=80, deadline=None)
def test_no_exchange_improves_the_choice(cloud, seed):
    points, k = cloud
    chosen = k_medoids(points, k, seed=seed)
    assert len(set(chosen)) == k
    assert cost(points, chosen) == pytest.approx(by_hand(points, chosen))
    others = set(range(len(points))) - set(chosen)
    exchanged = [[c for c in chosen if c != leaves] + [comes] for leaves in chosen for comes in others]
    assert all(cost(points, chosen) <= by_hand(points, trial) + 1e-6 for trial in exchanged)


@given(clouds(smallest=2), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_the_choice_is_no_worse_than_most_random_ones(cloud, seed):
    points, k = cloud
    rng = np.random.default_rng(seed)
    random = [by_hand(points, rng.choice(len(points), k, replace=False)) for _ in range(25)]
    assert cost(points, k_medoids(points, k, seed=seed)) <= np.median(random) + 1e-9


@given(clouds())
@settings(max_examples=40, deadline=None)
def test_one_alone_is_the_medoid_of_all(cloud):
    points, _ = cloud
    (chosen,) = k_medoids(points, 1)
    assert cost(points, [chosen]) == pytest.approx(cdist(points, points).sum(axis=0).min())


@given(clouds(smallest=3), st.data())
@settings(max_examples=80, deadline=None)
def test_fixed_rows_are_chosen_and_barred_ones_never(cloud, data):
    points, _ = cloud
    rows = data.draw(st.permutations(range(len(points))))
    fixed = rows[: data.draw(st.integers(0, len(rows) - 1))]
    barred = rows[len(fixed) : data.draw(st.integers(len(fixed), len(rows) - 1))]
    k = data.draw(st.integers(max(1, len(fixed)), len(points) - len(barred)))
    chosen = k_medoids(points, k, fixed=fixed, barred=barred)
    assert len(set(chosen)) == k
    assert set(fixed) <= set(chosen)
    assert not set(barred) & set(chosen)
    others = set(range(len(points))) - set(chosen) - set(barred)
    exchanged = [[c for c in chosen if c != leaves] + [comes] for leaves in set(chosen) - set(fixed) for comes in others]
    assert all(cost(points, chosen) <= by_hand(points, trial) + 1e-6 for trial in exchanged)


@given(clouds(smallest=3), st.data())
@settings(max_examples=80, deadline=None)
def test_an_extension_keeps_the_former_and_adds_what_lowers_the_cost_most(cloud, data):
    points, k = cloud
    former = k_medoids(points, data.draw(st.integers(1, k)))
    longer = extended(points, former, k)
    assert longer[: len(former)] == former
    assert len(set(longer)) == k
    for size in range(len(former), k):
        best = min(by_hand(points, [*longer[:size], c]) for c in range(len(points)) if c not in longer[:size])
        assert cost(points, longer[: size + 1]) == pytest.approx(best)
    barred = [c for c in range(len(points)) if c not in longer][:1]
    assert not set(barred) & set(extended(points, former, k, barred=barred))


@given(clouds())
@settings(max_examples=40, deadline=None)
def test_ranks_begin_with_the_most_telling(cloud):
    points, k = cloud
    chosen = k_medoids(points, k)
    assert ranked(points, chosen) == chosen, "they come ranked"
    again = ranked(points, chosen[::-1])
    assert set(again) == set(chosen)
    for size in range(1, k):
        best = min(by_hand(points, [*again[: size - 1], c]) for c in chosen if c not in again[: size - 1])
        assert cost(points, again[:size]) == pytest.approx(best)


def test_small_choices_are_the_best_there_are():
    points = groups(3, 4)
    best = min(by_hand(points, trial) for trial in combinations(range(len(points)), 3))
    assert cost(points, k_medoids(points, 3)) == pytest.approx(best)


def test_the_seed_decides_and_nothing_else():
    points = np.random.default_rng(0).normal(size=(200, 6))  # without groups: starts end in many places
    assert len({k_medoids(points, 15, seed=5) for _ in range(3)}) == 1


def test_equal_points_can_all_be_chosen():
    points = np.ones((5, 3))
    assert sorted(k_medoids(points, 5)) == [0, 1, 2, 3, 4]
    assert len(set(k_medoids(points, 2))) == 2


def test_each_chosen_row_stands_for_itself():
    points = np.array([[0.0], [0.0], [0.0], [9.0]])
    place, away = nearest(points, [2, 0, 3])
    assert place.tolist() == [1, 0, 0, 2]
    assert away.tolist() == [0, 0, 0, 0]


@pytest.fixture
def large(monkeypatch):
    """The way of many points, for few."""
    monkeypatch.setattr(module, "LARGE", 10)
    monkeypatch.setattr(module, "_BLOCK", 7)


@pytest.mark.usefixtures("large")
def test_many_points_are_chosen_by_their_groups():
    points = groups(4, 12)
    chosen = k_medoids(points, 4)
    assert sorted(c // 12 for c in chosen) == [0, 1, 2, 3]
    for c in chosen:
        own = points[c // 12 * 12 : c // 12 * 12 + 12]
        away = np.linalg.norm(own - own.mean(axis=0), axis=1)
        assert away.argmin() == c % 12, "the real one nearest to the mean"


@pytest.mark.usefixtures("large")
def test_many_points_with_fixed_and_barred_ones():
    points = groups(3, 12)
    free = k_medoids(points, 3)
    chosen = k_medoids(points, 3, fixed=[14], barred=free)
    assert 14 in chosen
    assert not set(free) & set(chosen)
    assert sorted(c // 12 for c in chosen) == [0, 1, 2], "the fixed one stands for its group"
    longer = extended(points, chosen, 5, barred=free)
    assert longer[:3] == chosen
    assert not set(free) & set(longer)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_many_points_in_any_order(seed):
    points = groups(3, 9, seed)
    order = np.random.default_rng(seed).permutation(len(points))
    np.testing.assert_array_equal(
        points[list(k_medoids(points, 5, seed=seed))], points[order][list(k_medoids(points[order], 5, seed=seed))]
    )
