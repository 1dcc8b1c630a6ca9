"""Encoding and answering, timed apart."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from promisam.core import Grid, Image, PromptKind, Prompts, Scores, Segmenter
from promisam.spatial.slices import SliceWise


class TimedEncoder:
    """A method whose intensity step and encoder are timed; in all else the method itself."""

    def __init__(self, method: Segmenter, settle: Callable[[], None]) -> None:
        """Time a method.

        Args:
            method: what is timed.
            settle: waits for the device, which may still compute when a call has returned.
        """
        self.method = method
        self.settle = settle
        self.seconds = 0.0

    @property
    def ndim(self) -> int:
        """The method's own."""
        return self.method.ndim

    @property
    def accepts(self) -> frozenset[PromptKind]:
        """The method's own."""
        return self.method.accepts

    @property
    def automatic(self) -> bool:
        """The method's own."""
        return self.method.automatic

    @property
    def classes(self) -> tuple[str, ...]:
        """The method's own."""
        return self.method.classes

    def prepare(self, image: Image) -> Image:
        """The method's intensity step, timed."""
        begun = time.perf_counter()
        prepared = self.method.prepare(image)
        self.seconds += time.perf_counter() - begun
        return prepared

    def check(self, grid: Grid, prompts: Prompts) -> None:
        """The method's own."""
        self.method.check(grid, prompts)

    def encode(self, image: Image) -> Any:  # noqa: ANN401 - whatever the method's encoding is
        """The method's encoder, timed."""
        begun = time.perf_counter()
        encoded = self.method.encode(image)
        self.settle()
        self.seconds += time.perf_counter() - begun
        return encoded

    def decode(self, encoded: Any, prompts: Prompts) -> Scores:  # noqa: ANN401 - each method has its own Encoded
        """The method's own."""
        return self.method.decode(encoded, prompts)


def settled() -> None:
    """Wait for whatever still computes on an accelerator."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
    if torch.backends.mps.is_available():
        torch.mps.synchronize()


class Stopwatch:
    """Asks a method, and knows how long it encoded and how long it took to answer.

    A method of pictures that walks a volume encodes a slice when a prompt first touches it, which is in the midst of an answer.
    That time, too, counts as encoding.
    """

    def __init__(self, method: Segmenter, settle: Callable[[], None] = lambda: None) -> None:
        """Watch a method, which is left as it is.

        Args:
            method: what is asked.
            settle: waits for the device, which may still compute when a call has returned.
        """
        if isinstance(method, SliceWise):
            self._encoder = TimedEncoder(method.method, settle)
            self.method: Segmenter = SliceWise(self._encoder, axis=method.axis, keep=method.keep, report=method.report)
        else:
            self._encoder = TimedEncoder(method, settle)
            self.method = self._encoder
        self._settle = settle

    @property
    def encoding(self) -> float:
        """Seconds spent in the encoder so far."""
        return self._encoder.seconds

    def encode(self, image: Image) -> Any:  # noqa: ANN401 - whatever the method's encoding is
        """What the method remembers of an image."""
        return self.method.encode(self.method.prepare(image))

    def answer(self, encoded: Any, prompts: Prompts) -> tuple[Scores, float]:  # noqa: ANN401 - as above
        """What the method answers, and the seconds that this took beside encoding."""
        encoding, begun = self.encoding, time.perf_counter()
        scores = self.method.decode(encoded, prompts)
        self._settle()
        return scores, time.perf_counter() - begun - (self.encoding - encoding)
