"""A method at work for everybody: its encodings, and one question at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Bool

from promisam.core import Explains, Explanation, Image, Prompts, Scores, Segmenter, check_ndim
from promisam.core.errors import UnsupportedPrompt
from promisam.session.drawing import Plane
from promisam.session.encodings import Encodings
from promisam.session.region import Region
from promisam.spatial.slices import SliceWise

_PREPARED = 3  # whole images after the intensity step
_SLICES = 8  # encoded ones kept while an object is followed, each of which is looked at once


@dataclass(frozen=True, eq=False)
class _Tool:
    """A method at work; part of every key, so that what was begun for a former one is never taken for another's."""

    method: Segmenter
    name: str


class Bench:
    """Answers questions about images and their slices, encoding each once.

    A method of pictures answers about slices of a volume one by one, and follows an object through a volume as `SliceWise`
    does. Another method can take its place at any time; what was encoded for the former is given up.
    """

    def __init__(self, method: Segmenter, name: str, keep: int = 64) -> None:
        """Put a method to work; `keep` encodings stay in memory."""
        self.encodings = Encodings(keep)
        self._prepared = Encodings(_PREPARED)
        self._deciding = threading.Lock()
        self._decider = ThreadPoolExecutor(1, thread_name_prefix="decode")
        self._tool = _Tool(method, name)

    @property
    def method(self) -> Segmenter:
        """What answers now."""
        return self._tool.method

    @property
    def name(self) -> str:
        """What it is called."""
        return self._tool.name

    def use(self, method: Segmenter, name: str) -> None:
        """Another method from now on."""
        self._tool = _Tool(method, name)
        self.encodings.forget(lambda key: key[0] is self._tool)
        self._prepared.forget(lambda key: key[0] is self._tool)

    def by_slices(self, image: Image) -> bool:
        """Whether questions about this image must name a slice."""
        return image.grid.ndim == 3 and self.method.ndim == 2

    def check(self, image: Image) -> None:
        """Refuse an image that the method cannot take.

        Raises:
            GeometryError: a picture for a method of volumes.
        """
        if not self.by_slices(image):
            check_ndim(self.method, image.grid)

    def levels(self, name: str, image: Image) -> tuple[float, float]:
        """The intensities that the method sees as black and as white."""
        levels = self._shown(self._tool, name, image).levels
        return (float(image.pixels.min()), float(image.pixels.max())) if levels is None else (levels.low, levels.high)

    def ask(self, name: str, image: Image, plane: Plane | None, prompts: Prompts) -> Scores:
        """An answer on the grid of the prompts.

        Raises:
            PromisamError: what the method raises for prompts that it cannot use.
        """
        tool = self._tool
        tool.method.check(prompts.grid, prompts)
        encoded = self._encoded(tool, name, image, plane)
        return self._decided(tool.method, encoded, prompts)

    def follow(self, name: str, image: Image, axis: int, masks: Mapping[int, Bool[np.ndarray, "y x"]]) -> Region:
        """An object through a volume, from each of its masks on slices to halfway to the next; takes seconds.

        Raises:
            UnsupportedPrompt: for a method of volumes, which sees the whole object anyway.
        """
        if not self.by_slices(image):
            raise UnsupportedPrompt(
                f"to follow with {self.name}", expected="a method of slices", do="Click: it sees the volume."
            )
        tool = self._tool
        method = SliceWise(tool.method, axis=axis, keep=_SLICES)
        encoded = method.encode(self._shown(tool, name, image))
        places, found = sorted(masks), Region.none(3)
        for before, here, after in zip([None, *places], places, [*places[1:], None], strict=False):
            alone = np.zeros(image.grid.shape, bool)
            alone[(slice(None),) * axis + (here,)] = masks[here]
            mask = self._decided(method, encoded, Prompts(image.grid).with_mask(alone)).logits[0] > 0
            if before is not None:
                mask[(slice(None),) * axis + (slice(0, (before + here) // 2 + 1),)] = False
            if after is not None:
                mask[(slice(None),) * axis + (slice((here + after) // 2 + 1, None),)] = False
            found = found | Region.of(mask)
        return found

    def suggest(self, name: str, image: Image) -> tuple[Scores, Explanation | None]:
        """An automatic method's own answer, and how it came to it where it tells."""
        tool = self._tool
        if self.by_slices(image):
            method: Segmenter = SliceWise(tool.method, keep=_SLICES)
            encoded = method.encode(self._shown(tool, name, image))
        else:
            method, encoded = tool.method, self._encoded(tool, name, image, None)
        scores = self._decided(method, encoded, Prompts(image.grid))
        with self._deciding:
            told = self._decider.submit(method.explain, encoded).result() if isinstance(method, Explains) else None
        return scores, told

    def ahead(self, *wanted: tuple[str, Callable[[], Image], Plane | None]) -> None:
        """Encode in the background what may be asked about next, in place of what was wanted before.

        Args:
            wanted: name, a way to the image, and the slice; of a volume without one, the middle of its coarsest axis.
        """
        tool = self._tool

        def work(name: str, read: Callable[[], Image], plane: Plane | None) -> None:
            image = read()
            if plane is None and self.by_slices(image):
                axis = image.grid.coarsest_axis
                plane = (axis, image.grid.shape[axis] // 2)
            self._encoded(tool, name, image, plane)

        self.encodings.ahead([partial(work, *one) for one in wanted])

    def forget(self, name: str) -> None:
        """Give up what is kept of an image."""
        self.encodings.forget(lambda key: key[1] != name)
        self._prepared.forget(lambda key: key[1] != name)

    def close(self) -> None:
        """End what runs in the background."""
        self.encodings.close()
        self._prepared.close()

    def _decided(self, method: Segmenter, encoded: Any, prompts: Prompts) -> Scores:  # noqa: ANN401
        """One answer at a time, always in the same thread: memory that it used stays with its thread."""
        with self._deciding:
            return self._decider.submit(method.decode, encoded, prompts).result()

    def _encoded(self, tool: _Tool, name: str, image: Image, plane: Plane | None) -> Any:  # noqa: ANN401
        def encode() -> Any:  # noqa: ANN401 - each method has its own Encoded
            shown = self._shown(tool, name, image)
            return tool.method.encode(shown if plane is None else shown.slice(*plane))

        return self.encodings.get((tool, name, plane), encode)

    def _shown(self, tool: _Tool, name: str, image: Image) -> Image:
        return self._prepared.get((tool, name), lambda: tool.method.prepare(image))  # type: ignore[no-any-return]
