"""The release (github.com/MedICL-VU/ProMISe at 8c9803f): its weight files in our names, its scales of intensity."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal

from torch import Tensor

from promisam.core.errors import WeightsError
from promisam.methods.promise3d.volume import Intensity
from promisam.sam.architecture import faults_of, seems

Data = Literal["colon", "pancreas", "lits", "kits"]
# In Hounsfield units; no file holds them.
INTENSITIES: dict[Data, Intensity] = {
    "colon": Intensity(-57.0, 175.0, 65.175035, 32.651197, relative=False),
    "pancreas": Intensity(-39.0, 204.0, 68.45214, 63.422806, relative=False),
    "lits": Intensity(-48.0, 163.0, 60.057533, 40.198017, relative=False),
    "kits": Intensity(-54.0, 247.0, 59.53867, 55.457336, relative=False),
}
_ENCODER, _PROMPTS, _DECODER = "encoder_dict.", "feature_dict.3.", "decoder_dict."
# Masks that are derived; a factor that is dealt with; three prompt encoders, parts of the fourth and a code that nothing calls.
_DEAD = (
    rf"{_ENCODER}blocks\.\d+\.(attn_mask|attn\.lr)|feature_dict\.[012]\..+|"
    rf"{_PROMPTS}(positional_encoding_gaussian_matrix|transformer\.layers\.\d+\.cross_attn_token_to_image\..+)"
)
# Of the frozen image encoder, which the file carries without its norms and its neck.
_FROZEN = r"pos_embed|patch_embed\.proj\.\w+|blocks\.\d+\.(attn\.(qkv|proj|rel_pos_[hw])|mlp\.lin[12])(\.\w+)?"
_OWN = (  # patterns of whole names and ours
    (_ENCODER + r"(depth_embed|slice_embed\.\w+)", r"encoder.\1"),
    (_ENCODER + r"(blocks\.\d+)\.attn\.(rel_pos_d)", r"encoder.\1.\2"),
    (_ENCODER + r"(blocks\.\d+\.norm[12]\.\w+)", r"encoder.\1"),
    (_ENCODER + r"(blocks\.\d+)\.adapter\.(.+)", r"encoder.\1.front.\2"),
    (_ENCODER + r"(blocks\.\d+)\.adapter_back\.(.+)", r"encoder.\1.back.\2"),
    *(
        (_ENCODER + rf"neck_3d\.(\d)\.{number}\.(\w+)", rf"encoder.necks.\1.{name}.\2")
        for number, name in enumerate(("linear", "norm1", "conv", "norm2"))
    ),
    (_PROMPTS + r"transformer\.(layers\.\d+)\.global_query", r"prompts.\1.queries"),
    (_PROMPTS + r"transformer\.(layers\.\d+)\.cross_attn_image_to_token\.(.+)", r"prompts.\1.image_attn.\2"),
    (_PROMPTS + r"transformer\.(layers\.\d+\.(self_attn|norm[1-4]|mlp)\..+)", r"prompts.\1"),
    *((_DECODER + rf"mlahead\.head{i + 2}\.(.+)", rf"decoder.branches.{i}.body.\1") for i in range(4)),
    *((_DECODER + rf"mlahead\.up{i + 2}\.(.+)", rf"decoder.branches.{i}.up.\1") for i in range(4)),
    (_DECODER + r"(?:head|cls_hao)\.0\.weight", r"decoder.mix.weight"),
    (_DECODER + r"(?:head|cls_hao)\.3\.weight", r"decoder.head.2.weight"),
    (_DECODER + r"image_feature_extractor\.(.+)", r"decoder.path.\1"),
)


def split_official(state: Mapping[str, Tensor], data: Data) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A released checkpoint as tensors of the SAM, under Meta's names, and those of our network.

    Of the SAM it holds the image encoder, without its neck and without its norms, which the release trains. Tables of relative
    positions are multiplied by the file's factor for them, which is 1 unless somebody trained it.

    Args:
        state: names of tensors begin with those of the state dicts in the file, such as `encoder_dict.`.
        data: what it was trained on, which tells how intensities are scaled.

    Raises:
        WeightsError: for a file that is no such checkpoint, or not a whole one.
    """
    parts = (_ENCODER, "feature_dict.", _DECODER)
    theirs = {name: value for name, value in state.items() if name.startswith(parts)}  # the rest is of optimisers
    whole = all(any(name.startswith(part) for name in theirs) for part in parts)
    if not whole or _ENCODER + "slice_embed.weight" not in theirs:
        raise WeightsError(
            f"weights that seem to be {seems(state)}",
            expected="a checkpoint of the released ProMISe-3D, with `encoder_dict`, `feature_dict` and `decoder_dict` in it",
            do="Check which program wrote it.",
        )
    frozen = re.compile(_ENCODER + f"({_FROZEN})")
    sam = {f"image_encoder.{found[1]}": _scaled(name, theirs) for name in theirs if (found := frozen.fullmatch(name))}
    own = {mine: _ours(mine, _scaled(name, theirs)) for name in theirs if (mine := _name(name)) is not None}
    _check(theirs, sam)
    own["intensity"] = INTENSITIES[data].tensor()
    return sam, own


