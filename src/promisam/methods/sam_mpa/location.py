"""Where an object is, told by features alone: small networks on the frozen features of the supports' places.

The paper does not have it. Registration finds organs, which lie alike in all images; a lesion may be anywhere, and its place must
come from what it looks like. (Per-pixel classifiers on frozen SAM embeddings: Wu et al. 2023, "self-prompting".)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

COMPONENTS = 64  # of the features, at most
CAPACITIES = (16, 32, 64)  # numbers of components that are tried
HIDDEN = 64
_FOLDS = 5
_BATCH = 1024
_RATE = 3e-3
_DECAY = 1e-2
_DROPOUT = 0.2
_SAMPLED = 60_000  # places that components are found from, at most


@dataclass(frozen=True, eq=False)
class Places:
    """What is known of the places of one picture.

    Attributes:
        features: of the frozen encoder.
        appearance: colour and position.
        shares: how much of each place each class covers.
    """

    features: Float[Tensor, "n f"]
    appearance: Float[Tensor, "n a"]
    shares: Float[Tensor, "n classes"]


class LocationPrior(nn.Module):
    """Several small networks on the main components of the features, and on appearance."""

    def __init__(self, features: int, appearance: int, classes: int, members: int) -> None:
        super().__init__()
        inputs = COMPONENTS + appearance
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("basis", torch.zeros(features, COMPONENTS))
        self.register_buffer("kept", torch.zeros(members, inputs))
        self.inner = nn.Parameter(torch.zeros(members, inputs, HIDDEN))
        self.inner_bias = nn.Parameter(torch.zeros(members, 1, HIDDEN))
        self.outer = nn.Parameter(torch.zeros(members, HIDDEN, classes + 1))
        self.outer_bias = nn.Parameter(torch.zeros(members, 1, classes + 1))
        self.centre: Tensor
        self.basis: Tensor
        self.kept: Tensor

    def forward(self, features: Float[Tensor, "f v u"], appearance: Float[Tensor, "a v u"]) -> Float[Tensor, "classes v u"]:
        """Probability of each class at each place: of the members' mean log odds."""
        rows = self.rows(features.flatten(1).T, appearance.flatten(1).T)
        logits = self.members(rows.expand(len(self.kept), -1, -1)).mean(0)
        return logits.softmax(-1)[:, 1:].T.unflatten(1, features.shape[1:])  # type: ignore[no-any-return]

    def rows(self, features: Float[Tensor, "n f"], appearance: Float[Tensor, "n a"]) -> Float[Tensor, "n i"]:
        """What the members see of places."""
        return torch.cat([(features - self.centre) @ self.basis, appearance], 1)

    def members(self, rows: Float[Tensor, "m n i"], generator: torch.Generator | None = None) -> Float[Tensor, "m n k"]:
        """Logits of background and classes, each member's; with a generator, hidden values are dropped at random."""
        hidden = F.gelu(torch.baddbmm(self.inner_bias, rows * self.kept[:, None], self.inner))
        if generator is not None:
            alive = torch.rand(hidden.shape, generator=generator) >= _DROPOUT
            hidden = hidden * alive.to(hidden) / (1 - _DROPOUT)
        return torch.baddbmm(self.outer_bias, hidden, self.outer)


@dataclass(frozen=True, eq=False)
class Located:
    """A prior, and what it answers about supports that it did not learn from.

    Attributes:
        prior: fitted to all supports.
        held_out: of each support, the answer of a prior of the others: probabilities; empty for fewer than three supports.
    """

    prior: LocationPrior
    held_out: tuple[Float[Tensor, "n classes"], ...]


def learn_location(
    supports: Sequence[Places], others: Sequence[Float[Tensor, "_ f"]], members: int, steps: int, generator: torch.Generator
) -> Located:
    """Fit a prior. How many components it may look at is chosen by supports left out in turn.

    Args:
        supports: pictures with their masks.
        others: features of places of other pictures, for the components alone.
        members: networks of the prior.
        steps: of each.
        generator: of all chance.
    """
    centre, basis = _components([*(one.features for one in supports), *others], generator)
    classes = supports[0].shares.shape[1]

    def empty(count: int) -> LocationPrior:
        prior = LocationPrior(len(centre), supports[0].appearance.shape[1], classes, count)
        prior.centre.copy_(centre)
        prior.basis.copy_(basis)
        return prior

    start = empty(1)
    data = _Data.of(start, supports)
    held_out: tuple[Tensor, ...] = ()
    capacity = CAPACITIES[-1 if len(supports) > 1 else 0]
    if len(supports) > 2:
        folds = torch.arange(len(supports)) % min(_FOLDS, len(supports))
        count = int(folds.max()) + 1
        tried = empty(len(CAPACITIES) * count)
        _allow(tried, [capacity for capacity in CAPACITIES for _ in range(count)])
        taught = (folds[None, :] != torch.arange(count)[:, None]).repeat(len(CAPACITIES), 1)
        _fit(tried, data, taught, steps, generator)
        answers = _answers(tried, data, folds, count)
        scores = [_mean_dice(one, supports) for one in answers]
        best = max(range(len(CAPACITIES)), key=lambda i: (scores[i], -i))
        capacity, held_out = CAPACITIES[best], tuple(answers[best])
    prior = empty(members)
    _allow(prior, [capacity] * members)
    _fit(prior, data, torch.ones(members, len(supports), dtype=torch.bool), steps, generator)
    return Located(prior.requires_grad_(False), held_out)


