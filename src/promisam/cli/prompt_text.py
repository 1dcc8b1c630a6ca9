"""Prompts as people type them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from promisam.core.errors import InvalidPrompt

if TYPE_CHECKING:
    from promisam.core import Grid, Prompts
    from promisam.io import NamedPrompts


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


@dataclass(frozen=True)
class TypedPrompts:
    """The prompts of one call before the image is known."""

    boxes: list[TypedBox]
    points: list[TypedPoint]
    file: Path | None
    world: bool
    labels: list[str]

    def on(self, grid: Grid, *, needed: bool = True) -> list[NamedPrompts]:
        """The prompts on the image's grid, one entry per object; none only if they are not needed."""
        from promisam import io
        from promisam.core import Prompts

        if self.file is not None:
            self._alone()
            return io.read_prompts(self.file, grid)
        if not self.boxes and not self.points and not self.labels and not needed:
            return []
        if not self.boxes and not self.points:
            raise InvalidPrompt("no prompt", expected="--box, --point or --prompts", do="Say where the object is.")
        if len(self.boxes) > 1 and self.points:
            raise InvalidPrompt(
                f"{len(self.points)} points beside {len(self.boxes)} boxes",
                expected="points with one box or none",
                do="Say which object each point belongs to in a --prompts file.",
            )
        asked = [self._with_box(Prompts(grid), box) for box in self.boxes] or [Prompts(grid)]
        for point in self.points:
            at = io.to_zyx(grid, [point.xyz], world=self.world)[0]
            asked[0] = asked[0].click(at.tolist(), point.positive)
        names = self._names(len(asked))
        return [io.NamedPrompts(name, one) for name, one in zip(names, asked, strict=True)]

    def _with_box(self, prompts: Prompts, box: TypedBox) -> Prompts:
        from promisam import io

        low, high = io.to_zyx(prompts.grid, [box.low, box.high], world=self.world)
        if self.world:  # patient axes may run against the array's
            low, high = (low.clip(max=high), high.clip(min=low))
        return prompts.with_box(low.tolist(), high.tolist())

    def _names(self, count: int) -> list[str]:
        if self.labels and len(self.labels) != count:
            raise InvalidPrompt(
                f"{len(self.labels)} names for {count} objects", expected="one --label for each", do="Repeat --label in order."
            )
        for name in self.labels:
            if not name.strip() or not name.isprintable():
                raise InvalidPrompt(f"the label {name!r}", expected="a printable name", do="Name the object.")
        return self.labels or (["object"] if count == 1 else [f"object {i}" for i in range(1, count + 1)])

    def _alone(self) -> None:
        if self.boxes or self.points or self.labels or self.world:
            raise InvalidPrompt(
                "--prompts beside --box, --point, --label or --world",
                expected="either the file or the options",
                do="Put everything into the file: it holds names and the coordinate system too.",
            )


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
