"""Symmetric diffeomorphic registration by the package dipy (the extra `register`): an affine map, then SyN.

Avants et al. 2008, "Symmetric diffeomorphic image registration with cross-correlation", Medical Image Analysis 12(1). The
affine map maximises mutual information (Mattes et al. 2003), SyN local cross-correlation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from promisam.spatial.registration.packages import optional

AFFINE = {"level_iters": [100, 50, 20], "sigmas": [3.0, 1.0, 0.0], "factors": [4, 2, 1], "verbosity": 0}
ITERATIONS = [50, 30, 15]  # SyN's, coarse to fine; each level has twice the samples of the last along an axis
LEAST_SIDE = 16  # of SyN's coarsest level, twice dipy's window of correlation


def syn(
    fixed: Float[Tensor, "n *space"], moving: Float[Tensor, "n *space"], spacing: tuple[float, ...]
) -> Float[Tensor, "n d *space"]:
    """Displacements in samples, array order; see `register`.

    Raises:
        MissingExtra: without dipy.
    """
    pairs = zip(fixed.cpu().double().numpy(), moving.cpu().double().numpy(), strict=True)
    return torch.stack([torch.from_numpy(_pair(one, other, spacing)) for one, other in pairs]).to(fixed)


def _pair(
    fixed: Float[np.ndarray, "*space"], moving: Float[np.ndarray, "*space"], spacing: tuple[float, ...]
) -> Float[np.ndarray, "d *space"]:
    axes, world = fixed.ndim, np.diag([*spacing, 1.0])
    affine = _affine(fixed, moving, world)
    levels = 1 + sum(min(fixed.shape) >= LEAST_SIDE * 2**more for more in range(1, len(ITERATIONS)))
    metric = _dipy("metrics").CCMetric(axes)
    method = _dipy("imwarp").SymmetricDiffeomorphicRegistration(metric, level_iters=ITERATIONS[-levels:])
    method.verbosity = 0
    shifts = method.optimize(
        fixed, moving, static_grid2world=world, moving_grid2world=world, prealign=affine
    ).get_forward_field()
    points = np.moveaxis(np.indices(fixed.shape), 0, -1) * np.asarray(spacing)
    reached: np.ndarray = (points + shifts) @ affine[:axes, :axes].T + affine[:axes, axes]
    field: np.ndarray = np.moveaxis((reached - points) / np.asarray(spacing), -1, 0)
    return field.astype(np.float32)


def _affine(
    fixed: Float[np.ndarray, "*space"], moving: Float[np.ndarray, "*space"], world: Float[np.ndarray, "_ _"]
) -> Float[np.ndarray, "_ _"]:
    kind = _dipy("transforms").AffineTransform2D if fixed.ndim == 2 else _dipy("transforms").AffineTransform3D
    search = _dipy("imaffine").AffineRegistration(metric=_dipy("imaffine").MutualInformationMetric(nbins=32), **AFFINE)
    found: np.ndarray = search.optimize(fixed, moving, kind(), None, static_grid2world=world, moving_grid2world=world).affine
    return found


def _dipy(module: str) -> Any:  # noqa: ANN401 - an optional, untyped package
    return optional(f"dipy.align.{module}", "dipy", "dipy")
