"""Polygons: how their rings turn, and what they cover."""

from __future__ import annotations

import numpy as np
import pytest

from promisam.core import Polygon
from promisam.core.errors import GeometryError
from promisam.core.polygon import signed_area

SQUARE = np.array([[0.0, 0], [0, 4], [3, 4], [3, 0]])  # (y, x): first along x, then along y
HOLE = np.array([[1.0, 1], [1, 2], [2, 2]])


def test_an_outer_ring_turns_from_x_to_y_and_a_hole_the_other_way():
    assert signed_area(SQUARE) == 12
    assert signed_area(SQUARE[::-1]) == -12
    for outer in (SQUARE, SQUARE[::-1]):
        for hole in (HOLE, HOLE[::-1]):
            polygon = Polygon(outer, (hole,))
            assert signed_area(polygon.exterior_zyx) == 12
            assert signed_area(polygon.holes_zyx[0]) == -0.5
            assert polygon.area == 11.5


def test_area_does_not_suffer_from_the_distance_to_the_origin():
    assert Polygon(SQUARE * 1e-3 + 1e9).area == pytest.approx(12e-6, rel=0.05)


def test_rings_are_its_own():
    ring = SQUARE.copy()
    polygon = Polygon(ring)
    ring[:] = 0
    assert polygon.area == 12
    with pytest.raises(ValueError, match="read-only"):
        polygon.exterior_zyx[0] = 7


@pytest.mark.parametrize("ring", [SQUARE[:2], np.zeros((0, 2)), np.where(SQUARE == 3, np.nan, SQUARE)])
def test_what_encloses_nothing_is_refused(ring):
    with pytest.raises(GeometryError, match="three or more"):
        Polygon(ring)
    with pytest.raises(GeometryError, match="three or more"):
        Polygon(SQUARE, (ring,))
