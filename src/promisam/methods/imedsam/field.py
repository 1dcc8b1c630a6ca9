"""The implicit field: from the features of a place to the logit of each class there (section 3.3 and 3.4 of the paper)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

COARSE, FEATURES, FINE, FINE_HEAD = (1024, 512), 256, (256, 256), 128  # hidden widths of the paper's section 4.1
DROPOUT = 0.5


class ImplicitField(nn.Module):
    """A coarse network, and a fine one for the places where the coarse one is least certain; one head of each per class.

    Uncertainty: the coarse network is asked several times with dropout on its hidden features; the variance of the
    probabilities that it gives is high where it does not know. While training each point is dropped out by itself; when an
    image is answered, one pass has one mask for all of its points (one network drawn from the posterior; Gal and Ghahramani
    2016), so that a pass is a function of the place and chunks change nothing. DEVIATION: the release drops out the answers
    themselves, and not at all once training is over, where its uncertainty is 0 everywhere (`official.py`).

    Args:
        inputs: numbers for each place.
        classes: heads.
        share: of the points that the fine network answers.
        passes: stochastic passes.
        zero: whether answers begin at 0, to be added to others.
    """

    def __init__(self, inputs: int, classes: int, *, share: float = 0.125, passes: int = 2, zero: bool = False) -> None:
        super().__init__()
        self.share = share
        self.passes = passes
        self.coarse = _trunk((inputs, *COARSE))
        self.coarse_heads = nn.ModuleList(nn.Linear(COARSE[-1], 1 + FEATURES) for _ in range(classes))
        self.fine = _trunk((inputs + FEATURES, *FINE))
        self.fine_heads = nn.ModuleList(_fine_head() for _ in range(classes))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.kaiming_uniform_(module.weight, a=math.sqrt(5))
        if zero:
            with torch.no_grad():
                for name, parameter in self.named_parameters():
                    if name.startswith("coarse_heads.") or (name.startswith("fine_heads.") and ".3." in name):
                        parameter[:1].zero_()  # the logit

    def forward(
        self, inputs: Float[Tensor, "b n i"], classes: Int64[Tensor, " b"], prior: Float[Tensor, "b n"] | None = None
    ) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b n"]]:
        """Coarse and merged logits of points of several images, while training; each image asks for one class.

        Args:
            inputs: of each point.
            classes: numbers of the classes, from 0.
            prior: logits to which the field's are added.
        """
        hidden = self.coarse(inputs.flatten(0, 1)).unflatten(0, inputs.shape[:2])
        coarse = inputs.new_zeros(inputs.shape[:2])
        base = torch.zeros_like(coarse) if prior is None else prior
        chosen = self._chosen(hidden.detach(), classes, base.detach())
        rest = inputs.gather(1, chosen[..., None].expand(-1, -1, inputs.shape[-1]))
        features = []
        for c, own in _by_class(classes):
            answer = self.coarse_heads[c](F.dropout(hidden[own], DROPOUT, self.training))
            coarse = coarse.index_copy(0, own, (answer[..., 0] + base[own]).to(coarse.dtype))
            place = chosen[own][..., None].expand(-1, -1, FEATURES)
            features.append((own, answer[..., 1:].gather(1, place)))
        merged = coarse
        if chosen.shape[1]:
            z = torch.zeros(*chosen.shape, FEATURES, device=inputs.device, dtype=inputs.dtype)
            for own, found in features:
                z = z.index_copy(0, own, found.to(z.dtype))
            mixed = self.fine(torch.cat([rest, z], -1).flatten(0, 1)).unflatten(0, chosen.shape)
            for c, own in _by_class(classes):
                found = self.fine_heads[c](mixed[own].flatten(0, 1)).view(len(own), -1) + base[own].gather(1, chosen[own])
                merged = merged.index_copy(0, own, merged[own].scatter(1, chosen[own], found.to(merged.dtype)))
        return coarse, merged

    def count(self, points: int) -> int:
        """How many of so many points the fine network answers."""
        return int(self.share * points)

    @torch.no_grad()
    def _chosen(self, hidden: Float[Tensor, "b n h"], classes: Int64[Tensor, " b"], base: Float[Tensor, "b n"]) -> Tensor:
        """Numbers of the least certain points of each image."""
        k = self.count(hidden.shape[1])
        if not k:
            return torch.zeros(len(hidden), 0, dtype=torch.long, device=hidden.device)
        found = torch.zeros_like(base, dtype=torch.float32)
        for c, own in _by_class(classes):
            row, bias = (p[0] for p in self.coarse_heads[c].parameters())
            drawn = [F.dropout(hidden[own], DROPOUT) @ row.to(hidden.dtype) for _ in range(self.passes)]
            found[own] = variance(torch.stack(drawn).float() + bias + base[own])
        return found.topk(k, dim=1).indices


def variance(logits: Float[Tensor, "t *n"]) -> Float[Tensor, "*n"]:
    """Variance of the probabilities over the passes."""
    return logits.sigmoid().var(0)


def _trunk(widths: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU()]
    return nn.Sequential(*layers)


def _fine_head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(FINE[-1], FINE_HEAD), nn.BatchNorm1d(FINE_HEAD), nn.ReLU(), nn.Linear(FINE_HEAD, 1))


def _by_class(classes: Int64[Tensor, " b"]) -> list[tuple[int, Tensor]]:
    """The classes that are asked for, and which images ask for each."""
    return [(int(c), torch.nonzero(classes == c)[:, 0]) for c in torch.unique(classes)]
