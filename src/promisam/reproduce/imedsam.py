"""The experiments of I-MedSAM (Wei et al. 2024, arXiv 2311.17081v3, ECCV 2024)."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from promisam.reproduce.differences import data_of_run
from promisam.reproduce.imedsam_differences import CLOSER, SHARED, side
from promisam.reproduce.values import Component, Part, Place, Published, Study

_PAPER = "the tables of the ECCV text, reached with boxes from the truth"
_SHARES = (0.6, 0.2)  # of training and validation; the rest is the test part
_DEALT = "the division is not part of the data: 60:20:20 at random, by the seed of training. The published one is not known"
_MRI = 500  # numbers of AMOS from here on are MRI (its release notes)

COMPONENTS = (
    Component("LoRA", {"decoder": "mask", "spectrum": "none"}),
    Component("LoRA + FA", {"decoder": "mask", "spectrum": "linear"}),
    Component("LoRA + INR", {"decoder": "field", "spectrum": "none"}),
)
_PUBLISHED: Mapping[str, Any] = {
    "prior": False,
    "injection": "half",
    "spectrum": "linear",
    "frequencies": 10,
    "encoder_rate": 0.05,
    "learning_rate": 1e-3,
    "weight_decay": 0.01,
    "schedule": "poly",  # the nearest to a linear fall
    "warmup": 0.0,
    "batch": 8,
}


def _dealt(part: int) -> Callable[[Sequence[str], int], Collection[str]]:
    """Cases of the first, second or third part of a random division."""

    def chosen(stems: Sequence[str], seed: int) -> Collection[str]:
        order = np.random.default_rng(seed).permutation(len(stems))
        first = round(_SHARES[0] * len(stems))
        second = first + round(_SHARES[1] * len(stems))
        low, high = ((0, first), (first, second), (second, len(stems)))[part]
        return [stems[i] for i in order[low:high]]

    return chosen


def _below(folders: Sequence[str], *places: Place) -> tuple[Place, ...]:
    """The places, also inside one of the folders that archives unpack to."""
    inside = (Place(f"{top}/{p.images}", f"{top}/{p.masks}", p.case, p.chosen, p.note) for top in folders for p in places)
    return (*places, *inside)


def _sessile(name: str, folder: str, part: int) -> Part:
    divided = Place(f"{folder}/images", f"{folder}/masks")
    whole = Place("images", "masks", chosen=_dealt(part), note=_DEALT)
    return Part(name, None, _below(("Kvasir-Sessile", "sessile-main-Kvasir-SEG"), divided, whole))


def _rows(part: str, component: str, *dice: float) -> tuple[Published, ...]:
    """Figures of one component at the published sizes, in order."""
    sides = (None, 128, 896)
    return tuple(
        Published(part, value, None, _PAPER, side=side, component=component) for side, value in zip(sides, dice, strict=False)
    )


KVASIR_SESSILE = Study(
    method="imedsam",
    name="kvasir-sessile",
    title="sessile polyps in colonoscopy, Kvasir-Sessile",
    target="polyp",
    train=_sessile("train", "train", 0),
    val=_sessile("val", "val", 1),
    tests=(_sessile("Sessile", "test", 2),),
    total=196,
    prompt="box",
    side=384,
    sizes=(384, 128, 896),
    options={**_PUBLISHED, "epochs": 1000, "validate_every": 10, "preview_every": 10},
    components=COMPONENTS,
    published=(
        Published("Sessile", 0.9149, None, _PAPER, 11.59),
        Published("Sessile", 0.9145, None, _PAPER, 7.91, side=128),
        Published("Sessile", 0.9133, None, _PAPER, 32.77, side=896),
        *_rows("Sessile", "LoRA", 0.8361, 0.7273, 0.7646),
        *_rows("Sessile", "LoRA + FA", 0.8874, 0.7569, 0.7859),
        Published("Sessile", 0.8883, None, _PAPER, 15.44, component="LoRA + INR"),
        *_rows("Sessile", "LoRA + INR", 0.8883, 0.8816, 0.8843)[1:],
    ),
    differences=(*SHARED, side(384), data_of_run(), CLOSER),
    data="train/, val/ and test/ with images/ and masks/ each, as the authors hand them out, or images/ and masks/ as in "
    "sessile-main-Kvasir-SEG",
    beside=(
        "Sessile, Dice: U-Net 0.639, OSSNet 0.761, IOSNet 0.784, Res2UNet 0.816, PraNet 0.826, MedSAM 0.829, nnUNet 0.830, "
        "SwIPE 0.851; HD: MedSAM 21.53, nnUNet 31.30, IOSNet 51.72.",
        "At 128, Dice: PraNet 0.726, nnUNet 0.740, IOSNet 0.762, SwIPE 0.813, MedSAM 0.824. At 896: PraNet 0.750, IOSNet "
        "0.780, MedSAM 0.832, nnUNet 0.836, SwIPE 0.843.",
    ),
)

CVC_CLINICDB = Study(
    method="imedsam",
    name="cvc-clinicdb",
    title="polyps in CVC-ClinicDB, by a run on Kvasir-Sessile",
    target="polyp",
    train=None,
    tests=(
        Part(
            "CVC-ClinicDB",
            612,
            _below(
                ("CVC-ClinicDB",),
                *(Place(f"{kind}/Original", f"{kind}/Ground Truth") for kind in ("PNG", "TIF")),
                Place("Original", "Ground Truth"),
            ),
        ),
    ),
    prompt="box",
    side=384,
    sizes=(384,),
    components=COMPONENTS,
    run_of="kvasir-sessile",
    published=(
        Published("CVC-ClinicDB", 0.8883, None, _PAPER, 19.76),
        *_rows("CVC-ClinicDB", "LoRA", 0.8257),
        *_rows("CVC-ClinicDB", "LoRA + FA", 0.8261),
        *_rows("CVC-ClinicDB", "LoRA + INR", 0.8340),
    ),
    differences=(*SHARED, side(384), data_of_run("Kvasir-Sessile")),
    data='PNG/ or TIF/ with Original/ and "Ground Truth"/, as the public archive unpacks',
    beside=(
        "CVC-ClinicDB, Dice: IOSNet 0.594, PraNet 0.684, SwIPE 0.701, MedSAM 0.746, nnUNet 0.849; HD: MedSAM 30.15, IOSNet "
        "81.60, nnUNet 82.31.",
    ),
)

_ORGANS = {
    1: "spleen",
    2: "right kidney",
    3: "left kidney",
    4: "gallbladder",
    5: "esophagus",
    6: "liver",
    7: "stomach",
    8: "aorta",
    9: "inferior vena cava",
    10: "portal and splenic vein",
    11: "pancreas",
    12: "right adrenal gland",
    13: "left adrenal gland",
}
# The test list of TransUNet (Chen et al. 2021, arXiv 2102.04306), which most work on these 30 volumes follows.
_HELD_OUT = ("0001", "0002", "0003", "0004", "0008", "0022", "0025", "0029", "0032", "0035", "0036", "0038")


def _bcv(name: str, cases: int, *, held_out: bool) -> Part:
    def number(stem: str) -> str:
        return stem.removeprefix("img").removeprefix("label")

    def chosen(stems: Sequence[str], _seed: int) -> Collection[str]:
        return [stem for stem in stems if (stem in _HELD_OUT) == held_out]

    places = [Place(f"{at}img", f"{at}label", number, chosen) for at in ("RawData/Training/", "Training/", "")]
    return Part(name, cases, _below(("Abdomen",), *places))


BCV = Study(
    method="imedsam",
    name="bcv",
    title="13 organs in abdominal CT, slice by slice, BCV (Synapse syn3193805)",
    target="organ",
    train=_bcv("train", 18, held_out=False),
    tests=(_bcv("BCV", 12, held_out=True),),
    labels=_ORGANS,
    prompt="box",
    side=512,
    sizes=(512,),
    options={**_PUBLISHED, "window": "75,400", "variants": 2, "epochs": 100, "validate_every": 10},
    published=(Published("BCV", 0.8991, None, _PAPER, 5.95),),
    differences=(
        *SHARED,
        side(512),
        "Published: neither loader nor division for BCV. Ours: TransUNet's 18 volumes to learn from (two of them held out to "
        "choose by) and 12 to test on, its window from -125 to 275 HU, every slice that shows an organ, a box for each organ "
        "on it; the mean is over all pairs of slice and organ.",
        data_of_run(),
        CLOSER,
    ),
    data="RawData/Training/ with img/img0001.nii.gz and label/label0001.nii.gz, ..., as Synapse hands them out",
    beside=(
        "BCV, Dice: OSSNet 0.734, U-Net 0.745, IOSNet 0.768, Res2UNet 0.792, UNETR 0.811, SwIPE 0.812, nnUNet 0.852, MedSAM "
        "0.859; HD: nnUNet 6.50, MedSAM 10.62, IOSNet 21.46.",
    ),
)


def _number(stem: str) -> str:
    return stem.removesuffix("_0000")  # nnU-Net's number of the channel


def _ct(stems: Sequence[str], _seed: int) -> Collection[str]:
    numbered = ((stem, re.search(r"(\d+)$", stem)) for stem in stems)
    return [stem for stem, found in numbered if found and int(found[1]) < _MRI]


AMOS = Study(
    method="imedsam",
    name="amos",
    title="the liver in the CT of AMOS, slice by slice, by a run on BCV",
    target="liver",
    train=None,
    tests=(
        Part(
            "AMOS",
            200,
            _below(
                ("amos22", "AMOS22"),
                Place("imagesTr", "labelsTr", _number, _ct, f"volumes numbered from {_MRI}, which are MRI, are left out"),
            ),
        ),
    ),
    labels={6: "liver"},
    prompt="box",
    side=512,
    sizes=(512,),
    run_of="bcv",
    published=(Published("AMOS", 0.8628, None, _PAPER, 37.53),),
    differences=(
        *SHARED,
        side(512),
        "Published: no loader for AMOS. Ours: every slice that shows liver, with a box on it; the mean is over slices.",
        data_of_run("BCV"),
    ),
    data="imagesTr/ and labelsTr/ with amos_0001.nii.gz, ..., as AMOS hands them out",
    beside=(
        "AMOS, Dice: MedSAM 0.720, IOSNet 0.795, nnUNet 0.796, UNETR 0.818, SwIPE 0.828; HD: MedSAM 52.14, IOSNet 61.19, "
        "nnUNet 80.39.",
    ),
)
