"""The released ProMISe-2D filled with recorded weights, and what its two recorded cases have in common."""

from __future__ import annotations

from typing import Any

import torch

from parity.golden import Golden
from promisam.methods.promise2d.decoding import decode_shifted
from promisam.methods.promise2d.official import split_official
from promisam.methods.promise2d.pattern_shift import PatternShift
from promisam.methods.promise2d.point_modules import point_module
from promisam.sam.checkpoint import fit, sam_from_state
from promisam.sam.vit import VisionTransformer, VitShape

SIDE = 1024
WIDTH = 768


class Filled:
    """SAM, shift and point module with the case's weights, through the conversion of released files.

    The recorded case has no image encoder; a small one stands in, so that the file is a whole one.
    """

    def __init__(self, golden: Golden, shapes: dict[str, Any], grid: int) -> None:
        patch = SIDE // grid
        shape = VitShape(SIDE, 8, 2, 2, (1,), patch, 3, 8, 256)
        encoder = {f"image_encoder.{k}": v for k, v in VisionTransformer(shape).state_dict().items()}
        sam, own, self.facts = split_official(encoder | golden.weights(shapes))
        self.sam = sam_from_state(sam).requires_grad_(False)
        self.shift = PatternShift().requires_grad_(False)
        fit(self.shift, part(own, "shift."))
        self.points = point_module(self.facts.form, (WIDTH,) * 3, self.facts.points).eval().requires_grad_(False)
        fit(self.points, part(own, "points."))
        self.labels = golden.input("labels").expand(2, -1)

    def whole(self, points: torch.Tensor, embedding: torch.Tensor, *, shifted: bool = True) -> torch.Tensor:
        shift = self.shift(embedding)[:, 0] if shifted else None
        return decode_shifted(self.sam, embedding, points[:, 0] * SIDE, self.labels, shift)


def part(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def all_masks(filled: Filled, embedding, points, shift):
    """Every mask and its quality, by the decoder's two halves; and the point tokens."""
    sam = filled.sam
    sparse, dense = sam.prompt_encoder(points, filled.labels)
    tokens, features = sam.mask_decoder.attend(embedding, sam.prompt_encoder.dense_positions(), sparse, dense, shift)
    return sparse, *sam.mask_decoder.masks(tokens, features)


def compare_decoder(golden: Golden, filled: Filled) -> None:
    embedding, points = golden.input("embedding"), golden.input("points")
    shift = filled.shift(embedding)[:, 0]
    sparse, logits, quality = all_masks(filled, embedding, points, shift)
    golden.compare("decoder.sparse", sparse[:1])
    for image in (0, 1):
        golden.compare(f"decoder.image{image}.logits", logits[image : image + 1, 1:])
        golden.compare(f"decoder.image{image}.iou", quality[image : image + 1, 1:])
    for token in (0, 3):
        alone = decode_shifted(filled.sam, embedding, points, filled.labels, shift, token)
        assert torch.allclose(alone, logits[:, token], atol=1e-5)


def compare_whole(golden: Golden, filled: Filled, points: torch.Tensor) -> None:
    embedding = golden.input("embedding")
    golden.compare("apm.points", points[:, 0] * SIDE)
    logits = filled.whole(points, embedding)[:, None]
    golden.compare("full.logits", logits)
    golden.compare("full.positive_share", (logits > 0).float().mean((1, 2, 3)))
    golden.compare("full_without_shift.logits", filled.whole(points, embedding, shifted=False)[:, None])
    shift = filled.shift(embedding)[:, 0]
    golden.compare("full.iou", all_masks(filled, embedding, points[:, 0] * SIDE, shift)[2][:, 1:])
