"""Who has which image open."""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from promisam.core.errors import PromisamError

SILENT = 90.0  # seconds after which somebody is taken to have left; pages in the background are heard once a minute


class Taken(PromisamError):
    """An image that somebody else has open."""


@dataclass(eq=False)
class Lease:
    """One person's hold of one image.

    Attributes:
        name: the image.
        holder: who has it.
    """

    name: str
    holder: Hashable
    _ended: bool = False
    _writing: threading.Lock = field(default_factory=threading.Lock)

    @property
    def ended(self) -> bool:
        """Whether somebody else has the image now."""
        return self._ended

    @contextmanager
    def writing(self) -> Iterator[None]:
        """While something is written of the image; who takes it over waits for the end.

        Raises:
            Taken: when somebody else has it.
        """
        with self._writing:
            self.check()
            yield

    def check(self) -> None:
        """Refuse where somebody else has the image now.

        Raises:
            Taken: then.
        """
        if self._ended:
            raise Taken(f"{self.name}, which was opened elsewhere", expected="a free image", do="Open it again.")

    def end(self) -> None:
        """Nothing is written by this holder from now on."""
        with self._writing:
            self._ended = True


class Desk:
    """Gives each image to one at a time. Who left, or was silent for long, keeps an image until somebody else wants it."""

    def __init__(self) -> None:
        """Nobody has any."""
        self._lock = threading.Lock()
        self._leases: dict[str, Lease] = {}
        self._heard: dict[Hashable, float] = {}

    def hear(self, holder: Hashable) -> None:
        """Somebody is there."""
        with self._lock:
            self._heard[holder] = time.monotonic()

    def leave(self, holder: Hashable) -> None:
        """Somebody went away, perhaps to come back."""
        with self._lock:
            self._heard.pop(holder, None)

    def take(self, name: str, by: Hashable, *, over: bool) -> Lease:
        """Give an image to somebody; back when its former holder writes no more.

        Raises:
            Taken: when another has it and is there, unless it is to be taken over.
        """
        with self._lock:
            former = self._leases.get(name)
            if former is not None and former.holder == by:
                return former
            heard = None if former is None else self._heard.get(former.holder)
            if heard is not None and time.monotonic() - heard < SILENT and not over:
                raise Taken(f"{name}, which is open elsewhere", expected="a free image", do="Take it over, or wait.")
            lease = self._leases[name] = Lease(name, by)
            self._heard[by] = time.monotonic()
        if former is not None:
            former.end()  # not under the desk's lock: it may have to wait for a file
        return lease

    def release(self, lease: Lease) -> None:
        """An image is free."""
        with self._lock:
            if self._leases.get(lease.name) is lease:
                del self._leases[lease.name]
        lease.end()
