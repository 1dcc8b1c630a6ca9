"""What is known of a published experiment."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from promisam.evaluation import ClickProtocol
from promisam.reproduce.drawn import Layout


def everything(stems: Sequence[str], _seed: int) -> Collection[str]:
    """All images of a folder."""
    return stems


@dataclass(frozen=True)
class Place:
    """Where a part may lie below the data's folder, in one of the forms in which it is handed on.

    Attributes:
        images: folder of its images.
        masks: folder of its masks.
        case: what an image's file stem and that of its mask have in common: the name of the case.
        chosen: which of the cases there, in order, are the part's; the number is the seed of a random division.
        note: what is to be known where the part lies here.
    """

    images: str
    masks: str
    case: Callable[[str], str] = lambda stem: stem
    chosen: Callable[[Sequence[str], int], Collection[str]] = everything
    note: str = ""


@dataclass(frozen=True)
class Part:
    """Cases that an experiment keeps together.

    Attributes:
        name: as it is called there.
        cases: how many were published; None where that is not known.
        places: where they may lie; the first that is there counts. None where `Study.divide` finds them.
    """

    name: str
    cases: int | None
    places: tuple[Place, ...] = ()


@dataclass(frozen=True)
class Lying:
    """A part as it lies on the disk.

    Attributes:
        pairs: image and mask of each case.
        maskless: cases that have only an image.
        imageless: cases that have only a mask.
        notes: what else is to be known of how it lies there, a sentence each.
    """

    pairs: Mapping[str, tuple[Path, Path]]
    maskless: tuple[str, ...] = ()
    imageless: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Component:
    """A part of a method that was published on its own.

    Attributes:
        name: as it is called there.
        options: with which a method is that part.
    """

    name: str
    options: Mapping[str, object]


@dataclass(frozen=True)
class Published:
    """A published result.

    Attributes:
        part: on which test part.
        dice: mean over images.
        iou: mean over images; None where it was not published.
        source: where it stands, and what is not known of it.
        hausdorff: mean over images of the largest distance, in pixels of the scored square; None where it was not published.
        side: of the square on which answers were scored; None where they were scored as `Study.sizes` says first.
        component: of the method; empty for the whole of it.
        nsd: mean over images of the surface Dice at the first tolerance of `Study.clicks`; None where it was not published.
        clicks: with how many clicks it was reached, where that was varied.
    """

    part: str
    dice: float
    iou: float | None
    source: str
    hausdorff: float | None = None
    side: int | None = None
    component: str = ""
    nsd: float | None = None
    clicks: int = 1


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
        side: pixels of the SAM's frame; 0 where that is not known.
    """

    weights: str
    like: str
    options: Mapping[str, Any]
    training: Mapping[str, Any] | None
    given: bool
    trained: int
    validated: int
    draws: int
    side: int = 0


Difference = str | Callable[[Facts], str]


@dataclass(frozen=True)
class Study:
    """A published experiment.

    Attributes:
        method: a name in `METHODS`.
        name: of the experiment, for the command line.
        title: in words.
        target: what is segmented.
        train: to learn from; None for an experiment that scores the run of another one.
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
        total: how many cases the set has; None where only those of the parts are known.
        labels: values of the masks that are segmented, with their names; empty for one object, drawn in any value.
        side: pixels of the SAM's frame, where not the weights' own.
        sizes: sides of the squares, in pixels, on which answers to boxes from the truth are scored; without any, answers are
            scored on each image as it is.
        clicks: how clicks in volumes are given and scored, the published way first; empty for other experiments.
        divide: finds all parts at once in the data's folder, by name, where folders do not tell them apart; the number is the
            seed of a random division.
        components: of the method, which can be trained and scored beside the whole.
        run_of: the experiment whose run is scored, where nothing is trained.
        beside: published figures of other methods, a sentence each.
    """

    method: str
    name: str
    title: str
    target: str
    train: Part | None
    tests: tuple[Part, ...]
    val: Part | None = None
    group: Callable[[str], str] = lambda _stem: ""
    weights: str = "sam_vit_b"
    prompt: str = "points:16"
    options: Mapping[str, object] = field(default_factory=dict)
    published: tuple[Published, ...] = ()
    differences: tuple[Difference, ...] = ()
    data: str = ""
    total: int | None = None
    labels: Mapping[int, str] = field(default_factory=dict)
    side: int | None = None
    sizes: tuple[int, ...] = ()
    clicks: tuple[ClickProtocol, ...] = ()
    divide: Callable[[Path, int], Mapping[str, Lying]] | None = None
    components: tuple[Component, ...] = ()
    run_of: str = ""
    beside: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """What is segmented, by name."""
        return tuple(self.labels.values()) or (self.target,)

    def differing(self, facts: Facts) -> tuple[str, ...]:
        """The differences that there are, a sentence each."""
        return _sentences(self.differences, facts)

    def component_of(self, options: Mapping[str, Any]) -> str:
        """Which component a run with these options is; empty for the whole method."""
        of = (one.name for one in self.components if all(options.get(name) == value for name, value in one.options.items()))
        return next(of, "")

    def published_for(self, part: str, side: int | None = None, component: str = "", clicks: int = 1) -> Published | None:
        """What was published of a test part, scored on a square of that side, of a component, with so many clicks."""
        known = [one for one in self.published if (one.part, one.component, one.clicks) == (part, component, clicks)]
        first = self.sizes[0] if self.sizes else None
        return next((one for one in known if (one.side or first) == side), None)


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
