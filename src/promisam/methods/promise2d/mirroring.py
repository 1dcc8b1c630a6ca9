"""A picture and its prompts, mirrored, and answers mirrored back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float32

from promisam.core import Grid, Image, Prompts

VIEWS: tuple[tuple[int, ...], ...] = ((), (1,), (0,), (0, 1))  # array axes of a picture that are turned around


def mirrored_image(image: Image, axes: tuple[int, ...]) -> Image:
    """The picture, turned around along some of its axes; it no longer lies anywhere in the patient."""
    pixels = np.ascontiguousarray(np.flip(image.pixels, tuple(axis + 1 for axis in axes)))
    return Image(pixels, Grid.of_picture(image.grid.shape), image.levels)


def mirrored_prompts(prompts: Prompts, axes: tuple[int, ...]) -> Prompts:
    """Prompts for the mirrored picture."""
    last = np.asarray(prompts.grid.shape) - 1.0
    turned = np.isin(np.arange(2), axes)
    points = np.where(turned, last - prompts.points_zyx, prompts.points_zyx)
    box = prompts.box_zyx
    if box is not None:
        box = np.where(turned, last - box[::-1], box)
    mask = None if prompts.mask is None else np.ascontiguousarray(np.flip(prompts.mask, axes))
    grid = Grid.of_picture(prompts.grid.shape)
    return replace(prompts, grid=grid, points_zyx=points, box_zyx=box, mask=mask)


def mirrored_back(logits: Float32[np.ndarray, "k y x"], axes: tuple[int, ...]) -> Float32[np.ndarray, "k y x"]:
    """An answer about the mirrored picture, for the picture as it is."""
    return np.flip(logits, tuple(axis + 1 for axis in axes))
