"""Free-form deformation by gradient descent, in torch: all pairs of a batch at once, on any device.

First an affine map on a coarse level, then grids of control points from coarse to fine (Rueckert et al. 1999, "Nonrigid
registration using free-form deformations", IEEE TMI 18(8)), both by Adam. What is maximised is local normalised
cross-correlation plus the global one; what holds the grids together is their membrane energy. The coarse level and the global
term let it find objects that lie far apart. The numbers below were tuned, by hand and little, on the sets of
`benchmarks/registration.py`: they stand for the default, not for an estimate of how well it does elsewhere.

Inside, a place is measured from the middle of the image in halves of its longest physical side, with components in the order
x, y[, z] of `grid_sample`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from promisam.spatial.registration.separable import LEAST_CONTROLS, along_axes, area, box, cubic


@dataclass(frozen=True)
class Level:
    """One resolution: samples on the longest side, steps of Adam, and the side of the window of local correlation."""

    side: int
    steps: int
    window: int


# For 256 samples to a side these are 1/8, 1/4 and 1/2. A volume has its detail in fewer samples.
LEVELS = {
    2: (Level(32, 80, 9), Level(64, 60, 9), Level(128, 40, 11)),
    3: (Level(16, 60, 5), Level(32, 40, 7), Level(64, 30, 7)),
}
LEAST_SIDE = 8  # no level has fewer samples along an axis, unless the image has
AFFINE_STEPS = 60
RATE = 1e-2  # of Adam, in halves of the longest side; ...
DECAY = 0.5  # ... less this share of it at the end
FAINT = 0.1  # standard deviation within a window of which half counts
EPSILON = 1e-6  # Adam's; torch's 1e-8 lets rounding errors move what already fits
MEMBRANE = {2: 0.5, 3: 0.2}  # by number of axes
CONTROL_STEP = 4  # samples of a level from one control point to the next


def ffd(
    fixed: Float[Tensor, "n *space"], moving: Float[Tensor, "n *space"], spacing: tuple[float, ...]
) -> Float[Tensor, "n d *space"]:
    """Displacements in samples, array order; see `register`."""
    sizes = tuple(fixed.shape[1:])
    extents = tuple(size * step for size, step in zip(sizes, spacing, strict=True))
    levels = LEVELS[len(sizes)]
    pairs = [_pooled(fixed, moving, Frame(_sizes(sizes, extents, level.side), extents, fixed)) for level in levels]
    matrix = _affine(*pairs[0])
    spline = fixed.new_zeros(len(fixed), len(sizes), *[LEAST_CONTROLS] * len(sizes))
    for level, (one, other, frame) in zip(levels, pairs, strict=True):
        spline = _deform(one, other, frame, matrix, _finer(spline, frame), level)
    full = Frame(sizes, extents, fixed)
    shift = full.mapped(matrix) - full.places + along_axes(spline, full.basis(spline)).movedim(1, -1)
    half = torch.tensor([size / 2 for size in sizes[::-1]], device=fixed.device)
    return (shift * full.ratio * half).flip(-1).movedim(-1, 1)


class Frame:
    """The places of the samples of one resolution."""

    def __init__(self, sizes: tuple[int, ...], extents: tuple[float, ...], like: Tensor) -> None:
        """Lay so many samples over the physical extents, on the device of `like`."""
        self.sizes, self.like = sizes, like
        self.reach = tuple(extent / max(extents) for extent in extents)
        self.ratio = torch.tensor([1 / reach for reach in reversed(self.reach)]).to(like)
        lines = ((torch.arange(size, dtype=torch.float64) * 2 + 1) / size - 1 for size in sizes)
        self.places = torch.stack(torch.meshgrid(*lines, indexing="ij")[::-1], -1).to(like) / self.ratio
        self.steps = tuple(extent / size for extent, size in zip(extents, sizes, strict=True))

    def mapped(self, matrix: Float[Tensor, "n d d+1"]) -> Float[Tensor, "n *space d"]:
        """The places after an affine map."""
        flat: Tensor = self.places.flatten(0, -2) @ matrix[:, :, :-1].mT + matrix[:, None, :, -1]
        return flat.reshape(len(matrix), *self.sizes, len(self.sizes))

    def sample(self, values: Float[Tensor, "n c *space"], places: Float[Tensor, "n *space d"]) -> Float[Tensor, "n c *space"]:
        """Values at places, linearly; beyond the border lies what the border shows."""
        return F.grid_sample(values, places * self.ratio, mode="bilinear", padding_mode="border", align_corners=False)

    def basis(self, spline: Float[Tensor, "n d *controls"]) -> list[Float[Tensor, "_ _"]]:
        """What takes a grid of control points to the samples."""
        return [cubic(size, count, self.like) for size, count in zip(self.sizes, spline.shape[2:], strict=True)]

    def windows(self, side: int) -> list[Float[Tensor, "_ _"]]:
        """Box filters as wide on every axis, in physical terms, as `side` of the shortest steps."""
        finest = min(self.steps)
        odd = [2 * round((side * finest / step - 1) / 2) + 1 for step in self.steps]
        return [box(size, window, self.like) for size, window in zip(self.sizes, odd, strict=True)]


def _pooled(fixed: Float[Tensor, "n *space"], moving: Float[Tensor, "n *space"], frame: Frame) -> tuple[Tensor, Tensor, Frame]:
    """Both images, with one channel, at this resolution."""
    pool = [area(new, old, fixed) for new, old in zip(frame.sizes, fixed.shape[1:], strict=True)]
    return along_axes(fixed[:, None], pool), along_axes(moving[:, None], pool), frame


def _affine(fixed: Float[Tensor, "n 1 *space"], moving: Float[Tensor, "n 1 *space"], frame: Frame) -> Float[Tensor, "n d d+1"]:
    """The map of the highest global correlation that was met on the way, at worst the identity."""
    axes = len(frame.sizes)
    matrix = torch.eye(axes, axes + 1, dtype=fixed.dtype, device=fixed.device).repeat(len(fixed), 1, 1)
    alike = _global(fixed)
    best, kept = torch.full_like(fixed.flatten(1)[:, 0], -torch.inf), matrix.clone()

    def loss(matrix: Tensor) -> Tensor:
        reached = alike(frame.sample(moving, frame.mapped(matrix)))
        with torch.no_grad():
            better = reached > best
            best.copy_(torch.where(better, reached, best))
            kept.copy_(torch.where(better[:, None, None], matrix, kept))
        return -reached.sum()

    last = _descend(loss, matrix, AFFINE_STEPS)
    loss(last)
    return kept


def _deform(
    fixed: Float[Tensor, "n 1 *space"],
    moving: Float[Tensor, "n 1 *space"],
    frame: Frame,
    matrix: Float[Tensor, "n d d+1"],
    spline: Float[Tensor, "n d *controls"],
    level: Level,
) -> Float[Tensor, "n d *controls"]:
    """The control points after descent on one level."""
    mapped, basis = frame.mapped(matrix), frame.basis(spline)
    locally, globally = _local(fixed, frame.windows(level.window)), _global(fixed)

    def loss(spline: Tensor) -> Tensor:
        warped = frame.sample(moving, mapped + along_axes(spline, basis).movedim(1, -1))
        return (MEMBRANE[len(frame.sizes)] * _membrane(spline, frame) - locally(warped) - globally(warped)).sum()

    return _descend(loss, spline, level.steps)


def _descend(loss: Callable[[Tensor], Tensor], begin: Tensor, steps: int) -> Tensor:
    """Adam. Each pair's loss depends on its own parameters alone, so a batch moves as its pairs would one by one."""
    with torch.enable_grad():
        parameters = begin.clone().requires_grad_()
        optimiser = torch.optim.Adam([parameters], RATE, eps=EPSILON)
        for step in range(steps):
            optimiser.param_groups[0]["lr"] = RATE * (1 - DECAY * step / steps)
            optimiser.zero_grad()
            loss(parameters).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return parameters.detach()


