"""Where an object is, told by features alone: small networks on the frozen features of the supports' places.

The paper does not have it. Registration finds organs, which lie alike in all images; a lesion may be anywhere, and its place
must come from what it looks like (classifiers of places on frozen SAM embeddings: Wu et al. 2023, "self-prompting").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

COMPONENTS = 64  # of the features, at most: 16 and 32 were clearly worse on two of four real sets, 128 no better
HIDDEN = 64
_FAINTEST = 1e-4  # of the strongest: components below are rounding errors, where places are fewer than features
_FOLDS = 5
_BATCH = 1024
_RATE = 3e-3
_DECAY = 1e-2
_DROPOUT = 0.2


class Components(nn.Module):
    """The frozen features' main components, of spread 1, the strongest first."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("basis", torch.zeros(features, COMPONENTS))
        self.centre: Tensor
        self.basis: Tensor

    @classmethod
    def of(cls, sampled: Float[Tensor, "n f"]) -> Components:
        """Of a sample of places."""
        rows = sampled.double()
        mean, spread = rows.mean(0), rows.std(0, correction=0) + 1e-6
        scaled = (rows - mean) / spread
        values, vectors = torch.linalg.eigh(scaled.T @ scaled / len(scaled))
        count = min(COMPONENTS, len(values))
        values, vectors = values.flip(0)[:count], vectors.flip(1)[:, :count]
        vectors = vectors * vectors.gather(0, vectors.abs().argmax(0, keepdim=True)).sign()
        found = cls(len(mean))
        found.centre.copy_(mean)
        scale = torch.where(values > _FAINTEST * values[0], values.clamp(min=1e-12).rsqrt(), 0.0)
        found.basis.copy_(F.pad(vectors * scale / spread[:, None], (0, COMPONENTS - count)))
        return found

    def forward(self, features: Float[Tensor, "f v u"]) -> Float[Tensor, "n c"]:
        """Of every place, row by row."""
        return (features.flatten(1).T - self.centre) @ self.basis


@dataclass(frozen=True, eq=False)
class Places:
    """The places of one support.

    Attributes:
        rows: what networks see of each.
        shares: how much of each place each class covers.
    """

    rows: Float[Tensor, "n i"]
    shares: Float[Tensor, "n classes"]


class LocationPrior(nn.Module):
    """Several small networks side by side."""

    def __init__(self, inputs: int, classes: int, members: int) -> None:
        super().__init__()
        self.inner = nn.Parameter(torch.zeros(members, inputs, HIDDEN))
        self.inner_bias = nn.Parameter(torch.zeros(members, 1, HIDDEN))
        self.outer = nn.Parameter(torch.zeros(members, HIDDEN, classes + 1))
        self.outer_bias = nn.Parameter(torch.zeros(members, 1, classes + 1))

    def forward(self, rows: Float[Tensor, "n i"]) -> Float[Tensor, "n classes"]:
        """Probability of each class at each place: of the members' mean log odds."""
        return self.members(rows.expand(len(self.inner), -1, -1)).mean(0).softmax(-1)[:, 1:]

    def members(self, rows: Float[Tensor, "m n i"], generator: torch.Generator | None = None) -> Float[Tensor, "m n k"]:
        """Logits of background and classes, each member's; with a generator, hidden values are dropped at random."""
        hidden = F.gelu(torch.baddbmm(self.inner_bias, rows, self.inner))
        if generator is not None:
            alive = torch.rand(hidden.shape, generator=generator) >= _DROPOUT
            hidden = hidden * alive.to(hidden) / (1 - _DROPOUT)
        return torch.baddbmm(self.outer_bias, hidden, self.outer)


@dataclass(frozen=True, eq=False)
class Located:
    """A prior, and what others like it answer about supports that they did not learn from.

    Attributes:
        prior: fitted to all supports.
        held_out: probabilities, of each support; empty for fewer than three supports.
    """

    prior: LocationPrior
    held_out: tuple[Float[Tensor, "_ classes"], ...]


def learn_location(supports: Sequence[Places], members: int, steps: int, generator: torch.Generator) -> Located:
    """Fit a prior to supports, and others to all but a fifth of them (or, of fewer than five, all but one)."""
    inputs, classes = supports[0].rows.shape[1], supports[0].shares.shape[1]
    data = _Data.of(supports)
    held_out: tuple[Tensor, ...] = ()
    if len(supports) > 2:
        folds = torch.arange(len(supports)) % min(_FOLDS, len(supports))
        count = int(folds.max()) + 1
        others = LocationPrior(inputs, classes, count)
        _fit(others, data, folds[None, :] != torch.arange(count)[:, None], steps, generator)
        held_out = tuple(_answers(others, supports, folds))
    prior = LocationPrior(inputs, classes, members)
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
    def of(cls, supports: Sequence[Places]) -> _Data:
        return cls(
            torch.cat([one.rows for one in supports]),
            torch.cat([torch.cat([(1 - one.shares.sum(1, keepdim=True)).clamp(0), one.shares], 1) for one in supports]),
            torch.cat([_weights(one.shares) for one in supports]),
            torch.cat([torch.full((len(one.shares),), i) for i, one in enumerate(supports)]),
        )


def _weights(shares: Float[Tensor, "n classes"]) -> Float[Tensor, " n"]:
    found = torch.zeros(len(shares))
    inside = [one > 0.5 for one in shares.T if (one > 0.5).any()]
    outside = ~(shares > 0.5).any(1)
    for part in inside:
        found[part] += 0.5 / len(inside) / part.sum()
    found[outside] += (0.5 if inside else 1.0) / max(1, int(outside.sum()))
    return found


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
        drawn = torch.stack([torch.multinomial(one, _BATCH, replacement=True, generator=generator) for one in chance])
        logits = prior.members(data.rows[drawn], generator)
        loss = -(data.target[drawn] * logits.log_softmax(-1)).sum(-1).mean(-1).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()


@torch.inference_mode()
def _answers(others: LocationPrior, supports: Sequence[Places], folds: Int64[Tensor, " s"]) -> list[Float[Tensor, "_ classes"]]:
    """By support: probabilities of the member that did not learn from it."""
    found = []
    for one, fold in zip(supports, folds.tolist(), strict=True):
        hidden = F.gelu(one.rows @ others.inner[fold] + others.inner_bias[fold])
        found.append((hidden @ others.outer[fold] + others.outer_bias[fold]).softmax(-1)[:, 1:])
    return found
