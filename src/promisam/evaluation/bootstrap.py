"""How sure a mean is, by resampling the cases."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float64

RESAMPLES = 2000
SEED = 0
_LEVEL = 95


def mean_interval(
    sums: Float64[np.ndarray, " cases"],
    counts: Float64[np.ndarray, " cases"],
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> tuple[float, float] | None:
    """The 95 % percentile-bootstrap interval of a mean over cases; None for fewer than two cases.

    Cases are drawn with replacement, and a case brings all its values along: the labels of one patient are not independent.
    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13.

    Args:
        sums: sum of the values of each case.
        counts: number of the values of each case, at least 1.
        resamples: how often to draw.
        seed: equal seeds give equal intervals.
    """
    if len(sums) < 2:
        return None
    drawn = _draws(len(sums), resamples, seed)
    means = (drawn @ sums) / (drawn @ counts)
    low, high = np.percentile(means, ((100 - _LEVEL) / 2, (100 + _LEVEL) / 2))
    return float(low), float(high)


@lru_cache(maxsize=4)
def _draws(cases: int, resamples: int, seed: int) -> Float64[np.ndarray, "resamples cases"]:
    """How often each case was drawn, in each resample; shared by all metrics and labels of a table."""
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(cases, np.full(cases, 1 / cases), size=resamples).astype(np.float64)
    drawn.flags.writeable = False
    return drawn
