"""Scalars for TensorBoard, written at once and in order: a full disk is then an error here, and not a thread that hangs."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from pathlib import Path

from promisam.io.atomic import writing

FLUSH = 30.0  # seconds after which what was written can be looked at


class Board:
    """An event file in a folder."""

    def __init__(self, folder: Path, since: int = -1) -> None:
        """Begin a file.

        Args:
            folder: of all event files of one run.
            since: the step that training goes on from, beyond which earlier files are not to be shown; -1 to begin anew.

        Raises:
            UnwritableOutput: when the operating system refuses, here and in every other call.
        """
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        self.folder = folder
        self._shown = time.monotonic()
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._events = EventsWriter(str(folder / "events"), f".{secrets.token_hex(4)}")
            if since >= 0:
                self._events.write_event(Event(step=since + 1, session_log=SessionLog(status=SessionLog.START)))

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Write the values of one step."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar

        with writing(self.folder):
            for name, value in values.items():
                self._events.write_event(Event(wall_time=time.time(), step=step, summary=scalar(name, value)))
            if time.monotonic() - self._shown > FLUSH:
                self._events.flush()
                self._shown = time.monotonic()

    def close(self) -> None:
        """Finish the file."""
        with writing(self.folder):
            self._events.close()
