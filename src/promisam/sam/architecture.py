"""From the names and shapes of tensors to the network that they belong to."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from promisam.core.errors import InvalidConfig, WeightsError
from promisam.sam.mask_decoder import DecoderShape, MaskDecoder
from promisam.sam.model import Answering, Sam, Traits
from promisam.sam.prompt_encoder import PromptEncoder, PromptShape
from promisam.sam.tinyvit import TinyVit, TinyVitShape
from promisam.sam.vit import VisionTransformer, VitShape

# What no tensor shows: released SAMs have 8 heads in the decoder; TinyViT's frame goes with its stem.
DECODER_HEADS = 8
TINYVIT_SIDES = {1: 256, 4: 1024}
FOR_BOXES = "for_boxes."  # before the names of what answers boxes alone


@dataclass(frozen=True)
class SamShape:
    """All sizes of a SAM, and whether a second prompt encoder and mask decoder of the same sizes answer boxes alone."""

    image: VitShape | TinyVitShape
    prompt: PromptShape
    decoder: DecoderShape
    for_boxes: bool = False

    def with_side(self, side: int) -> SamShape:
        """The same model for another frame.

        Raises:
            InvalidConfig: when the frame is not a whole number of patches.
        """
        image = replace(self.image, side=side)
        if side < image.step or side % image.step:
            raise InvalidConfig(
                f"a frame of {side} pixels", expected=f"a multiple of {image.step}", do="Choose the nearest multiple."
            )
        return replace(self, image=image, prompt=replace(self.prompt, side=side, grid=image.grid))


def build(shape: SamShape, traits: Traits | None = None) -> Sam:
    """An untrained SAM of these sizes."""
    encoder = VisionTransformer(shape.image) if isinstance(shape.image, VitShape) else TinyVit(shape.image)
    boxes = Answering(PromptEncoder(shape.prompt), MaskDecoder(shape.decoder)) if shape.for_boxes else None
    return Sam(encoder, PromptEncoder(shape.prompt), MaskDecoder(shape.decoder), traits, boxes)


def infer(state: Mapping[str, Tensor], decoder_heads: int = DECODER_HEADS) -> SamShape:
    """The sizes of the SAM that tensors with Meta's names belong to.

    Raises:
        WeightsError: when they belong to no SAM, saying what they seem to be.
    """
    try:
        image = _vit(state) if any(name.startswith("image_encoder.blocks.") for name in state) else _tinyvit(state)
        return SamShape(
            image,
            PromptShape(
                width=state["prompt_encoder.no_mask_embed.weight"].shape[1],
                side=image.side,
                grid=image.grid,
                mask_width=state["prompt_encoder.mask_downscaling.3.weight"].shape[0],
            ),
            DecoderShape(
                width=state["mask_decoder.iou_token.weight"].shape[1],
                heads=decoder_heads,
                mlp_width=state["mask_decoder.transformer.layers.0.mlp.lin1.weight"].shape[0],
                depth=_count(state, r"mask_decoder\.transformer\.layers\.(\d+)\."),
                masks=state["mask_decoder.mask_tokens.weight"].shape[0],
                quality_width=state["mask_decoder.iou_prediction_head.layers.0.weight"].shape[0],
            ),
            for_boxes=any(name.startswith(FOR_BOXES) for name in state),
        )
    except (KeyError, IndexError, ZeroDivisionError) as error:
        raise WeightsError(
            f"weights without {str(error).strip(chr(39))}: they seem to be {seems(state)}",
            expected="a SAM (ViT-B, L, H) or a TinyViT SAM (MobileSAM, LiteMedSAM), under Meta's or Hugging Face's names",
            do="See `promisam weights list` for weights that fit.",
        ) from None
    except (ValueError, TypeError) as error:
        raise WeightsError(
            f"weights whose tensors have impossible shapes ({error}): they seem to be {seems(state)}",
            expected="a SAM (ViT-B, L, H) or a TinyViT SAM (MobileSAM, LiteMedSAM)",
            do="See `promisam weights list` for weights that fit.",
        ) from None


def seems(state: Mapping[str, object]) -> str:
    """What the tensors' names say that a file is, in words for an error message."""
    clues = [
        (r"memory_attention|sam_mask_decoder|image_encoder\.trunk", "SAM 2"),
        (r"^(module\.)?image_encoder\..*[Aa]dapter|\.lora_|linear_[ab]_[qv]", "an adapted SAM of another tool"),
        (r"^image_encoder\.", "a SAM with parts missing"),
        (r"^(blocks|patch_embed|pos_embed|layers)\b", "a bare image encoder without prompt encoder and decoder"),
        (r"seg_layers|decoder\.stages|encoder\.stages", "an nnU-Net"),
        (r"text_model|visual_projection", "a CLIP model"),
        (r"^(fc|classifier|head)\.", "an image classifier"),
        (r"(down|up|inc|outc)\d*\.", "a U-Net"),
    ]
    if not state:
        return "an empty file"
    for pattern, name in clues:
        if any(re.search(pattern, key) for key in state):
            return name
    return f"something else ({len(state)} tensors, the first called {next(iter(state))!r})"