def _global(fixed: Float[Tensor, "n 1 *space"]) -> Callable[[Tensor], Tensor]:
    """Normalised cross-correlation with `fixed` over the whole image, per pair."""
    fixed = fixed.flatten(1)
    fixed = fixed - fixed.mean(1, keepdim=True)
    fixed = fixed / fixed.norm(dim=1, keepdim=True).clamp_min(1e-6)

    def score(warped: Tensor) -> Tensor:
        warped = warped.flatten(1)
        warped = warped - warped.mean(1, keepdim=True)
        return (fixed * warped).sum(1) / (warped.square().sum(1) + 1e-5).sqrt()

    return score


def _local(fixed: Float[Tensor, "n 1 *space"], windows: list[Float[Tensor, "_ _"]]) -> Callable[[Tensor], Tensor]:
    """Mean over all windows of the squared correlation with `fixed`, with its sign, per pair.

    Windows count by the contrast of `fixed` alone: were that of the warped image to count too, as it does where a constant in
    the denominator alone guards against flat windows, then raising it would be rewarded, and equal images would not stay.
    """
    mean = along_axes(fixed, windows)
    variance = (along_axes(fixed.square(), windows) - mean.square()).clamp_min(0)
    weight = variance.square() / (variance.square() + FAINT**4)
    weight = weight / weight.flatten(1).mean(1).clamp_min(1e-6).reshape(-1, *[1] * (weight.ndim - 1))

    def score(warped: Tensor) -> Tensor:
        means = along_axes(torch.cat([warped, warped.square(), fixed * warped], 1), windows)
        other, square, product = means[:, :1], means[:, 1:2], means[:, 2:]
        covariance = product - mean * other
        spread = variance * (square - other.square()).clamp_min(0)
        scores: Tensor = weight * covariance * covariance.abs() / (spread + 1e-6)
        return scores.flatten(1).mean(1)

    return score


def _membrane(spline: Float[Tensor, "n d *controls"], frame: Frame) -> Float[Tensor, " n"]:
    """Mean squared strain from control point to control point, summed over the axes."""
    energy = spline.new_zeros(len(spline))
    for axis, reach in enumerate(frame.reach, start=2):
        step = 2 * reach / (spline.shape[axis] - LEAST_CONTROLS + 1)
        energy = energy + (spline.diff(dim=axis) / step).square().sum(1).flatten(1).mean(1)
    return energy


def _finer(spline: Float[Tensor, "n d *old"], frame: Frame) -> Float[Tensor, "n d *new"]:
    """A grid of control points for this resolution that continues the one of the last, by least squares."""
    counts = [max(1, round(size / CONTROL_STEP)) + LEAST_CONTROLS - 1 for size in frame.sizes]
    basis = [cubic(size, count, frame.like) for size, count in zip(frame.sizes, counts, strict=True)]
    return along_axes(along_axes(spline, frame.basis(spline)), [torch.linalg.pinv(matrix) for matrix in basis])


def _sizes(full: tuple[int, ...], extents: tuple[float, ...], side: int) -> tuple[int, ...]:
    """Samples of a level along each axis: equal physical steps, not below LEAST_SIDE and not above the image's own."""
    step = max(extents) / side
    return tuple(min(size, max(LEAST_SIDE, round(extent / step))) for size, extent in zip(full, extents, strict=True))
