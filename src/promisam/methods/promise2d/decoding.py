"""Masks of a batch of images, each with its own prompts and its own shift of the mask tokens."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from promisam.sam.model import Sam


def decode_shifted(
    sam: Sam,
    embedding: Float[Tensor, "#b c h w"],
    points_xy: Float[Tensor, "b n 2"] | None = None,
    labels: Int64[Tensor, "b n"] | None = None,
    shift: Float[Tensor, "#b k c"] | None = None,
    token: int = 1,
    *,
    boxes_xyxy: Float[Tensor, "b 4"] | None = None,
    masks: Float[Tensor, "b 1 v u"] | None = None,
) -> Float[Tensor, "b y x"]:
    """Logits of one mask token's mask, four times the embedding's grid.

    Nothing here stops gradients: they reach points, shift and embedding through a SAM whose weights do not learn. The release
    decodes image by image; this is one pass, and draws no mask that nobody looks at.

    Args:
        sam: prompt encoder and decoder.
        embedding: of each image, or of one for all prompts.
        points_xy: pixels of the model's frame.
        labels: 1 on the object, 0 off it, -1 padding.
        shift: added to the mask tokens; none for SAM as it is.
        token: the mask token whose mask is wanted: 0 is SAM's for clear prompts, 1 the one that the release trains.
        boxes_xyxy: lowest and highest pixel.
        masks: logits of four times the embedding's grid.
    """
    decoder, prompts = sam.mask_decoder, sam.prompt_encoder
    with torch.autocast(embedding.device.type, enabled=False):  # half precision would shift positions by pixels
        sparse, dense = prompts(points_xy, labels, boxes_xyxy, masks)
        positions = prompts.dense_positions()
    b = max(len(embedding), len(sparse))  # without any prompt there is one empty set of them for all images
    tokens, features = decoder.attend(embedding, positions, sparse.expand(b, -1, -1), dense.expand(b, -1, -1, -1), shift)
    weights = decoder.output_hypernetworks_mlps[token](tokens[:, 1 + token])  # the quality token comes first
    return torch.einsum("bc,bcyx->byx", weights, decoder.upscale(features))
