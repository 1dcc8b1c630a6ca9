"""Files of outlines: what stands in them, in which frame, and which names are refused."""

from __future__ import annotations

import errno
import json
import os

import numpy as np
import pytest

from geometries import oblique
from promisam.core import Grid, Polygon
from promisam.core.errors import GeometryError, UnwritableOutput
from promisam.io import Outlined, check_contour_name, write_contours

OUTER = np.array([[2.0, 1.0], [2.0, 7.0], [6.0, 7.0], [6.0, 1.0]])  # y, x
HOLE = np.array([[3.0, 2.0], [3.0, 4.0], [5.0, 4.0]])
RING = Polygon(OUTER, (HOLE,))
ISLAND = Polygon(OUTER / 4 + 8)
OBJECTS = [Outlined(1, "ödem", (RING,)), Outlined(2, "spots", (ISLAND, RING)), Outlined(3, "nothing", ())]
PIXELS = Grid.of_picture((12, 20))
SLANTED = oblique(shape=(12, 20, 3), spacing=(0.25, 1.5, 0.0004)).slice(2, 1)


def shoelace(ring_xy):
    x, y = np.asarray(ring_xy, float).T
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum() / 2)


@pytest.mark.parametrize("grid", [PIXELS, SLANTED], ids=["pixels", "oblique"])
def test_geojson(tmp_path, grid):
    path = write_contours(tmp_path / "new" / "c.geojson", OBJECTS, grid)
    content = json.loads(path.read_text(encoding="utf-8"))
    assert (content["type"], content["unit"]) == ("FeatureCollection", grid.unit)
    assert content["origin"] == "centre of the first pixel"
    dy, dx = grid.spacing
    assert content["spacing"] == [dx, dy]
    one, two, none = content["features"]
    assert all(feature["type"] == "Feature" for feature in content["features"])
    assert one["properties"] == {"label": 1, "name": "ödem"}
    assert none["geometry"] is None
    assert (one["geometry"]["type"], two["geometry"]["type"]) == ("Polygon", "MultiPolygon")
    outer, hole = one["geometry"]["coordinates"]
    assert two["geometry"]["coordinates"][1] == [outer, hole]
    assert len(two["geometry"]["coordinates"][0]) == 1
    for ring, sign, given in ((outer, 1, OUTER), (hole, -1, HOLE)):
        assert ring[0] == ring[-1]
        assert len(ring) == len(given) + 1
        assert np.sign(shoelace(ring)) == sign
        written = {tuple(p) for p in np.round(np.asarray(ring) / [dx, dy], 5).tolist()}
        assert written == {(x, y) for y, x in given.tolist()}


@pytest.mark.parametrize("grid", [PIXELS, SLANTED], ids=["pixels", "oblique"])
def test_our_own_format(tmp_path, grid):
    content = json.loads(write_contours(tmp_path / "c.json", OBJECTS, grid).read_text())
    assert (content["format"], content["version"], content["unit"]) == ("promisam contours", 1, grid.unit)
    assert content["image"]["size"] == [20, 12]
    affine = np.array(content["image"]["affine"])
    assert np.allclose(affine @ [5, 3, 0, 1], [*grid.to_mm(np.array([[3, 5]]))[0], 1], atol=1e-12)  # x before y
    assert [(one["label"], one["name"], len(one["polygons"])) for one in content["objects"]] == [
        (1, "ödem", 1),
        (2, "spots", 2),
        (3, "nothing", 0),
    ]
    (polygon,) = content["objects"][0]["polygons"]
    assert np.abs(grid.to_index(np.array(polygon["exterior"])) - RING.exterior_zyx).max() < 1e-5
    (hole,) = polygon["holes"]
    assert np.abs(grid.to_index(np.array(hole)) - RING.holes_zyx[0]).max() < 1e-5
    assert np.allclose(grid.off_plane(np.array(hole)), 0, atol=1e-6)


def test_digits_follow_the_spacing(tmp_path):
    fine = Grid.from_itk((20, 12), (0.00025, 0.00025), (0.0, 0.0), np.eye(2))  # a quarter of a micrometre
    ring = Polygon(OUTER + 1 / 3)
    for suffix, of in (("json", lambda c: c["objects"][0]["polygons"][0]["exterior"]), ("geojson", _first_ring)):
        content = json.loads(write_contours(tmp_path / f"c.{suffix}", [Outlined(1, "cell", (ring,))], fine).read_text())
        written = np.array(of(content))[: len(OUTER), :2] / 0.00025
        assert np.abs(written - ring.exterior_zyx[:, ::-1]).max() < 1e-5
    text = write_contours(tmp_path / "p.geojson", [Outlined(1, "cell", (ring,))], PIXELS).read_text()
    assert "1.333333," in text
    assert "1.3333333" not in text


def _first_ring(content):
    return content["features"][0]["geometry"]["coordinates"][0]


@pytest.mark.parametrize("name", ["c.svg", "c", "c.json.gz", "c.png"])
def test_other_names_are_refused(tmp_path, name):
    for call in (lambda: check_contour_name(name), lambda: write_contours(tmp_path / name, OBJECTS, PIXELS)):
        with pytest.raises(UnwritableOutput, match=r"\.json or \.geojson"):
            call()
    assert list(tmp_path.iterdir()) == []


def test_a_volume_has_no_outlines(tmp_path):
    with pytest.raises(GeometryError, match="grid of a picture"):
        write_contours(tmp_path / "c.json", OBJECTS, oblique())


def test_what_stood_there_survives_a_full_disk(tmp_path, monkeypatch):
    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "c.json"
    path.write_text("drawn by hand")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UnwritableOutput, match="disk full"):
        write_contours(path, OBJECTS, PIXELS)
    assert path.read_text() == "drawn by hand"
    assert [p.name for p in tmp_path.iterdir()] == ["c.json"]
