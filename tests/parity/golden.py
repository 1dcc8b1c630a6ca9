"""Reading the recorded reference values that stand beside the project in `shared/golden`."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch


class Golden:
    """One recorded case: its inputs, its weights, its outputs."""

    def __init__(self, folder: Path, case: str) -> None:
        self.folder = folder
        self.recipe = _recipe(folder)
        self.meta, self.arrays = self.recipe.load_case(str(folder / case))
        self.worst: dict[str, float] = {}

    def input(self, name: str, **changes: Any) -> torch.Tensor:
        spec = {**self.meta["inputs"][name], **changes}
        return torch.from_numpy(self.recipe.make_input(self.meta["seed"], name, spec))

    def weights(self, shapes: dict[str, Any] | None = None) -> dict[str, torch.Tensor]:
        fill = self.meta["fill"]
        found = self.recipe.fill(
            shapes or self.meta["official_state"]["shapes"], self.meta["seed"], fill["prefix"], fill["gains"]
        )
        return {name: torch.from_numpy(value) for name, value in found.items()}

    def keys(self, name: str) -> dict[str, Any]:
        return json.loads((self.folder / "keys" / f"{name}.json").read_text())["shapes"]

    def compare(self, key: str, actual: Any) -> None:
        array = actual.detach().numpy() if isinstance(actual, torch.Tensor) else np.asarray(actual)
        self.worst[key] = self.recipe.compare(array, self.meta, self.arrays, key)

    def assert_complete(self) -> None:
        """Every recorded output was compared."""
        assert set(self.worst) == set(self.meta["outputs"])


def _recipe(folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("golden_recipe", folder / "recipe.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
