"""Which points stand best for all of them, on arrays alone.

Every answer depends on the points and the seed only: rows are put into an order of their own first, so that it does not matter
how they were listed. Cost is the sum of the distances from each point to the nearest chosen one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.distance import cdist

LARGE = 2000  # points; beyond, no table of all distances is held
_STARTS = 4  # random starts beside the greedy one
_RESTARTS = 10  # of k-means
_ROUNDS = 100  # of k-means, at most
_BLOCK = 512  # columns of distances at a time
_GAIN = 1e-9  # of the cost: less is rounding


def k_medoids(
    points: Float[np.ndarray, "n d"], k: int, *, fixed: Sequence[int] = (), barred: Sequence[int] = (), seed: int = 0
) -> tuple[int, ...]:
    """The k rows, `fixed` among them, from which all rows are nearest.

    Up to `LARGE` rows: k-medoids by swaps (PAM, all swaps weighed at once as in Schubert and Rousseeuw 2019), from a greedy
    start and several random ones, the best of which is kept. No single exchange improves it. Beyond: k-means, and the row
    nearest to each mean.

    Args:
        points: one row each.
        k: how many, at least as many as are fixed and at most as many as are not barred.
        fixed: rows that are chosen in any case.
        barred: rows that are never chosen, but stood for.
        seed: of the random starts.

    Returns:
        Row numbers in the order of `ranked`, the fixed ones among the others.
    """
    order, back = _order(points, fixed, barred)
    sorted_fixed = [back[i] for i in fixed]
    free = _free(order, barred)
    space = _Space(points[order])
    if k == len(free):
        found = free
    elif len(points) <= LARGE:
        found = _swapped(space, k, sorted_fixed, free, seed)
    else:
        found = _snapped(space, k, sorted_fixed, free, seed)
    return tuple(int(order[i]) for i in _greedy(space, [], sorted(found), k))


def extended(points: Float[np.ndarray, "n d"], former: Sequence[int], k: int, *, barred: Sequence[int] = ()) -> tuple[int, ...]:
    """The former rows, in their order, and as many more as make k: each time the one that lowers the cost most."""
    order, back = _order(points, former, barred)
    found = _greedy(_Space(points[order]), [back[i] for i in former], _free(order, barred), k)
    return tuple(int(order[i]) for i in found)


def ranked(points: Float[np.ndarray, "n d"], chosen: Sequence[int], first: Sequence[int] = ()) -> tuple[int, ...]:
    """Chosen rows in the order in which each lowers the cost most, after those that come first."""
    others = sorted(set(range(len(points))) - set(chosen))
    return extended(points, first, len(chosen), barred=others)


def nearest(points: Float[np.ndarray, "n d"], chosen: Sequence[int]) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """For each row the place in `chosen` of the nearest one, the first of equals, and its distance; each chosen has itself."""
    away = cdist(points, points[list(chosen)])
    place = away.argmin(axis=1)
    place[list(chosen)] = np.arange(len(chosen))
    return place, away[np.arange(len(points)), place]


def cost(points: Float[np.ndarray, "n d"], chosen: Sequence[int]) -> float:
    """The sum of the distances from each row to the nearest chosen one."""
    return float(nearest(points, chosen)[1].sum())


class _Space:
    """Points and their distances."""

    def __init__(self, points: Float[np.ndarray, "n d"]) -> None:
        self.points = np.asarray(points, np.float64)
        self._table = cdist(self.points, self.points) if len(points) <= LARGE else None

    def __len__(self) -> int:
        return len(self.points)

    def to(self, rows: Sequence[int]) -> Float[np.ndarray, "n m"]:
        """Distances from all points to some, a column each."""
        picked = list(rows)
        return np.asarray(cdist(self.points, self.points[picked]) if self._table is None else self._table[:, picked])

    def blocks(self, rows: Sequence[int]) -> Iterator[Float[np.ndarray, "n m"]]:
        """The same, a part at a time."""
        for start in range(0, len(rows), _BLOCK):
            yield self.to(rows[start : start + _BLOCK])


def _order(
    points: Float[np.ndarray, "n d"], fixed: Sequence[int], barred: Sequence[int]
) -> tuple[Int[np.ndarray, " n"], list[int]]:
    """An order of the rows by what they hold, and where each row is in it."""
    marks = np.zeros(len(points))
    marks[list(fixed)], marks[list(barred)] = -1, 1
    order = np.lexsort((marks, *points.T[::-1]))
    back = np.empty(len(points), int)
    back[order] = np.arange(len(points))
    return order, [int(i) for i in back]


def _free(order: Int[np.ndarray, " n"], barred: Sequence[int]) -> list[int]:
    """Places in the order whose rows may be chosen."""
    return [int(place) for place in np.flatnonzero(~np.isin(order, list(barred)))]


def _greedy(space: _Space, start: Sequence[int], candidates: Sequence[int], k: int) -> list[int]:
    """Candidates added one by one to those that are there."""
    chosen = list(start)
    away = space.to(chosen).min(axis=1) if chosen else np.full(len(space), np.inf)
    left = [c for c in candidates if c not in set(chosen)]
    while len(chosen) < k:
        totals = np.concatenate([np.minimum(away[:, None], part).sum(axis=0) for part in space.blocks(left)])
        best = left.pop(int(totals.argmin()))
        away = np.minimum(away, space.to([best])[:, 0])
        chosen.append(best)
    return chosen


def _drawn(space: _Space, start: Sequence[int], candidates: Sequence[int], k: int, generator: np.random.Generator) -> list[int]:
    """Candidates drawn one by one with the square of the distance to those that are there as weight (k-means++)."""
    chosen = list(start)
    away = space.to(chosen).min(axis=1) if chosen else np.ones(len(space))
    while len(chosen) < k:
        left = [c for c in candidates if c not in set(chosen)]
        weights = np.cumsum(away[left] ** 2)
        drawn = generator.random() * weights[-1]
        best = left[min(int(np.searchsorted(weights, drawn, side="right")), len(left) - 1)]
        away = np.minimum(away, space.to([best])[:, 0]) if chosen else space.to([best])[:, 0]
        chosen.append(best)
    return chosen


def _swapped(space: _Space, k: int, fixed: Sequence[int], free: Sequence[int], seed: int) -> list[int]:
    """The best of several starts, each improved until no exchange lowers the cost."""
    generator = np.random.default_rng(seed)
    starts = [_greedy(space, fixed, free, k), *(_drawn(space, fixed, free, k, generator) for _ in range(_STARTS))]
    ends = [_improved(space, start, len(fixed), free) for start in starts]
    costs = [float(space.to(end).min(axis=1).sum()) for end in ends]
    return ends[int(np.argmin(costs))]


def _improved(space: _Space, start: Sequence[int], fixed: int, free: Sequence[int]) -> list[int]:
    """Swaps until nothing improves; the first `fixed` stay."""
    chosen = list(start)
    total = float(space.to(chosen).min(axis=1).sum())
    while len(chosen) > fixed:
        candidates = [c for c in free if c not in set(chosen)]
        if not candidates:
            break
        change = _changes(space, chosen, candidates)
        change[:fixed] = np.inf
        leaves, comes = np.unravel_index(int(change.argmin()), change.shape)
        trial = [*chosen]
        trial[int(leaves)] = candidates[int(comes)]
        now = float(space.to(trial).min(axis=1).sum())
        if not now < total * (1 - _GAIN):
            break
        chosen, total = trial, now
    return chosen


def _changes(space: _Space, chosen: Sequence[int], candidates: Sequence[int]) -> Float[np.ndarray, "k m"]:
    """What the cost changes by when a chosen point leaves and a candidate comes, for every pair of them."""
    away = space.to(chosen)
    owner = away.argmin(axis=1)
    first = away[np.arange(len(space)), owner]
    away[np.arange(len(space)), owner] = np.inf
    second = away.min(axis=1)  # infinite for one chosen point alone
    owned = (owner == np.arange(len(chosen))[:, None]).astype(np.float64)
    parts = []
    for block in space.blocks(candidates):
        gain = np.minimum(block - first[:, None], 0)
        loss = np.minimum(block, second[:, None]) - first[:, None] - gain  # for those whose nearest leaves
        parts.append(gain.sum(axis=0) + owned @ loss)
    return np.concatenate(parts, axis=1)


def _snapped(space: _Space, k: int, fixed: Sequence[int], free: Sequence[int], seed: int) -> list[int]:
    """The free points nearest to the means of the best k-means, each used once; fixed points are means that stay."""
    generator = np.random.default_rng(seed)
    runs = [_means(space, _drawn(space, fixed, free, k, generator), len(fixed)) for _ in range(_RESTARTS)]
    _, means = min(runs, key=lambda run: float(run[0]))
    chosen = list(fixed)
    for mean in means[len(fixed) :]:
        left = [c for c in free if c not in set(chosen)]
        chosen.append(left[int(_squares(space.points[left], mean[None])[:, 0].argmin())])
    return chosen


def _means(space: _Space, start: Sequence[int], fixed: int) -> tuple[float, Float[np.ndarray, "k d"]]:
    """Lloyd's rounds: the sum of squares, and the means; the first `fixed` stay."""
    means = space.points[list(start)].copy()
    owner: np.ndarray[Any, Any] = np.full(len(space), -1)
    for _ in range(_ROUNDS):
        squares = _squares(space.points, means)
        now = squares.argmin(axis=1)
        if np.array_equal(now, owner):
            break
        owner = now
        for place in range(fixed, len(means)):
            own = owner == place
            if own.any():
                means[place] = space.points[own].mean(axis=0)
    return float(_squares(space.points, means).min(axis=1).sum()), means


def _squares(points: Float[np.ndarray, "n d"], means: Float[np.ndarray, "k d"]) -> Float[np.ndarray, "n k"]:
    """Squared distances, fast and to rounding."""
    lengths = (points**2).sum(axis=1)[:, None] + (means**2).sum(axis=1)
    return np.asarray(np.maximum(lengths - 2 * points @ means.T, 0))
