"""Hugging Face's names for SAM's tensors and Meta's, both ways.

Source: the state dict of `transformers.SamModel` (5.23) beside Meta's release.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

# (Meta, Hugging Face); {n} is a number. Earlier pairs win.
_PAIRS = [
    ("image_encoder.blocks.{n}.norm{n}.", "vision_encoder.layers.{n}.layer_norm{n}."),
    ("image_encoder.blocks.{n}.", "vision_encoder.layers.{n}."),
    ("image_encoder.neck.0.", "vision_encoder.neck.conv1."),
    ("image_encoder.neck.1.", "vision_encoder.neck.layer_norm1."),
    ("image_encoder.neck.2.", "vision_encoder.neck.conv2."),
    ("image_encoder.neck.3.", "vision_encoder.neck.layer_norm2."),
    ("image_encoder.patch_embed.proj.", "vision_encoder.patch_embed.projection."),
    ("image_encoder.pos_embed", "vision_encoder.pos_embed"),
    ("prompt_encoder.pe_layer.positional_encoding_gaussian_matrix", "prompt_encoder.shared_embedding.positional_embedding"),
    ("prompt_encoder.pe_layer.positional_encoding_gaussian_matrix", "shared_image_embedding.positional_embedding"),
    ("prompt_encoder.point_embeddings.{n}.", "prompt_encoder.point_embed.{n}."),
    ("prompt_encoder.mask_downscaling.0.", "prompt_encoder.mask_embed.conv1."),
    ("prompt_encoder.mask_downscaling.1.", "prompt_encoder.mask_embed.layer_norm1."),
    ("prompt_encoder.mask_downscaling.3.", "prompt_encoder.mask_embed.conv2."),
    ("prompt_encoder.mask_downscaling.4.", "prompt_encoder.mask_embed.layer_norm2."),
    ("prompt_encoder.mask_downscaling.6.", "prompt_encoder.mask_embed.conv3."),
    ("mask_decoder.transformer.layers.{n}.norm{n}.", "mask_decoder.transformer.layers.{n}.layer_norm{n}."),
    ("mask_decoder.transformer.norm_final_attn.", "mask_decoder.transformer.layer_norm_final_attn."),
    ("mask_decoder.output_upscaling.0.", "mask_decoder.upscale_conv1."),
    ("mask_decoder.output_upscaling.1.", "mask_decoder.upscale_layer_norm."),
    ("mask_decoder.output_upscaling.3.", "mask_decoder.upscale_conv2."),
    ("mask_decoder.output_hypernetworks_mlps.{n}.layers.0.", "mask_decoder.output_hypernetworks_mlps.{n}.proj_in."),
    ("mask_decoder.output_hypernetworks_mlps.{n}.layers.2.", "mask_decoder.output_hypernetworks_mlps.{n}.proj_out."),
    ("mask_decoder.output_hypernetworks_mlps.{n}.layers.1.", "mask_decoder.output_hypernetworks_mlps.{n}.layers.0."),
    ("mask_decoder.iou_prediction_head.layers.0.", "mask_decoder.iou_prediction_head.proj_in."),
    ("mask_decoder.iou_prediction_head.layers.2.", "mask_decoder.iou_prediction_head.proj_out."),
    ("mask_decoder.iou_prediction_head.layers.1.", "mask_decoder.iou_prediction_head.layers.0."),
]
_SHARED = "shared_image_embedding.positional_embedding"


def is_hugging_face(names: Mapping[str, object]) -> bool:
    """Whether tensors carry Hugging Face's names of a SAM."""
    return any(name.startswith("vision_encoder.layers.") for name in names)


def to_meta(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Hugging Face's names to Meta's; names that are already Meta's stay."""
    pairs = [(_pattern(theirs), _template(ours)) for ours, theirs in _PAIRS]
    return {_rename(name, pairs): tensor for name, tensor in state.items()}


def to_hugging_face(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Meta's names to Hugging Face's; the position matrix, which stands twice there, included."""
    pairs = [(_pattern(ours), _template(theirs)) for ours, theirs in _PAIRS]
    renamed = {_rename(name, pairs): tensor for name, tensor in state.items()}
    matrix = renamed.get("prompt_encoder.shared_embedding.positional_embedding")
    return renamed if matrix is None else {**renamed, _SHARED: matrix}


def _rename(name: str, pairs: list[tuple[re.Pattern[str], str]]) -> str:
    for pattern, template in pairs:
        renamed, count = pattern.subn(template, name)
        if count:
            return renamed
    return name


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile("^" + re.escape(text).replace(r"\{n\}", r"(\d+)"))


def _template(text: str) -> str:
    parts = text.split("{n}")
    return parts[0] + "".join(rf"\g<{i}>{part}" for i, part in enumerate(parts[1:], 1))
