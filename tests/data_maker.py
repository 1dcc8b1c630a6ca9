"""Data sets made on the spot, with sizes and geometries that show every mix-up of axes."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
from PIL import Image as Pillow

# x, y, z index to RAS millimetres: turned about two axes, 0.7 x 0.9 x 2.5 mm
OBLIQUE = np.array(
    [[0.56, -0.324, 1.2, -10.0], [0.42, 0.432, -1.6, 20.0], [0.0, 0.72, 1.5, 30.0], [0.0, 0.0, 0.0, 1.0]],
)


def picture(path: Path, pixels: np.ndarray, **options: object) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(pixels).save(path, **options)
    return pixels


def grey(seed: int, shape: tuple[int, ...] = (20, 30)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def blocks(*values: int, shape: tuple[int, int] = (20, 30)) -> np.ndarray:
    """A label map with one block per value, side by side; 0 leaves a gap."""
    labels = np.zeros(shape, np.uint8)
    for at, value in enumerate(values):
        labels[4:11, 2 + 5 * at : 6 + 5 * at] = value
    return labels


def volume(path: Path, array_xyz: np.ndarray, affine: np.ndarray = OBLIQUE) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array_xyz, affine), path)
    return array_xyz


def noise(seed: int, shape: tuple[int, ...] = (7, 6, 5)) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def labels_xyz(*values: int, shape: tuple[int, int, int] = (7, 6, 5)) -> np.ndarray:
    labels = np.zeros(shape, np.uint8)
    for at, value in enumerate(values):
        labels[1 + 2 * at : 3 + 2 * at, 2:5, 1:3] = value
    return labels


def text(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path
