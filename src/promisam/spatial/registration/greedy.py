"""Greedy diffeomorphic registration by the package picsl-greedy (the extra `register`): an affine map, then a dense field.

Yushkevich et al. 2016, "Fast automatic segmentation of hippocampal subfields and medial temporal lobe subregions in 3 Tesla and
7 Tesla T2-weighted MRI", Alzheimer's & Dementia 12(7). Both stages maximise patch-wise normalised cross-correlation.
"""

from __future__ import annotations

import io

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from promisam.spatial.registration.itk import field_of, itk, itk_image
from promisam.spatial.registration.packages import optional

RADIUS = 2  # of the patches, in samples
ITERATIONS = "100x50x10"  # coarse to fine


def greedy(
    fixed: Float[Tensor, "n *space"], moving: Float[Tensor, "n *space"], spacing: tuple[float, ...]
) -> Float[Tensor, "n d *space"]:
    """Displacements in samples, array order; see `register`.

    Raises:
        MissingExtra: without picsl-greedy.
    """
    pairs = zip(fixed.cpu().numpy(), moving.cpu().numpy(), strict=True)
    return torch.stack([torch.from_numpy(_pair(one, other, spacing)) for one, other in pairs]).to(fixed)


def _pair(
    fixed: Float[np.ndarray, "*space"], moving: Float[np.ndarray, "*space"], spacing: tuple[float, ...]
) -> Float[np.ndarray, "d *space"]:
    package = optional("picsl_greedy", "picsl-greedy", "greedy")
    solver = package.Greedy2D() if fixed.ndim == 2 else package.Greedy3D()
    still, mobile = itk_image(fixed, spacing), itk_image(moving, spacing)
    how = f"-V 0 -seed 1 -threads {torch.get_num_threads()}"
    said = io.StringIO()  # else it prints
    metric = "-m NCC " + "x".join([str(RADIUS)] * fixed.ndim)
    solver.execute(
        f"{how} -a -dof 12 -ia-identity -i still mobile {metric} -n {ITERATIONS} -o affine",
        said,
        said,
        still=still,
        mobile=mobile,
        affine=None,
    )
    solver.execute(f"{how} -i still mobile {metric} -it affine -n {ITERATIONS} -o dense", said, said, dense=None)
    solver.execute(f"{how} -rf still -r dense affine -rc whole", said, said, whole=None)
    return field_of(itk().DisplacementFieldTransform(itk().Cast(solver["whole"], itk().sitkVectorFloat64)), still)
