"""The packages of the extra `onnx`, imported where they are needed."""

from __future__ import annotations

from typing import Any

from promisam.core import extras


def optional(module: str) -> Any:  # noqa: ANN401 - untyped packages
    """A module of the extra `onnx`.

    Raises:
        MissingExtra: when its package is not installed.
    """
    return extras.optional(
        module,
        f"ONNX without the package {module.partition('.')[0]}",
        expected="the extra onnx",
        do="pip install 'promisam[onnx]', then try again.",
    )
