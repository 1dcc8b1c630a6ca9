"""Seeds from numbers."""

from __future__ import annotations

import numpy as np


def seed_of(*numbers: int) -> int:
    """One seed from several numbers, far from that of neighbouring numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
