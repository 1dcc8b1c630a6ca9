"""One person at work: an image at a time, clicks, boxes and strokes, undo and redo, masks saved.

No HTTP and no torch here: a `Segmenter` answers, whatever it is made of. Places are array indices (y, x) or (z, y, x).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from promisam.core import Grid, Image, Prompts, Scores
from promisam.core.errors import InvalidPrompt, UnsupportedPrompt
from promisam.session.bench import Bench
from promisam.session.desk import Desk, Lease
from promisam.session.drawing import Asked, Drawing, Piece, Plane
from promisam.session.history import History
from promisam.session.journal import Journal
from promisam.session.project import Mark, Project, State, Status
from promisam.session.region import Region, Span
from promisam.session.strokes import stroke

SCRIBBLED = 5  # clicks that stand for a scribble


@dataclass(frozen=True, eq=False)
class Change:
    """What a person sees after an action.

    Attributes:
        span: the box that changed; None where nothing did.
        labels: the label map in that box.
    """

    span: Span | None
    labels: UInt8[np.ndarray, "*box"]


@dataclass(frozen=True)
class Prompted:
    """What the object in progress was asked for by, as array indices of the whole image.

    Attributes:
        points: places and whether they lie on it, in the order in which `move` and `remove` count them.
        box: of the plane asked about last; None without one.
    """

    points: tuple[tuple[tuple[float, ...], bool], ...]
    box: tuple[tuple[float, ...], tuple[float, ...]] | None


@dataclass
class _Open:
    """The image that is open."""

    name: str
    image: Image
    range: tuple[float, float]
    lease: Lease
    seen: Mark
    base: UInt8[np.ndarray, "*grid"]
    journal: Journal
    history: History
    revision: int


class Session:
    """One person at one image at a time. A refused action changes nothing; every change is on the disk before it is told."""

    def __init__(self, project: Project, bench: Bench, desk: Desk) -> None:
        """Nothing open yet."""
        self.project = project
        self.bench = bench
        self._desk = desk
        self._lock = threading.RLock()
        self._now: _Open | None = None

    # --- images -----------------------------------------------------------------------------------------------------------

    def open(self, name: str, *, take: bool = False) -> None:
        """Turn to an image; what was drawn on it and not finished is there again.

        Raises:
            Taken: when somebody else has it open.
            PromisamError: for an image that cannot be read, or that the method cannot take; the former stays open.
        """
        with self._lock:
            image = self.project.image(name)
            self.bench.check(image)
            extremes = float(image.pixels.min()), float(image.pixels.max())
            former = self._now
            lease = self._desk.take(name, self, over=take)  # from here on nobody else changes what is read
            try:
                seen = self.project.mark(name)
                journal = self.project.journal(name, image.grid)
                history, base = journal.read(Drawing(self.project.labels[0].value))
                if base is None:
                    base = self.project.labels_before(name, image.grid)
            except BaseException:
                if former is None or former.lease is not lease:
                    self._desk.release(lease)
                raise
            self._now = _Open(name, image, extremes, lease, seen, base, journal, history, journal.lines)
            if former is not None and former.lease is not lease:
                self._desk.release(former.lease)
            self._ahead(self._now, None)

    def close(self) -> None:
        """Leave; drafts stay."""
        with self._lock:
            if self._now is not None:
                self._desk.release(self._now.lease)
            self._now = None
            self._desk.leave(self)

    def save(self, state: State = "done") -> Path:
        """Finish the object in progress and write the mask file.

        Raises:
            UnwritableOutput: when that fails; drawing and draft are then kept.
        """
        with self._lock:
            now = self._opened()
            self._draw(now.history.now.accepted())
            labels = self._whole(now)
            with now.lease.writing():
                path = self.project.write_mask(now.name, labels, now.image.grid, now.seen)
                now.seen = self.project.mark(now.name)
                self.project.update_statuses(
                    [now.name], lambda _name, before: Status(state, "hand", before.confidence, (), before.chosen)
                )
                now.journal.drop()
            now.base, now.history = labels, History(Drawing(now.history.now.label))
            return path

    # --- what is seen -----------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str | None:
        """The image that is open."""
        return None if self._now is None or self._now.lease.ended else self._now.name

    @property
    def image(self) -> Image:
        """The image that is open."""
        return self._opened().image

    @property
    def drawing(self) -> Drawing:
        """What is drawn on it."""
        return self._opened().history.now

    @property
    def prompted(self) -> Prompted:
        """The prompts of the object in progress."""
        piece = self._opened().history.now.piece
        asked = () if piece is None else piece.asked
        points = [
            (_lifted(at, one.plane), bool(label))
            for one in asked
            for at, label in zip(one.prompts.points_zyx, one.prompts.labels, strict=True)
        ]
        box = asked[-1].prompts.box_zyx if asked else None
        return Prompted(
            tuple(points), None if box is None else (_lifted(box[0], asked[-1].plane), _lifted(box[1], asked[-1].plane))
        )

    @property
    def levels(self) -> tuple[float, float]:
        """The intensities that the method sees as black and as white."""
        now = self._opened()
        return self.bench.levels(now.name, now.image)

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest intensity of the image."""
        return self._opened().range

    @property
    def steps(self) -> tuple[bool, bool]:
        """Whether there is something to undo, and to redo."""
        history = self._opened().history
        return history.can_undo, history.can_redo

    @property
    def revision(self) -> int:
        """Counts changes since the image was opened."""
        return self._opened().revision

    def labels(self) -> UInt8[np.ndarray, "*grid"]:
        """The whole label map as it is now."""
        with self._lock:
            return self._whole(self._opened())

    # --- actions ----------------------------------------------------------------------------------------------------------

    def click(self, at: Sequence[float | int], *, positive: bool = True, plane: Plane | None = None) -> Change:
        """A point on the object in progress, or off it; on a volume, on a slice where the method works by slices."""
        return self._more(plane, lambda prompts: prompts.click(self._flat(at, prompts.grid, plane), positive))

    def box(self, low: Sequence[float | int], high: Sequence[float | int], *, plane: Plane | None = None) -> Change:
        """A box around the object in progress, in place of an earlier one on the same slice."""
        return self._more(
            plane,
            lambda prompts: prompts.with_box(self._flat(low, prompts.grid, plane), self._flat(high, prompts.grid, plane)),
            fed=False,
        )

    def scribble(self, path: Sequence[Sequence[float | int]], *, positive: bool = True, plane: Plane | None = None) -> Change:
        """Points along a line."""
        places = [path[i] for i in np.unique(np.linspace(0, len(path) - 1, min(SCRIBBLED, len(path))).round().astype(int))]

        def with_all(prompts: Prompts) -> Prompts:
            for at in places:
                prompts = prompts.click(self._flat(at, prompts.grid, plane), positive)
            return prompts

        return self._more(plane, with_all)

    def brush(
        self, path: Sequence[Sequence[float | int]], radius: float | int, *, erase: bool = False, plane: Plane | None = None
    ) -> Change:
        """Paint, or erase, all samples nearer to a line than a radius, in samples; later answers leave them so."""
        with self._lock:
            now = self._labelled()
            grid, seen = now.image.grid, plane if now.image.grid.ndim == 3 else None
            if now.image.grid.ndim == 3 and seen is None:
                raise InvalidPrompt("a stroke without a plane", expected="the slice that it lies on", do="Say which.")
            flat = [self._flat(at, grid if seen is None else grid.slice(*seen), seen) for at in path]
            painted = stroke(flat, radius, grid if seen is None else grid.slice(*seen))
            painted = painted if seen is None else painted.on_plane(*seen)
            drawing = now.history.now
            if erase and drawing.piece is None:  # of what is finished, whatever its label
                return self._draw(replace(drawing, finished=(*drawing.finished, (0, painted))))
            piece = (drawing.piece or Piece.empty(grid.ndim)).painted(painted, erase=erase)
            return self._draw(replace(drawing, piece=piece))

    def move(self, index: int, to: Sequence[float | int]) -> Change:
        """Put a point of the object in progress elsewhere on its slice."""
        return self._edited(index, lambda points, flat: _placed(points, flat, to, self._flat))

    def remove(self, index: int) -> Change:
        """Take a point of the object in progress away."""
        return self._edited(index, None)

    def choose(self, label: int) -> Change:
        """Draw another label from now on; the object in progress is finished."""
        with self._lock:
            if label not in {one.value for one in self.project.labels}:
                raise InvalidPrompt(f"the label {label}", expected="one of the project's", do="Add it first.")
            drawing = self._opened().history.now
            if label == drawing.label:
                return self._nothing()
            return self._draw(replace(drawing.accepted(), label=label))

    def accept(self) -> Change:
        """The object in progress is finished."""
        with self._lock:
            drawing = self._opened().history.now
            return self._nothing() if drawing.piece is None else self._draw(drawing.accepted())

    def clear(self) -> Change:
        """Drop the object in progress."""
        with self._lock:
            drawing = self._opened().history.now
            return self._nothing() if drawing.piece is None else self._draw(replace(drawing, piece=None))

    def empty(self) -> Change:
        """Remove everything of the active label."""
        with self._lock:
            now = self._opened()
            drawing = replace(now.history.now, piece=None)
            there = Region.of(drawing.over(now.base, _everything(now.image.grid)) == drawing.label)
            finished = (*drawing.finished, (0, there)) if there else drawing.finished
            return self._draw(replace(drawing, finished=finished))

    def undo(self) -> Change:
        """One step back."""
        return self._step("undo", lambda history: history.can_undo, History.undo)

    def redo(self) -> Change:
        """One step forth."""
        return self._step("redo", lambda history: history.can_redo, History.redo)

    def follow(self) -> Change:
        """Through a volume from the slices of the object in progress, to its ends."""
        with self._lock:
            now = self._opened()
            piece = now.history.now.piece
            if now.image.grid.ndim != 3 or piece is None or not piece.region:
                raise InvalidPrompt(
                    "nothing to follow", expected="an object in progress on a slice of a volume", do="Click on one first."
                )
            asked = [one.plane for one in piece.asked if one.plane is not None]
            axis = asked[-1][0] if asked else _flat_axis(piece.region, now.image.grid)
            drawn = (replace(piece, followed=Region.none(3)).region).within(_everything(now.image.grid))
            there = np.flatnonzero(drawn.any(axis=tuple(a for a in range(3) if a != axis)))
            masks = {int(i): np.take(drawn, i, axis) for i in there}
            found = self.bench.follow(now.name, now.image, axis, masks)
            return self._draw(replace(now.history.now, piece=replace(piece, followed=found)))

    def suggest(self) -> Change:
        """The automatic method's own masks of the active label: finished parts, the last one in progress with its prompts."""
        with self._lock:
            now = self._labelled()
            label = next(one for one in self.project.labels if one.value == now.history.now.label)
            classes = self.bench.method.classes
            if not self.bench.method.automatic:
                raise UnsupportedPrompt(
                    f"{self.bench.name} without prompts", expected="clicks or a box", do="Learn from finished images first."
                )
            if label.name not in classes and len(classes) > 1:
                raise InvalidPrompt(
                    f"the label {label.name!r}",
                    expected=f"one that was learned: {', '.join(classes)}",
                    do="Choose one of them.",
                )
            scores, told = self.bench.suggest(now.name, now.image)
            place = list(classes).index(label.name) if label.name in classes else 0
            drawing = now.history.now.accepted()
            asked = [one for one in (() if told is None else told.prompts) if one.target in ("", classes[place])]
            if now.image.grid.ndim == 2 and asked:
                *others, last = [self._asked(None, prompts, prompts) for prompts in asked]
                finished = tuple((label.value, one.answer) for one in others if one.answer)
                piece = Piece.empty(2).answered(last)
                return self._draw(replace(drawing, finished=(*drawing.finished, *finished), piece=piece))
            piece = replace(Piece.empty(now.image.grid.ndim), followed=Region.of(_shown(scores, place)))
            return self._draw(replace(drawing, piece=piece if piece.followed else None))

    # --- within -----------------------------------------------------------------------------------------------------------

    def _more(self, plane: Plane | None, add: Callable[[Prompts], Prompts], *, fed: bool = True) -> Change:
        """Ask again with further prompts on a plane; `fed` shows the method its last answer to clicks, where it learned that.

        On held-out objects of what promisam-click learned from, five clicks reach a Dice of 0.914 so, 0.905 without; an answer
        to a box is better not shown (0.900, 0.910).
        """
        with self._lock:
            now = self._labelled()
            plane = self._plane(plane)
            drawing = now.history.now
            piece = drawing.piece or Piece.empty(now.image.grid.ndim)
            before = piece.on(plane)
            grid = now.image.grid if plane is None else now.image.grid.slice(*plane)
            prompts = add(Prompts(grid) if before is None else before.prompts)
            shown = prompts
            shows = fed and "mask" in self.bench.method.accepts
            if shows and before is not None and before.answer and before.prompts.box_zyx is None:
                shown = prompts.with_mask(_on(before.answer, grid, plane))
            change = self._draw(replace(drawing, piece=piece.answered(self._asked(plane, prompts, shown))))
            if before is None and plane is not None:
                self._ahead(now, plane)
            return change

    def _asked(self, plane: Plane | None, prompts: Prompts, shown: Prompts) -> Asked:
        now = self._opened()
        scores = self.bench.ask(now.name, now.image, plane, shown)
        answer = Region.of(_shown(scores, 0))
        quality = float(np.clip(scores.quality[0], 0, 1)) if scores.quality else None
        return Asked(plane, prompts, answer if plane is None else answer.on_plane(*plane), quality)

    def _edited(self, index: int, change: Callable[[Prompts, tuple[int, Plane | None]], Prompts] | None) -> Change:
        """Another set of points: point `index`, counted over all planes, is changed, or goes."""
        with self._lock:
            now = self._opened()
            piece = now.history.now.piece
            for asked in () if piece is None else piece.asked:
                count = len(asked.prompts.points_zyx)
                if 0 <= index < count:
                    prompts = _without(asked.prompts, index) if change is None else change(asked.prompts, (index, asked.plane))
                    usable = prompts.box_zyx is not None or bool(prompts.labels.any())
                    rest = piece.without(asked.plane) if piece is not None else Piece.empty(now.image.grid.ndim)
                    if usable:
                        rest = rest.answered(self._asked(asked.plane, prompts, prompts))
                    return self._draw(replace(now.history.now, piece=rest))
                index -= count
            raise InvalidPrompt("a point that is not there", expected="one of the object in progress", do="Look again.")

    def _draw(self, drawing: Drawing) -> Change:
        """Make a change: on the disk first."""
        now = self._opened()
        before = now.history.now
        if drawing is before:
            return self._nothing()
        with now.lease.writing():
            now.journal.add(drawing, before, now.base)
            now.history.add(drawing)
        return self._changed(before)

    def _step(self, direction: str, can: Callable[[History], bool], go: Callable[[History], Drawing]) -> Change:
        with self._lock:
            now = self._opened()
            if not can(now.history):
                return self._nothing()
            before = now.history.now
            with now.lease.writing():
                now.journal.move(direction)
                go(now.history)
            return self._changed(before)

    def _changed(self, before: Drawing) -> Change:
        now = self._opened()
        now.revision += 1
        span = now.history.now.changed(before)
        if span is None:
            return self._nothing()
        return Change(span, now.history.now.over(now.base, span))

    def _nothing(self) -> Change:
        return Change(None, np.zeros((0,) * self._opened().image.grid.ndim, np.uint8))

    def _whole(self, now: _Open) -> UInt8[np.ndarray, "*grid"]:
        return now.history.now.over(now.base, _everything(now.image.grid))

    def _opened(self) -> _Open:
        if self._now is None:
            raise InvalidPrompt("no image is open", expected="one", do="Open one from the list.")
        self._now.lease.check()
        return self._now

    def _labelled(self) -> _Open:
        """The image that is open, whose active label is still one of the project's."""
        now = self._opened()
        if now.history.now.label not in {one.value for one in self.project.labels}:
            raise InvalidPrompt(
                f"the label {now.history.now.label}, which is gone", expected="one of the project's", do="Choose a label."
            )
        return now

    def _plane(self, plane: Plane | None) -> Plane | None:
        """The slice that is asked about, where the method works by slices."""
        grid = self._opened().image.grid
        if not self.bench.by_slices(self._opened().image):
            return None
        if plane is None or not (plane[0] in (0, 1, 2) and 0 <= plane[1] < grid.shape[plane[0]]):
            raise InvalidPrompt(f"the slice {plane}", expected="one of the volume", do="Click inside the image.")
        return plane

    def _flat(self, at: Sequence[float | int], grid: Grid, plane: Plane | None) -> list[float]:
        """A place on the grid that prompts are given on: of a volume's slice, without the axis across it."""
        if grid.ndim < len(at) and plane is not None:
            return [float(x) for axis, x in enumerate(at) if axis != plane[0]]
        return [float(x) for x in at]

    def _ahead(self, now: _Open, asked: Plane | None) -> None:
        """Encode what may be asked about: the image or the slices beside the last one, then the next image."""
        names = [now.name, *filter(None, [self.project.next_after(now.name)])]
        wanted: list[tuple[str, Callable[[], Image], Plane | None]] = [
            (name, partial(self.project.image, name), None) for name in names
        ]
        if asked is not None:
            axis, index = asked
            beside = [(axis, i) for i in (index + 1, index - 1) if 0 <= i < now.image.grid.shape[axis]]
            wanted[:1] = [(now.name, partial(self.project.image, now.name), plane) for plane in beside]
        self.bench.ahead(*wanted)


