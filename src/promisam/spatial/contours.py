"""Outlines of objects straight from a continuous answer: marching squares finds them, the field itself places their vertices.

Lorensen and Cline 1987, in two dimensions: a lattice of samples tells which of its edges an outline crosses. Where on an edge
is then asked of the field, by bisection, and not interpolated between samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64
from scipy import ndimage
from skimage.measure import find_contours

from promisam.core import Field, Polygon, Scores
from promisam.core.errors import GeometryError, GridMismatch
from promisam.core.polygon import signed_area

_ROUNDS = 10  # of bisection: a thousandth of an edge, before the secant in what is left
_SAME = 1e-5  # samples: vertices nearer to each other than this are one


def contours(field: Field, step: float | int = 1.0) -> list[Polygon]:
    """The outlines of what a field marks, every vertex on the field's zero level.

    Args:
        field: an answer.
        step: of the lattice on which objects are looked for, in samples of `field.grid`: what is smaller may be missed, and
            vertices are about that far apart.

    Returns:
        One polygon for each connected part, in array coordinates of `field.grid`; parts that touch at a corner of the lattice
        only are two. Outlines end at the picture's border, half a sample beyond the outermost centres. No part, no polygon.

    Raises:
        GeometryError: for a step that is not positive.
    """
    if not (np.isfinite(step) and step > 0):
        raise GeometryError(f"a lattice of step {step}", expected="a positive number of samples", do="Use 1, or less.")
    shape = [max(1, round(size / step)) for size in field.grid.shape]
    return trace(field, field.on(field.grid.resample(shape)))


def trace(field: Field, scores: Scores) -> list[Polygon]:
    """The same from scores that the field gave on some grid over its picture, which then is the lattice.

    Raises:
        GridMismatch: for scores of several channels, or on a grid that does not cover the same picture.
    """
    if len(scores.logits) != 1 or not scores.grid.matches(field.grid.resample(scores.grid.shape)):
        raise GridMismatch(
            f"{len(scores.logits)} channels on {scores.grid} to trace a field on {field.grid}",
            expected="one channel on the same picture at any resolution",
            do="Use field.on(field.grid.resample(shape)).",
        )
    lattice = _Lattice.of(field, scores.logits[0])
    parts, _ = ndimage.label(lattice.inside)
    closed = find_contours(lattice.inside.astype(np.float64), 0.5, fully_connected="low")  # type: ignore[no-untyped-call]
    if not closed:
        return []
    rings = [ring[:-1] for ring in closed]
    vertices = np.split(_placed(field, lattice, np.concatenate(rings)), np.cumsum([len(ring) for ring in rings])[:-1])
    by_part: dict[int, list[tuple[float, np.ndarray]]] = {}
    for ring, points in zip(rings, vertices, strict=True):
        within, _ = lattice.ends(ring[:1])
        by_part.setdefault(int(parts[tuple(within[0])]), []).append((abs(signed_area(ring)), _distinct(points)))
    polygons = []
    for _, found in sorted(by_part.items()):
        (_, outer), *holes = sorted(found, key=lambda one: -one[0])  # a part's outer ring encloses all of its holes
        if _encloses(outer):
            polygons.append(Polygon(outer, tuple(hole for _, hole in holes if _encloses(hole))))
    return polygons


@dataclass(frozen=True, eq=False)
class _Lattice:
    """Samples of a field, on the picture's border too, in a rim of background that lies on the border as well.

    Thanks to the rim, every outline is closed; since it has no width, what touches the border is cut exactly there.

    Attributes:
        values: logits; the rim has none, and is marked as outside.
        inside: where they are positive.
        y: array coordinate of each row.
        x: array coordinate of each column.
    """

    values: Float32[np.ndarray, "h w"]
    inside: Bool[np.ndarray, "h w"]
    y: Float64[np.ndarray, " h"]
    x: Float64[np.ndarray, " w"]

    @classmethod
    def of(cls, field: Field, logits: Float32[np.ndarray, "y x"]) -> _Lattice:
        """Logits of a whole picture with the border's around them."""
        y, x = (_positions(size, count) for size, count in zip(field.grid.shape, logits.shape, strict=True))
        values = np.full((len(y), len(x)), -1, np.float32)
        values[2:-2, 2:-2] = logits
        border = np.zeros(values.shape, bool)
        border[1:-1, 1:-1] = True
        border[2:-2, 2:-2] = False
        rows, columns = np.nonzero(border)
        values[rows, columns] = field.at(np.column_stack([y[rows], x[columns]]))
        return cls(values, values > 0, y, x)

    def ends(self, midpoints: Float64[np.ndarray, "n 2"]) -> tuple[Int64[np.ndarray, "n 2"], Int64[np.ndarray, "n 2"]]:
        """Row and column of the samples that an outline passes between, given halfway: the one inside, the one outside."""
        low, high = np.floor(midpoints).astype(np.int64), np.ceil(midpoints).astype(np.int64)
        first = self.inside[tuple(low.T)][:, None]
        return np.where(first, low, high), np.where(first, high, low)

    def place(self, nodes: Int64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n 2"]:
        """Array coordinates of samples."""
        return np.column_stack([self.y[nodes[:, 0]], self.x[nodes[:, 1]]])


def _positions(size: int, count: int) -> Float64[np.ndarray, " n"]:
    """Array coordinates of `count` samples over `size`, with the borders twice: once for their samples, once for the rim."""
    centres = (np.arange(count) + 0.5) * (size / count) - 0.5
    low, high = -0.5, size - 0.5
    return np.concatenate([[low, low], centres, [high, high]])


def _placed(field: Field, lattice: _Lattice, midpoints: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n 2"]:
    """Where on its edge of the lattice each vertex lies: on the field's zero level.

    A vertex never leaves its edge, so outlines stay as they were found. Where the field does not change its sign between the
    ends (on the rim, or because `on` and `at` differ in the last digit), the vertex is interpolated.
    """
    within, without = lattice.ends(midpoints)
    start, end = lattice.place(within), lattice.place(without)
    way = end - start
    above, below = (lattice.values[tuple(nodes.T)].astype(np.float64) for nodes in (within, without))
    share = above / (above - below)
    asked = np.flatnonzero(way.any(axis=1))
    if asked.size:
        high, low = (field.at(places[asked]).astype(np.float64) for places in (start, end))
        changes = (high > 0) & (low <= 0)
        asked, high, low = asked[changes], high[changes], low[changes]
    if not asked.size:
        return np.asarray(start + share[:, None] * way)
    near, far = np.zeros(len(asked)), np.ones(len(asked))
    for _ in range(_ROUNDS):
        middle = (near + far) / 2
        logits = field.at(start[asked] + middle[:, None] * way[asked]).astype(np.float64)
        inside = logits > 0
        near, high = np.where(inside, middle, near), np.where(inside, logits, high)
        far, low = np.where(inside, far, middle), np.where(inside, low, logits)
    share[asked] = near + (far - near) * high / (high - low)
    return np.asarray(start + share[:, None] * way)


def _distinct(ring: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "m 2"]:
    """A ring without vertices that repeat the one before them."""
    return np.asarray(ring[np.abs(ring - np.roll(ring, 1, axis=0)).max(axis=1) > _SAME])


def _encloses(ring: Float64[np.ndarray, "n 2"]) -> bool:
    return len(ring) > 2 and abs(signed_area(ring)) > _SAME**2
