"""Boxes and points as people type them."""

from __future__ import annotations

from dataclasses import dataclass

from promisam.core.errors import InvalidPrompt


@dataclass(frozen=True)
class TypedPoint:
    """One --point: coordinates in x, y[, z] order and whether it lies on the object."""

    xyz: tuple[float, ...]
    positive: bool


@dataclass(frozen=True)
class TypedBox:
    """One --box: lowest and highest corner in x, y[, z] order."""

    low: tuple[float, ...]
    high: tuple[float, ...]


def parse_box(text: str) -> TypedBox:
    """From "x0,y0[,z0],x1,y1[,z1]".

    Raises:
        InvalidPrompt: for anything else.
    """
    numbers = _numbers(text.split(","))
    if numbers is None or len(numbers) not in (4, 6):
        raise InvalidPrompt(
            f"the box {text!r}",
            expected="4 numbers x0,y0,x1,y1 on a picture or 6 numbers x0,y0,z0,x1,y1,z1 in a volume",
            do="Separate them by commas, without spaces.",
        )
    half = len(numbers) // 2
    return TypedBox(numbers[:half], numbers[half:])


def parse_point(text: str) -> TypedPoint:
    """From "x,y[,z][,+|-]"; without a sign, the point lies on the object.

    Raises:
        InvalidPrompt: for anything else.
    """
    parts = text.split(",")
    sign = parts.pop().strip() if parts[-1].strip() in ("+", "-") else "+"
    numbers = _numbers(parts)
    if numbers is None or len(numbers) not in (2, 3):
        raise InvalidPrompt(
            f"the point {text!r}",
            expected="x,y on a picture or x,y,z in a volume, then ,+ (on the object) or ,- (off it)",
            do="Separate them by commas, without spaces.",
        )
    return TypedPoint(numbers, sign == "+")


def _numbers(parts: list[str]) -> tuple[float, ...] | None:
    try:
        return tuple(float(part) for part in parts)
    except ValueError:
        return None
