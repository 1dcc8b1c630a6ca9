"""Fixed, augmented versions of pictures, for methods whose frozen part is computed once for each."""

from __future__ import annotations

import zlib

import numpy as np
import torch

from promisam.core import Grid, Image, Segmentation
from promisam.training.augmentation import Augmentation
from promisam.training.seeds import seed_of


def augmented(image: Image, truth: Segmentation, change: Augmentation, variant: int) -> tuple[Image, Segmentation]:
    """One of the fixed variants of an example, in 0..255; those of different images differ in what is done to them."""
    generator = torch.Generator().manual_seed(seed_of(variant, zlib.crc32(image.pixels.tobytes())))
    pixels, labels = change(image.pixels.astype(np.float32), truth.labels.astype(np.int64), generator)
    grid = Grid.of_picture(image.grid.shape)  # turned pixels lie nowhere in the patient
    changed = Image(np.clip(pixels, 0, 255), grid, image.levels)
    return changed, Segmentation(labels.astype(np.uint16), grid, truth.names)
