"""The release (github.com/xinkunwang111/ProMISe at ce0cfdb): its loss, and its weight files in our names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from promisam.core.errors import WeightsError
from promisam.methods.promise2d.cross_points import CrossPoints
from promisam.methods.promise2d.pattern_shift import PatternShift
from promisam.methods.promise2d.resnet_points import ResnetPoints
from promisam.sam.architecture import build, faults_of, infer, seems

Mode = Literal["apm", "ips", "apm+ips"]
OfficialForm = Literal["resnet", "cross"]

# Beginnings of names (theirs, ours); earlier pairs win.
_SHIFT = (("ips_ffn.", "shift."), ("ffn.lin", "shift.lin"))  # the second in older files
_POINTS: dict[OfficialForm, tuple[tuple[str, str], ...]] = {
    "resnet": (
        ("apm_feature_map.fusion_conv", "points.fuse.conv"),
        ("apm_resnet.fc.", "points.head."),
        ("apm_resnet.", "points.trunk."),
    ),
    "cross": (
        ("apm_cross_prompt.", "points.head."),
        ("apm_cross.deconv1.", "points.enlarge_middle."),
        ("apm_cross.deconv2.", "points.enlarge_early.0."),
        ("apm_cross.deconv3.", "points.enlarge_early.1."),
        ("apm_cross.", "points."),
    ),
}
_NORMS = ((".norm1.", ".attention_norm."), (".norm3.", ".ffn_norm."))  # of the cross-attention layers, which lie further in
_DEAD = ("apm_resnet.fc2.", *(f"apm_cross.layers.{i}.norm2." for i in range(3)))  # held by the files, used by nothing
_SAM = ("image_encoder.", "prompt_encoder.", "mask_decoder.")
_COUNTER = "num_batches_tracked"  # of batch norm; nothing depends on it


@dataclass(frozen=True)
class OfficialFacts:
    """What a released file is.

    Attributes:
        mode: "apm" finds points, "ips" shifts mask tokens for points that someone gives, "apm+ips" does both.
        form: of the network that finds points; None without one.
        points: how many it finds; None without one.
    """

    mode: Mode
    form: OfficialForm | None
    points: int | None


def official_loss(
    logits: Float[Tensor, "b c y x"], truth: Float[Tensor, "b c y x"], *, double_sigmoid: bool = True
) -> dict[str, Tensor]:
    """The release's loss, to compare with: binary cross-entropy and 1 - Dice; their sum is the loss.

    It has two defects that ours has not (`promisam.training.losses`). The network's sigmoid is taken again inside the loss, so
    that its probabilities span 0.50 to 0.73; and the smoothing is doubled, 2 (I + 1) / (P + T + 1), which exceeds 1 and is cut.

    Args:
        logits: before any sigmoid.
        truth: 0..1.
        double_sigmoid: whether the sigmoid is taken twice, as released, or once.
    """
    logits = logits.float()
    given = logits.sigmoid() if double_sigmoid else logits
    probability, axes = given.sigmoid(), (1, 2, 3)
    overlap, total = (probability * truth).sum(axes), probability.sum(axes) + truth.sum(axes)
    dice = (2 * (overlap + 1) / (total + 1)).clamp(0, 1).mean()
    return {"bce": F.binary_cross_entropy_with_logits(given, truth), "dice": 1 - dice}


def split_official(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor], OfficialFacts]:
    """A released checkpoint, which holds a whole SAM, as the SAM, the method's own tensors, and what it is.

    Own tensors are named `shift.*` for `PatternShift` and `points.*` for `ResnetPoints` or `CrossPoints`. Two parts that the
    files hold and nothing uses are left out: a second head of the ResNet, and the second norm of the cross-attention layers.

    Raises:
        WeightsError: for a file that is no such checkpoint, or not a whole one, naming what is missing or superfluous.
    """
    sam = {name: value for name, value in state.items() if name.startswith(_SAM)}
    theirs = {name: value for name, value in state.items() if not name.startswith((*_SAM, *_DEAD))}
    form = _form(theirs)
    shifts = any(name.startswith(start) for name in theirs for start, _ in _SHIFT)
    if form is None and not shifts:
        raise WeightsError(
            f"weights that seem to be {'a SAM alone' if sam and len(sam) == len(state) else seems(state)}",
            expected="a checkpoint of the released ProMISe-2D, with `ips_ffn.`, `apm_resnet.` or `apm_cross.` in it",
            do="Check which program wrote it.",
        )
    if not sam:
        raise WeightsError(
            f"a checkpoint of ProMISe-2D without its SAM, {len(theirs)} tensors such as {next(iter(theirs))}",
            expected="the whole released model, its SAM included",
            do="Fetch it again; the authors' file holds the whole model.",
        )
    own = {_ours(name): value for name, value in theirs.items()}
    with torch.device("meta"):
        whole = build(infer(sam))
        parts = nn.ModuleDict({"shift": PatternShift()} if shifts else {})
        if form is not None:
            parts["points"] = ResnetPoints((768,) * 3) if form == "resnet" else CrossPoints((768,) * 3)
    expected = [*whole.state_dict(), *(_theirs(name, form) for name in parts.state_dict())]
    _compare([*sam, *(_theirs(name, form) for name in own)], expected)
    if form is None:
        return sam, own, OfficialFacts("ips", None, None)
    points = len(own["points.head.bias"]) // 2 if form == "resnet" else len(own["points.query_feat.weight"])
    return sam, own, OfficialFacts("apm+ips" if shifts else "apm", form, points)


def _form(names: Iterable[str]) -> OfficialForm | None:
    found: list[OfficialForm] = [
        form for form, pairs in _POINTS.items() if any(name.startswith(start) for name in names for start, _ in pairs)
    ]
    if len(found) > 1:
        raise WeightsError(
            "weights with two networks that find points, a ResNet and one of cross-attention",
            expected="a checkpoint of the released ProMISe-2D, which has one of them",
            do="Check which program wrote it.",
        )
    return found[0] if found else None


def _ours(name: str) -> str:
    return _renamed(name, [*_SHIFT, *_POINTS["resnet"], *_POINTS["cross"]], _NORMS)


def _theirs(name: str, form: OfficialForm | None) -> str:
    pairs = [*_SHIFT, *(_POINTS[form] if form else ())]
    return _renamed(name, [(b, a) for a, b in pairs], [(b, a) for a, b in _NORMS])


def _renamed(name: str, starts: Iterable[tuple[str, str]], infixes: Iterable[tuple[str, str]]) -> str:
    for start, other in starts:
        if name.startswith(start):
            name = other + name.removeprefix(start)
            break
    for infix, other in infixes:
        name = name.replace(infix, other)
    return name


def _compare(found: list[str], expected: list[str]) -> None:
    """Refuse missing and superfluous names."""
    has, wants = set(found), set(expected)
    missing = [name for name in expected if name not in has and not name.endswith(_COUNTER)]
    superfluous = [name for name in found if name not in wants]
    faults = faults_of({"tensors missing": missing, "tensors too many": superfluous})
    if faults:
        raise WeightsError(
            f"a checkpoint of ProMISe-2D with {' and '.join(faults)}",
            expected=f"the {len(expected)} tensors of the released model, its SAM included",
            do="Fetch it again; the authors' file holds the whole model.",
        )
