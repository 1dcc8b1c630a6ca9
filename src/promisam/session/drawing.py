"""What one person has drawn on one image: a frozen value, so that an undo history is a list."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Integer

from promisam.core import Prompts
from promisam.session.region import Region, Span, around

Plane = tuple[int, int]
"""A slice of a volume: array axis and index."""


@dataclass(frozen=True, eq=False)
class Asked:
    """One question to the method and its answer.

    Attributes:
        plane: the slice that was asked about; None for a whole image.
        prompts: clicks and box on the grid of that slice, or of the image.
        answer: on the image's axes.
        quality: the IoU that the method expects; None where it tells none.
    """

    plane: Plane | None
    prompts: Prompts
    answer: Region
    quality: float | None


@dataclass(frozen=True, eq=False)
class Piece:
    """The object in progress.

    Attributes:
        asked: what was asked, one entry a plane, the latest last.
        followed: what was found beyond the planes that were asked about.
        added: what was painted by hand; it stays through later answers.
        removed: what was erased by hand; likewise.
    """

    asked: tuple[Asked, ...]
    followed: Region
    added: Region
    removed: Region

    @classmethod
    def empty(cls, ndim: int) -> Piece:
        """Nothing asked, nothing painted."""
        return cls((), Region.none(ndim), Region.none(ndim), Region.none(ndim))

    @property
    def region(self) -> Region:
        """The object: answers on their planes, what was followed elsewhere, and over all of it what was done by hand."""
        found = self.followed
        for one in self.asked:
            found = found if one.plane is None else found.without_plane(*one.plane)
        for one in self.asked:
            found = found | one.answer
        return (found - self.removed) | self.added

    @property
    def quality(self) -> float | None:
        """Of the latest answer."""
        return self.asked[-1].quality if self.asked else None

    def on(self, plane: Plane | None) -> Asked | None:
        """What was asked on a plane."""
        return next((one for one in self.asked if one.plane == plane), None)

    def answered(self, asked: Asked) -> Piece:
        """With a new answer in place of that on the same plane; one about the whole image replaces all others."""
        kept = () if asked.plane is None else tuple(one for one in self.asked if one.plane != asked.plane)
        return replace(self, asked=(*kept, asked))

    def without(self, plane: Plane | None) -> Piece:
        """As if nothing had been asked on a plane."""
        return replace(self, asked=tuple(one for one in self.asked if one.plane != plane))

    def painted(self, stroke: Region, *, erase: bool) -> Piece:
        """With a stroke by hand."""
        if erase:
            return replace(self, added=self.added - stroke, removed=self.removed | stroke)
        return replace(self, added=self.added | stroke, removed=self.removed - stroke)


@dataclass(frozen=True, eq=False)
class Drawing:
    """Everything on an image.

    Attributes:
        label: what is drawn now.
        finished: values and where they were written over what lay there, in order; 0 erases.
        piece: the object in progress; None between two.
    """

    label: int = 1
    finished: tuple[tuple[int, Region], ...] = ()
    piece: Piece | None = None

    def accepted(self) -> Drawing:
        """With the object in progress finished."""
        if self.piece is None:
            return self
        region = self.piece.region
        done = ((self.label, region),) if region else ()
        return replace(self, finished=(*self.finished, *done), piece=None)

    def changed(self, other: Drawing) -> Span | None:
        """The box in which two drawings may differ; None where they do not."""
        same = 0
        for one, two in zip(self.finished, other.finished, strict=False):
            if one is not two:
                break
            same += 1
        regions = [region for _, region in (*self.finished[same:], *other.finished[same:])]
        if self.piece is not other.piece or self.label != other.label:
            regions += [drawing.piece.region for drawing in (self, other) if drawing.piece is not None]
        spans = [region.span for region in regions if region]
        found: Span | None = None
        for span in spans:
            found = span if found is None else around(found, span)
        return found

    def over(self, base: Integer[np.ndarray, "*shape"], span: Span) -> Integer[np.ndarray, "*box"]:
        """The labels in a box: what was there before, and what was drawn over it."""
        labels = base[tuple(slice(a, b) for a, b in span)].copy()
        for value, region in self.finished:
            region.draw(labels, value, span)
        if self.piece is not None:
            self.piece.region.draw(labels, self.label, span)
        return labels
