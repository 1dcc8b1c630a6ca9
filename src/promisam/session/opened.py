"""The image that a person has open: what is drawn on it, on the disk before anybody is told."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from promisam.core import Image
from promisam.session.desk import Desk, Lease
from promisam.session.drawing import Drawing
from promisam.session.history import History
from promisam.session.journal import Journal
from promisam.session.places import everything
from promisam.session.project import Mark, Project, State, Status
from promisam.session.region import Span


@dataclass(frozen=True, eq=False)
class Change:
    """What a person sees after an action.

    Attributes:
        span: the box that changed; None where nothing did.
        labels: the label map in that box.
    """

    span: Span | None
    labels: UInt8[np.ndarray, "*box"]


@dataclass
class Opened:
    """An image at work.

    Attributes:
        name: of it.
        image: its values.
        range: its lowest and highest intensity.
        lease: until when it is this person's.
        revision: counts changes, from those that stand in the journal.
    """

    name: str
    image: Image
    range: tuple[float, float]
    lease: Lease
    revision: int
    _seen: Mark
    _base: UInt8[np.ndarray, "*grid"]
    _journal: Journal
    _history: History

    @classmethod
    def take(cls, project: Project, name: str, image: Image, lease: Lease) -> Opened:
        """With what was drawn on it before. Whoever has the lease is the only one who changes what is read here.

        Raises:
            PromisamError: for a mask or a draft that cannot be read.
        """
        seen = project.mark(name)
        journal = project.journal(name, image.grid)
        history, base = journal.read(Drawing(project.labels[0].value))
        if base is None:
            base = project.labels_before(name, image.grid)
        extremes = float(image.pixels.min()), float(image.pixels.max())
        return cls(name, image, extremes, lease, journal.lines, seen, base, journal, history)

    @property
    def drawing(self) -> Drawing:
        """What is drawn."""
        return self._history.now

    @property
    def steps(self) -> tuple[bool, bool]:
        """Whether there is something to undo, and to redo."""
        return self._history.can_undo, self._history.can_redo

    def labels(self, drawing: Drawing | None = None) -> UInt8[np.ndarray, "*grid"]:
        """The whole label map, as drawn or as another drawing would have it."""
        return (drawing or self.drawing).over(self._base, everything(self.image.grid))

    def draw(self, drawing: Drawing) -> Change:
        """Make a change.

        Raises:
            Taken: when the image is somebody else's now.
            UnwritableOutput: when the change cannot be kept; then it is not made.
        """
        before = self.drawing
        if drawing is before:
            return self.nothing()
        with self.lease.writing():
            self._journal.add(drawing, before, self._base)
            self._history.add(drawing)
        return self._changed(before)

    def undo(self) -> Change:
        """One step back. Raises as `draw`."""
        if not self._history.can_undo:
            return self.nothing()
        before = self.drawing
        with self.lease.writing():
            self._journal.move("undo")
            self._history.undo()
        return self._changed(before)

    def redo(self) -> Change:
        """One step forth. Raises as `draw`."""
        if not self._history.can_redo:
            return self.nothing()
        before = self.drawing
        with self.lease.writing():
            self._journal.move("redo")
            self._history.redo()
        return self._changed(before)

    def save(self, project: Project, state: State) -> Path:
        """Write the mask file and note where the image stands; the draft is done with.

        Raises:
            UnwritableOutput: when that fails; drawing and draft are then kept.
        """
        self.draw(self.drawing.accepted())
        labels = self.labels()
        with self.lease.writing():
            path = project.write_mask(self.name, labels, self.image.grid, self._seen)
            self._seen = project.mark(self.name)
            project.update_statuses(
                [self.name], lambda _name, before: Status(state, "hand", before.confidence, (), before.chosen)
            )
            self._journal.drop()
        self._base, self._history = labels, History(Drawing(self.drawing.label))
        return path

    def nothing(self) -> Change:
        """No change."""
        return Change(None, np.zeros((0,) * self.image.grid.ndim, np.uint8))

    def _changed(self, before: Drawing) -> Change:
        self.revision += 1
        span = self.drawing.changed(before)
        return self.nothing() if span is None else Change(span, self.drawing.over(self._base, span))


def taken(desk: Desk, project: Project, name: str, by: Hashable, former: Opened | None, *, over: bool) -> Opened:
    """An image for somebody, in place of the one before; where it cannot be read, that one is kept.

    Raises:
        Taken: when somebody else has it open.
        PromisamError: when it, its mask or its draft cannot be read.
    """
    image = project.image(name)
    lease = desk.take(name, by, over=over)
    kept = None if former is None else former.lease
    try:
        opened = Opened.take(project, name, image, lease)
    except BaseException:
        if kept is not lease:
            desk.release(lease)
        raise
    if kept is not None and kept is not lease:
        desk.release(kept)
    return opened
