"""Engines' packages, imported where an engine is asked for."""

from __future__ import annotations

from typing import Any

from promisam.core import extras


def optional(module: str, package: str, engine: str) -> Any:  # noqa: ANN401 - untyped packages
    """A module of the extra `register`.

    Raises:
        MissingExtra: when its package is not installed.
    """
    return extras.optional(
        module,
        f"the registration engine {engine!r}, without the package {package}",
        expected="the extra 'register', or the engine 'ffd' or 'demons'",
        do="pip install 'promisam[register]'",
    )
