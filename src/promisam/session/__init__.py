"""One person at work on images: prompts, strokes, undo, cache, drafts that survive. No HTTP, and no torch in its interface."""

from promisam.session.bench import Bench
from promisam.session.desk import Desk, Taken
from promisam.session.drawing import Asked, Drawing, Piece, Plane
from promisam.session.opened import Change
from promisam.session.project import Label, Project, State, Status
from promisam.session.region import Region, Span
from promisam.session.session import Prompted, Session

__all__ = [
    "Asked",
    "Bench",
    "Change",
    "Desk",
    "Drawing",
    "Label",
    "Piece",
    "Plane",
    "Project",
    "Prompted",
    "Region",
    "Session",
    "Span",
    "State",
    "Status",
    "Taken",
]
