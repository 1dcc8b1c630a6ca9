"""From an image and what is remembered to masks: propagate, locate, ask SAM, refine; and how far to trust the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float
from torch import Tensor

from promisam.core import Prompts
from promisam.methods.sam_mpa.asking import Answer, ask, overlap
from promisam.methods.sam_mpa.config import Config
from promisam.methods.sam_mpa.finishing import finished
from promisam.methods.sam_mpa.memory import Memory, Tuned
from promisam.methods.sam_mpa.propagation import most_alike, propagate
from promisam.methods.sam_mpa.sight import Views, resampled
from promisam.sam.model import Sam

Stack = Float[np.ndarray, "classes z v u"]
_POOR, _FAIR = 0.5, 0.75  # of the usual similarity: below the first, warped masks and the answer count nothing
_ABOVE = 0.5  # what a confidence may lie above what it is made of: a line through few supports is no proof far from them
_FLAT = 0.05  # slope of the confidence where it reaches what supports reached
_FAINT = 0.2  # level of the coarse mask within which it is asked how sure it is


@dataclass(frozen=True, eq=False)
class Coarse:
    """Where the classes are thought to be, before SAM is asked. All stacks are in cells of the decoder's masks.

    Attributes:
        probability: of each class.
        measures: of the registration.
    """

    probability: Stack
    measures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Refined:
    """SAM's answers to a coarse mask.

    Attributes:
        probability: of each class.
        quality: the IoU that SAM predicts for each class, the mean over slices.
        stability: of its answers, likewise.
        prompts: by slice, of all classes.
    """

    probability: Stack
    quality: tuple[float, ...]
    stability: tuple[float, ...]
    prompts: tuple[tuple[int, Prompts], ...]


@dataclass(frozen=True, eq=False)
class Composed:
    """The answer.

    Attributes:
        probability: of each class; an object is where it is above 0.5.
        measures: what the confidence is made of, the means over the classes that were found.
        flags: what a person should know.
        prompts: by slice.
    """

    probability: Stack
    measures: Mapping[str, float]
    flags: tuple[str, ...]
    prompts: tuple[tuple[int, Prompts], ...]


def voted(
    fixed: Float[Tensor, "*space"],
    pooled: Float[Tensor, " p"],
    memory: Memory,
    config: Config,
    spacing: tuple[float, ...],
    without: int = -1,
) -> tuple[Float[Tensor, "classes *space"], dict[str, float]]:
    """The vote of the most alike supports, and measures of it; one support may be left out."""
    place = memory.pooled.device
    chosen = most_alike(pooled.to(place), memory.pooled, memory.mean, config.neighbours, without)
    found = propagate(fixed.to(place), *memory.moving(chosen), config.engine, config.sharpness, spacing)
    return found.shares, {"similarity": found.similarity, "agreement": found.agreement, "folds": found.folds}


def on_stack(votes: Float[Tensor, "classes *space"], depth: int, cells: tuple[int, int]) -> Stack:
    """Votes on the grid of registration, in cells."""
    space = cells if votes.ndim == 3 else (depth, *cells)
    found = resampled(votes.cpu(), space).numpy()
    return found[:, None] if votes.ndim == 3 else found


def coarse_mask(
    votes: Stack | None, location: Stack | None, share: float, usual: float, measures: Mapping[str, float]
) -> Coarse:
    """Both together. Where an image stays less similar after warping than is usual, warped masks count less."""
    if votes is None or location is None:
        only = votes if location is None else location
        if only is None:
            raise ValueError("neither votes nor location")
        return Coarse(only, measures)
    fit = (likeness(measures, usual) - _POOR) / (1 - _POOR)
    weight = share * float(np.clip(fit, 0, 1))
    return Coarse(weight * votes + (1 - weight) * location, measures)


def refine(sam: Sam, views: Views, coarse: Stack, config: Config, parts: int, classes: Sequence[str]) -> Refined:
    """Ask SAM about every class on every slice that the coarse mask reaches."""
    found = np.zeros_like(coarse)
    answers: list[list[Answer]] = [[] for _ in classes]
    prompts: list[tuple[int, Prompts]] = []
    for index in range(coarse.shape[1]):
        for number, name in enumerate(classes):
            if (coarse[number, index] > min(config.levels)).any():
                answer = ask(sam, views[index], coarse[number, index], config, parts, name)
                found[number, index] = answer.probability
                prompts += [(index, one) for one in answer.prompts]
                answers[number].append(answer)
    quality = tuple(float(np.mean([one.quality for one in each])) if each else 0.0 for each in answers)
    stability = tuple(float(np.mean([one.stability for one in each])) if each else 0.0 for each in answers)
    return Refined(found, quality, stability, tuple(prompts))


def compose(coarse: Coarse, refined: Refined | None, tuned: Tuned, config: Config) -> Composed:
    """The final masks, class by class, and what they were made of."""
    parts = [_of_class(coarse, refined, number, tuned, config) for number in range(len(coarse.probability))]
    shown = [one for one in parts if one.found] or parts
    names = parts[0].measures
    measures = {name: float(np.mean([one.measures[name] for one in shown])) for name in names}
    flags = tuple(dict.fromkeys(flag for one in parts for flag in one.flags))
    if not any(one.found for one in parts):
        flags = ("nothing found", *(flag for flag in flags if flag != _ABSENT))
    if likeness(coarse.measures, tuned.similarity) < _POOR:
        flags = (*flags, "unlike the supports")
    prompts = refined.prompts if refined else ()
    return Composed(np.stack([one.probability for one in parts]), {**measures, **coarse.measures}, flags, prompts)


_ABSENT = "a class was not found"


@dataclass(frozen=True, eq=False)
class _Part:
    probability: np.ndarray
    measures: dict[str, float]
    flags: tuple[str, ...] = ()
    found: bool = True


def _of_class(coarse: Coarse, refined: Refined | None, number: int, tuned: Tuned, config: Config) -> _Part:
    thought = coarse.probability[number]
    answer, flags = thought, []
    measures = {"sureness": sureness(thought)}
    if refined is not None:
        answer = tuned.sam * refined.probability[number] + (1 - tuned.sam) * thought
        measures |= {"quality": refined.quality[number], "stability": refined.stability[number]}
    if config.cleaning:
        answer = finished(answer, thought, tuned.bodies, config.smallest)
    agreed = overlap(answer > 0.5, thought > 0.5)
    measures["coarse_dice"] = agreed
    if refined is not None and not (thought > 0.5).any() and (answer > 0.5).any():
        flags.append("only a faint coarse mask")
    elif refined is not None and agreed < config.agreement:
        answer = finished(thought, thought, tuned.bodies, config.smallest) if config.cleaning else thought
        flags.append("SAM disagrees: coarse mask kept")
    part = _Part(answer, {**measures, "evidence": evidence(thought, answer)}, tuple(flags))
    nothing = not (answer > 0.5).any()
    if nothing or part.measures["evidence"] < config.evidence * tuned.evidence:
        return replace(part, probability=np.minimum(answer, 0.49), flags=(*part.flags, _ABSENT), found=False)
    return part


def sureness(thought: Float[np.ndarray, "*space"]) -> float:
    """How far from even chances a coarse mask is where it may be on: 0 to 1."""
    inside = thought[thought > _FAINT]
    return float(np.abs(2 * inside - 1).mean()) if inside.size else 1.0


def evidence(thought: Float[np.ndarray, "*space"], answer: Float[np.ndarray, "*space"]) -> float:
    """Mean probability, before SAM was asked, where the object is said to be."""
    inside = thought[answer > 0.5]
    return float(inside.mean()) if inside.size else 0.0


def likeness(measures: Mapping[str, float], usual: float) -> float:
    """Similarity after warping as a share of what is usual; 1 where images are not registered."""
    return measures["similarity"] / usual if "similarity" in measures and usual > 0 else 1.0


def trust(measures: Mapping[str, float], usual: float) -> float:
    """What the confidence is made of: the mean of the measures that are there, and nothing for an image like no support.

    Args:
        measures: of an answer.
        usual: similarity of supports to each other after warping.
    """
    used = [measures[name] for name in ("sureness", "evidence", "stability", "coarse_dice", "quality") if name in measures]
    return float(np.mean(used) * np.clip((likeness(measures, usual) - _POOR) / (_FAIR - _POOR), 0, 1))


def confidence(measures: Mapping[str, float], tuned: Tuned) -> float:
    """The Dice to expect: hardly more than a support reached, but never level, so that cases keep their order."""
    found = trust(measures, tuned.similarity)
    return float(np.clip(min(tuned.offset + tuned.slope * found, tuned.highest - _FLAT * (1 - found), found + _ABOVE), 0, 1))
