"""All that learns in ProMISe-2D."""

from __future__ import annotations

from torch import nn

from promisam.methods.promise2d.config import Config
from promisam.methods.promise2d.pattern_shift import PatternShift
from promisam.methods.promise2d.point_modules import PointModule, point_module
from promisam.sam.model import Sam
from promisam.sam.taps import default_taps, tap_shapes


class Network(nn.Module):
    """All that learns: what shifts the tokens, and what finds points; either may be absent."""

    def __init__(self, sam: Sam, config: Config, classes: int) -> None:
        super().__init__()
        shape = sam.mask_decoder.shape
        self.shift: PatternShift | None = None
        self.points: PointModule | None = None
        if config.shifts_tokens:
            self.shift = PatternShift(shape.width, shape.masks, classes=classes, zero=config.start == "zero")
        if config.finds_points:
            widths = [tap.width for tap in tap_shapes(sam.image_encoder, default_taps(sam.image_encoder))]
            self.points = point_module(config.form, widths, config.points, classes, anchored=config.anchored)
