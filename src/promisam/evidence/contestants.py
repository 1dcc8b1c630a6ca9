"""The methods that are compared, how each is set for the comparison, and how it is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SMALL_CUBE, LARGE_CUBE = 48, 64  # samples; volumes whose longest axis has fewer than the larger are seen through the smaller


@dataclass(frozen=True)
class Contestant:
    """A method as it is compared.

    Attributes:
        key: short, for names of folders and for `--methods`.
        title: as tables name it.
        method: a name in `METHODS`.
        ndim: of the images it is compared on.
        asked: prompts (`promisam.evaluation.Protocol`), the one that comparisons rest on first.
        options: of the method and its training.
        weights: the SAM that it stands on; empty for one that stands on none.
        learns: "nothing", "supports" (a few-shot method) or "trained".
        clicks: corrections, where it is asked by clicks.
        few: whether it has a place in the curves over the number of labels.
        sizes: whether it answers at any size.
        seen: names of data sets some of whose cases its weights were made from, which may be test cases of a report.
    """

    key: str
    title: str
    method: str
    ndim: int
    asked: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: str = "litemedsam"
    learns: str = "trained"
    clicks: int = 5
    few: bool = False
    sizes: bool = False
    seen: tuple[str, ...] = ()


_BF16 = {"precision": "bfloat16"}
_POINTS = ("points:16", "points:5", "points:3", "points:1")
_PROMISE3D = {
    "enlargement": 1,
    "neck": 32,
    "decoder": 16,
    "fineness": 2,
    "prompt_mlp": 256,
    "foreground": 0.8,
    "learning_rate": 1e-3,
    "mixed_precision": "bf16",
}  # a size for a CPU; see docs/methods/promise3d.md

# docs/models/promisam-click.md: sets that these weights were made from, in part.
SEEN_BY_CLICK = (
    "hc18",
    "dsb2018",
    "chase_db1",
    "isic2017_full",
    "msd_hippocampus",
    "sts_mr",
    "sts_pet",
    "pyradiomics_brain",
    "itksnap_mricrop",
    "sct_spinalcord",
    "dcmqi_ct3",
    "totalseg_example",
)

SAM_BOXES, UNET = "sam", "unet"  # what every other method is compared with

CONTESTANTS: tuple[Contestant, ...] = (
    Contestant(SAM_BOXES, "plain SAM (LiteMedSAM)", "plain_sam", 2, ("box",), _BF16, learns="nothing"),
    Contestant(
        "click",
        "plain SAM (promisam-click)",
        "plain_sam",
        2,
        ("click", "box", "inside:1", *_POINTS),
        _BF16,
        "promisam-click",
        "nothing",
        seen=SEEN_BY_CLICK,
    ),
    Contestant(UNET, "U-Net", "unet", 2, ("auto",), {"width": 16}, "", few=True),
    Contestant("ips", "ProMISe-2D, IPS", "promise2d", 2, _POINTS, {"mode": "ips", "variants": 4, **_BF16}, few=True),
    Contestant(
        "apm", "ProMISe-2D, APM + IPS", "promise2d", 2, ("auto",), {"mode": "apm+ips", "form": "light", "variants": 2, **_BF16}
    ),
    Contestant(
        "imedsam",
        "I-MedSAM",
        "imedsam",
        2,
        ("box",),
        {"mixed_precision": "bf16", "points": 2048, "variants": 4, **_BF16},
        few=True,
        sizes=True,
    ),
    Contestant("interactive", "taught clicks", "interactive", 2, ("click", "box"), {**_BF16, "variants": 1}),
    Contestant("mpa", "SAM-MPA", "sam_mpa", 2, ("auto",), learns="supports", few=True),
    Contestant(SAM_BOXES, "plain SAM (LiteMedSAM), slice by slice", "plain_sam", 3, ("box",), _BF16, learns="nothing"),
    Contestant(UNET, "3-D U-Net", "unet", 3, ("auto",), {"width": 16}, "", few=True),
    Contestant("promise3d", "ProMISe-3D", "promise3d", 3, ("inside:1",), _PROMISE3D, few=True),
    Contestant("mpa", "SAM-MPA", "sam_mpa", 3, ("auto",), _BF16, learns="supports", few=True),
)


def fitted_to(contestant: Contestant, shapes: Sequence[Sequence[int]]) -> Mapping[str, Any]:
    """Its options for volumes of these shapes: networks that see them through cubes take cubes that fit.

    Args:
        contestant: one of `CONTESTANTS`.
        shapes: in array order; of some of the training volumes.
    """
    if contestant.ndim == 2 or contestant.method not in _CUBES or not shapes:
        return contestant.options
    longest = sorted(max(shape) for shape in shapes)[len(shapes) // 2]
    cube = SMALL_CUBE if longest <= LARGE_CUBE else LARGE_CUBE
    return {**contestant.options, **_CUBES[contestant.method](cube)}


_CUBES: Mapping[str, Callable[[int], Mapping[str, Any]]] = {
    "promise3d": lambda cube: {"patch": cube, **({} if cube == SMALL_CUBE else {"spacing": 2})},
    "unet": lambda cube: {"patch": [cube] * 3 if cube == SMALL_CUBE else [SMALL_CUBE, 96, 96]},
}
