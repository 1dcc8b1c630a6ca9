"""`register`: checks, the choice of an engine, and the measurements by which a result is judged."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from promisam.core.errors import GeometryError, InvalidConfig, InvalidImage
from promisam.spatial.registration.fields import LEAST_CONTRAST, compose, folds, similarity, warp

Engine = Literal["ffd", "demons", "greedy", "dipy"]


@dataclass(frozen=True, eq=False)
class Registered:
    """Where each sample of the fixed images lies in the moving ones, and how far to trust it.

    Attributes:
        fields: displacements in samples, array order (y, x) or (z, y, x): moving at x + field(x) looks like fixed at x.
        similarity: global normalised cross-correlation of the fixed and the warped moving image, -1 to 1; 0 without contrast.
        folds: share of samples where the Jacobian determinant of x -> x + field(x) is <= 0.
    """

    fields: Float[Tensor, "n d *space"]
    similarity: Float[Tensor, " n"]
    folds: Float[Tensor, " n"]


def register(
    fixed: Float[Tensor, "n *space"],
    moving: Float[Tensor, "n *space"],
    engine: Engine = "ffd",
    *,
    spacing: tuple[float, ...] | None = None,
    start: Float[Tensor, "n d *space"] | None = None,
) -> Registered:
    """Find the displacement that makes each moving image look like its fixed one: pair by pair, nothing is learnt.

    A pair of which one image shows no contrast keeps its start (no displacement without one), with similarity 0.

    Args:
        fixed: images or volumes of one channel, normalised to about 0..1.
        moving: as many, of the same shape.
        engine: "ffd" (torch, on any device, all pairs at once), "demons" (SimpleITK), or "greedy" and "dipy", which need the
            extra `register`. All but "ffd" work on the CPU, pair by pair.
        spacing: distance of neighbouring samples along each axis, array order, in any one unit; None for equal ones.
        start: displacement in samples to begin from; what the engine finds is composed with it.

    Raises:
        GeometryError: for shapes that disagree, and anything but 2-D and 3-D; a volume of one slice is accepted.
        InvalidImage: for values that are not finite.
        InvalidConfig: for an engine that does not exist, or an impossible spacing.
        MissingExtra: for an engine whose package is not installed.
    """
    steps = _checked(fixed, moving, engine, spacing, start)
    with torch.inference_mode(False), torch.no_grad(), torch.autocast(fixed.device.type, enabled=False):
        fixed, moving = (image.detach().to(torch.float32, copy=True) for image in (fixed, moving))
        axes = fixed.ndim - 1
        begin = fixed.new_zeros(len(fixed), axes, *fixed.shape[1:]) if start is None else start.detach().float().clone()
        moved = moving if start is None else warp(moving[:, None], begin)[:, 0]
        clear = (_contrast(fixed) > LEAST_CONTRAST) & (_contrast(moved) > LEAST_CONTRAST)
        fields = begin.clone()
        if clear.any():
            found = _found(engine, fixed[clear], moved[clear], steps)
            fields[clear] = found if start is None else compose(found, begin[clear])
        reached = similarity(fixed, warp(moving[:, None], fields)[:, 0])
        return Registered(fields, torch.where(clear, reached, 0.0), folds(fields))


def _found(
    engine: Engine, fixed: Float[Tensor, "n *space"], moving: Float[Tensor, "n *space"], steps: tuple[float, ...]
) -> Float[Tensor, "n d *space"]:
    """What the engine answers; a volume of a single slice is a picture to it."""
    if 1 not in fixed.shape[1:]:
        return _engine(engine)(fixed, moving, steps)
    thin = fixed.shape[1:].index(1)
    rest = tuple(step for axis, step in enumerate(steps) if axis != thin)
    flat = _engine(engine)(fixed.squeeze(thin + 1), moving.squeeze(thin + 1), rest).unsqueeze(thin + 2)
    return torch.cat([flat[:, :thin], torch.zeros_like(flat[:, :1]), flat[:, thin:]], 1)


def _engine(name: Engine) -> Callable[[Tensor, Tensor, tuple[float, ...]], Tensor]:
    """Every engine takes fixed and moving (n *space) and the spacing, and returns fields (n d *space)."""
    if name == "ffd":
        from promisam.spatial.registration.ffd import ffd

        return ffd
    if name == "demons":
        from promisam.spatial.registration.demons import demons

        return demons
    if name == "greedy":
        from promisam.spatial.registration.greedy import greedy

        return greedy
    from promisam.spatial.registration.syn import syn

    return syn


def _contrast(images: Float[Tensor, "n *space"]) -> Float[Tensor, " n"]:
    """Standard deviation."""
    away = images.flatten(1) - images.flatten(1).mean(1, keepdim=True)
    return away.square().mean(1).sqrt()


def _checked(
    fixed: Tensor, moving: Tensor, engine: str, spacing: tuple[float, ...] | None, start: Tensor | None
) -> tuple[float, ...]:
    """The spacing; after all inputs were found to make sense."""
    axes = fixed.ndim - 1
    if axes not in (2, 3) or sum(size > 1 for size in fixed.shape[1:]) < 2 or 0 in fixed.shape[1:]:
        raise GeometryError(
            f"fixed images of shape {tuple(fixed.shape)}",
            expected="(n, y, x) or (n, z, y, x), of more than one sample along two axes or more",
            do="Stack pairs along axis 0.",
        )
    needed = {"moving": (moving, fixed.shape), "start": (start, (len(fixed), axes, *fixed.shape[1:]))}
    for name, (tensor, shape) in needed.items():
        if tensor is not None and tensor.shape != shape:
            raise GeometryError(
                f"{name} of shape {tuple(tensor.shape)} with fixed images of shape {tuple(fixed.shape)}",
                expected=f"shape {tuple(shape)}",
                do="Bring all to one shape before registering.",
            )
    for name, tensor in {"fixed": fixed, "moving": moving, "start": start}.items():
        if tensor is not None and not torch.isfinite(tensor).all():
            raise InvalidImage(f"{name} with NaN or infinite values", expected="finite values", do="Clean them beforehand.")
    if engine not in get_args(Engine):
        known = ", ".join(get_args(Engine))
        raise InvalidConfig(f"registration engine {engine!r}", expected=f"one of {known}", do="Choose one of them.")
    steps = (1.0,) * axes if spacing is None else spacing
    if len(steps) != axes or not all(math.isfinite(step) and step > 0 for step in steps):
        raise InvalidConfig(f"spacing {spacing}", expected=f"{axes} positive numbers", do="Give one per axis, in array order.")
    return steps
