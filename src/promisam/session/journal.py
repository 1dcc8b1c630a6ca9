"""What was drawn, line by line on the disk before anybody is told that it is there: a killed program loses nothing."""

from __future__ import annotations

import base64
import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import UInt8

from promisam.core import Grid, Prompts
from promisam.core.errors import PromisamError, UnreadableFile
from promisam.io.atomic import writing
from promisam.session.drawing import Asked, Drawing, Piece
from promisam.session.history import History
from promisam.session.region import Region

FORMAT = 2


class Journal:
    """One file a picture or volume: a first line with the labels that were drawn over, then one for each change.

    A line is on the disk before the change is answered. A last line that was cut off, as by a loss of power, is left out.

    Attributes:
        lines: changes that stand in it.
    """

    def __init__(self, path: Path, grid: Grid) -> None:
        """Of an image of this grid; nothing is written yet."""
        self.path = path
        self.grid = grid
        self.lines = 0

    def read(self, first: Drawing) -> tuple[History, UInt8[np.ndarray, "*grid"] | None]:
        """The history as it was when the last line was written, and the labels below it.

        Without a file, the first drawing alone, and None.

        Raises:
            UnreadableFile: for a file that is no journal of an image of this size.
        """
        history = History(first)
        lines = list(_lines(self.path)) if self.path.is_file() else []
        if not lines:
            return history, None
        if not (lines[0].get("format") == FORMAT and lines[0].get("shape") == list(self.grid.shape)):
            raise UnreadableFile(
                f"the draft {self.path}, of an image of {lines[0].get('shape')}",
                expected=f"one of {list(self.grid.shape)}",
                do="The image was changed since: move the draft away, or bring the image back.",
            )
        for line in lines[1:]:
            self._replay(line, history)
        self.lines = len(lines) - 1
        return history, self._unpacked(lines[0])

    def add(self, drawing: Drawing, before: Drawing, base: UInt8[np.ndarray, "*grid"]) -> None:
        """A change; the first one is written with the labels that it was drawn over.

        Raises:
            UnwritableOutput: when the operating system refuses.
        """
        same = next(
            (i for i, (a, b) in enumerate(zip(before.finished, drawing.finished, strict=False)) if a is not b),
            min(len(before.finished), len(drawing.finished)),
        )
        self._write(
            {
                "do": "draw",
                "label": drawing.label,
                "same": same,
                "finished": [[value, region.to_json()] for value, region in drawing.finished[same:]],
                "piece": None if drawing.piece is None else _piece(drawing.piece),
            },
            base,
        )

    def move(self, direction: str) -> None:
        """An "undo" or a "redo"."""
        self._write({"do": direction})

    def drop(self) -> None:
        """The drawing is in a mask file now, or is not wanted."""
        with writing(self.path):
            self.path.unlink(missing_ok=True)
        self.lines = 0

    def _write(self, line: Mapping[str, object], base: UInt8[np.ndarray, "*grid"] | None = None) -> None:
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b") as file:
                whole = _mend(file)
                try:
                    if not whole:
                        file.write(_line(self._header(base)))
                    file.write(_line(line))
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    with suppress(OSError):
                        file.truncate(whole)  # what is not certain to be there was not drawn
                    raise
        self.lines += 1

    def _header(self, base: UInt8[np.ndarray, "*grid"] | None) -> dict[str, object]:
        packed = "" if base is None or not base.any() else base64.b64encode(zlib.compress(base.tobytes(), 1)).decode()
        return {"format": FORMAT, "shape": list(self.grid.shape), "base": packed}

    def _unpacked(self, header: Mapping[str, Any]) -> UInt8[np.ndarray, "*grid"]:
        try:
            if not header["base"]:
                return np.zeros(self.grid.shape, np.uint8)
            return np.frombuffer(zlib.decompress(base64.b64decode(header["base"])), np.uint8).reshape(self.grid.shape)
        except (KeyError, TypeError, ValueError, zlib.error) as error:
            raise UnreadableFile(
                f"the draft {self.path} ({error})", expected="what promisam wrote there", do="Move it away to begin anew."
            ) from error

    def _replay(self, line: Mapping[str, Any], history: History) -> None:
        try:
            if line["do"] == "undo":
                history.undo()
                return
            if line["do"] == "redo":
                history.redo()
                return
            before = history.now.finished[: int(line["same"])]
            new = [(int(value), Region.from_json(region)) for value, region in line["finished"]]
            piece = None if line["piece"] is None else self._piece(line["piece"])
            history.add(Drawing(int(line["label"]), (*before, *new), piece))
        except (KeyError, TypeError, ValueError, PromisamError) as error:
            raise UnreadableFile(
                f"the draft {self.path} ({error})", expected="what promisam wrote there", do="Move it away to begin anew."
            ) from error

    def _piece(self, kept: Mapping[str, Any]) -> Piece:
        asked = []
        for one in kept["asked"]:
            plane = None if one["plane"] is None else (int(one["plane"][0]), int(one["plane"][1]))
            prompts = Prompts(self.grid if plane is None else self.grid.slice(*plane), target=one["target"])
            for at, label in one["points"]:
                prompts = prompts.click(at, positive=bool(label))
            if one["box"] is not None:
                prompts = prompts.with_box(*one["box"])
            asked.append(Asked(plane, prompts, Region.from_json(one["answer"]), one["quality"]))
        regions = (Region.from_json(kept[name]) for name in ("followed", "added", "removed"))
        return Piece(tuple(asked), *regions)


def _piece(piece: Piece) -> dict[str, object]:
    return {
        "asked": [
            {
                "plane": one.plane,
                "points": [[at.tolist(), label] for at, label in _points(one.prompts)],
                "box": None if one.prompts.box_zyx is None else one.prompts.box_zyx.tolist(),
                "target": one.prompts.target,
                "answer": one.answer.to_json(),
                "quality": one.quality,
            }
            for one in piece.asked
        ],
        "followed": piece.followed.to_json(),
        "added": piece.added.to_json(),
        "removed": piece.removed.to_json(),
    }


def _points(prompts: Prompts) -> Sequence[tuple[np.ndarray, int]]:
    return [(at, int(label)) for at, label in zip(prompts.points_zyx, prompts.labels, strict=True)]


def _line(content: Mapping[str, object]) -> bytes:
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with writing(path):
        whole = path.read_bytes()
    for text in whole.split(b"\n")[:-1]:  # what follows the last line's end was cut off
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise UnreadableFile(
                f"the draft {path}, which is damaged", expected="a line for each change", do="Move it away to begin anew."
            )
        yield found


def _mend(file: BinaryIO) -> int:
    """Take away a last line that was cut off, so that the next one stands by itself; the size of what is whole."""
    size = file.seek(0, os.SEEK_END)
    if size:
        file.seek(size - 1)
        if file.read(1) != b"\n":
            file.seek(0)
            size = file.read().rfind(b"\n") + 1
            file.truncate(size)
    file.seek(0, os.SEEK_END)
    return size
