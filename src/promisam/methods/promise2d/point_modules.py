"""The forms of the network that finds points, under one constructor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from promisam.methods.promise2d.cross_points import CrossPoints
from promisam.methods.promise2d.light_points import LightPoints
from promisam.methods.promise2d.resnet_points import ResnetPoints

Form = Literal["resnet", "cross", "light"]
PointModule = ResnetPoints | CrossPoints | LightPoints


def point_module(
    form: Form, widths: Sequence[int], points: int = 16, classes: int = 1, *, anchored: bool = False
) -> PointModule:
    """The module of this form for features of these widths, from early to late (`tap_shapes`).

    Each takes tokens (b, h, w, c) of three depths and gives unit points (b, classes, points, 2) as (x, y).
    """
    kinds: dict[str, type[PointModule]] = {"resnet": ResnetPoints, "cross": CrossPoints, "light": LightPoints}
    return kinds[form](widths, points, classes, anchored=anchored)
