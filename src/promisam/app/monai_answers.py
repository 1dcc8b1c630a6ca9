"""From clicks and boxes as MONAI Label's clients send them to a label map on exactly the image's grid."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool

from promisam.core import Grid, Image, Prompts, Segmentation, to_segmentation
from promisam.core.errors import InvalidPrompt, InvalidSegmentation, UnsupportedPrompt
from promisam.session import Bench, Label
from promisam.session.project import LARGEST
from promisam.spatial.slices import bounding_box

_MANY = 1000  # clicks
_NOT_ON = "background"
Place = tuple[float, ...]  # of an array: (z, y, x) or (y, x)


@dataclass(frozen=True)
class Wish:
    """What is asked for one label.

    Attributes:
        label: its name.
        on: clicks on the object.
        off: clicks off it.
        box: lowest and highest sample, both included; None without one.
    """

    label: str
    on: tuple[Place, ...]
    off: tuple[Place, ...]
    box: tuple[Place, Place] | None


def wishes(params: Mapping[str, Any], labels: Sequence[Label], grid: Grid) -> list[Wish]:
    """What a client asks for.

    Clicks are voxel indices i, j, k of the image's file, i fastest, which is x, y, z here: `foreground` and `background` for
    the label that `label` names, or, of clients that click on several labels at once, a list below the name of each label.
    `roi` is x0, x1, y0, y1, z0, z1, the last sample included.

    Raises:
        InvalidPrompt: for what are no such numbers.
    """
    names = [label.name for label in labels]
    given = str(params.get("label") or "")
    wanted = given if given not in ("", _NOT_ON) else names[0]
    off = _places(params.get(_NOT_ON), grid, _NOT_ON)
    on: dict[str, tuple[Place, ...]] = {}
    for name in dict.fromkeys(["foreground", wanted, *names]):
        if name != _NOT_ON and (found := _places(params.get(name) if name != "label" else None, grid, name)):
            target = wanted if name == "foreground" else name
            on[target] = (*on.get(target, ()), *found)
    box = _box(params.get("roi"), grid)
    if not on:
        return [Wish(wanted, (), off, box)] if off or box else []
    return [Wish(name, found, off, box if name == wanted else None) for name, found in on.items()]


def drawn(bench: Bench, name: str, image: Image, wish: Wish) -> Bool[np.ndarray, "*grid"]:
    """The object that is wished for; by a method of pictures, through the volume from the slices that were clicked.

    Raises:
        PromisamError: for prompts that the method cannot use.
    """
    if not bench.by_slices(image):
        prompts = _clicked(Prompts(image.grid), wish.on, wish.off)
        prompts = prompts if wish.box is None else prompts.with_box(*wish.box)
        return np.asarray(bench.ask(name, image, None, prompts).logits[0] > 0)
    _clicked(Prompts(image.grid), wish.on, wish.off)  # refuses what lies off the volume, which no slice would notice
    axis = _axis(wish, image.grid)
    if wish.box is None and not wish.on:
        raise InvalidPrompt("only clicks off the object", expected="one on it, or a box", do="Click on the object first.")
    asked = _asked(wish, axis, image.grid.shape[axis])
    masks = {index: mask for index in asked if (mask := _on_slice(bench, name, image, (axis, index), wish)).any()}
    whole = np.zeros(image.grid.shape, bool)
    for index, mask in masks.items():
        whole[_at(axis, index)] = mask
    boxed = wish.box is not None and len(asked) > 1  # says itself where the object ends
    if not masks or boxed or "box" not in bench.method.accepts:  # what follows an object asks with boxes
        return whole
    found = bench.follow(name, image, axis, masks)
    whole |= found.within(tuple((0, n) for n in image.grid.shape))
    _correct(bench, name, image, axis, wish, whole, set(asked))
    return whole


def found(bench: Bench, name: str, image: Image, labels: Sequence[Label]) -> Segmentation:
    """What an automatic method finds by itself, with the values of the labels that are called like its classes.

    Raises:
        UnsupportedPrompt: for a method that needs prompts.
    """
    classes = bench.method.classes
    if not bench.method.automatic:
        raise UnsupportedPrompt(f"{bench.name} without clicks", expected="clicks or a box", do="Click on the object.")
    scores, _ = bench.suggest(name, image)
    by_class = to_segmentation([scores], classes)
    known = {label.name: label.value for label in labels}
    if len(classes) == len(labels) == 1:
        known[classes[0]] = labels[0].value
    values = numbered(classes or ("object",), known)
    table = np.array([0, *values.values()], np.uint8)
    return Segmentation(table[by_class.labels], image.grid, {value: called for called, value in values.items()})


def numbered(names: Sequence[str], known: Mapping[str, int]) -> dict[str, int]:
    """A value for each name: its own, else the next that is free.

    Raises:
        InvalidSegmentation: for more labels than a project can have.
    """
    values: dict[str, int] = {}
    for name in names:
        free = (value for value in range(1, LARGEST + 1) if value not in {*known.values(), *values.values()})
        value = known.get(name) or next(free, None)
        if value is None:
            raise InvalidSegmentation("too many labels", expected=f"up to {LARGEST}", do="Join some of them.")
        values[name] = value
    return values


def _asked(wish: Wish, axis: int, size: int) -> list[int]:
    if wish.box is not None:
        return list(range(_index(wish.box[0][axis], size), _index(wish.box[1][axis], size) + 1))
    return sorted({_index(place[axis], size) for place in wish.on})


def _on_slice(bench: Bench, name: str, image: Image, plane: tuple[int, int], wish: Wish) -> Bool[np.ndarray, "y x"]:
    axis, index = plane
    size = image.grid.shape[axis]
    on, off = ([_flat(p, axis) for p in places if _index(p[axis], size) == index] for places in (wish.on, wish.off))
    prompts = _clicked(Prompts(image.grid.slice(axis, index)), on, off)
    if wish.box is not None:
        prompts = prompts.with_box(_flat(wish.box[0], axis), _flat(wish.box[1], axis))
    return np.asarray(bench.ask(name, image, plane, prompts).logits[0] > 0)


def _correct(
    bench: Bench, name: str, image: Image, axis: int, wish: Wish, whole: Bool[np.ndarray, "z y x"], asked: set[int]
) -> None:
    """Clicks off the object on slices that were only followed through: asked again with a box around what is there."""
    size = image.grid.shape[axis]
    for index in {_index(place[axis], size) for place in wish.off} - asked:
        if not whole[_at(axis, index)].any():
            continue
        low, high = (tuple(np.insert(corner, axis, index).tolist()) for corner in bounding_box(whole[_at(axis, index)]))
        again = Wish(wish.label, (), wish.off, (low, high))
        whole[_at(axis, index)] &= _on_slice(bench, name, image, (axis, index), again)


def _axis(wish: Wish, grid: Grid) -> int:
    """Across a flat box; else that along which slices were acquired, since clicks do not say on which plane they were made."""
    if wish.box is not None:
        flat = [axis for axis in range(3) if wish.box[0][axis] == wish.box[1][axis]]
        if flat:
            return flat[0]
    return grid.coarsest_axis


def _clicked(prompts: Prompts, on: Sequence[Sequence[float]], off: Sequence[Sequence[float]]) -> Prompts:
    for places, positive in ((on, True), (off, False)):
        for place in places:
            prompts = prompts.click(place, positive)
    return prompts


def _places(given: object, grid: Grid, what: str) -> tuple[Place, ...]:
    """Clicks as places of the array; a list may stand there as text, as older clients send it."""
    points = _parsed(given, what) if isinstance(given, str) else given
    if not points:
        return ()
    if not isinstance(points, list) or len(points) > _MANY or not all(_are_numbers(p, (grid.ndim, 3)) for p in points):
        raise _no_numbers(what, f"a list of up to {_MANY} voxel indices [i, j, k]")
    return tuple(tuple(float(x) for x in reversed(point[: grid.ndim])) for point in points)


def _box(given: object, grid: Grid) -> tuple[Place, Place] | None:
    bounds = _parsed(given, "roi") if isinstance(given, str) else given
    if not bounds:
        return None
    if not _are_numbers(bounds, (2 * grid.ndim, 6)) or not isinstance(bounds, list):
        raise _no_numbers("roi", "[x0, x1, y0, y1, z0, z1]")
    shape = tuple(reversed(grid.shape))
    ends = [(bounds[2 * a], bounds[2 * a + 1]) for a in range(grid.ndim)]
    inside = [(max(0.0, min(end)), min(float(n - 1), max(end))) for end, n in zip(ends, shape, strict=True)]
    if any(low > high for low, high in inside):
        raise InvalidPrompt(f"the roi {bounds}", expected=f"a box inside {grid}", do="Draw it on the image.")
    return tuple(float(low) for low, _ in reversed(inside)), tuple(float(high) for _, high in reversed(inside))


def _parsed(text: str, what: str) -> object:
    try:
        return json.loads(text) if text else None
    except ValueError:
        raise _no_numbers(what, "a list") from None


def _are_numbers(given: object, lengths: Sequence[int]) -> bool:
    numbers = isinstance(given, list) and len(given) in lengths
    return numbers and all(type(x) in (int, float) and np.isfinite(x) for x in given)  # type: ignore[attr-defined]


def _no_numbers(what: str, expected: str) -> InvalidPrompt:
    return InvalidPrompt(f"{what} that is something else", expected=expected, do="Correct the request.")


def _index(position: float, size: int) -> int:
    """The slice that a place lies on; what lies off the image is refused by the prompts themselves."""
    return int(np.clip(np.rint(position), 0, size - 1))


def _flat(place: Place, axis: int) -> list[float]:
    return [x for a, x in enumerate(place) if a != axis]


def _at(axis: int, index: int) -> tuple[slice | int, ...]:
    return (slice(None),) * axis + (index,)
