"""Between prompts by name and methods that learned classes, and the points that methods find themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from promisam.core.errors import InvalidConfig

if TYPE_CHECKING:
    from promisam.core import Segmenter
    from promisam.io import NamedPrompts


def aimed(objects: Sequence[NamedPrompts], classes: Sequence[str]) -> list[NamedPrompts]:
    """Prompts whose name is a class mean that class."""
    return [replace(o, prompts=replace(o.prompts, target=o.name)) if o.name in classes else o for o in objects]


def suggestions(method: Segmenter, *, wanted: bool) -> Callable[[Any], list[NamedPrompts]]:
    """What lists the points that a method found on an encoded image.

    Raises:
        InvalidConfig: when they are wanted of a method that finds none.
    """
    from promisam.io import NamedPrompts

    suggest = getattr(method, "suggest", None)
    if wanted and (suggest is None or not method.automatic):
        raise InvalidConfig(
            "--show-prompts of a method that finds no points on this image",
            expected="a method that does, such as promise2d with mode=apm, on a picture",
            do="Leave the option out.",
        )
    if not wanted or suggest is None:
        return lambda _encoded: []
    return lambda encoded: [NamedPrompts(one.target or "object", one) for one in suggest(encoded)]
