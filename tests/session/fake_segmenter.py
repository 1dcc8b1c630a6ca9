"""A segmenter that answers in microseconds: discs around clicks, ellipses in boxes."""

from dataclasses import dataclass

import numpy as np

from promisam.core import Explanation, Grid, Prompts, Scores, Window, check_ndim, check_prompts

RADIUS = 6


@dataclass(frozen=True)
class FakeEncoded:
    grid: Grid


class FakeSegmenter:
    """Discs of 6 samples around clicks on the object, without those around clicks off it; a box's ellipse; a mask's samples."""

    automatic = False
    classes = ()

    def __init__(self, ndim=2, accepts=("points", "box", "mask"), automatic=False, classes=()):
        self.ndim, self.accepts = ndim, frozenset(accepts)
        self.automatic, self.classes = automatic, tuple(classes)
        self.encoded = []  # shapes, in order
        self.asked = []  # prompts, in order

    def prepare(self, image):
        return Window().apply(image)

    def check(self, grid, prompts):
        check_prompts(self.accepts, grid, prompts, "Click.", automatic=self.automatic)

    def encode(self, image):
        check_ndim(self, image.grid)
        self.encoded.append(image.grid.shape)
        return FakeEncoded(image.grid)

    def decode(self, encoded, prompts):
        self.check(encoded.grid, prompts)
        self.asked.append(prompts)
        if not prompts.kinds:
            return Scores(np.stack([self._part(encoded.grid, n) for n in range(len(self.classes))]), encoded.grid)
        mask = np.zeros(encoded.grid.shape, bool)
        if prompts.box_zyx is not None:
            middle, half = prompts.box_zyx.mean(0), (prompts.box_zyx[1] - prompts.box_zyx[0] + 1) / 2
            index = np.indices(encoded.grid.shape)
            mask |= sum(((i - m) / h) ** 2 for i, m, h in zip(index, middle, half, strict=True)) <= 1
        if prompts.mask is not None:
            mask |= prompts.mask
        for on in (1, 0):
            for at in prompts.points_zyx[prompts.labels == on]:
                mask[_ball(encoded.grid.shape, at)] = bool(on)
        return Scores(np.where(mask, 5.0, -5.0).astype(np.float32)[None], encoded.grid, (0.9,))

    def explain(self, encoded):
        parts = [np.argwhere(self._part(encoded.grid, n) > 0).mean(0) for n in range(len(self.classes))]
        prompts = [Prompts(encoded.grid, target=c).click(at.tolist()) for c, at in zip(self.classes, parts, strict=True)]
        return Explanation(0.7, (), {}, tuple(prompts))

    def _part(self, grid, number):
        """Class n of n lies in the n-th strip along the first axis."""
        logits = np.full(grid.shape, -5.0, np.float32)
        rows = grid.shape[0] // max(1, len(self.classes))
        logits[number * rows + 1 : (number + 1) * rows - 1, 2:-2] = 5
        return logits


def _ball(shape, at):
    index = np.indices(shape)
    return sum((i - x) ** 2 for i, x in zip(index, at, strict=True)) < RADIUS**2
