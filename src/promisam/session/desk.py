"""Who has which image open."""

from __future__ import annotations

import threading
from typing import Protocol, runtime_checkable

from promisam.core.errors import PromisamError


class Taken(PromisamError):
    """An image that somebody else has open."""


@runtime_checkable
class Holder(Protocol):
    """Who can have an image."""

    def drop(self, name: str) -> None:
        """Somebody else took it."""
        ...


class Desk:
    """Who has which image."""

    def __init__(self) -> None:
        """Nobody has any."""
        self._lock = threading.Lock()
        self._holders: dict[str, Holder] = {}

    def take(self, name: str, session: Holder, *, over: bool) -> None:
        """Give an image to a session.

        Raises:
            Taken: when another has it, unless it is to be taken over.
        """
        with self._lock:
            holder = self._holders.get(name)
            if holder not in (None, session):
                if not over:
                    raise Taken(
                        f"{name}, which is open elsewhere", expected="an image that is free", do="Take it over, or wait."
                    )
                holder.drop(name)
            self._holders = {n: s for n, s in self._holders.items() if s is not session} | {name: session}

    def release(self, session: Holder) -> None:
        """Whatever it has is free."""
        with self._lock:
            self._holders = {n: s for n, s in self._holders.items() if s is not session}
