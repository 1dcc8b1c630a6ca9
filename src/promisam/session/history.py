"""Undo and redo: a list of frozen drawings and a place in it."""

from __future__ import annotations

from promisam.session.drawing import Drawing


class History:
    """Drawings in order; what was undone is forgotten as soon as something else is drawn."""

    def __init__(self, first: Drawing) -> None:
        """Begin with a drawing that cannot be undone."""
        self._drawings = [first]
        self._place = 0

    @property
    def now(self) -> Drawing:
        """The drawing."""
        return self._drawings[self._place]

    @property
    def can_undo(self) -> bool:
        """Whether there is anything before."""
        return self._place > 0

    @property
    def can_redo(self) -> bool:
        """Whether anything was undone."""
        return self._place + 1 < len(self._drawings)

    def add(self, drawing: Drawing) -> None:
        """A change."""
        self._drawings[self._place + 1 :] = [drawing]
        self._place += 1

    def undo(self) -> Drawing:
        """One step back; stays at the first."""
        self._place = max(0, self._place - 1)
        return self.now

    def redo(self) -> Drawing:
        """One step forth; stays at the last."""
        self._place = min(len(self._drawings) - 1, self._place + 1)
        return self.now
