"""The release (github.com/ucwxb/I-MedSAM at 07aac15): its flow through the field, its loss, its files in our names."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from promisam.core.errors import WeightsError
from promisam.methods.imedsam.field import DROPOUT, ImplicitField
from promisam.sam.architecture import seems

SIDE = 384  # of the frame that the release trains its weights for (512 for several classes)


def official_field(
    field: ImplicitField,
    inputs: Float[Tensor, "n i"],
    number: int,
    uncertainty: Float[Tensor, " n"] | None = None,
    dropout: float | int = DROPOUT,
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"], Bool[Tensor, " n"]]:
    """Coarse and merged logits of points as released, and which of them the fine network answered.

    The whole coarse network runs once for each pass; dropout falls on its answer, the logit included, and only while training,
    so that the uncertainty is otherwise 0 everywhere and the choice of points arbitrary. Points of several images compete.

    Args:
        field: the networks.
        inputs: of each point.
        number: of the class.
        uncertainty: in place of the variance over the passes.
        dropout: share that is dropped out.
    """
    answers = [
        F.dropout(field.coarse_heads[number](field.coarse(inputs)), dropout, field.training) for _ in range(field.passes)
    ]
    answer = answers[-1]
    if uncertainty is None:
        uncertainty = torch.stack([a.detach() for a in answers]).var(0).mean(-1)
    chosen = uncertainty.topk(field.count(len(inputs))).indices
    fine = field.fine_heads[number](field.fine(torch.cat([inputs[chosen], answer[chosen, 1:]], -1)))[:, 0]
    merged = answer[:, 0].index_copy(0, chosen, fine)
    return answer[:, 0], merged, torch.zeros_like(uncertainty, dtype=torch.bool).index_fill(0, chosen, True)


def ours(name: str) -> str | None:
    """Our name of a released tensor of the method, in the file or in the running model; None for one of the SAM.

    Files number low-rank pairs: block i has its queries at 2 i and its values at 2 i + 1.
    """
    if found := re.fullmatch(r"w_g_(\d+)", name):
        return f"adapters.{int(found[1])}.term.gate.weight"
    if found := re.fullmatch(r"w_([ab])_(\d+)", name):
        block, part = divmod(int(found[2]), 2)
        return f"adapters.{block}.term.{'down' if found[1] == 'a' else 'up'}.{part}"
    name = name.removeprefix("sam.")
    if found := re.fullmatch(r"image_encoder\.blocks\.(\d+)\.(.+)", name):
        inner = _INNER.get(found[2])
        return None if inner is None else f"adapters.{found[1]}.{inner}"
    if name.startswith("prompt_encoder."):
        return name
    if name.startswith("mask_decoder.output_upscaling."):
        return name.replace("mask_decoder.output_upscaling", "upscaling")
    if found := re.fullmatch(r"mask_decoder\.seg_field\.seg_net\.([0-3])\.(.+)", name):
        return _field_name(int(found[1]), found[2])
    return None


_INNER = {
    "attn.qkv.w_gate.weight": "term.gate.weight",
    "attn.qkv.q_lora_a.0.weight": "term.down.0",
    "attn.qkv.q_lora_b.0.weight": "term.up.0",
    "attn.qkv.v_lora_a.0.weight": "term.down.1",
    "attn.qkv.v_lora_b.0.weight": "term.up.1",
    **{f"freq_adapter.D_fc1.{kind}": f"frequency.down.{kind}" for kind in ("weight", "bias")},
    **{f"freq_adapter.D_fc2.{kind}": f"frequency.up.{kind}" for kind in ("weight", "bias")},
    **{f"freq_norm.{kind}": f"frequency.norm.{kind}" for kind in ("weight", "bias")},
}


def _field_name(part: int, rest: str) -> str:
    if part in (0, 1):
        return f"field.{('coarse', 'fine')[part]}.{rest}"
    number, layer, kind = rest.split(".", 2)
    if part == 2:
        return f"field.coarse_heads.{number}.{kind}"
    return f"field.fine_heads.{number}.{layer}.{kind}"


def split_official(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor], int]:
    """A released checkpoint as tensors of the SAM's decoder, the method's own tensors, and the number of classes.

    The frozen image encoder is not in such a file.

    Raises:
        WeightsError: for a file that is no such checkpoint.
    """
    own = {mine: value for name, value in state.items() if (mine := ours(name)) is not None}
    classes = len({name.split(".")[2] for name in own if name.startswith("field.coarse_heads.")})
    if not classes or not any(name.startswith("adapters.") for name in own):
        raise WeightsError(
            f"weights that seem to be {seems(state)}",
            expected="a checkpoint of the released I-MedSAM, with `w_a_000` and `mask_decoder.seg_field.` in it",
            do="Check which program wrote it.",
        )
    sam = {name.removeprefix("sam."): value for name, value in state.items() if ours(name) is None}
    return sam, own, classes
