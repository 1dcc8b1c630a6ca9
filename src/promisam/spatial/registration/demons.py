"""Demons with symmetric forces, by SimpleITK: an affine map, equal histograms, then a dense field from coarse to fine.

Vercauteren et al. 2009, "Diffeomorphic demons", NeuroImage 45(1), in ITK's fast variant, which adds each update to the field. A
tissue must look the same in both images once their histograms are matched.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from promisam.spatial.registration.itk import field_of, itk, itk_affine, itk_image, shrinking

LEVELS = ((4, 60), (2, 40), (1, 20))  # shrink factor, and iterations
SMOOTHING = 1.5  # standard deviation by which the field is smoothed after every iteration, in samples of the level


def demons(
    fixed: Float[Tensor, "n *space"], moving: Float[Tensor, "n *space"], spacing: tuple[float, ...]
) -> Float[Tensor, "n d *space"]:
    """Displacements in samples, array order; see `register`."""
    pairs = zip(fixed.cpu().numpy(), moving.cpu().numpy(), strict=True)
    return torch.stack([torch.from_numpy(_pair(one, other, spacing)) for one, other in pairs]).to(fixed)


def _pair(
    fixed: Float[np.ndarray, "*space"], moving: Float[np.ndarray, "*space"], spacing: tuple[float, ...]
) -> Float[np.ndarray, "d *space"]:
    still, mobile = itk_image(fixed, spacing), itk_image(moving, spacing)
    affine = itk_affine(still, mobile)
    moved = itk().HistogramMatching(itk().Resample(mobile, still, affine), still, 256, 7, True)
    field = None
    for factor, iterations in LEVELS:
        one, other = (_coarse(image, factor) for image in (still, moved))
        field = _filter(iterations).Execute(one, other, *([] if field is None else [itk().Resample(field, one)]))
    dense = itk().Cast(itk().Resample(field, still), itk().sitkVectorFloat64)
    whole = itk().CompositeTransform([affine, itk().DisplacementFieldTransform(dense)])
    return field_of(whole, still)


def _filter(iterations: int) -> Any:  # noqa: ANN401 - SimpleITK's classes are untyped
    method = itk().FastSymmetricForcesDemonsRegistrationFilter()
    method.SetNumberOfThreads(torch.get_num_threads())
    method.SetNumberOfIterations(iterations)
    method.SetSmoothDisplacementField(True)
    method.SetStandardDeviations(SMOOTHING)
    return method


def _coarse(image: Any, factor: int) -> Any:  # noqa: ANN401
    factors = shrinking(image, factor)
    if max(factors) == 1:
        return image
    variances = [(step * factor / 2) ** 2 for step, factor in zip(image.GetSpacing(), factors, strict=True)]
    return itk().Shrink(itk().DiscreteGaussian(image, variances), factors)
