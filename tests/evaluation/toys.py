"""Small segmentations whose scores can be counted by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from promisam.core import Grid, Segmentation
from promisam.io import write


def grid(shape: Sequence[int], spacing: Sequence[float], origin: Sequence[float] = (0.0, 0.0, 0.0)) -> Grid:
    """A millimetre grid, spacing in array order."""
    d = len(shape)
    return Grid.from_itk(tuple(reversed(shape)), tuple(reversed(spacing)), tuple(origin)[:d], np.eye(d))


def boxes(on: Grid, *parts: tuple[int, Sequence[slice]]) -> Segmentation:
    """Label by label, a filled box."""
    labels = np.zeros(on.shape, np.uint8)
    for value, part in parts:
        labels[tuple(part)] = value
    return Segmentation(labels, on)


def square(y: int, x: int, side: int, shape: Sequence[int] = (30, 40), label: int = 1) -> Segmentation:
    """A square on a picture."""
    return boxes(Grid.of_picture(shape), (label, (slice(y, y + side), slice(x, x + side))))


def empty(shape: Sequence[int] = (30, 40)) -> Segmentation:
    """A picture without a label."""
    return boxes(Grid.of_picture(shape))


def save(folder: Path, **cases: Segmentation | bytes) -> Path:
    """A folder of PNG pictures (NIfTI for what lies in millimetres), or of raw bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in cases.items():
        if isinstance(content, bytes):
            (folder / f"{name}.png").write_bytes(content)
        else:
            write(folder / f"{name}{'.png' if content.grid.unit == 'px' else '.nii.gz'}", content)
    return folder
