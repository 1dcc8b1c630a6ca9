"""Methods and their options by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any, TypeVar

import pydantic
from pydantic.fields import FieldInfo

from promisam.core.errors import InvalidConfig
from promisam.methods import METHODS
from promisam.store.wording import expectation, tuple_of
from promisam.training.recipe import Recipe

_ALIKE = 0.5  # of 1: less is no slip of the fingers
Model = TypeVar("Model", bound=pydantic.BaseModel)


def find_method(name: str, *, or_else: str = "") -> tuple[Any, type[pydantic.BaseModel]]:
    """The class of a method and the `Config` of its module.

    Args:
        name: in `METHODS`, or "package.module:Class".
        or_else: what the caller would have taken beside it, for the message.

    Raises:
        InvalidConfig: when there is none of that name.
    """
    place = METHODS.get(name, name if ":" in name else "")
    if not place:
        raise InvalidConfig(
            f"the method {name!r}",
            expected=f"one of {', '.join(METHODS)}, or package.module:Class{or_else}",
            do=_near(name, METHODS),
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


def check_names(given: Iterable[str], *kinds: type[pydantic.BaseModel]) -> None:
    """Refuse an option that none of these kinds of options has.

    Raises:
        InvalidConfig: with the nearest that there is, or with what it is an option of.
    """
    known = [name for kind in kinds for name in kind.model_fields]
    for name in given:
        if name not in known:
            owners = _owners(name)
            do = f"{name} is an option of {_listed(owners)}." if owners else _near(name, known)
            raise InvalidConfig(f"the option {name!r}", expected=f"one of {', '.join(known)}", do=do)


def check_options(config_type: type[Model], given: Mapping[str, object]) -> Model:
    """The options of a method or of training. Several numbers may be text with commas between them.

    Raises:
        InvalidConfig: for an unknown name, with the nearest valid one, and for an impossible value.
    """
    check_names(given, config_type)
    fields = config_type.model_fields
    try:
        return config_type.model_validate({name: _parted(value, fields[name]) for name, value in given.items()})
    except pydantic.ValidationError as error:
        found = error.errors()
        option = str(found[0]["loc"][0]) if found[0]["loc"] else ""
        wrong = [one for one in found if one["loc"][:1] == (option,)] or found[:1]
        value = given.get(option, found[0]["input"])
        expected = expectation(wrong, fields.get(option))
        raise InvalidConfig(f"{option} = {value!r}", expected=expected, do="Correct the option.") from None


def _parted(value: object, field: FieldInfo) -> object:
    """Parts of "64,64,64" for an option of several values."""
    if isinstance(value, str) and tuple_of(field) is not None:
        return [part.strip() for part in value.split(",")]
    return value


def _near(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), n=1, cutoff=_ALIKE)
    return f"Did you mean {near[0]}?" if near else "Check the spelling."


def _owners(name: str) -> list[str]:
    """Methods that have an option, or training."""
    owners = [method for method in METHODS if name in find_method(method)[1].model_fields]
    return owners or (["training"] if name in Recipe.model_fields else [])


def _listed(names: list[str]) -> str:
    """As in "a, b and c"."""
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def is_trainable(kind: Any) -> bool:  # noqa: ANN401 - a class that keeps a protocol
    """Whether a method learns: then it has a recipe."""
    return hasattr(kind, "recipe")


def is_few_shot(kind: Any) -> bool:  # noqa: ANN401 - a class that keeps a protocol
    """Whether a method remembers labelled images in place of being trained."""
    return bool(getattr(kind, "few_shot", False))


def uses_sam(kind: Any) -> bool:  # noqa: ANN401 - a class that keeps a protocol
    """Whether a method stands on a SAM; all do, unless they say otherwise."""
    return bool(getattr(kind, "uses_sam", True))
