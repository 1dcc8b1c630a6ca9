"""The points that methods find themselves, as prompts by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from promisam.core.errors import InvalidConfig

if TYPE_CHECKING:
    from promisam.core import Segmenter
    from promisam.io import NamedPrompts


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