def faults_of(names: Mapping[str, Sequence[str]]) -> list[str]:
    """What is wrong with names of tensors, by kind: how many, and the first three; kinds without any are left out."""
    return [
        f"{len(some)} {kind} ({', '.join(some[:3])}{', ...' if len(some) > 3 else ''})" for kind, some in names.items() if some
    ]


def _vit(state: Mapping[str, Tensor]) -> VitShape:
    _, grid, _, width = state["image_encoder.pos_embed"].shape
    depth = _count(state, r"image_encoder\.blocks\.(\d+)\.")
    tables = [state[f"image_encoder.blocks.{i}.attn.rel_pos_h"] for i in range(depth)]
    patch = state["image_encoder.patch_embed.proj.weight"].shape[-1]
    seen = [(len(table) + 1) // 2 for table in tables]
    if len(set(seen)) > 2:
        raise WeightsError(
            f"a ViT whose relative positions span {', '.join(str(n) for n in sorted(set(seen)))} tokens",
            expected="at most two spans: one of the windows, one of the whole image",
            do="Check that the file is undamaged and made for a SAM.",
        )
    alone = len(set(seen)) == 1  # then the only span tells by the grid whether it is the whole image
    return VitShape(
        side=grid * patch,
        width=width,
        depth=depth,
        heads=width // tables[0].shape[1],
        global_blocks=tuple(i for i, tokens in enumerate(seen) if tokens == (grid if alone else max(seen))),
        patch=patch,
        window=min(seen),
        mlp_width=state["image_encoder.blocks.0.mlp.lin1.weight"].shape[0],
        out_channels=state["image_encoder.neck.0.weight"].shape[0],
    )


def _tinyvit(state: Mapping[str, Tensor]) -> TinyVitShape:
    stages = _count(state, r"image_encoder\.layers\.(\d+)\.")
    stem = state["image_encoder.patch_embed.seq.2.c.weight"]
    stride = 4 if stem.shape[-1] == 3 else 1
    biases = [state[f"image_encoder.layers.{i}.blocks.0.attn.attention_biases"] for i in range(1, stages)]
    downs = [state[f"image_encoder.layers.{i}.downsample.conv1.c.weight"].shape[0] for i in range(stages - 1)]
    return TinyVitShape(
        side=TINYVIT_SIDES[stride],
        widths=(stem.shape[0], *downs),
        depths=tuple(_count(state, rf"image_encoder\.layers\.{i}\.blocks\.(\d+)\.") for i in range(stages)),
        heads=(0, *(bias.shape[0] for bias in biases)),
        windows=(0, *(math.isqrt(bias.shape[1]) for bias in biases)),
        stem_stride=stride,
        out_channels=state["image_encoder.neck.0.weight"].shape[0],
    )


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    found = {int(match.group(1)) for match in (re.match(pattern, key) for key in state) if match}
    if not found:
        raise KeyError(pattern.replace("\\", "").replace("(d+)", "0"))
    return max(found) + 1
