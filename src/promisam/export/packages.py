"""The packages of the extra `onnx`, imported where they are needed."""

from __future__ import annotations

import importlib
from typing import Any

from promisam.core.errors import MissingExtra


def optional(module: str) -> Any:  # noqa: ANN401 - untyped packages
    """A module of the extra `onnx`.

    Raises:
        MissingExtra: when its package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(
            f"ONNX without the package {module.partition('.')[0]}",
            expected="the extra onnx",
            do="pip install 'promisam[onnx]', then try again.",
        ) from error
