"""The learning rate and the optimiser, as the recipe says."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from torch import nn

from promisam.core.errors import TrainingStopped
from promisam.training.recipe import Recipe


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """The rate of step number `step` (from 0) of `steps`: a linear rise, then the schedule over the rest."""
    rise = recipe.warmup * steps
    if step < rise:
        return recipe.learning_rate * (step + 1) / (math.ceil(rise) + 1)
    t = (step - rise) / max(1.0, steps - rise)
    factors = {"constant": 1.0, "cosine": 0.5 * (1 + math.cos(math.pi * t)), "poly": float((1 - t) ** 0.9)}
    return recipe.learning_rate * factors[recipe.schedule]


def make_optimizer(recipe: Recipe, network: nn.Module) -> torch.optim.Optimizer:
    """The recipe's optimiser over what the network trains.

    A network may have `rates`: what part of the learning rate the parameters have whose names begin so; the others have all.

    Raises:
        TrainingStopped: when that is nothing.
    """
    parameters = _groups(network)
    if not parameters:
        raise TrainingStopped(
            "a network without parameters that learn", expected="at least one", do="Check the options of the method."
        )
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(parameters, recipe.learning_rate, weight_decay=recipe.weight_decay)
    if recipe.optimizer == "adam":
        return torch.optim.Adam(parameters, recipe.learning_rate)
    return torch.optim.SGD(parameters, recipe.learning_rate, 0.99, weight_decay=recipe.weight_decay, nesterov=True)


def _groups(network: nn.Module) -> list[dict[str, object]]:
    """Parameters that learn, those of one rate together."""
    rates: Mapping[str, float] = getattr(network, "rates", {})
    found: dict[float, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            share = next((rate for start, rate in rates.items() if name.startswith(start)), 1.0)
            found.setdefault(share, []).append(parameter)
    return [{"params": own, "share": share} for share, own in found.items()]


def check_optimizer(optimizer: torch.optim.Optimizer, network: nn.Module) -> None:
    """Refuse an optimiser that would train nothing, or something else than the network.

    Raises:
        TrainingStopped: saying which.
    """
    own = _ids(p for p in network.parameters() if p.requires_grad)
    held = _ids(p for group in optimizer.param_groups for p in group["params"])
    foreign = held - own
    if foreign or not held:
        raise TrainingStopped(
            f"an optimiser with {len(foreign)} foreign parameters" if foreign else "an optimiser without parameters",
            expected="parameters of the method's own network, at least one",
            do="Make it from method.network.parameters().",
        )


def _ids(parameters: Iterable[nn.Parameter]) -> set[int]:
    return {id(p) for p in parameters}
