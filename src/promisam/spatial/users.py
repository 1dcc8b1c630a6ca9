"""Simulated users: prompts made from the truth, as a person who sees the object would give them.

They serve training, and benchmarks that measure what a method does with good prompts. Whatever they prompt has seen the truth,
so no score reached with them says what a method finds on its own.

Clicks follow the protocol by which interactive methods are compared (Xu et al. 2016, "Deep interactive object selection", CVPR;
Sofiiuk et al. 2021, RITM, arXiv:2102.06583): the first in the middle of the object, every further one in the middle of the
largest mistake. Middle means farthest from the region's edge by the Euclidean distance transform, hence always inside, which
the centroid of a ring is not. RITM's own evaluation orders mistakes by that distance; here they are ordered by size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy import ndimage

from promisam.core import Grid, Prompts
from promisam.core.errors import GeometryError, InvalidConfig, InvalidPrompt

MOST_JITTER = 0.5  # of the extent: beyond, the sides of a box may pass each other
_EQUAL = 1 - 1e-9  # distances that agree but for the last bits are ties


def first_click(
    truth: Bool[np.ndarray, "*grid"], grid: Grid, generator: np.random.Generator | None = None, *, target: str = ""
) -> Prompts:
    """One click on the object, in the middle of its largest connected part.

    Args:
        truth: where the object is, in array order.
        grid: its grid, whose spacing the distances heed; beyond the border of the image lies background.
        generator: draws among equally central samples; None takes the one nearest to the part's centroid.
        target: name of the class that is meant.

    Raises:
        InvalidPrompt: for an empty truth.
        GeometryError: when truth and grid disagree.
    """
    _check(truth, grid)
    nothing = np.zeros_like(truth)
    clicked = corrective_click(Prompts(grid, target=target), truth, nothing, generator)
    if clicked is None:
        raise _empty("a click")
    return clicked


def corrective_click(
    prompts: Prompts,
    truth: Bool[np.ndarray, "*grid"],
    prediction: Bool[np.ndarray, "*grid"],
    generator: np.random.Generator | None = None,
    *,
    accept: Callable[[Prompts], bool] = lambda prompts: True,  # noqa: ARG005 - the name documents the call
) -> Prompts | None:
    """With one more click, in the middle of the largest connected mistake: positive where the object was missed, else negative.

    Samples are connected by their faces. A sample that has been clicked is never clicked again; where a whole region has been,
    the next largest takes its place.

    Args:
        prompts: what the prediction answered; everything in them is kept.
        truth: where the object is, on the grid of the prompts.
        prediction: what was answered, on the same grid.
        generator: draws among equally central samples; None takes the one nearest to the region's centroid.
        accept: whether a method would take the prompts; where not, the next largest region is tried.

    Returns:
        The longer prompts; None where nothing is wrong, or every mistake has been clicked or was not accepted.

    Raises:
        GeometryError: when the masks do not fit the prompts' grid.
    """
    for mask in (truth, prediction):
        _check(mask, prompts.grid)
    clicked = np.rint(prompts.points_zyx).astype(np.int64)
    for region, corner, positive in _mistakes(truth, prediction):
        middle = _middle(region, clicked - corner, prompts.grid.spacing, generator)
        if middle is not None:
            longer = prompts.click((middle + corner).tolist(), positive)
            if accept(longer):
                return longer
    return None


def random_points(
    truth: Bool[np.ndarray, "*grid"],
    grid: Grid,
    n: int,
    generator: np.random.Generator,
    *,
    axis: int | None = None,
    target: str = "",
) -> Prompts:
    """Points drawn uniformly: floor(n / 2) of them, but at least one, from the object and the rest from the background.

    Samples are drawn without replacement as long as there are enough. Where the object fills the image, all points lie on it.

    Args:
        truth: where the object is, in array order.
        grid: its grid.
        n: number of points: 3 gives 1 + 2, 5 gives 2 + 3, 16 gives 8 + 8.
        generator: draws the points.
        axis: of a volume: draw on one slice along this array axis only, that on which the object is largest.
        target: name of the class that is meant.

    Raises:
        InvalidPrompt: for an empty truth.
        InvalidConfig: for fewer than one point, or an axis that the grid has not.
        GeometryError: when truth and grid disagree.
    """
    _check(truth, grid)
    if n < 1 or (axis is not None and (grid.ndim != 3 or axis not in range(3))):
        raise InvalidConfig(
            f"{n} points, slice axis {axis}, on an image of {grid.ndim} axes",
            expected="at least one point, and an axis only on a volume",
            do="Ask for one point or more.",
        )
    if not truth.any():
        raise _empty(f"{n} points")
    first = np.zeros(truth.ndim, np.int64)
    if axis is not None:
        first[axis] = np.argmax(truth.sum(axis=tuple(a for a in range(3) if a != axis)))
        truth = np.take(truth, [first[axis]], axis=axis)
    positives = n if truth.all() else max(1, n // 2)
    points = [_draw(truth, positives, generator)]
    if positives < n:
        points.append(_draw(~truth, n - positives, generator))
    labels = np.repeat(np.array([1, 0], np.int64), [positives, n - positives])
    return Prompts(grid, (np.concatenate(points) + first).astype(np.float64), labels, target=target)


def inside_clicks(
    truth: Bool[np.ndarray, "*grid"],
    grid: Grid,
    n: int,
    generator: np.random.Generator,
    *,
    spacing: float = 1.0,
    target: str = "",
) -> Prompts:
    """Clicks on the object alone, drawn uniformly over the volume that it has, whatever the samples of its image measure.

    They are points of a lattice over the whole image whose nearest sample is marked, drawn without replacement as long as there
    are enough; an object so small that none falls on it is clicked on its own samples. `spacing` is the lattice's, in the
    grid's unit: about this, so that it ends with the image. Otherwise as `random_points`.

    Source: Li et al. 2023, ProMISe (arXiv:2310.19721): test clicks from the label resampled, nearest, to 1 mm.
    """
    _check(truth, grid)
    if n < 1 or spacing <= 0:
        raise InvalidConfig(f"{n} clicks {spacing:g} apart", expected="at least one, some way apart", do="Ask for one or more.")
    if not truth.any():
        raise _empty("a click")
    (box,) = ndimage.find_objects(truth.astype(np.uint8))
    places = [_lattice(count, step / spacing, side) for count, step, side in zip(truth.shape, grid.spacing, box, strict=True)]
    inside = truth[np.ix_(*[np.rint(along).astype(np.int64) for along in places])]
    if not inside.any():
        places, inside = [np.arange(side.start, side.stop, dtype=np.float64) for side in box], truth[box]
    drawn = _draw(inside, n, generator)
    points = np.stack([along[index] for along, index in zip(places, drawn.T, strict=True)], axis=1)
    return Prompts(grid, points, np.ones(n, np.int64), target=target)


def jittered_box(
    truth: Bool[np.ndarray, "*grid"],
    grid: Grid,
    generator: np.random.Generator,
    jitter: float = 0.0,
    *,
    target: str = "",
) -> Prompts:
    """The box around the object, each side moved at random.

    Every side moves by a distance drawn uniformly between -jitter and +jitter times the box's extent along its axis, and stays
    on the image. A box keeps an extent of one sample step along both axes of a picture and two of a volume, as `Prompts` asks;
    in a volume, an object of a single slice keeps a flat box on that slice.

    Args:
        truth: where the object is, in array order.
        grid: its grid.
        generator: draws the movements; untouched without jitter.
        jitter: largest movement as a fraction of the extent, 0 to 0.5.
        target: name of the class that is meant.

    Raises:
        InvalidPrompt: for an empty truth.
        InvalidConfig: for an impossible jitter.
        GeometryError: when truth and grid disagree.
    """
    _check(truth, grid)
    if not 0 <= jitter <= MOST_JITTER:
        raise InvalidConfig(
            f"a box jitter of {jitter:g}", expected=f"a fraction of the extent from 0 to {MOST_JITTER:g}", do="Try 0.1."
        )
    if not truth.any():
        raise _empty("a box")
    marked = [np.flatnonzero(truth.any(axis=tuple(a for a in range(truth.ndim) if a != axis))) for axis in range(truth.ndim)]
    box = np.array([[m[0] for m in marked], [m[-1] for m in marked]], np.float64)
    wide = _wide_axes(box, grid)
    if jitter:
        box += generator.uniform(-jitter, jitter, box.shape) * (box[1] - box[0] + 1) * wide
    box = np.clip(box, 0, np.asarray(grid.shape) - 1.0)
    return Prompts(grid, box_zyx=np.where(wide, _at_least_a_step(box, grid), box), target=target)


def _check(mask: np.ndarray, grid: Grid) -> None:
    if mask.shape != grid.shape or mask.dtype != np.bool_:
        raise GeometryError(
            f"a mask of shape {mask.shape} and type {mask.dtype} on a grid of {grid.shape}",
            expected="true and false on the grid",
            do="Use segmentation.mask(value) and segmentation.grid.",
        )


def _empty(what: str) -> InvalidPrompt:
    return InvalidPrompt(
        f"{what} on an object that is not in the image",
        expected="a truth with at least one marked sample",
        do="Leave images without the object out, or count them apart.",
    )


def _mistakes(truth: np.ndarray, prediction: np.ndarray) -> Iterator[tuple[np.ndarray, Int64[np.ndarray, " d"], bool]]:
    """Connected regions, largest first: each as a mask in its own box, the box's corner, and whether it is missed object."""
    kinds = [ndimage.label(wrong)[0] for wrong in (truth & ~prediction, prediction & ~truth)]
    boxes = [ndimage.find_objects(parts) for parts in kinds]
    sizes = np.concatenate([np.bincount(parts.ravel())[1:] for parts in kinds])
    for place in np.argsort(-sizes, kind="stable"):  # of equal ones missed object first, then in array order
        kind = int(place >= len(boxes[0]))
        number = int(place) - kind * len(boxes[0])
        box = boxes[kind][number]
        yield kinds[kind][box] == number + 1, np.array([side.start for side in box]), kind == 0


