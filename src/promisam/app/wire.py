"""What goes over the wire: actions in, views out, as JSON."""

from __future__ import annotations

import base64
import zlib
from typing import Annotated, Any, Literal

import numpy as np
from jaxtyping import UInt8
from pydantic import BaseModel, ConfigDict, Field

from promisam.app.display import Display
from promisam.core.errors import PromisamError
from promisam.session import Change, Prompted, Session, Span

_LONGEST = 20_000  # places of a stroke
Number = Annotated[float, Field(allow_inf_nan=False)]
Place = Annotated[list[Number], Field(min_length=2, max_length=3)]
Letter = Literal["x", "y", "z"]


class _Said(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Click(_Said):
    """A point."""

    do: Literal["click"]
    at: Place
    positive: bool = True
    plane: Letter | None = None


class Box(_Said):
    """A box by two corners, in any order."""

    do: Literal["box"]
    low: Place
    high: Place
    plane: Letter | None = None


class Scribble(_Said):
    """A line that stands for points."""

    do: Literal["scribble"]
    path: Annotated[list[Place], Field(min_length=1, max_length=_LONGEST)]
    positive: bool = True
    plane: Letter | None = None


class Brush(_Said):
    """A stroke by hand."""

    do: Literal["brush"]
    path: Annotated[list[Place], Field(min_length=1, max_length=_LONGEST)]
    radius: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    erase: bool = False
    plane: Letter | None = None


class Move(_Said):
    """A point elsewhere."""

    do: Literal["move"]
    index: int
    to: Place


class Remove(_Said):
    """A point less."""

    do: Literal["remove"]
    index: int


class Choose(_Said):
    """Another label."""

    do: Literal["label"]
    value: int


class Plain(_Said):
    """What needs nothing said beside."""

    do: Literal["accept", "clear", "empty", "undo", "redo", "suggest", "follow"]
    plane: Letter | None = None


Action = Annotated[Click | Box | Scribble | Brush | Move | Remove | Choose | Plain, Field(discriminator="do")]


def act(session: Session, said: Action, display: Display) -> Change:
    """Do what was said."""
    match said:
        case Click():
            plane = display.plane(said.plane, said.at)
            return session.click(display.place(said.at), positive=said.positive, plane=plane)
        case Box():
            one, two = display.place(said.low), display.place(said.high)
            low, high = np.minimum(one, two).tolist(), np.maximum(one, two).tolist()
            return session.box(low, high, plane=display.plane(said.plane, said.low))
        case Scribble():
            path, plane = [display.place(at) for at in said.path], display.plane(said.plane, said.path[0])
            return session.scribble(path, positive=said.positive, plane=plane)
        case Brush():
            path, plane = [display.place(at) for at in said.path], display.plane(said.plane, said.path[0])
            return session.brush(path, said.radius, erase=said.erase, plane=plane)
        case Move():
            return session.move(said.index, display.place(said.to))
        case Remove():
            return session.remove(said.index)
        case Choose():
            return session.choose(said.value)
        case Plain():
            return getattr(session, said.do)()  # type: ignore[no-any-return]


def view(session: Session, change: Change | None, milliseconds: float) -> dict[str, object]:
    """What the page shows; without a change, the whole label map."""
    image, drawing = session.image, session.drawing
    display = Display.of(image.grid)
    span: Span | None = tuple((0, n) for n in image.grid.shape)
    labels = session.labels() if change is None else change.labels
    span = span if change is None else change.span
    undo, redo = session.steps
    return {
        "image": session.name,
        "ndim": image.grid.ndim,
        "size": display.size,
        "spacing": display.spacing(image.grid),
        "unit": image.grid.unit,
        "levels": list(session.levels),
        "range": list(session.range),
        "state": session.project.status(str(session.name)).state,
        "label": drawing.label,
        "revision": session.revision,
        "prompts": _prompts(session.prompted, display),
        "object": drawing.piece is not None,
        "undo": undo,
        "redo": redo,
        "quality": None if drawing.piece is None else drawing.piece.quality,
        "labels": patch(labels, span, display),
        "milliseconds": round(milliseconds, 1),
    }


def patch(labels: UInt8[np.ndarray, "*box"], span: Span | None, display: Display) -> dict[str, object]:
    """A part of the label map, x fastest."""
    if span is None:
        nothing = [0] * len(display.axes)
        return {"start": nothing, "size": nothing, "data": ""}
    start, size = display.span(span)
    packed = zlib.compress(np.ascontiguousarray(display.array(labels)).tobytes(), 1)
    return {"start": start, "size": size, "data": base64.b64encode(packed).decode()}


def fault(error: PromisamError) -> dict[str, Any]:
    """A refusal, for people."""
    return {"error": {"text": str(error), "given": error.given, "expected": error.expected, "do": error.do}}


def sentence(text: str) -> dict[str, Any]:
    """A refusal in one sentence."""
    return {"error": {"text": text, "given": "", "expected": "", "do": ""}}


def _prompts(found: Prompted, display: Display) -> dict[str, object]:
    box = None
    if found.box is not None:
        corners = np.array([display.on_page(corner) for corner in found.box])
        box = [corners.min(0).tolist(), corners.max(0).tolist()]
    return {"points": [{"at": display.on_page(at), "positive": on} for at, on in found.points], "box": box}
