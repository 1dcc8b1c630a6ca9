"""Remembering supports, and finding out from them, each left out in turn, how the parts are best put together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from promisam.core import Image, Labelled
from promisam.evaluation.metrics import dice
from promisam.methods.sam_mpa.asking import parts_of
from promisam.methods.sam_mpa.composing import Composed, Stack, coarse_mask, compose, evidence, on_stack, refine, trust, voted
from promisam.methods.sam_mpa.config import Config
from promisam.methods.sam_mpa.location import Components, Located, Places, learn_location
from promisam.methods.sam_mpa.memory import Memory, Tuned
from promisam.methods.sam_mpa.sight import Sliced, Views, at_places, brightness, on_cells, reduced, truth_on_cells
from promisam.methods.sam_mpa.viewing import View
from promisam.sam.model import Sam
from promisam.training.contract import Said

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the registration that are tried
SAM_SHARES = (0.0, 1 / 3, 2 / 3, 1.0)
_SAMPLED = 48  # pictures that components are found from, at most, and as many of other images
_PLACES = 600  # of each
_PRIOR = 4.0  # supports that speak for the confidence as it is, before it is fitted to Dice
_SLOPES = (0.25, 3.0)
_LEAST = 3  # supports that can tell something about each other


@dataclass(frozen=True, eq=False)
class Support:
    """One support as it is learned from.

    Attributes:
        views: its pictures.
        places: what the location prior learns from.
        truth: of each class, in cells.
        fixed: what is registered.
        pooled: what it shows as a whole.
    """

    views: Views
    places: Places
    truth: Stack
    fixed: Float[Tensor, "*space"]
    pooled: Float[Tensor, " p"]

    @property
    def spacing(self) -> tuple[float, ...]:
        """Of what is registered."""
        return self.views.sliced.spacing_at(tuple(self.fixed.shape))


def remember(
    sam: Sam,
    config: Config,
    supports: Sequence[Labelled],
    others: Iterable[Image],
    classes: Sequence[str],
    generator: torch.Generator,
    said: Said,
) -> Memory:
    """All that the method keeps.

    Args:
        sam: frozen.
        config: options.
        supports: prepared: in 0..255.
        others: unlabelled, prepared.
        classes: names of the labels 1..n.
        generator: of all chance.
        said: told of progress.
    """
    views = [Views(sam, one.image, config) for one in supports]
    other_means: list[Tensor] = []
    components = Components.of(_sampled(views, sam, config, others, other_means, generator, said))
    space = _space(supports, config)
    looked = []
    for number, (one, seen) in enumerate(zip(supports, views, strict=True)):
        said("looking at supports", number, len(supports))
        looked.append(_look(one, seen, components, len(classes), space))
    said("learning what tells places apart", 0, 1)
    located = learn_location([one.places for one in looked], config.members, config.steps, generator)
    masks = [_masks(one, len(classes), space) for one in supports]
    memory = Memory(
        (torch.stack([one.fixed for one in looked]) * 255).round().byte(),
        (torch.stack(masks) * 255).round().byte(),
        torch.stack([one.pooled for one in looked]),
        components,
        located.prior,
    )
    memory.mean = torch.stack([*(one.pooled for one in looked), *other_means]).mean(0)
    memory.tuned = tuned(sam, config, memory, looked, located, classes, said)
    return memory.requires_grad_(False)


def _sampled(
    views: Sequence[Views],
    sam: Sam,
    config: Config,
    others: Iterable[Image],
    means: list[Tensor],
    generator: torch.Generator,
    said: Said,
) -> Float[Tensor, "n f"]:
    """Features of some places of some pictures of the supports, and of other images, whose pooled embeddings are added."""
    pairs = [(seen, i) for seen in views for i in range(seen.sliced.count)]
    chosen = [pairs[i * len(pairs) // min(_SAMPLED, len(pairs))] for i in range(min(_SAMPLED, len(pairs)))]
    rows = []
    for number, (seen, index) in enumerate(chosen):
        said("encoding supports", number, len(chosen))
        rows.append(_some(seen.whole(index), generator))
    for number, image in enumerate(islice(others, _SAMPLED)):
        said("encoding other images", number, None)
        seen = Views(sam, image, config)
        shown = seen.whole(seen.sliced.count // 2)
        means.append(shown.pooled.cpu())
        rows.append(_some(shown, generator))
    return torch.cat(rows)


def _some(shown: View, generator: torch.Generator) -> Float[Tensor, "n f"]:
    rows = shown.features.flatten(1).T if shown.features is not None else torch.zeros(0)
    return rows[torch.randperm(len(rows), generator=generator)[:_PLACES]].cpu()


def _look(one: Labelled, views: Views, components: Components, classes: int, space: tuple[int, ...]) -> Support:
    rows, shares, truth, pooled = [], [], [], []
    for index, shown in enumerate(views):
        cells = truth_on_cells(one.truth, classes, shown, index)
        rows.append(rows_of(shown, components))
        shares.append(at_places(cells, shown))
        truth.append(cells.numpy())
        pooled.append(shown.pooled)
    places = Places(torch.cat(rows), torch.cat(shares))
    fixed = (brightness(one.image, space) * 255).round() / 255
    return Support(views, places, np.stack(truth, 1), fixed, torch.stack(pooled).mean(0).cpu())


def rows_of(shown: View, components: Components) -> Float[Tensor, "n i"]:
    """What the location prior sees of each place of a picture."""
    if shown.features is None:
        raise ValueError("a view without its features")
    place = components.basis.device
    return torch.cat([components(shown.features.to(place)), shown.appearance.to(place).flatten(1).T], 1)


def _space(supports: Sequence[Labelled], config: Config) -> tuple[int, ...]:
    """Samples that images are registered on: a square of pictures, the median shape of volumes, slices first."""
    if supports[0].image.grid.ndim == 2:
        return (config.side, config.side)
    shapes = [Sliced.of(one.image.grid).shape for one in supports]
    median: np.ndarray = np.median(np.array(shapes), axis=0)
    most = config.side / 2
    return tuple(int(max(1, round(n * min(1.0, most / max(median))))) for n in median)


def _masks(one: Labelled, classes: int, space: tuple[int, ...]) -> Float[Tensor, "classes *space"]:
    labels = Sliced.of(one.image.grid).stacked(one.truth.labels)
    labels = labels if len(space) == 3 else labels[0]
    return reduced(torch.from_numpy(np.stack([labels == i for i in range(1, classes + 1)]).astype(np.float32)), space)


def tuned(
    sam: Sam, config: Config, memory: Memory, supports: Sequence[Support], located: Located, classes: Sequence[str], said: Said
) -> Tuned:
    """What the supports say of each other; what is asked for in the options stands."""
    start = _counted(supports, config).asked(config)
    if len(supports) < _LEAST:
        return start
    kept = _held_out(config, memory, supports, located, said)
    usual = float(np.median([one.measures["similarity"] for one in kept])) if config.registration != 0 else 0.0
    start = replace(start, similarity=max(usual, 0.0))
    if config.registration == "auto":
        start = replace(start, registration=_best(SHARES, lambda share: _scores(kept, supports, share, start.similarity)))
    thought = [coarse_mask(one.votes, one.location, start.registration, start.similarity, one.measures) for one in kept]
    refined = []
    for number, (one, coarse) in enumerate(zip(supports, thought, strict=True)):
        said("asking SAM about supports", number, len(supports))
        refined.append(None if config.sam == 0 else refine(sam, one.views, coarse.probability, config, start.parts, classes))

    def composed(share: float) -> list[float]:
        trial = replace(start, sam=share)
        made = [compose(c, r, trial, config).probability for c, r in zip(thought, refined, strict=True)]
        return [_dice(one, support.truth) for one, support in zip(made, supports, strict=True)]

    if config.sam == "auto":
        start = replace(start, sam=_best(SAM_SHARES, composed))
    final = [compose(c, r, start, config) for c, r in zip(thought, refined, strict=True)]
    dices = [_dice(one.probability, support.truth) for one, support in zip(final, supports, strict=True)]
    start = replace(start, evidence=_least_evidence([c.probability for c in thought], final, supports))
    return _calibrated(start, [trust(one.measures, start.similarity) for one in final], dices)


def _counted(supports: Sequence[Support], config: Config) -> Tuned:
    """The parts that objects have."""

    def most(masks: Iterable[np.ndarray]) -> int:
        return max((len(parts_of(mask, mask.astype(np.float32), mask.size, config.smallest)) for mask in masks), default=1)

    stacks = [truth > 0.5 for one in supports for truth in one.truth]
    return Tuned(parts=max(1, most(one for stack in stacks for one in stack)), bodies=max(1, most(stacks)))


@dataclass(frozen=True, eq=False)
class _HeldOut:
    votes: Stack | None
    location: Stack | None
    measures: dict[str, float]


def _held_out(config: Config, memory: Memory, supports: Sequence[Support], located: Located, said: Said) -> list[_HeldOut]:
    """What the others say of each support."""
    found = []
    for number, (one, answer) in enumerate(zip(supports, located.held_out, strict=True)):
        said("registering supports to each other", number, len(supports))
        votes: Stack | None = None
        measures: dict[str, float] = {}
        if config.registration != 0:
            shares, measures = voted(one.fixed, one.pooled, memory, config, one.spacing, without=number)
            votes = on_stack(shares, *_extent(one.truth))
        location = None if config.registration == 1 else stacked_location(answer, one.views)
        found.append(_HeldOut(votes, location, measures))
    return found


def stacked_location(probability: Float[Tensor, "n classes"], views: Views) -> Stack:
    """The location prior's answer about the places of all slices, in cells."""
    shown = views[0]
    height, width = shown.appearance.shape[1:]
    each = probability.T.reshape(probability.shape[1], -1, height, width)
    return np.stack([on_cells(each[:, i], shown) for i in range(each.shape[1])], 1)