def _middle(
    region: Bool[np.ndarray, "*box"],
    clicked: Int64[np.ndarray, "n d"],
    spacing: tuple[float, ...],
    generator: np.random.Generator | None,
) -> Int64[np.ndarray, " d"] | None:
    """The sample farthest from the region's edge among those that were not clicked; None when all were."""
    padded = np.pad(region, 1)  # whatever surrounds the region, the border of the image included, is outside
    distance = np.asarray(ndimage.distance_transform_edt(padded, sampling=spacing))[(slice(1, -1),) * region.ndim]
    here = clicked[((clicked >= 0) & (clicked < region.shape)).all(axis=1)]
    distance[tuple(here.T)] = 0
    peak = distance.max()
    if not peak:
        return None
    ties = np.argwhere(distance >= peak * _EQUAL)
    if generator is not None:
        return np.asarray(ties[generator.integers(len(ties))])
    away: Float64[np.ndarray, " n"] = np.linalg.norm((ties - np.argwhere(region).mean(axis=0)) * spacing, axis=1)
    return np.asarray(ties[np.argmax(away <= away.min() / _EQUAL)])  # the first of those equally near


def _draw(mask: Bool[np.ndarray, "*grid"], n: int, generator: np.random.Generator) -> Int64[np.ndarray, "n d"]:
    """Marked samples, drawn uniformly; no list of all of them is made, since the background of a volume is large."""
    counts = np.count_nonzero(mask.reshape(len(mask), -1), axis=1)
    ends = np.cumsum(counts)
    drawn = []
    for rank in generator.choice(ends[-1], n, replace=n > ends[-1]):
        first = int(np.searchsorted(ends, rank, side="right"))
        place = np.flatnonzero(mask[first])[rank - (ends[first] - counts[first])]
        drawn.append([first, *np.unravel_index(place, mask.shape[1:])])
    return np.array(drawn, np.int64)


