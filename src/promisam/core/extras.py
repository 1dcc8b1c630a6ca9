"""Packages of the extras, imported where they are needed."""

from __future__ import annotations

import importlib
from typing import Any

from promisam.core.errors import MissingExtra


def optional(module: str, given: str, *, expected: str, do: str) -> Any:  # noqa: ANN401 - untyped packages
    """A module that may not be installed.

    Args:
        module: its name.
        given: what was asked for without it, for the message, as are the others.
        expected: the extra, or what does without it.
        do: how to install it.

    Raises:
        MissingExtra: when its package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(given, expected=expected, do=do) from error
