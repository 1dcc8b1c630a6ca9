"""Methods and their options by name."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any, TypeVar

import pydantic

from promisam.core.errors import InvalidConfig
from promisam.methods import METHODS

Model = TypeVar("Model", bound=pydantic.BaseModel)


def find_method(name: str) -> tuple[Any, type[pydantic.BaseModel]]:
    """The class of a method and the `Config` of its module.

    Raises:
        InvalidConfig: when there is none of that name.
    """
    place = METHODS.get(name, name if ":" in name else "")
    if not place:
        near = get_close_matches(name, METHODS, n=1, cutoff=0.0)[0]
        raise InvalidConfig(
            f"the method {name!r}", expected=f"one of {', '.join(METHODS)}, or package.module:Class", do=f"Did you mean {near}?"
        )
    module, _, attribute = place.partition(":")
    try:
        found = import_module(module)
        return getattr(found, attribute), found.Config
    except (ImportError, AttributeError, ValueError) as error:
        raise InvalidConfig(
            f"the method {name!r}, which cannot be imported ({error})",
            expected="package.module:Class of an installed package",
            do="Check the spelling and that the package is installed.",
        ) from error


def check_options(config_type: type[Model], given: Mapping[str, object]) -> Model:
    """The options of a method or of training.

    Raises:
        InvalidConfig: for an unknown name, with the nearest valid one, and for an impossible value.
    """
    known = list(config_type.model_fields)
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, n=1, cutoff=0.0)
            raise InvalidConfig(f"the option {name!r}", expected=f"one of {', '.join(known)}", do=f"Did you mean {near[0]}?")
    try:
        return config_type.model_validate(given)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        option = ".".join(str(part) for part in first["loc"])
        raise InvalidConfig(f"{option} = {first['input']!r}", expected=first["msg"], do="Correct the option.") from None


def is_trainable(kind: Any) -> bool:  # noqa: ANN401 - a class that keeps a protocol
    """Whether a method learns: then it has a recipe."""
    return hasattr(kind, "recipe")


def uses_sam(kind: Any) -> bool:  # noqa: ANN401 - a class that keeps a protocol
    """Whether a method stands on a SAM; all do, unless they say otherwise."""
    return bool(getattr(kind, "uses_sam", True))
