"""Which of an encoder's features the points are found from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from promisam.core.errors import InvalidConfig
from promisam.sam.tinyvit import KEEPS_RESOLUTION, TinyVit, TinyVitShape
from promisam.sam.vit import VisionTransformer

TAPS = 3


@dataclass(frozen=True)
class TapShape:
    """The size of the tokens after a block: (b, grid, grid, width).

    Attributes:
        width: channels.
        grid: tokens along a side.
    """

    width: int
    grid: int


def default_taps(encoder: object) -> tuple[int, int, int]:
    """The blocks (0 is the first) to take features after, for `ImageEncoder.features`.

    Of a plain ViT the last three that see the whole image, as in the release (ViT-B: the 6th, 9th and 12th), or, if fewer than
    three do, its last three; of a TinyViT the last three stages.

    Args:
        encoder: the image encoder of a SAM.

    Raises:
        InvalidConfig: for an encoder of unknown make or with fewer than three blocks.
    """
    known = _known(encoder)
    blocks = list(range(len(known.blocks)))
    if isinstance(known, VisionTransformer) and len(known.shape.global_blocks) >= TAPS:
        blocks = sorted(known.shape.global_blocks)
    if len(blocks) < TAPS:
        raise InvalidConfig(
            f"an image encoder with {len(blocks)} blocks",
            expected=f"at least {TAPS}, to take features after",
            do="Use another SAM.",
        )
    first, second, third = blocks[-TAPS:]
    return first, second, third


def tap_shapes(encoder: object, taps: Sequence[int]) -> tuple[TapShape, ...]:
    """The sizes of the features after these blocks.

    Raises:
        InvalidConfig: when a block does not exist, or for an encoder of unknown make.
    """
    known = _known(encoder)
    absent = [i for i in taps if not 0 <= i < len(known.blocks)]
    if absent:
        raise InvalidConfig(
            f"features after block {absent[0]}",
            expected=f"blocks 0 to {len(known.blocks) - 1}",
            do="Choose blocks that this encoder has.",
        )
    if isinstance(known, TinyVit):
        return tuple(_after_stage(known.shape, stage) for stage in taps)
    return tuple(TapShape(known.shape.width, known.shape.grid) for _ in taps)


def _known(encoder: object) -> VisionTransformer | TinyVit:
    """An encoder that says its sizes."""
    if isinstance(encoder, VisionTransformer | TinyVit):
        return encoder
    raise InvalidConfig(
        f"an image encoder of the kind {type(encoder).__name__}", expected="a plain ViT or a TinyViT", do="Use another SAM."
    )


def _after_stage(shape: TinyVitShape, stage: int) -> TapShape:
    """A stage ends with the way down to the next, except the last."""
    downs = shape.widths[1 : stage + 2]
    halvings = sum(width != KEEPS_RESOLUTION for width in downs)
    return TapShape(downs[-1], shape.side // (shape.stem_stride * 2**halvings))
