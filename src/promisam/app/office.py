"""Who is at work: sessions by their numbers, one project, one method."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict

from promisam.core.errors import PromisamError
from promisam.session import Bench, Desk, Project, Session

SESSIONS = 64  # pages at a time; the one that was silent longest leaves for a further one


class Unknown(PromisamError):
    """A session that has ended, or never was."""


class Office:
    """Sessions by number."""

    def __init__(self, project: Project, bench: Bench) -> None:
        """Nobody is there yet."""
        self.project = project
        self.bench = bench
        self._desk = Desk()
        self._lock = threading.Lock()
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def enter(self) -> str:
        """A new session's number."""
        number = secrets.token_urlsafe(12)
        with self._lock:
            self._sessions[number] = Session(self.project, self.bench, self._desk)
            if len(self._sessions) > SESSIONS:
                self._sessions.popitem(last=False)[1].close()
        return number

    def session(self, number: str) -> Session:
        """The session of that number.

        Raises:
            Unknown: without one.
        """
        with self._lock:
            if number not in self._sessions:
                raise Unknown("a session that has ended", expected="one of this server", do="Load the page again.")
            self._sessions.move_to_end(number)
            self._desk.hear(self._sessions[number])
            return self._sessions[number]

    def leave(self, number: str) -> None:
        """A page was closed, or is loaded again: until it is heard of, others may take its image.

        Raises:
            Unknown: without such a session.
        """
        self._desk.leave(self.session(number))

    def close(self) -> None:
        """Everybody leaves; drafts stay."""
        with self._lock:
            for session in self._sessions.values():
                session.close()
            self._sessions.clear()
        self.bench.close()
