"""From clicks in a volume to the object: which cubes are looked at, and what they say together."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64
from scipy import ndimage

Origin = tuple[int, int, int]
Answer = Callable[[Origin, Float[np.ndarray, "n 3"], Int64[np.ndarray, " n"]], Float32[np.ndarray, "d h w"]]
"""Probabilities in the cube that begins at a sample, for clicks (d, h, w) in it and their labels."""

_SKIN = 2  # samples below a cube's face: an object that comes so near goes on beyond it
_FEWEST = 4  # samples there, fewer of which are no reason to look further
_APART = 4  # of a side: cubes nearer to each other than that part of it see the same
_SURE = 1e-6  # farthest from 0 and 1 that a probability is taken for


@dataclass(frozen=True)
class Explorer:
    """Looks at one cube after another, beginning at the clicks and following the object where it leaves a cube.

    Attributes:
        shape: of the volume, in samples.
        side: of a cube.
        most: cubes, at most.
        answer: asks the network.
    """

    shape: tuple[int, int, int]
    side: int
    most: int
    answer: Answer

    def around(self, clicks: Float[np.ndarray, "n 3"], labels: Int64[np.ndarray, " n"]) -> Float32[np.ndarray, "z y x"]:
        """Probabilities in the volume, 0 where no cube was looked at.

        The first cube lies around the first click on the object; clicks outside it have cubes of their own. Where the part of
        the object that holds a click leaves a cube through a face, a neighbour is laid around that place; the surest sample of
        the object in both takes the place of a click there. Cubes that overlap count the more, the farther a sample is from
        their faces.

        Args:
            clicks: as indices of samples.
            labels: 1 on the object, 0 off it.
        """
        merged = _Merged(self.shape, self.side)
        seen: list[np.ndarray] = []
        todo = deque((click, np.zeros((0, 3))) for click in clicks[labels == 1])
        while todo and len(seen) < self.most:
            middle, carried = todo.popleft()
            origin = self._origin(middle)
            known = any(np.abs(origin - one).max() < self.side / _APART for one in seen)
            shown = not len(carried) and any(((middle >= one) & (middle <= one + self.side - 1)).all() for one in seen)
            if known or shown:
                continue
            seen.append(origin)
            points, kinds = self._inside(origin, clicks, labels, carried)
            probability = self._asked(merged, origin, points, kinds)
            todo.extend(self._beyond(origin, probability > 0.5, points[kinds == 1] - origin))
        return merged.mean()

    def at_middle(self, clicks: Float[np.ndarray, "n 3"], labels: Int64[np.ndarray, " n"]) -> Float32[np.ndarray, "z y x"]:
        """The release's way: one cube around the middle of the box of the clicks on the object."""
        whole = np.rint(clicks[labels == 1]).astype(np.int64)
        origin = self._origin((whole.max(0) + whole.min(0)) // 2)
        merged = _Merged(self.shape, self.side)
        self._asked(merged, origin, clicks, labels)
        return merged.mean()

    def everywhere(self, clicks: Float[np.ndarray, "n 3"], labels: Int64[np.ndarray, " n"]) -> Float32[np.ndarray, "z y x"]:
        """Cubes all over the volume, half a side apart; each is told of all clicks, wherever they are."""
        merged = _Merged(self.shape, self.side)
        for origin in itertools.product(*(_line(n, self.side) for n in self.shape)):
            self._asked(merged, np.array(origin), clicks, labels)
        return merged.mean()

    def _asked(
        self, merged: _Merged, origin: Int64[np.ndarray, "3"], clicks: np.ndarray, labels: np.ndarray
    ) -> Float32[np.ndarray, "d h w"]:
        """What is said in one cube, put where it belongs."""
        z, y, x = (int(n) for n in origin)
        probability = self.answer((z, y, x), clicks - origin, labels)
        merged.add(origin, probability)
        return probability

    def _origin(self, middle: Sequence[float] | np.ndarray) -> Int64[np.ndarray, "3"]:
        return np.rint(np.asarray(middle, np.float64)).astype(np.int64) - self.side // 2

    def _inside(
        self, origin: Int64[np.ndarray, "3"], clicks: np.ndarray, labels: np.ndarray, carried: np.ndarray
    ) -> tuple[Float[np.ndarray, "n 3"], Int64[np.ndarray, " n"]]:
        """The user's clicks in a cube, and what stands for one."""
        here = np.asarray((clicks >= origin - 0.5) & (clicks <= origin + self.side - 0.5)).all(1)
        both = np.concatenate([clicks[here], carried])
        return both, np.concatenate([labels[here], np.ones(len(carried), np.int64)])

    def _beyond(
        self, origin: Int64[np.ndarray, "3"], mask: Bool[np.ndarray, "d h w"], points: Float[np.ndarray, "n 3"]
    ) -> Iterator[tuple[Float[np.ndarray, "3"], Float[np.ndarray, "1 3"]]]:
        """Where the clicked parts of an object leave this cube into the volume, and a sample of the object also in the next."""
        low, high = np.maximum(-origin, 0), np.minimum(np.asarray(self.shape) - origin, self.side)
        real = np.zeros_like(mask)  # the part in the volume: an object is never followed into what pads it
        here = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        real[here] = mask[here]
        parts, _ = ndimage.label(real)
        whole = np.rint(points).astype(np.int64).clip(low, high - 1)
        held = np.isin(parts, np.setdiff1d(parts[tuple(whole.T)], [0]))
        for axis in range(3):
            for end in (0, 1):
                limit = origin[axis] + self.side < self.shape[axis] if end else origin[axis] > 0
                skin = np.moveaxis(held, axis, 0)[-_SKIN:] if end else np.moveaxis(held, axis, 0)[:_SKIN]
                if not limit or np.count_nonzero(skin) < _FEWEST:
                    continue
                place = np.insert(np.argwhere(skin.any(0)).mean(0), axis, (self.side - 1) * end)
                yield place + origin, self._sure(origin, held, self._origin(place + origin))

    def _sure(
        self, origin: Int64[np.ndarray, "3"], held: Bool[np.ndarray, "d h w"], other: Int64[np.ndarray, "3"]
    ) -> Float[np.ndarray, "1 3"]:
        """The sample of the object farthest from its border, of those inside another cube."""
        low = np.maximum(other - origin, 0)
        high = np.minimum(other - origin + self.side, self.side)
        shared = held[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        depth = np.asarray(ndimage.distance_transform_edt(np.pad(shared, 1)))[1:-1, 1:-1, 1:-1]
        best = np.unravel_index(int(depth.argmax()), depth.shape)
        return np.asarray((np.array(best) + low + origin)[None], np.float64)


class _Merged:
    """Weighted means of what overlapping cubes say."""

    def __init__(self, shape: tuple[int, int, int], side: int) -> None:
        self.total = np.zeros(shape, np.float32)
        self.weight = np.zeros(shape, np.float32)
        line = 1 + np.minimum(np.arange(side), np.arange(side)[::-1]).astype(np.float32)
        self.trust = line[:, None, None] * line[:, None] * line / line.max() ** 3

    def add(self, origin: Int64[np.ndarray, "3"], probability: Float32[np.ndarray, "d h w"]) -> None:
        """Put a cube where it belongs; what lies outside the volume falls away."""
        low = np.maximum(origin, 0)
        high = np.minimum(np.add(origin, probability.shape), self.total.shape)
        if (high <= low).any():
            return
        there = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        here = tuple(slice(a - o, b - o) for a, b, o in zip(low, high, origin, strict=True))
        self.total[there] += self.trust[here] * probability[here]
        self.weight[there] += self.trust[here]

    def mean(self) -> Float32[np.ndarray, "z y x"]:
        """0 where there was no cube."""
        np.divide(self.total, self.weight, out=self.total, where=self.weight > 0)
        return self.total


def _line(n: int, side: int) -> list[int]:
    """First samples of cubes along an axis, half a side apart, the last at its end; one in the middle where it is shorter."""
    if n <= side:
        return [(n - side) // 2]
    steps = -(-(n - side) // max(1, side // 2))
    return [round(i * (n - side) / steps) for i in range(steps + 1)]


def logits_of(probability: Float32[np.ndarray, "*grid"]) -> Float32[np.ndarray, "*grid"]:
    """Probabilities as logits, none beyond one in a million."""
    bounded = probability.clip(_SURE, 1 - _SURE)
    return np.asarray(np.log(bounded / (1 - bounded)), np.float32)
