"""What an option takes, in plain words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticUndefined

_WORDS = {
    "greater_than_equal": "a number of at least {ge}",
    "greater_than": "a number above {gt}",
    "less_than_equal": "a number of at most {le}",
    "less_than": "a number below {lt}",
    "multiple_of": "a multiple of {multiple_of}",
    "finite_number": "a finite number",
    "extra_forbidden": "no such option",
    "missing": "a value",
}
_KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "string": "text", "tuple": "several values"}
_NUMBERS = {int: "whole numbers", float: "numbers"}
_COUNTS = {1: "one", 2: "two", 3: "three", 4: "four"}
_CHOICE = re.compile(r"\^\(([\w|+-]+)\)\$")


def expectation(wrong: Sequence[ErrorDetails], field: FieldInfo | None) -> str:
    """What an option expects, from what pydantic says against its value: one sentence for each way that it could be meant."""
    parts = None if field is None else tuple_of(field)
    if field is None or parts is None:
        return " or ".join(dict.fromkeys(_plain(one) for one in wrong))
    inner = [_plain(one) for one in wrong if one["type"] in _WORDS and one["type"] != "missing"]
    return _several(parts, field.default) + (f", each {inner[0]}" if inner else "")


def tuple_of(field: FieldInfo) -> tuple[Any, ...] | None:
    """Types of the parts of an option of several values; None for one of a single value."""
    return get_args(field.annotation) if get_origin(field.annotation) is tuple else None


def _plain(wrong: ErrorDetails) -> str:
    kind, context = wrong["type"], wrong.get("ctx", {})
    if kind == "literal_error":
        return _one_of(re.findall(r"'([^']*)'", context["expected"]) or [context["expected"]])
    if kind == "string_pattern_mismatch":
        choice = _CHOICE.fullmatch(context["pattern"])
        return _one_of(choice[1].split("|")) if choice else f"text of the form {context['pattern']}"
    if kind in _WORDS:
        return _WORDS[kind].format(**_short(context))
    if kind == "value_error":
        return str(context.get("error", wrong["msg"]))
    return _KINDS.get(kind.partition("_")[0], wrong["msg"])


def _short(context: Mapping[str, Any]) -> dict[str, str]:
    """Numbers as one would write them: 0 and not 0.0."""
    return {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in context.items()}


def _one_of(choices: Sequence[str]) -> str:
    return f"one of {', '.join(choices)}" if len(choices) > 1 else choices[0]


def _several(parts: Sequence[Any], default: object) -> str:
    bare = [get_args(part)[0] if get_origin(part) is Annotated else part for part in parts]
    count = "" if Ellipsis in bare else f"{_COUNTS.get(len(bare), str(len(bare)))} "
    such = f" such as {','.join(map(str, default))}" if default is not PydanticUndefined and isinstance(default, tuple) else ""
    return f"{count}{_NUMBERS.get(bare[0], 'values')}{such}"
