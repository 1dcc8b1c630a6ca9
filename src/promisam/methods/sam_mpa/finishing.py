"""The last look at a mask: what does not belong goes, what is missing inside comes, edges are smoothed ("PR" of the paper)."""

from __future__ import annotations

import numpy as np
import scipy.ndimage as ndi
from jaxtyping import Float

from promisam.methods.sam_mpa.asking import parts_of

_ON, _OFF = 0.75, 0.25  # probabilities of what was filled and of what was dropped
_NEAR = 0.02  # of the longest side: how far from the coarse mask a part may lie
_FAINT = 0.3  # level of the coarse mask that a part must touch
_SMOOTH = 0.01  # of the object's size
_LEAST = 0.5  # cells


def finished(
    probability: Float[np.ndarray, "*space"], coarse: Float[np.ndarray, "*space"], bodies: int, smallest: float
) -> Float[np.ndarray, "*space"]:
    """Keep the parts that touch the coarse mask, fill holes, smooth edges by a hundredth of the object's size.

    Args:
        probability: of an object.
        coarse: the same, before SAM was asked.
        bodies: parts that are kept, at most, the heaviest.
        smallest: share of the heaviest that a part needs.
    """
    mask = probability > 0.5
    if not mask.any():
        return probability
    thick = int(mask.any(axis=(-2, -1)).sum())
    sigma = max(_LEAST, _SMOOTH * float(mask.sum() / max(1, thick)) ** 0.5)
    across = [0.0] * (mask.ndim - 2)  # slices may be thick: nothing is smoothed from one to the next
    smooth = ndi.gaussian_filter(probability, [*across, sigma, sigma])
    mask = smooth > 0.5
    near = ndi.binary_dilation(coarse > _FAINT, iterations=max(1, round(_NEAR * max(mask.shape))))
    parts, _ = ndi.label(mask)
    touching = np.isin(parts, np.unique(parts[near & mask])) & mask
    kept = np.any([np.zeros_like(mask), *parts_of(touching, coarse, bodies, smallest)], axis=0)
    filled = _filled(kept)
    result = np.where(mask & ~kept, np.minimum(smooth, _OFF), smooth)
    return np.asarray(np.where(filled & ~kept, np.maximum(result, _ON), result), np.float32)


def _filled(mask: np.ndarray) -> np.ndarray:
    """Without holes, slice by slice."""
    if mask.ndim == 2:
        return np.asarray(ndi.binary_fill_holes(mask))
    return np.stack([ndi.binary_fill_holes(one) for one in mask])
