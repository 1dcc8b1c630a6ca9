"""Data sets whose folds stand in a `split.pkl`, as ProMISe-3D's and 3DSAM-adapter's authors hand them out."""

from __future__ import annotations

from pathlib import Path

from promisam.io.layouts.values import Case, Dataset
from promisam.io.pickled_split import PICKLED, read_fold


def pickled(path: Path) -> Dataset | None:
    """A `.pkl` file, from whose folder its paths lead; its first fold says which case is in which part.

    Raises:
        UnreadableFile: when it is no such file; nothing in it is executed.
    """
    if path.suffix.lower() not in PICKLED or not path.is_file():
        return None
    cases = [
        Case(one.name, (path.parent / one.image,), (path.parent / one.mask,), split=part)
        for part, listed in read_fold(path).parts.items()
        for one in listed
    ]
    return Dataset(f"the first fold of {path.name}", tuple(sorted(cases, key=lambda case: case.name)), paired=True)