def _lattice(count: int, ratio: float, side: slice) -> Float64[np.ndarray, " n"]:
    """Along one axis, the lattice points, as array indices, whose nearest sample lies on the box's side."""
    points = max(1, round(count * ratio))
    at = (np.arange(points) + 0.5) * (count / points) - 0.5
    nearest = np.rint(at)
    return np.asarray(at[(nearest >= side.start) & (nearest < side.stop)])


def _wide_axes(box: Float64[np.ndarray, "2 d"], grid: Grid) -> Bool[np.ndarray, " d"]:
    """Axes along which the box must have an extent: its own, both of a picture, and at least the two finest of a volume."""
    wide = np.asarray(box[1] > box[0])
    if grid.ndim == 2:
        return np.ones_like(wide)
    finest = sorted(range(3), key=lambda axis: (axis == grid.coarsest_axis, grid.spacing[axis]))
    for axis in finest:
        if np.count_nonzero(wide) < 2:
            wide[axis] = True
    return wide


def _at_least_a_step(box: Float64[np.ndarray, "2 d"], grid: Grid) -> Float64[np.ndarray, "2 d"]:
    """Sides in order and at least one step apart; on an axis of one sample, that sample's own borders."""
    low = np.where(box[1] - box[0] < 1, box.mean(axis=0) - 0.5, box[0])
    high = np.where(box[1] - box[0] < 1, box.mean(axis=0) + 0.5, box[1])
    shift = np.maximum(-0.5 - low, 0) - np.maximum(high - (np.asarray(grid.shape) - 0.5), 0)
    return np.asarray(np.stack([low, high]) + shift)
