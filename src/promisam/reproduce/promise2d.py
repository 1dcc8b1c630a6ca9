"""The experiments of ProMISe-2D (Wang et al. 2024, arXiv 2403.04164), with the lists of its release (ce0cfdb)."""

from __future__ import annotations

from promisam.reproduce.differences import data_of_run, variants
from promisam.reproduce.promise2d_differences import (
    advice,
    answers,
    choice,
    draws,
    loss,
    network,
    opening,
    recipe,
    sam,
    start,
)
from promisam.reproduce.values import Difference, Facts, Part, Place, Published, Study

_LEADERBOARD = "the authors' entry on a leaderboard, which does not say in which mode: probably with 16 points from the truth"
_FRAMES = 25  # neighbouring frames of CVC-ClinicDB, which was cut from 29 sequences of about this length

_SHARED: tuple[Difference, ...] = (
    sam,
    choice,
    recipe,
    start,
    loss,
    variants,
    network,
    answers,
    "Published: scores at 256 x 256. Ours: at each image's own size.",
    opening,
    draws,
)


def _clinic_block(stem: str) -> str:
    """Neighbouring frames of CVC-ClinicDB, whose files are numbers; other images are groups of their own."""
    return f"frames {(int(stem) - 1) // _FRAMES}" if stem.isdecimal() else ""


def _held_out(facts: Facts) -> str:
    if facts.given:
        return ""
    return "Ours: a tenth of the training images is held out for validation, frames of CVC-ClinicDB in blocks of 25."


def _polyp_test(name: str, cases: int) -> Part:
    return Part(name, cases, tuple(Place(f"TestDataset/{name}/{i}", f"TestDataset/{name}/{m}") for i, m in _NAMES))


_NAMES = (("images", "masks"), ("image", "mask"))

POLYPS = Study(
    method="promise2d",
    name="polyps",
    title="polyps in colonoscopy, the five-set protocol of PraNet (Fan et al. 2020, arXiv 2006.11392)",
    target="polyp",
    train=Part("train", 1450, tuple(Place(f"TrainDataset/{i}", f"TrainDataset/{m}") for i, m in _NAMES)),
    tests=(
        _polyp_test("Kvasir", 100),
        _polyp_test("CVC-ClinicDB", 62),
        _polyp_test("CVC-ColonDB", 380),
        _polyp_test("ETIS-LaribPolypDB", 196),
        _polyp_test("CVC-300", 60),
    ),
    group=_clinic_block,
    options={"mode": "ips", "variants": 2, "epochs": 20, "validate_every": 2},
    published=(
        Published("Kvasir", 0.911, 0.851, _LEADERBOARD),
        Published("CVC-ColonDB", 0.874, 0.789, _LEADERBOARD),
    ),
    differences=(
        *_SHARED,
        "Published: the dark border around each frame is cut off first. Ours: the whole frame.",
        _held_out,
        "In the published split itself, frames of the same sequences of CVC-ClinicDB stand in training and test.",
        data_of_run(),
        advice,
    ),
    data="TrainDataset/ and TestDataset/<set>/ with images/ and masks/ each, as PraNet's authors hand them out",
)

ISIC2018 = Study(
    method="promise2d",
    name="isic2018",
    title="skin lesions in dermoscopy, ISIC 2018 task 1, the official split",
    target="lesion",
    train=Part("train", 2594, (Place("ISIC2018_Task1-2_Training_Input", "ISIC2018_Task1_Training_GroundTruth"),)),
    val=Part("val", 100, (Place("ISIC2018_Task1-2_Validation_Input", "ISIC2018_Task1_Validation_GroundTruth"),)),
    tests=(Part("test", 1000, (Place("ISIC2018_Task1-2_Test_Input", "ISIC2018_Task1_Test_GroundTruth"),)),),
    options={"mode": "ips", "variants": 2, "epochs": 12, "validate_every": 2},
    published=(Published("test", 0.921, 0.850, _LEADERBOARD),),
    differences=(*_SHARED, data_of_run(), advice),
    data="the challenge's six folders ISIC2018_Task1-2_{Training,Validation,Test}_Input and ISIC2018_Task1_..._GroundTruth",
)
