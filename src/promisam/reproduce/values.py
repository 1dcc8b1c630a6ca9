"""What is known of a published experiment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from promisam.reproduce.drawn import Layout


@dataclass(frozen=True)
class Part:
    """Cases that an experiment keeps together.

    Attributes:
        name: as it is called there.
        cases: how many were published.
        places: where images and masks lie below the data's folder, in the forms in which they are handed on; the first that is
            there counts.
    """

    name: str
    cases: int
    places: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Published:
    """A published result.

    Attributes:
        part: on which test part.
        dice: mean over images.
        iou: mean over images; None where it was not published.
        source: where it stands, and what is not known of it.
    """

    part: str
    dice: float
    iou: float | None
    source: str


@dataclass(frozen=True)
class Facts:
    """How an experiment was run, as far as it is known.

    Attributes:
        weights: name of the SAM; empty without one.
        like: the known weights that it was said to be like; empty for known ones.
        options: of the method.
        training: options of training; None for imported weights, which do not say.
        given: whether a run was scored that was not made here.
        trained: cases that it learned from; 0 where that is not known.
        validated: cases that it was chosen by; 0 where that is not known.
        draws: of random prompts.
    """

    weights: str
    like: str
    options: Mapping[str, Any]
    training: Mapping[str, Any] | None
    given: bool
    trained: int
    validated: int
    draws: int


Difference = str | Callable[[Facts], str]


@dataclass(frozen=True)
class Study:
    """A published experiment.

    Attributes:
        method: a name in `METHODS`.
        name: of the experiment, for the command line.
        title: in words.
        target: what is segmented.
        train: to learn from.
        tests: to report on.
        val: to choose by; without one, a share of `train` is held out for it.
        group: of a training case's file stem: cases of one group are never divided between training and validation.
        weights: the SAM that was used.
        prompt: how methods that need prompts are asked (`promisam.evaluation.Protocol`).
        options: of method and training, where ours should not be the defaults.
        published: results to stand beside ours.
        differences: between our protocol and the published one, a sentence each: those that are always there, and
            functions of how it was run, empty where there is none.
        data: where the data come from, and in which layout.
    """

    method: str
    name: str
    title: str
    target: str
    train: Part
    tests: tuple[Part, ...]
    val: Part | None = None
    group: Callable[[str], str] = lambda _stem: ""
    weights: str = "sam_vit_b"
    prompt: str = "points:16"
    options: Mapping[str, object] = field(default_factory=dict)
    published: tuple[Published, ...] = ()
    differences: tuple[Difference, ...] = ()
    data: str = ""

    def differing(self, facts: Facts) -> tuple[str, ...]:
        """The differences that there are, a sentence each."""
        return _sentences(self.differences, facts)


@dataclass(frozen=True)
class FewShotStudy:
    """A published experiment of a few-shot method: a few images are labelled, all others are to be segmented.

    Attributes:
        method: a name in `METHODS`.
        name: of the experiment, for the command line.
        title: in words.
        target: what is segmented.
        cases: how many images were published; None where the set is not known.
        layouts: in which the set is handed on; the first that finds something counts.
        empty: parts of the set on which nothing is to be found; they are left out unless they are asked for.
        shots: how many images are labelled.
        weights: the SAM to use.
        options: of the method, where ours should not be the defaults.
        published: results to stand beside ours.
        differences: between our protocol and the published one.
        data: where the data come from, and in which layout.
    """

    method: str
    name: str
    title: str
    target: str
    cases: int | None
    layouts: tuple[Layout, ...]
    empty: tuple[str, ...] = ()
    shots: tuple[int, ...] = (1, 5, 10)
    weights: str = "litemedsam"
    options: Mapping[str, object] = field(default_factory=dict)
    published: tuple[Published, ...] = ()
    differences: tuple[Difference, ...] = ()
    data: str = ""

    def differing(self, facts: Facts) -> tuple[str, ...]:
        """The differences that there are, a sentence each."""
        return _sentences(self.differences, facts)


AnyStudy = Study | FewShotStudy


def _sentences(differences: tuple[Difference, ...], facts: Facts) -> tuple[str, ...]:
    found = (one if isinstance(one, str) else one(facts) for one in differences)
    return tuple(sentence for sentence in found if sentence)