def options_of(own: Mapping[str, Tensor]) -> dict[str, object]:
    """Of our `Config`, from the method's own tensors."""
    return {
        "mode": "official",
        "patch": 4 * len(own["encoder.depth_embed"]),  # enlarged four times, 16 pixels are a token
        "neck": own["encoder.necks.0.norm1.weight"].shape[0],
        "decoder": own["decoder.mix.weight"].shape[0],
        "queries": own["prompts.layers.0.queries"].shape[0],
        "prompt_mlp": own["prompts.layers.0.mlp.lin1.weight"].shape[0],
    }


def _name(theirs: str) -> str | None:
    """Our name of a tensor of the method."""
    found = (re.fullmatch(pattern, theirs) for pattern, _ in _OWN)
    return next((match.expand(ours) for match, (_, ours) in zip(found, _OWN, strict=True) if match is not None), None)


def _scaled(name: str, theirs: Mapping[str, Tensor]) -> Tensor:
    if ".rel_pos_" not in name:
        return theirs[name]
    factor = theirs.get(name.rsplit(".", 1)[0] + ".lr")
    return theirs[name] if factor is None else theirs[name] * factor


def _ours(name: str, value: Tensor) -> Tensor:
    """Without the axes of length 1 that ours has not."""
    if name.endswith((".queries", ".depth_embed")):
        return value[0]
    if name == "encoder.slice_embed.weight":
        return value.flatten(1)[:, None]
    if re.fullmatch(r"encoder\.necks\.\d\.linear\.weight", name):
        return value.flatten(1)
    return value


def _check(theirs: Iterable[str], sam: Mapping[str, Tensor]) -> None:
    """Refuse unknown tensors, and a frozen encoder with parts missing; ours are checked when they are put in."""
    known = re.compile(f"{_DEAD}|{_ENCODER}({_FROZEN})")
    strange = [name for name in theirs if known.fullmatch(name) is None and _name(name) is None]
    blocks = {int(found[1]) for name in theirs if (found := re.match(_ENCODER + r"blocks\.(\d+)\.", name))}
    layers = [f"{layer}.{kind}" for layer in ("attn.qkv", "attn.proj", "mlp.lin1", "mlp.lin2") for kind in ("weight", "bias")]
    inner = [f"blocks.{i}.{name}" for i in range(max(blocks) + 1) for name in (*layers, "attn.rel_pos_h", "attn.rel_pos_w")]
    wanted = ["pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias", *inner]
    missing = [_ENCODER + name for name in wanted if f"image_encoder.{name}" not in sam]
    faults = faults_of({"tensors missing": missing, "tensors too many": strange})
    if faults:
        raise WeightsError(
            f"a checkpoint of ProMISe-3D with {' and '.join(faults)}",
            expected="the tensors of the released model, its frozen image encoder included",
            do="Fetch it again.",
        )
