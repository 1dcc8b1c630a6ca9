"""The learning rate over the steps, and which optimisers are refused."""

from __future__ import annotations

import itertools

import pytest
import torch
from pydantic import ValidationError

from learning import course, steps, trained
from promisam.core.errors import TrainingStopped
from promisam.methods.unet import UNet
from promisam.training.recipe import Recipe
from promisam.training.schedule import check_optimizer, learning_rate, make_optimizer


def rates(schedule, warmup, number=100):
    recipe = Recipe(schedule=schedule, warmup=warmup, learning_rate=2.0)
    return [learning_rate(recipe, step, number) for step in range(number)]


@pytest.mark.parametrize(("schedule", "middle"), [("constant", 2.0), ("cosine", 1.0), ("poly", 2 * 0.5**0.9)])
def test_without_warmup_it_begins_at_the_top(schedule, middle):
    found = rates(schedule, 0.0)
    assert found[0] == 2.0
    assert found[50] == pytest.approx(middle)
    assert all(a >= b for a, b in itertools.pairwise(found))
    assert found[-1] > 0
    if schedule != "constant":
        assert found[-1] < 0.04


@pytest.mark.parametrize("schedule", ["constant", "cosine", "poly"])
def test_a_warmup_rises_evenly_and_then_the_schedule_begins(schedule):
    found = rates(schedule, 0.2)
    rises = [b - a for a, b in itertools.pairwise(found[:21])]
    assert rises == pytest.approx([2 / 21] * 20)
    assert found[0] == pytest.approx(2 / 21)
    assert max(found) == found[20] == pytest.approx(2.0)
    tail = Recipe(schedule=schedule, warmup=0.0, learning_rate=2.0)
    assert found[20:] == pytest.approx([learning_rate(tail, step, 80) for step in range(80)])


@pytest.mark.parametrize("number", [1, 2, 3, 7])
@pytest.mark.parametrize("warmup", [0.0, 0.05, 0.5, 0.99])
def test_short_trainings_have_a_rate_in_every_step(warmup, number):
    assert all(0 < rate <= 2.0 for schedule in ("constant", "cosine", "poly") for rate in rates(schedule, warmup, number))


def test_the_optimiser_gets_the_rate_of_each_step():
    made = course(schedule="poly", warmup=0.3, learning_rate=0.01)
    given = torch.optim.SGD(made.method.network.parameters(), 123.0)
    found = [step.learning_rate for step in steps(trained(made, optimizer=given))]
    assert found == [learning_rate(made.recipe, step, 6) for step in range(6)]
    assert given.param_groups[0]["lr"] == found[-1]


def network():
    return torch.nn.Linear(3, 2)


def test_an_optimiser_of_something_else_is_refused():
    own, other = network(), network()
    check_optimizer(torch.optim.SGD(own.parameters(), 0.1), own)
    check_optimizer(torch.optim.SGD([own.bias], 0.1), own)
    with pytest.raises(TrainingStopped, match="2 foreign parameters"):
        check_optimizer(torch.optim.SGD(other.parameters(), 0.1), own)
    with pytest.raises(TrainingStopped, match="1 foreign parameters"):
        check_optimizer(torch.optim.SGD([own.weight, other.bias], 0.1), own)
    with pytest.raises(TrainingStopped, match="without parameters"):
        check_optimizer(torch.optim.SGD([{"params": []}], 0.1), own)


def test_the_loop_refuses_such_an_optimiser_and_a_frozen_network():
    with pytest.raises(TrainingStopped, match="foreign"):
        trained(course(), optimizer=torch.optim.SGD(network().parameters(), 0.1))
    frozen = course()
    frozen.method.network.requires_grad_(False)
    with pytest.raises(TrainingStopped, match="without parameters that learn"):
        trained(frozen)


@pytest.mark.parametrize(
    ("name", "kind", "decay"), [("adamw", torch.optim.AdamW, 0.3), ("adam", torch.optim.Adam, 0), ("sgd", torch.optim.SGD, 0.3)]
)
def test_the_recipes_optimisers(name, kind, decay):
    made = make_optimizer(Recipe(optimizer=name, weight_decay=0.3), network())
    assert type(made) is kind
    assert made.param_groups[0]["weight_decay"] == decay


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": True},
        {"epochs": 2.5},
        {"epochs": [3]},
        {"learning_rate": float("inf")},
        {"learning_rate": float("nan")},
        {"clip": float("inf")},
        {"warmup": 1.0},
        {"mixed_precision": False},
        {"batch": 0},
        {"epoch": 3},
    ],
    ids=str,
)
def test_impossible_recipes_are_refused(wrong):
    with pytest.raises(ValidationError):
        Recipe(**wrong)


def test_parts_of_a_network_may_learn_at_a_share_of_the_rate():
    made = course(schedule="constant")
    network = made.method.network
    first = next(iter(network.state_dict())).split(".")[0]
    network.rates = {f"{first}.": 0.25}
    optimizer = make_optimizer(made.recipe, network)
    held = {id(p): group["share"] for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in network.named_parameters():
        assert held[id(parameter)] == (0.25 if name.startswith(f"{first}.") else 1.0)
    used = []
    optimizer.register_step_pre_hook(lambda o, *_: used.append({g["share"]: g["lr"] for g in o.param_groups}))
    trained(made, optimizer=optimizer)
    shares = {group["share"] for group in optimizer.param_groups}
    assert used == [{share: pytest.approx(0.01 * share) for share in shares}] * 6


def test_a_method_is_told_the_epoch_before_each_step():
    class Told(UNet):
        def reached(self, epoch):
            heard.append(epoch)

    heard: list[int] = []
    trained(course(kind=Told))
    assert heard == [0, 0, 1, 1, 2, 2]