@dataclass(frozen=True, eq=False)
class _Data:
    """All places of all supports in one table.

    Attributes:
        rows: what a member sees.
        target: shares of background and classes.
        weights: how often a place is drawn: each support as often, half of that on its objects, each class the same.
        owner: number of the support.
    """

    rows: Float[Tensor, "n i"]
    target: Float[Tensor, "n k"]
    weights: Float[Tensor, " n"]
    owner: Int64[Tensor, " n"]

    @classmethod
    def of(cls, prior: LocationPrior, supports: Sequence[Places]) -> _Data:
        rows = torch.cat([prior.rows(one.features, one.appearance) for one in supports])
        target = torch.cat([torch.cat([(1 - one.shares.sum(1, keepdim=True)).clamp(0), one.shares], 1) for one in supports])
        owner = torch.cat([torch.full((len(one.shares),), i) for i, one in enumerate(supports)])
        return cls(rows, target, torch.cat([_weights(one.shares) for one in supports]), owner)


def _weights(shares: Float[Tensor, "n classes"]) -> Float[Tensor, " n"]:
    found = torch.zeros(len(shares))
    inside = [one > 0.5 for one in shares.T if (one > 0.5).any()]
    outside = ~(shares > 0.5).any(1)
    for part in inside:
        found[part] += 0.5 / len(inside) / part.sum()
    found[outside] += (0.5 if inside else 1.0) / max(1, int(outside.sum()))
    return found


def _components(features: Sequence[Float[Tensor, "_ f"]], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Mean, and what makes uncorrelated numbers of spread 1 of features, the strongest first."""
    each = max(1, _SAMPLED // len(features))
    drawn = [one[torch.randperm(len(one), generator=generator)[:each]] for one in features]
    rows = torch.cat(drawn).double()
    mean, spread = rows.mean(0), rows.std(0, correction=0) + 1e-6
    scaled = (rows - mean) / spread
    values, vectors = torch.linalg.eigh(scaled.T @ scaled / len(scaled))
    count = min(COMPONENTS, len(values))
    values, vectors = values.flip(0)[:count], vectors.flip(1)[:, :count]
    vectors = vectors * vectors.gather(0, vectors.abs().argmax(0, keepdim=True)).sign()
    whitened = vectors / values.clamp(min=1e-6).sqrt() / spread[:, None]
    return mean.float(), F.pad(whitened, (0, COMPONENTS - count)).float()


def _allow(prior: LocationPrior, capacities: Sequence[int]) -> None:
    for member, capacity in enumerate(capacities):
        prior.kept[member, :capacity] = 1
        prior.kept[member, COMPONENTS:] = 1


@torch.inference_mode(False)
@torch.enable_grad()
def _fit(prior: LocationPrior, data: _Data, taught: Bool[Tensor, "m s"], steps: int, generator: torch.Generator) -> None:
    """All members at once, each from the supports that it is taught by."""
    for weights, fan in ((prior.inner, prior.inner.shape[1]), (prior.outer, HIDDEN)):
        nn.init.uniform_(weights, -(fan**-0.5), fan**-0.5, generator=generator)
    chance = taught[:, data.owner] * data.weights
    optimizer = torch.optim.AdamW(prior.parameters(), _RATE, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        drawn = torch.multinomial(chance, _BATCH, replacement=True, generator=generator)
        logits = prior.members(data.rows[drawn], generator)
        loss = -(data.target[drawn] * logits.log_softmax(-1)).sum(-1).mean(-1).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


@torch.inference_mode()
def _answers(prior: LocationPrior, data: _Data, folds: Int64[Tensor, " s"], count: int) -> list[list[Tensor]]:
    """By capacity and support: probabilities of the member that did not learn from the support."""
    found = []
    for first in range(0, len(prior.kept), count):
        answers = []
        for support, fold in enumerate(folds.tolist()):
            rows = data.rows[data.owner == support]
            member = first + fold
            hidden = F.gelu((rows * prior.kept[member]) @ prior.inner[member] + prior.inner_bias[member])
            answers.append((hidden @ prior.outer[member] + prior.outer_bias[member]).softmax(-1)[:, 1:])
        found.append(answers)
    return found


def _mean_dice(answers: Sequence[Tensor], supports: Sequence[Places]) -> float:
    """Soft Dice over supports and the classes that they show."""
    found = []
    for answer, one in zip(answers, supports, strict=True):
        there = (one.shares > 0.5).any(0)
        overlap = 2 * (answer * one.shares).sum(0) / (answer.sum(0) + one.shares.sum(0)).clamp(min=1e-6)
        found += overlap[there].tolist()
    return sum(found) / max(1, len(found))
