"""To and from SimpleITK: images with their spacing, the affine search, and fields."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float

LEVELS = ((8, 2.0), (4, 1.0), (2, 0.0))  # shrink factor, and smoothing in samples
LEAST_SIDE = 8  # no level has fewer samples along an axis, unless the image has


def itk() -> Any:  # noqa: ANN401 - SimpleITK's functions are untyped
    """The package, imported on first use: loading it takes a second."""
    import SimpleITK

    return SimpleITK


def itk_image(image: Float[np.ndarray, "*space"], spacing: tuple[float, ...]) -> Any:  # noqa: ANN401
    """A SimpleITK image, in the unit of its spacing."""
    made = itk().GetImageFromArray(np.ascontiguousarray(image, np.float32))
    made.SetSpacing(tuple(reversed(spacing)))
    return made


def itk_affine(fixed: Any, moving: Any) -> Any:  # noqa: ANN401
    """An affine map that raises the global correlation, from coarse to fine; the identity where the search fails to."""
    axes = fixed.GetDimension()
    start = itk().AffineTransform(axes)
    start.SetCenter(fixed.TransformContinuousIndexToPhysicalPoint([(size - 1) / 2 for size in fixed.GetSize()]))
    search = itk().ImageRegistrationMethod()
    search.SetNumberOfThreads(torch.get_num_threads())
    search.SetMetricAsCorrelation()
    search.SetInterpolator(itk().sitkLinear)
    search.SetOptimizerAsRegularStepGradientDescent(learningRate=1.0, minStep=1e-3, numberOfIterations=60)
    search.SetOptimizerScalesFromPhysicalShift()
    search.SetShrinkFactorsPerLevel([min(shrinking(fixed, factor)) for factor, _ in LEVELS])
    search.SetSmoothingSigmasPerLevel([sigma for _, sigma in LEVELS])
    search.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    search.SetInitialTransform(start, inPlace=False)
    try:
        found = search.Execute(fixed, moving)
    except RuntimeError:  # the images were driven apart until no sample of one lay inside the other
        return start
    return max((start, found), key=lambda transform: _correlation(fixed, moving, transform))


def field_of(transform: Any, fixed: Any) -> Float[np.ndarray, "d *space"]:  # noqa: ANN401
    """A transform from points of `fixed` to points of the moving image, as displacements in samples, array order."""
    where = fixed.GetSize(), fixed.GetOrigin(), fixed.GetSpacing(), fixed.GetDirection()
    shifts: np.ndarray = itk().GetArrayFromImage(itk().TransformToDisplacementField(transform, itk().sitkVectorFloat64, *where))
    field: np.ndarray = np.moveaxis((shifts / np.asarray(fixed.GetSpacing()))[..., ::-1], -1, 0)
    return field.astype(np.float32)


def shrinking(image: Any, factor: int) -> list[int]:  # noqa: ANN401
    """How many samples become one along each axis, x, y[, z]: `factor`, or fewer where few would be left."""
    return [max(1, min(factor, size // LEAST_SIDE)) for size in image.GetSize()]


def _correlation(fixed: Any, moving: Any, transform: Any) -> float:  # noqa: ANN401
    """After the transform, with zeros from beyond the border; -inf for a transform or an image that is not sound."""
    moved = itk().GetArrayFromImage(itk().Resample(moving, fixed, transform))
    value = np.corrcoef(itk().GetArrayFromImage(fixed).ravel(), moved.ravel())[0, 1] if np.ptp(moved) > 0 else np.nan
    return float(value) if np.isfinite(value) else -np.inf
