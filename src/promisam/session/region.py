"""Some samples of an image, kept no larger than the box around them."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Integer

from promisam.core.errors import UnreadableFile

Span = tuple[tuple[int, int], ...]
"""First and one past the last sample along each array axis."""


@dataclass(frozen=True, eq=False)
class Region:
    """A set of samples; a frozen value.

    Attributes:
        start: first sample of the box, by array axis.
        mask: which samples of the box belong to it; no sample at all where it is empty.
    """

    start: tuple[int, ...]
    mask: Bool[np.ndarray, "*box"]

    @classmethod
    def none(cls, ndim: int) -> Region:
        """Without any sample."""
        return cls((0,) * ndim, np.zeros((0,) * ndim, bool))

    @classmethod
    def of(cls, mask: Bool[np.ndarray, "*shape"], start: Sequence[int] = ()) -> Region:
        """The samples of a mask whose first one is `start` of the image (by default the image's first)."""
        if not mask.any():
            return cls.none(mask.ndim)
        first = tuple(start) or (0,) * mask.ndim
        spans = []
        for axis in range(mask.ndim):
            there = np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
            spans.append((int(there[0]), int(there[-1]) + 1))
        inside = mask[tuple(slice(a, b) for a, b in spans)].copy()
        return cls(tuple(f + a for f, (a, _) in zip(first, spans, strict=True)), inside)

    def on_plane(self, axis: int, index: int) -> Region:
        """A region of a slice as one of the volume."""
        start = (*self.start[:axis], index, *self.start[axis:])
        return Region(start, np.expand_dims(self.mask, axis)) if self else Region.none(len(start))

    @property
    def span(self) -> Span:
        """The box."""
        return tuple((a, a + n) for a, n in zip(self.start, self.mask.shape, strict=True))

    def __bool__(self) -> bool:
        """Whether there is any sample."""
        return bool(self.mask.size)

    def __or__(self, other: Region) -> Region:
        """Samples of either."""
        if not self or not other:
            return self or other
        span = around(self.span, other.span)
        return Region.of(self.within(span) | other.within(span), [a for a, _ in span])

    def __sub__(self, other: Region) -> Region:
        """Samples that the other has not."""
        if not self or not other:
            return self
        return Region.of(self.mask & ~other.within(self.span), self.start)

    def without_plane(self, axis: int, index: int) -> Region:
        """Samples that do not lie on a slice."""
        place = index - self.start[axis]
        if not self or not 0 <= place < self.mask.shape[axis]:
            return self
        left = self.mask.copy()
        left[(slice(None),) * axis + (place,)] = False
        return Region.of(left, self.start)

    def within(self, span: Span) -> Bool[np.ndarray, "*box"]:
        """The mask over another box."""
        found = np.zeros([b - a for a, b in span], bool)
        shared = common(self.span, span)
        if self and shared is not None:
            found[offset(shared, span)] = self.mask[offset(shared, self.span)]
        return found

    def draw(self, labels: Integer[np.ndarray, "*box"], value: int, span: Span) -> None:
        """Write a value where it is into an array over a box of the image."""
        shared = common(self.span, span)
        if self and shared is not None:
            labels[offset(shared, span)][self.mask[offset(shared, self.span)]] = value

    def to_json(self) -> dict[str, object]:
        """For the journal."""
        bits = zlib.compress(np.packbits(self.mask).tobytes(), 1)
        return {"start": list(self.start), "size": list(self.mask.shape), "bits": base64.b64encode(bits).decode()}

    @classmethod
    def from_json(cls, kept: Mapping[str, object]) -> Region:
        """What `to_json` wrote.

        Raises:
            UnreadableFile: for anything else.
        """
        try:
            start, size = (tuple(int(n) for n in kept[name]) for name in ("start", "size"))  # type: ignore[attr-defined]
            bits = np.frombuffer(zlib.decompress(base64.b64decode(str(kept["bits"]))), np.uint8)
            return cls(start, np.unpackbits(bits, count=int(np.prod(size))).astype(bool).reshape(size))
        except (KeyError, TypeError, ValueError, zlib.error) as error:
            raise UnreadableFile(
                f"a region that cannot be read ({error})", expected="what the journal wrote", do="Delete the draft."
            ) from None


def around(one: Span, other: Span) -> Span:
    """The box around two."""
    return tuple((min(a, c), max(b, d)) for (a, b), (c, d) in zip(one, other, strict=True))


def common(one: Span, other: Span) -> Span | None:
    """What two boxes share; None where that is nothing."""
    shared = tuple((max(a, c), min(b, d)) for (a, b), (c, d) in zip(one, other, strict=True))
    return shared if all(a < b for a, b in shared) else None


def offset(part: Span, whole: Span) -> tuple[slice, ...]:
    """Where a part lies in an array over the whole."""
    return tuple(slice(a - c, b - c) for (a, b), (c, _) in zip(part, whole, strict=True))
