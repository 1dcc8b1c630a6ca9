"""The contract that every method keeps, and the one line of data over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from promisam.core.errors import GeometryError, GridMismatch, InvalidPrompt, UnsupportedPrompt
from promisam.core.grid import Grid
from promisam.core.image import Image
from promisam.core.prompts import PromptKind, Prompts
from promisam.core.scores import Scores, to_segmentation
from promisam.core.segmentation import Segmentation


@runtime_checkable
class Encoded(Protocol):
    """What a method remembers of an image, so that every further prompt costs its decoder only."""

    @property
    def grid(self) -> Grid:
        """Grid of the image that was encoded."""
        ...


@runtime_checkable
class Segmenter(Protocol):
    """A method that answers prompts, or, if `automatic`, an image alone.

    `encode` accepts raw or prepared images; preparing twice changes nothing.
    """

    @property
    def ndim(self) -> int:
        """2 for pictures, 3 for volumes."""
        ...

    @property
    def accepts(self) -> frozenset[PromptKind]:
        """The kinds of prompt that method and weights can use; empty when it takes none."""
        ...

    @property
    def automatic(self) -> bool:
        """Whether it answers without any prompt: one channel of scores for each of `classes`."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that it learned, in order; empty for a method that segments whatever is asked for."""
        ...

    def prepare(self, image: Image) -> Image:
        """The intensity step, over the whole image at once: what the method looks at."""
        ...

    def check(self, grid: Grid, prompts: Prompts) -> None:
        """Refuse, before anything costly, the prompts that `decode` would refuse on an image of this grid."""
        ...

    def encode(self, image: Image) -> Encoded:
        """The costly step that does not depend on prompts."""
        ...

    def decode(self, encoded: Any, prompts: Prompts) -> Scores:  # noqa: ANN401 - each method has its own Encoded
        """Scores on the grid of the encoded image."""
        ...


@dataclass(frozen=True, eq=False)
class Explanation:
    """How a method came to its own answer, and how far it trusts it: for a person who decides what to look at first.

    Attributes:
        confidence: the Dice that it expects to reach, 0..1, the mean over its classes.
        flags: what a person should know, in a few words each; empty where nothing stands out.
        measures: what the confidence was made of, by name.
        prompts: what the network was asked, one value for each part of an object, `target` its class: to be shown, edited and
            given back.
    """

    confidence: float
    flags: tuple[str, ...] = ()
    measures: Mapping[str, float] = field(default_factory=dict)
    prompts: tuple[Prompts, ...] = ()


@runtime_checkable
class Explains(Protocol):
    """What an automatic method may offer beside `Segmenter`."""

    def explain(self, encoded: Any) -> Explanation:  # noqa: ANN401 - each method has its own Encoded
        """Of the answer that `decode` gives without prompts."""
        ...


def predict(method: Segmenter, image: Image, *prompts: Prompts, names: tuple[str, ...] = ()) -> Segmentation:
    """Segment an image: one label for each of the prompts, in order.

    Raises:
        GeometryError: when the method and the image have different numbers of axes.
        PromisamError: what the method raises for unusable prompts.
    """
    return answer(method, encode(method, image, *prompts), *prompts, names=names)


def encode(method: Segmenter, image: Image, *prompts: Prompts) -> Any:  # noqa: ANN401 - each method has its own Encoded
    """The first half of `predict`: an image's encoding, once it is known that the prompts can be answered on it.

    Raises:
        PromisamError: as of `predict`.
    """
    check_ndim(method, image.grid)
    for one in prompts or (Prompts(image.grid),):
        method.check(image.grid, one)
    return method.encode(method.prepare(image))


def answer(method: Segmenter, encoded: Any, *prompts: Prompts, names: tuple[str, ...] = ()) -> Segmentation:  # noqa: ANN401
    """The second half of `predict`: what the method makes of an image that it has encoded."""
    asked = prompts or (Prompts(encoded.grid),)
    return to_segmentation((method.decode(encoded, one) for one in asked), names or (() if prompts else method.classes))


def check_ndim(method: Segmenter, grid: Grid) -> None:
    """Refuse a volume for a method of pictures and the reverse, with the way out."""
    if method.ndim != grid.ndim:
        raise GeometryError(
            f"an image of {grid.ndim} axes for a method of {method.ndim}",
            expected="equal numbers",
            do="Wrap a method of pictures as SliceWise(method) to use it on volumes.",
        )


def class_of(prompts: Prompts, classes: Sequence[str]) -> int:
    """Number, from 0, of the class that prompts mean; of prompts without a name, the only class.

    Raises:
        InvalidPrompt: when it cannot be told.
    """
    if prompts.target in classes:
        return list(classes).index(prompts.target)
    if len(classes) > 1 and prompts.kinds:
        raise InvalidPrompt(
            f"prompts for {prompts.target!r}" if prompts.target else "prompts that say no class",
            expected=f"one of {', '.join(classes)}",
            do="Name the class as the label.",
        )
    return 0


def check_prompts(
    accepts: Set[PromptKind], grid: Grid, prompts: Prompts, advice: str, *, automatic: bool | None = None
) -> None:
    """Refuse prompts from another image and kinds that a method cannot use: what every method's `check` begins with.

    Args:
        accepts: what the method takes; empty for an automatic one.
        grid: of the encoded image.
        prompts: what was given.
        advice: what to do when a kind is not taken, e.g. which weights would.
        automatic: whether the method answers without any prompt; by default, whether it takes none.

    Raises:
        GridMismatch: for prompts from another image or slice.
        UnsupportedPrompt: for a kind outside `accepts`.
        InvalidPrompt: for no prompt at all where one is needed.
    """
    if not prompts.grid.matches(grid):
        raise GridMismatch(
            f"prompts on a grid of {prompts.grid}",
            expected=f"the encoded image's grid of {grid}",
            do="Use prompts.on(grid), or encode the image that the prompts were given on.",
        )
    refused = prompts.kinds - accepts
    takes = ", ".join(sorted(accepts)) or "no prompts: it is automatic"
    if refused:
        raise UnsupportedPrompt(f"{' and '.join(sorted(refused))} as prompt", expected=takes, do=advice)
    if not (not accepts if automatic is None else automatic) and not prompts.kinds:
        raise InvalidPrompt("no prompt", expected=takes, do="Say where the object is.")
    if prompts.kinds == {"points"} and not prompts.labels.any():
        raise InvalidPrompt(
            "only points off the object", expected="at least one point on it, or a box", do="Add a point on the object."
        )
