"""Who has which image open."""

from __future__ import annotations

import threading
import time
from typing import Protocol, runtime_checkable

from promisam.core.errors import PromisamError

SILENT = 90.0  # seconds after which somebody is taken to have left; pages in the background are heard once a minute


class Taken(PromisamError):
    """An image that somebody else has open."""


@runtime_checkable
class Holder(Protocol):
    """Who can have an image."""

    def drop(self, name: str) -> None:
        """Somebody else took it."""
        ...


class Desk:
    """Gives each image to one at a time. Who left, or was silent for long, keeps an image until somebody else wants it."""

    def __init__(self) -> None:
        """Nobody has any."""
        self._lock = threading.Lock()
        self._holders: dict[str, Holder] = {}
        self._heard: dict[Holder, float] = {}

    def hear(self, holder: Holder) -> None:
        """Somebody is there."""
        with self._lock:
            self._heard[holder] = time.monotonic()

    def leave(self, holder: Holder) -> None:
        """Somebody went away, perhaps to come back."""
        with self._lock:
            self._heard.pop(holder, None)

    def take(self, name: str, by: Holder, *, over: bool) -> None:
        """Give an image to somebody, who gives back the former one.

        Raises:
            Taken: when another has it and is there, unless it is to be taken over.
        """
        with self._lock:
            holder = self._holders.get(name)
            if holder is not None and holder is not by:
                there = time.monotonic() - self._heard.get(holder, -SILENT - time.monotonic()) < SILENT
                if there and not over:
                    raise Taken(
                        f"{name}, which is open elsewhere", expected="an image that is free", do="Take it over, or wait."
                    )
                holder.drop(name)
            self._holders = {n: one for n, one in self._holders.items() if one is not by} | {name: by}
            self._heard[by] = time.monotonic()

    def release(self, holder: Holder) -> None:
        """Whatever somebody has is free."""
        with self._lock:
            self._holders = {n: one for n, one in self._holders.items() if one is not holder}
            self._heard.pop(holder, None)