def _extent(stack: Stack) -> tuple[int, tuple[int, int]]:
    return stack.shape[1], (stack.shape[2], stack.shape[3])


def _scores(kept: Sequence[_HeldOut], supports: Sequence[Support], share: float, usual: float) -> list[float]:
    made = [coarse_mask(one.votes, one.location, share, usual, one.measures).probability for one in kept]
    return [_dice(one, support.truth) for one, support in zip(made, supports, strict=True)]


def _best(shares: Sequence[float], scores: Callable[[float], list[float]]) -> float:
    """The share of the highest mean score; of those about as good, that nearest the middle."""
    means = [_mean(scores(share)) for share in shares]
    top = max(means)
    close = [share for share, mean in zip(shares, means, strict=True) if mean >= top - 0.002]
    return min(close, key=lambda share: (abs(share - 0.5), share))


def _mean(scores: Sequence[float]) -> float:
    known = [score for score in scores if not np.isnan(score)]
    return float(np.mean(known)) if known else 0.0


def _dice(made: Stack, truth: Stack) -> float:
    """Mean over the classes that are there; NaN without any."""
    found = [dice(a > 0.5, b > 0.5) for a, b in zip(made, truth, strict=True) if (b > 0.5).any()]
    return float(np.mean(found)) if found else float("nan")


def _least_evidence(thought: Sequence[np.ndarray], final: Sequence[Composed], supports: Sequence[Support]) -> float:
    """Of the classes that supports show, where the mask found is right at least in part."""
    found = []
    for coarse, made, one in zip(thought, final, supports, strict=True):
        for number, truth in enumerate(one.truth):
            mask = made.probability[number]
            if (truth > 0.5).any() and dice(mask > 0.5, truth > 0.5) > 0.5:
                found.append(evidence(coarse[number], mask))
    return min(found, default=0.0)


def _calibrated(found: Tuned, trusts: Sequence[float], dices: Sequence[float]) -> Tuned:
    """A line through what was reached, drawn to the diagonal as long as few supports speak against it."""
    pairs = np.array([(t, d) for t, d in zip(trusts, dices, strict=True) if not np.isnan(d)])
    if not len(pairs):
        return found
    x, y = pairs.T
    spread = 0.05**2
    slope = ((x - x.mean()) @ (y - y.mean()) + _PRIOR * spread) / ((x - x.mean()) @ (x - x.mean()) + _PRIOR * spread)
    slope = float(np.clip(slope, *_SLOPES))
    return replace(found, highest=float(y.max()), slope=slope, offset=float(y.mean() - slope * x.mean()))
