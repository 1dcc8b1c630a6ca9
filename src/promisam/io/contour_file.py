"""Outlines of objects as files.

`.json` holds patient coordinates:

    {
      "format": "promisam contours", "version": 1,
      "unit": "mm",
      "image": {"size": [640, 480], "affine": [[...], [...], [...], [0, 0, 0, 1]]},
      "objects": [{"label": 1, "name": "lesion", "polygons": [{"exterior": [[X, Y, Z], ...], "holes": [[[X, Y, Z], ...]]}]}]
    }

`unit` is "mm", X, Y, Z then being patient millimetres (LPS+, as in DICOM and ITK), or "px" for an image without physical
scale, X, Y then being pixels from the centre of the first and Z 0. `size` is the image's, x before y; `affine` leads from its
voxel index (x, y, z, 1) to X, Y, Z, 1. An object has a polygon for each of its parts, none where nothing was found. The last
vertex of a ring joins the first, which is not repeated.

`.geojson` is a FeatureCollection (RFC 7946) with a feature for each object, a Polygon or a MultiPolygon (no geometry where
nothing was found), with `label` and `name` as properties. Coordinates lie in the picture: x along its rows and y along its
columns, from the centre of the first pixel, in the `unit` that the collection names: "mm", or "px" for an image without
physical scale. Viewers such as QuPath expect pixels from the first pixel's outer corner: for them, divide by `spacing` and add
half a pixel.

In both, each object is outlined by itself: where two overlap in the method's answer, their polygons do, though a mask holds
only the likelier label there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from promisam.core.errors import GeometryError, UnwritableOutput
from promisam.core.grid import Grid
from promisam.core.polygon import Polygon
from promisam.io.atomic import atomic_text, full_suffix

FORMAT, VERSION = "promisam contours", 1
_DIGITS = 6  # decimals of a sample that are written

Ring = list[list[float]]


@dataclass(frozen=True)
class Outlined:
    """One object's outlines.

    Attributes:
        value: its label's number in the mask.
        name: what it is called.
        polygons: of its parts, in array coordinates of the picture's grid.
    """

    value: int
    name: str
    polygons: tuple[Polygon, ...]


def write_contours(path: str | Path, objects: Sequence[Outlined], grid: Grid) -> Path:
    """Write outlines in the format that the suffix names, whole or not at all; parent folders are created.

    Args:
        path: ends in `.json` or `.geojson`; this module says what these hold.
        objects: in the order of their labels.
        grid: of the picture on which the polygons lie.

    Returns:
        The path.

    Raises:
        UnwritableOutput: for another suffix, and where the operating system refuses.
        GeometryError: for the grid of a volume.
    """
    check_contour_name(path)
    if grid.ndim != 2:
        raise GeometryError(f"outlines on {grid}", expected="the grid of a picture", do="Outline one slice: grid.slice(...).")
    content = _geojson(objects, grid) if full_suffix(path) == ".geojson" else _own(objects, grid)
    return atomic_text(path, json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n")


def check_contour_name(path: str | Path) -> None:
    """Refuse, before any work, a name that `write_contours` would.

    Raises:
        UnwritableOutput: with the suffixes that there are.
    """
    if full_suffix(path) not in (".json", ".geojson"):
        raise UnwritableOutput(
            f"the contours {path}", expected="a name that ends in .json or .geojson", do="Change its suffix."
        )


def _own(objects: Sequence[Outlined], grid: Grid) -> dict[str, Any]:
    place = _rounding(grid.to_mm, grid)
    return {
        "format": FORMAT,
        "version": VERSION,
        "unit": grid.unit,
        "image": {"size": list(reversed(grid.shape)), "affine": grid.affine[:, [2, 1, 0, 3]].tolist()},
        "objects": [
            {
                "label": one.value,
                "name": one.name,
                "polygons": [
                    {"exterior": place(part.exterior_zyx), "holes": [place(hole) for hole in part.holes_zyx]}
                    for part in one.polygons
                ],
            }
            for one in objects
        ],
    }


def _geojson(objects: Sequence[Outlined], grid: Grid) -> dict[str, Any]:
    spacing_xy = np.asarray(grid.spacing[::-1])
    place = _rounding(lambda points_zyx: points_zyx[:, ::-1] * spacing_xy, grid)

    def closed(ring_zyx: np.ndarray) -> Ring:
        ring = place(ring_zyx)
        return [*ring, ring[0]]

    features = []
    for one in objects:
        parts = [[closed(ring) for ring in (part.exterior_zyx, *part.holes_zyx)] for part in one.polygons]
        geometry: dict[str, Any] | None = {"type": "MultiPolygon", "coordinates": parts}
        if len(parts) < 2:
            geometry = {"type": "Polygon", "coordinates": parts[0]} if parts else None
        features.append({"type": "Feature", "geometry": geometry, "properties": {"label": one.value, "name": one.name}})
    return {
        "type": "FeatureCollection",
        "unit": grid.unit,
        "origin": "centre of the first pixel",
        "spacing": spacing_xy.tolist(),
        "features": features,
    }


def _rounding(place: Callable[[np.ndarray], np.ndarray], grid: Grid) -> Callable[[np.ndarray], Ring]:
    """`place` with as many decimals as a millionth of a sample needs, whatever the unit."""
    decimals = max(0, _DIGITS - math.floor(math.log10(min(grid.spacing))))
    return lambda points_zyx: (np.round(place(points_zyx), decimals) + 0.0).tolist()  # adding 0 makes -0 a 0