def _lifted(at: np.ndarray, plane: Plane | None) -> tuple[float, ...]:
    """A place on a slice as one of the volume."""
    found = [float(x) for x in at]
    if plane is not None:
        found.insert(plane[0], float(plane[1]))
    return tuple(found)


def _flat_axis(region: Region, grid: Grid) -> int:
    """The axis across a region of one slice, else that along which slices were acquired."""
    return next((axis for axis, n in enumerate(region.mask.shape) if n == 1), grid.coarsest_axis)


def _everything(grid: Grid) -> Span:
    return tuple((0, n) for n in grid.shape)


def _shown(scores: Scores, place: int) -> Bool[np.ndarray, "*grid"]:
    return np.asarray(scores.logits[place] > 0)


def _on(answer: Region, grid: Grid, plane: Plane | None) -> Bool[np.ndarray, "*grid"]:
    """An answer on the image's axes as a mask of the slice, or image, that was asked about."""
    if plane is None:
        return answer.within(_everything(grid))
    axis, index = plane
    span = list(_everything(grid))
    span.insert(axis, (index, index + 1))
    return np.asarray(np.take(answer.within(tuple(span)), 0, axis))


def _without(prompts: Prompts, index: int) -> Prompts:
    kept = np.arange(len(prompts.points_zyx)) != index
    return replace(prompts, points_zyx=prompts.points_zyx[kept], labels=prompts.labels[kept])


def _placed(
    prompts: Prompts,
    which: tuple[int, Plane | None],
    to: Sequence[float | int],
    flat: Callable[[Sequence[float | int], Grid, Plane | None], list[float]],
) -> Prompts:
    index, plane = which
    points = prompts.points_zyx.copy()
    points[index] = flat(to, prompts.grid, plane)
    return replace(prompts, points_zyx=points)
