"""Outlines of objects on a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from promisam.core.errors import GeometryError


@dataclass(frozen=True, eq=False)
class Polygon:
    """One piece of an object: an outer ring and the rings of its holes, in array coordinates of the picture's grid.

    The last vertex of a ring joins the first, which is not repeated. Rings turn as GeoJSON (RFC 7946) wants them: the outer one
    counter-clockwise, holes clockwise, in axes x, y as a mathematician draws them; other rings are turned round.

    Attributes:
        exterior_zyx: (y, x) of the outer ring's vertices; whole numbers are sample centres.
        holes_zyx: the same of each hole.

    Raises:
        GeometryError: for a ring of fewer than three vertices, or with one that is not finite.
    """

    exterior_zyx: Float64[np.ndarray, "n 2"]
    holes_zyx: tuple[Float64[np.ndarray, "_ 2"], ...] = ()

    def __post_init__(self) -> None:
        """Refuse what encloses nothing; keep own, read-only rings that turn as they should."""
        object.__setattr__(self, "exterior_zyx", _turned(self.exterior_zyx, 1))
        object.__setattr__(self, "holes_zyx", tuple(_turned(hole, -1) for hole in self.holes_zyx))

    @property
    def area(self) -> float:
        """What it covers, its holes taken out, in samples."""
        return signed_area(self.exterior_zyx) + sum(signed_area(hole) for hole in self.holes_zyx)


def signed_area(ring_zyx: Float64[np.ndarray, "n 2"]) -> float:
    """What a ring encloses, in samples: positive where it turns from x to y, which is counter-clockwise where y points up."""
    y, x = (ring_zyx - ring_zyx[:1]).T  # from a vertex of its own: far from the origin, products would lose digits
    return float(x @ np.roll(y, -1) - np.roll(x, -1) @ y) / 2


def _turned(ring: np.ndarray, sign: int) -> np.ndarray:
    if len(ring) < 3 or not np.isfinite(ring).all():
        raise GeometryError(
            f"a ring of {len(ring)} vertices{' that are not all finite' if len(ring) > 2 else ''}",
            expected="three or more, all finite",
            do="Leave out rings that enclose nothing.",
        )
    own = (ring if signed_area(ring) * sign >= 0 else ring[::-1]).copy()
    own.flags.writeable = False
    return own
