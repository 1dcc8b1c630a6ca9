"""Outlines against what geometry says of them: radii, areas, holes, borders."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from geometries import oblique
from promisam.core import Field, Grid, Scores
from promisam.core.errors import GeometryError, GridMismatch
from promisam.core.polygon import signed_area
from promisam.spatial.contours import contours, trace
from toy_field import Level, disc

WIDE = Grid.of_picture((60, 90))
SLANTED = oblique(shape=(60, 90, 3), spacing=(0.4, 0.9, 2.5)).slice(2, 1)  # a picture across a volume: 60 x 90, tilted


def radii(ring, y0=0.0, x0=0.0, ry=1.0, rx=1.0):
    return np.hypot((ring[:, 0] - y0) / ry, (ring[:, 1] - x0) / rx)


def flat(value):
    return lambda y, _x: value + 0 * y


@pytest.mark.parametrize("grid", [WIDE, SLANTED], ids=["pixels", "oblique"])
@pytest.mark.parametrize("step", [0.5, 1.0, 2.0])
def test_a_disc(grid, step):
    field = Level(grid, disc(28.3, 41.7, 21, 21))
    assert isinstance(field, Field)
    (polygon,) = contours(field, step)
    assert polygon.holes_zyx == ()
    assert np.abs(radii(polygon.exterior_zyx, 28.3, 41.7) - 21).max() < 1e-4  # a pixel-wise tracer errs by a hundred times more
    sides = np.linalg.norm(np.diff(polygon.exterior_zyx, axis=0, append=polygon.exterior_zyx[:1]), axis=1)
    assert sides.max() < 1.5 * step
    assert polygon.area == pytest.approx(np.pi * 21**2, rel=0.001 * max(1.0, step**2))


def test_vertices_do_not_depend_on_how_logits_grow():
    """A tracer that interpolates would place them elsewhere on the steep side."""
    field = Level(
        WIDE, lambda y, x: np.where(np.hypot(y - 30, x - 40) < 17.3, 1, -400) * np.abs(np.hypot(y - 30, x - 40) - 17.3)
    )
    (polygon,) = contours(field)
    assert np.abs(radii(polygon.exterior_zyx, 30, 40) - 17.3).max() < 1e-3


def test_few_rounds_of_all_vertices_at_once():
    field = Level(WIDE, disc(28.3, 41.7, 21, 21))
    (polygon,) = contours(field)
    _, *rounds = field.rounds  # the first: the border
    assert 8 <= len(rounds) <= 13
    assert max(rounds) <= len(polygon.exterior_zyx) + 4


def test_an_annulus_has_a_hole_and_its_island_is_a_part_of_its_own():
    ring, island = disc(30, 44, 24, 30, hole=0.5), disc(30, 44, 5, 5)
    field = Level(WIDE, lambda y, x: np.maximum(ring(y, x), island(y, x)))
    outer, inner = sorted(contours(field), key=lambda one: -one.area)
    (hole,) = outer.holes_zyx
    assert np.abs(radii(outer.exterior_zyx, 30, 44, 24, 30) - 1).max() < 1e-4
    assert np.abs(radii(hole, 30, 44, 24, 30) - 0.5).max() < 1e-4
    assert outer.area == pytest.approx(np.pi * 24 * 30 * 0.75, rel=0.001)
    assert (signed_area(outer.exterior_zyx) > 0, signed_area(hole) < 0) == (True, True)
    assert inner.holes_zyx == ()
    assert inner.area == pytest.approx(np.pi * 25, rel=0.01)  # sides of a small circle are long for it


def test_each_hole_belongs_to_its_part():
    first, second = disc(30, 20, 15, 15, hole=0.3), disc(30, 65, 18, 18, hole=0.6)
    left, right = sorted(contours(Level(WIDE, lambda y, x: np.maximum(first(y, x), second(y, x)))), key=lambda one: one.area)
    assert left.area == pytest.approx(np.pi * 15**2 * 0.91, rel=0.002)
    assert left.holes_zyx[0][:, 1].mean() == pytest.approx(20, abs=0.1)
    assert right.holes_zyx[0][:, 1].mean() == pytest.approx(65, abs=0.1)


def test_an_object_at_the_border_is_closed_along_it():
    field = Level(WIDE, disc(-0.5, 40, 20, 20))
    (polygon,) = contours(field)
    ring = polygon.exterior_zyx
    on_border = ring[:, 0] == -0.5
    assert ring[:, 0].min() == -0.5
    assert ring[on_border, 1].min() == pytest.approx(20, abs=1e-4)
    assert ring[on_border, 1].max() == pytest.approx(60, abs=1e-4)
    assert np.abs(radii(ring[~on_border], -0.5, 40) - 20).max() < 1e-4
    assert polygon.area == pytest.approx(np.pi * 200, rel=0.001)


@pytest.mark.parametrize("step", [1.0, 3.0])
def test_a_picture_that_is_all_object_is_its_own_outline(step):
    (polygon,) = contours(Level(WIDE, flat(1)), step)
    ring = polygon.exterior_zyx
    assert polygon.area == 60 * 90
    corners = {(-0.5, -0.5), (-0.5, 89.5), (59.5, -0.5), (59.5, 89.5)}
    assert corners <= set(map(tuple, ring.tolist()))
    assert len(np.unique(ring, axis=0)) == len(ring)


def test_a_quarter_in_the_corner_has_the_corner():
    (polygon,) = contours(Level(WIDE, disc(59.5, 89.5, 30, 30)))
    assert [59.5, 89.5] in polygon.exterior_zyx.tolist()
    assert polygon.area == pytest.approx(np.pi * 225, rel=0.001)


def test_what_lies_between_the_border_and_the_outermost_centres_is_found():
    (polygon,) = contours(Level(WIDE, lambda y, _x: 0.25 - 0.5 - y))
    assert polygon.area == pytest.approx(0.25 * 90, rel=1e-5)


def test_nothing_marked_is_no_polygon():
    assert contours(Level(WIDE, flat(-1))) == []
    assert contours(Level(WIDE, flat(0))) == []  # positive means inside; 0 is not


def test_a_picture_of_one_sample():
    (polygon,) = contours(Level(Grid.of_picture((1, 1)), disc(0, 0, 0.3, 0.3)))
    assert np.abs(radii(polygon.exterior_zyx) - 0.3).max() < 1e-3


def test_samples_that_are_exactly_zero_keep_rings_whole():
    field = Level(Grid.of_picture((9, 9)), lambda y, x: 2 - np.abs(y - 4) - np.abs(x - 4))  # zero on whole samples
    (polygon,) = contours(field)
    assert polygon.area == pytest.approx(8)
    assert np.allclose(np.abs(polygon.exterior_zyx - 4).sum(axis=1), 2, atol=1e-6)


def test_parts_that_touch_at_a_corner_are_two():
    field = Level(Grid.of_picture((8, 8)), lambda y, x: np.where((y < 3.5) == (x < 3.5), 1, -1))
    parts = contours(field)
    assert [part.area for part in parts] == pytest.approx([16 - 1 / 8] * 2, abs=0.01)  # a corner within a cell is cut


def test_a_speck_without_extent_is_left_out():
    field = Level(WIDE, lambda y, x: np.where((y == 30) & (x == 40), 1e-30, -1.0))
    assert contours(field) == []


def test_where_scores_and_field_disagree_a_vertex_is_interpolated():
    """As where `on` computes in lower precision."""
    field = Level(WIDE, disc(30, 40, 12, 12))
    shifted = np.roll(field.on(WIDE).logits, 3, axis=2)
    (polygon,) = trace(field, Scores(shifted, WIDE))
    assert np.abs(radii(polygon.exterior_zyx, 30, 43) - 12).max() < 1


def test_the_lattice_may_be_finer_along_one_axis():
    field = Level(SLANTED, disc(30, 44, 11, 17))
    (polygon,) = trace(field, field.on(SLANTED.resample((240, 90))))
    assert np.abs(radii(polygon.exterior_zyx, 30, 44, 11, 17) - 1).max() < 1e-5
    mm = SLANTED.to_mm(polygon.exterior_zyx)
    assert np.allclose(SLANTED.off_plane(mm), 0, atol=1e-9)
    across = np.linalg.norm(mm - SLANTED.to_mm(np.array([[30.0, 44.0]])), axis=1)
    radius_y, radius_x = 11 * SLANTED.spacing[0], 17 * SLANTED.spacing[1]
    assert (across.min(), across.max()) == pytest.approx(sorted((radius_y, radius_x)), rel=0.001)


def test_a_lattice_elsewhere_and_impossible_steps_are_refused():
    field = Level(WIDE, disc(30, 40, 12, 12))
    with pytest.raises(GridMismatch, match="same picture"):
        trace(field, field.on(WIDE.crop((0, 0), (30, 30))))
    two = field.on(WIDE)
    with pytest.raises(GridMismatch, match="2 channels"):
        trace(field, replace(two, logits=np.repeat(two.logits, 2, axis=0)))
    for step in (0, -1, np.nan, np.inf):
        with pytest.raises(GeometryError, match="positive"):
            contours(field, step)
