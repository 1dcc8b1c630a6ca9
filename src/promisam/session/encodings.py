"""Encoded images, the latest used of them: every further prompt costs the decoder alone."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class Encodings:
    """Values by key, made once each, the least recently used given up first; safe from several threads.

    Making is left to one thread, always the same: an encoder takes the whole machine anyway, and memory that it used stays with
    its thread.
    """

    def __init__(self, keep: int = 64) -> None:
        """Keep so many; an embedding of a released SAM takes 4 MB."""
        self.keep = keep
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()
        self._making = threading.Lock()
        self._maker = ThreadPoolExecutor(1, thread_name_prefix="encode")
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="encode-ahead")
        self._wanted: list[Future[None]] = []
        self._closed = False

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._kept)

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:  # noqa: ANN401 - each method has its own Encoded
        """The value of a key; made where it is not kept."""
        if (found := self._found(key)) is not None:
            return found
        with self._making:
            if (found := self._found(key)) is not None:
                return found
            made = self._maker.submit(make).result()
            with self._lock:
                self._kept[key] = made
                while len(self._kept) > self.keep:
                    self._kept.popitem(last=False)
            return made

    def ahead(self, works: Sequence[Callable[[], object]]) -> None:
        """Do these in the background, in place of earlier ones whose turn has not come."""
        for waiting in self._wanted:
            waiting.cancel()
        self._wanted = [] if self._closed else [self._ahead.submit(_tried, work) for work in works]

    def forget(self, keep: Callable[[Any], bool] = lambda _key: False) -> None:
        """Give up the values of all keys but those to keep."""
        with self._lock:
            for key in [key for key in self._kept if not keep(key)]:
                del self._kept[key]

    def close(self) -> None:
        """End the background's work; values are still made when they are asked for."""
        self._closed = True
        self._ahead.shutdown(wait=True, cancel_futures=True)

    def _found(self, key: Hashable) -> Any:  # noqa: ANN401
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            return None


def _tried(work: Callable[[], object]) -> None:
    try:
        work()
    except Exception:  # whoever needs it will meet it again, and can be told
        return
