"""Ask a method what a simulated user would, on every case of a labelled set, and score and time the answers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool

from promisam.core import Example, Grid, Labelled, Prompts, Segmentation, Segmenter, check_ndim, to_segmentation
from promisam.core.errors import InvalidConfig, InvalidPrompt
from promisam.evaluation.benchmark_table import Benchmark, EncodeTime, Trial
from promisam.evaluation.case import evaluate_case
from promisam.evaluation.protocols import Protocol
from promisam.evaluation.scores import DEFAULT_TOLERANCE, CaseScore, check_tolerances, check_units
from promisam.evaluation.stopwatch import Stopwatch
from promisam.spatial import users
from promisam.spatial.slices import SliceWise

Progress = Callable[[int, int, str], None]  # done, of, case


def benchmark(
    method: Segmenter,
    examples: Sequence[Example],
    classes: Sequence[str],
    protocols: Sequence[Protocol],
    *,
    draws: int = 5,
    seed: int = 0,
    tolerances: Sequence[float] = (DEFAULT_TOLERANCE,),
    settle: Callable[[], None] = lambda: None,
    report: Progress = lambda done, of, case: None,  # noqa: ARG005 - the names document the call
) -> Benchmark:
    """Run every protocol on every case; each image is encoded once for all of them.

    A prompted answer is for one class and compared with that class alone. An automatic answer is for all classes at once, and
    where they overlap the higher score wins, as in `predict`. What is drawn at random depends on the seed, the draw, and the
    names of case and class, so neither the order of the cases nor leaving some out changes a prompt.

    Args:
        method: of as many axes as the images; a method of pictures wrapped in `SliceWise` for volumes.
        examples: labelled images whose labels are 1..n, in the order of `classes`.
        classes: names of the labels 1..n.
        protocols: ways to ask, each once.
        draws: how often a protocol with chance in it is run; one without is run once.
        seed: of everything random.
        tolerances: of the surface Dice, in the unit of the images.
        settle: waits for the device, which may still compute when a call has returned; needed for true times on a GPU.
        report: called after each case.

    Raises:
        InvalidConfig: for no examples or protocols, equal ones, an impossible number, classes that the method does not know, or
            images in different units.
        UnsupportedPrompt: for a protocol whose prompts the method does not take.
        GeometryError: for images of another number of axes than the method.
    """
    tolerances = tuple(float(t) for t in tolerances)
    check_tolerances(tolerances)
    _check_request(examples, protocols, draws)
    asked = asked_classes(method, tuple(classes))
    for protocol in protocols:
        protocol.check(method)
    watch = Stopwatch(method, settle)
    trials: list[Trial] = []
    encoding: list[EncodeTime] = []
    for number, example in enumerate(examples, 1):
        labelled = example.load()
        check_ndim(method, labelled.image.grid)
        begun = watch.encoding
        case = _Case(example.name, labelled, watch, watch.encode(labelled.image), asked, seed, tolerances)
        for protocol in protocols:
            for draw in range(1, 1 + (draws if protocol.random else 1)):
                trials.extend(case.trials(protocol, draw))
        encoding.append(EncodeTime(example.name, watch.encoding - begun))
        check_units([trials[0].score, trials[-1].score])
        report(number, len(examples), example.name)
    return Benchmark(tuple(classes), tuple(protocols), draws, seed, tolerances, tuple(trials), tuple(encoding))


@dataclass(frozen=True)
class Asked:
    """A class of the data, its label there, and how the method is told of it."""

    name: str
    label: int
    target: str  # of the prompts
    channel: int  # of an automatic answer


@dataclass(frozen=True, eq=False)
class _Case:
    """One encoded image and what is needed to ask about it."""

    name: str
    labelled: Labelled
    watch: Stopwatch
    encoded: Any
    classes: tuple[Asked, ...]
    seed: int
    tolerances: tuple[float, ...]

    @property
    def grid(self) -> Grid:
        return self.labelled.image.grid

    def trials(self, protocol: Protocol, draw: int) -> Iterator[Trial]:
        """All answers of one draw, scored; one trial without an answer for each class that is not in the image."""
        if protocol.kind == "auto":
            yield from self._automatic(protocol, draw)
            return
        for one in self.classes:
            truth = self.labelled.truth.mask(one.label)
            if not truth.any():
                yield Trial(protocol, draw, None, self._score(np.zeros_like(truth), one), None, prompted=False)
            elif protocol.kind == "click":
                yield from self._clicks(protocol, draw, one, truth)
            else:
                scores, seconds = self.watch.answer(self.encoded, self._prompts(protocol, draw, one, truth))
                yield Trial(protocol, draw, None, self._score(scores.logits[0] > 0, one), seconds)

    def _prompts(self, protocol: Protocol, draw: int, one: Asked, truth: Bool[np.ndarray, "*grid"]) -> Prompts:
        generator = _generator(self.seed, draw, self.name, one.name)
        if protocol.kind == "box":
            return users.jittered_box(truth, self.grid, generator, protocol.jitter, target=one.target)
        if protocol.kind == "inside":
            return users.inside_clicks(truth, self.grid, protocol.number, generator, target=one.target)
        method = self.watch.method
        axis = None
        if isinstance(method, SliceWise):  # it hears points off the object only beside points on it
            axis = self.grid.coarsest_axis if method.axis is None else method.axis
        return users.random_points(truth, self.grid, protocol.number, generator, axis=axis, target=one.target)

    def _clicks(self, protocol: Protocol, draw: int, one: Asked, truth: Bool[np.ndarray, "*grid"]) -> Iterator[Trial]:
        """One trial for each click; when nothing is left to correct, the answer stands for the clicks that are spared.

        A method of pictures that takes masks is shown its last answer with each correction, as SAM was trained to be asked
        (Kirillov et al. 2023, appendix A) and as the annotator does.
        """
        prompts: Prompts | None = users.first_click(truth, self.grid, target=one.target)
        trial: Trial | None = None
        shows = self.watch.method.ndim == 2 and "mask" in self.watch.method.accepts
        prediction = np.zeros_like(truth)
        for number in range(1, protocol.number + 1):
            if prompts is None and trial is not None:
                trial = replace(trial, clicks=number, seconds=None)
            elif prompts is not None:
                shown = prompts.with_mask(prediction) if shows and prediction.any() else prompts
                scores, seconds = self.watch.answer(self.encoded, shown)
                prediction = scores.logits[0] > 0
                trial = Trial(protocol, draw, number, self._score(prediction, one), seconds)
                if number < protocol.number:
                    prompts = users.corrective_click(prompts, truth, prediction, accept=self._accepts)
            if trial is not None:
                yield trial

    def _accepts(self, prompts: Prompts) -> bool:
        """Whether the method would hear all prompts: one that walks slices hears negative clicks only beside positive ones."""
        try:
            self.watch.method.check(self.grid, prompts)
        except InvalidPrompt:
            return False
        return True

    def _automatic(self, protocol: Protocol, draw: int) -> Iterator[Trial]:
        scores, seconds = self.watch.answer(self.encoded, Prompts(self.grid))
        found = to_segmentation([scores])
        for one in self.classes:
            yield Trial(protocol, draw, None, self._score(found.mask(one.channel + 1), one), seconds)

    def _score(self, prediction: Bool[np.ndarray, "*grid"], one: Asked) -> CaseScore:
        answer = Segmentation(prediction.astype(np.uint8), self.grid)
        truth = Segmentation(self.labelled.truth.mask(one.label).astype(np.uint8), self.grid)
        (score,) = evaluate_case(answer, truth, (1,), self.tolerances, case=self.name)
        return replace(score, label=one.label, name=one.name)


def _generator(seed: int, draw: int, case: str, name: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{case}\0{name}".encode(errors="surrogateescape")).digest()
    return np.random.default_rng([seed, draw, *np.frombuffer(digest, np.uint32)])


def _check_request(examples: Sequence[Example], protocols: Sequence[Protocol], draws: int) -> None:
    names = {example.name for example in examples}
    titles = {protocol.title for protocol in protocols}
    if not examples or not protocols or len(names) < len(examples) or len(titles) < len(protocols) or draws < 1:
        raise InvalidConfig(
            f"{len(examples)} cases of {len(names)} names, {len(protocols)} prompts of {len(titles)} kinds and {draws} draws",
            expected="at least one of each, no case and no prompt twice",
            do="Give each case a name of its own, and each --prompt once.",
        )


def asked_classes(method: Segmenter, classes: tuple[str, ...]) -> tuple[Asked, ...]:
    """Each class of the data as the method knows it; a lone class needs no equal name.

    Raises:
        InvalidConfig: for no classes, equal ones, and ones that the method does not know.
    """
    known = method.classes
    if not classes or len(set(classes)) < len(classes):
        raise InvalidConfig(
            f"the classes {', '.join(classes) or '(none)'}", expected="one or more different names", do="Check the data set."
        )
    if len(known) == len(classes) == 1:
        return (Asked(classes[0], 1, "", 0),)
    unknown = [name for name in classes if known and name not in known]
    if unknown:
        raise InvalidConfig(
            f"the classes {', '.join(unknown)}",
            expected=f"classes that the method learned: {', '.join(known)}",
            do="Choose among the labels of the data set with --label.",
        )
    return tuple(
        Asked(name, label, name if len(known) > 1 else "", known.index(name) if known else label - 1)
        for label, name in enumerate(classes, 1)
    )
