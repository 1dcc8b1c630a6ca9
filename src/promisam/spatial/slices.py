"""A method of pictures, slice by slice through a volume."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32

from promisam.core import Grid, Image, PromptKind, Prompts, Scores, Segmenter, check_ndim, check_prompts
from promisam.core.errors import GeometryError, InvalidPrompt, UnsupportedPrompt
from promisam.spatial.tracking import Tracker

OUTSIDE = -32.0  # logit of slices where the object is not; below anything a network answers there
Report = Callable[[int, int | None], None]


@dataclass(frozen=True, eq=False)
class EncodedVolume:
    """A volume whose slices are encoded when they are first asked for; the latest `keep` stay in memory."""

    image: Image
    method: Segmenter
    keep: int
    _slices: OrderedDict[tuple[int, int], Any] = field(default_factory=OrderedDict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def grid(self) -> Grid:
        """Grid of the volume."""
        return self.image.grid

    def slice(self, axis: int, index: int) -> Any:  # noqa: ANN401 - whatever the method's encoding is
        """The encoding of one slice."""
        key = (axis, index)
        with self._lock:
            if key not in self._slices:
                self._slices[key] = self.method.encode(self.image.slice(axis, index))
                while len(self._slices) > self.keep:
                    self._slices.popitem(last=False)
            self._slices.move_to_end(key)
            return self._slices[key]


class SliceWise:
    """A volume segmented by a method of pictures; itself a `Segmenter`.

    * A box through several slices, or a mask on several, prompts each of them.
    * A prompt on one slice (a flat box, clicks, or a mask, which counts as that slice's finished segmentation) is followed
      through the neighbours: each slice's mask gives the next one's box, until the object ends. Clicks on several slices are
      followed from each to halfway to the next.
    * A method that needs no prompt sees every slice.
    """

    ndim = 3

    def __init__(self, method: Segmenter, *, axis: int | None = None, keep: int = 128, report: Report | None = None) -> None:
        """Wrap a method of pictures.

        Args:
            method: with ndim 2.
            axis: array axis to walk along; None takes a flat box's own axis, else that of the coarsest spacing (z if equal).
            keep: encoded slices held in memory (4 MB each with a released SAM); objects of more slices are encoded anew.
            report: called with the slices done, and None, since where an object ends is not known beforehand.
        """
        if method.ndim != 2 or axis not in (None, 0, 1, 2) or keep < 1:
            raise GeometryError(
                f"a method of {method.ndim} axes, slice axis {axis} and {keep} slices kept",
                expected="a method of pictures, an axis 0, 1 or 2, and at least one slice kept",
                do="Use a method of volumes directly.",
            )
        self.method = method
        self.axis = axis
        self.keep = keep
        self.report = report or (lambda _done, _total: None)

    @property
    def accepts(self) -> frozenset[PromptKind]:
        """What the method takes, and masks where it takes boxes, since a mask has one."""
        inner = self.method.accepts
        return inner | {"mask"} if "box" in inner else inner

    @property
    def automatic(self) -> bool:
        """Whether the method answers slices without prompts."""
        return self.method.automatic

    @property
    def classes(self) -> tuple[str, ...]:
        """What the method learned."""
        return self.method.classes

    def prepare(self, image: Image) -> Image:
        """The method's intensity step over the whole volume, so that slices stay comparable."""
        return self.method.prepare(image)

    def check(self, grid: Grid, prompts: Prompts) -> None:
        """Refuse what the method would, and prompts on slices that no other prompt asks for: they would go unheard."""
        axis = self._axis(prompts)
        asked = _asked(prompts, axis)
        finished = len(asked) == 1 and prompts.kinds == {"mask"}
        refused = prompts.kinds - self.accepts
        if prompts.grid.matches(grid) and (refused or (asked and not finished)):
            index = [*(sorted(_touched(prompts, axis)) if refused else []), *asked][0]
            here = self._usable(prompts.slice(axis, index))
            self.method.check(here.grid, here)  # it says best what it would take instead
        advice = "For a volume, give what the method takes on a slice."
        check_prompts(self.accepts, grid, prompts, advice, automatic=self.automatic)
        if prompts.kinds >= {"box", "mask"} and "mask" not in self.method.accepts:
            raise UnsupportedPrompt(
                "a mask beside a box", expected="one of them, since these weights never learned masks", do="Leave the mask out."
            )
        unheard = sorted(_touched(prompts, axis) - set(asked))
        if unheard:
            raise InvalidPrompt(
                f"a prompt on slice {unheard[0]} (array axis {axis}) beside others on {asked[0]} to {asked[-1]}",
                expected="a box around all clicks and the mask; without one, clicks off the object beside one on it",
                do="Widen the box, or leave that prompt out.",
            )

    def encode(self, image: Image) -> EncodedVolume:
        """Nothing yet but the intensity step: slices are encoded when a prompt touches them."""
        check_ndim(self, image.grid)
        return EncodedVolume(self.prepare(image), self.method, self.keep)

    def decode(self, encoded: EncodedVolume, prompts: Prompts) -> Scores:
        """Scores of the whole volume; far below zero on slices that the object does not reach."""
        self.check(encoded.grid, prompts)
        axis = self._axis(prompts)
        found = len(self.classes) if self._unprompted(prompts) else 1
        canvas = np.full((found, *encoded.grid.shape), OUTSIDE, np.float32)
        qualities: list[float] = []
        for done, (index, answer) in enumerate(self._answers(encoded, prompts, axis), 1):
            canvas[(slice(None),) * (axis + 1) + (index,)] = answer.logits[:found]
            qualities.extend(answer.quality[:found])
            self.report(done, None)
        return Scores(canvas, encoded.grid, (float(np.mean(qualities)),) if qualities else ())

    def _answers(self, encoded: EncodedVolume, prompts: Prompts, axis: int) -> Iterator[tuple[int, Scores]]:
        everywhere = self._unprompted(prompts)
        asked = list(range(encoded.grid.shape[axis])) if everywhere else _asked(prompts, axis)
        whole = everywhere or (len(asked) > 1 and prompts.kinds != {"points"})
        for place, index in enumerate(asked):
            here = prompts.slice(axis, index)
            finished = len(asked) == 1 and prompts.kinds == {"mask"}
            answer = _certain(here) if finished else self.method.decode(encoded.slice(axis, index), self._usable(here))
            yield index, answer
            if not whole and "box" in self.method.accepts:
                low = 0 if place == 0 else (asked[place - 1] + index) // 2 + 1  # halfway to the next slice with clicks
                high = encoded.grid.shape[axis] - 1 if index == asked[-1] else (asked[place + 1] + index) // 2
                yield from self._follow(encoded, axis, index, answer, range(index - 1, low - 1, -1))
                yield from self._follow(encoded, axis, index, answer, range(index + 1, high + 1))

    def _follow(
        self, encoded: EncodedVolume, axis: int, start: int, first: Scores, neighbours: range
    ) -> Iterator[tuple[int, Scores]]:
        """Answers for the neighbours in turn, until the object ends."""
        tracker = Tracker(encoded.image.slice(axis, start), first.logits[0] > 0)
        for index in neighbours:
            box = tracker.next_box()
            if box is None:
                return
            picture = encoded.slice(axis, index)
            answer = self.method.decode(picture, Prompts(picture.grid).with_box(*box.tolist()))
            if not tracker.goes_on(encoded.image.slice(axis, index), answer.logits[0] > 0):
                return
            yield index, answer

    def _unprompted(self, prompts: Prompts) -> bool:
        return self.automatic and not prompts.kinds

    def _axis(self, prompts: Prompts) -> int:
        return _axis(prompts) if self.axis is None else self.axis

    def _usable(self, prompts: Prompts) -> Prompts:
        """A mask as its box where the method takes none."""
        if prompts.mask is None or "mask" in self.method.accepts:
            return prompts
        box = prompts.box_zyx if prompts.box_zyx is not None else bounding_box(prompts.mask)
        return replace(prompts, mask=None, box_zyx=box)


def bounding_box(mask: Bool[np.ndarray, "y x"]) -> np.ndarray:
    """Lowest and highest marked index per axis, widened to two samples where the mask has only one."""
    marked = np.argwhere(mask)
    low, high = marked.min(axis=0).astype(np.float64), marked.max(axis=0).astype(np.float64)
    flat = low == high
    room = high + 1 < mask.shape
    wider = np.stack([np.where(flat & ~room, low - 1, low), np.where(flat & room, high + 1, high)])
    return np.asarray(np.clip(wider, -0.5, np.asarray(mask.shape) - 0.5))  # on a picture of one row, the row's own borders


def _axis(prompts: Prompts) -> int:
    if prompts.box_zyx is not None:
        flat = np.flatnonzero(prompts.box_zyx[0] == prompts.box_zyx[1])
        if flat.size:
            return int(flat[0])
    if prompts.mask is not None:
        single = [a for a in range(3) if len(_marked(prompts.mask, a)) == 1]
        if single:
            return single[0]
    return prompts.grid.coarsest_axis


def _asked(prompts: Prompts, axis: int) -> list[int]:
    """The slices that are prompted: those of the box, else of the mask, else of the clicks on the object."""
    size = prompts.grid.shape[axis]
    if prompts.box_zyx is not None:
        low, high = np.clip(np.rint(prompts.box_zyx[:, axis]), 0, size - 1).astype(int)
        return list(range(low, high + 1))
    if prompts.mask is not None:
        return _marked(prompts.mask, axis)
    on_object = prompts.points_zyx[prompts.labels == 1, axis]
    return sorted({int(i) for i in np.clip(np.rint(on_object), 0, size - 1)})


def _marked(mask: Bool[np.ndarray, "z y x"], axis: int) -> list[int]:
    """Slices along an axis in which a mask marks anything."""
    return [int(i) for i in np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))]


def _touched(prompts: Prompts, axis: int) -> set[int]:
    """The slices on which any click or the mask stands."""
    clicked = np.clip(np.rint(prompts.points_zyx[:, axis]), 0, prompts.grid.shape[axis] - 1)
    return {int(i) for i in clicked} | set([] if prompts.mask is None else _marked(prompts.mask, axis))


def _certain(prompts: Prompts) -> Scores:
    """A finished mask as scores."""
    mask = np.zeros(prompts.grid.shape, bool) if prompts.mask is None else prompts.mask
    logits: Float32[np.ndarray, "1 y x"] = np.where(mask, -OUTSIDE, OUTSIDE).astype(np.float32)[None]
    return Scores(logits, prompts.grid)
