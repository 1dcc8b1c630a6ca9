"""The experiments of ProMISe-3D (Li et al. 2023, arXiv 2310.19721)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from promisam.evaluation import PUBLISHED, STRICT
from promisam.reproduce.decathlon import Division
from promisam.reproduce.differences import data_of_run
from promisam.reproduce.promise3d_differences import CLOSER, SHARED
from promisam.reproduce.values import Component, Part, Published, Study

_PAPER = (
    "tables 1 and 2 of the paper: Dice and surface Dice at 5 mm, clicks on the object from the truth; the seed of the clicks "
    "and the number of runs are not given"
)
_PUBLISHED: Mapping[str, Any] = {
    "patch": 128,
    "spacing": 1.0,
    "adapters": 2,
    "upsampling": "transposed",
    "path": "C",
    "boundary": 10.0,
    "epochs": 200,
    "batch": 1,
    "optimizer": "adamw",
    "learning_rate": 4e-4,
    "weight_decay": 0.0,
    "schedule": "constant",  # the nearest to a linear fall to 0.6 of it
    "warmup": 0.0,
    "clip": 1.0,
    "validate_every": 5,
}

_WITHOUT: Mapping[str, object] = {"adapters": 2, "upsampling": "transposed", "path": "none", "boundary": 0.0}
COMPONENTS = (
    Component("baseline", {**_WITHOUT, "adapters": 1, "upsampling": "trilinear"}),
    Component("two adapters", {**_WITHOUT, "upsampling": "trilinear"}),
    Component("up-conv", _WITHOUT),
    Component("ProMISe-R", {**_WITHOUT, "path": "R"}),
    Component("ProMISe-R-B", {**_WITHOUT, "path": "R", "boundary": 10.0}),
    Component("ProMISe-C", {**_WITHOUT, "path": "C"}),
)


def _published(component: str, dice: float, nsd: float, clicks: int = 1) -> Published:
    """A line of table 2, which is in percent."""
    return Published("test", dice / 100, None, _PAPER, component=component, nsd=nsd / 100, clicks=clicks)


MSD_COLON = Study(
    method="promise3d",
    name="msd-colon",
    title="colon tumours in CT, Medical Segmentation Decathlon, task 10",
    target="tumour",
    train=Part("train", 89),
    val=Part("val", 11),
    tests=(Part("test", 26),),
    labels={1: "tumour"},
    total=126,
    prompt="inside:1",
    options=_PUBLISHED,
    clicks=(PUBLISHED, STRICT),
    divide=Division("Task10_Colon", (89, 11, 26)),
    components=COMPONENTS,
    published=(
        _published("", 66.81, 81.24),
        _published("", 67.28, 81.63, clicks=10),
        _published("baseline", 57.32, 73.65),
        _published("baseline", 63.09, 79.97, clicks=10),
        _published("two adapters", 61.61, 73.88),
        _published("up-conv", 62.92, 77.62),
        _published("ProMISe-R", 63.67, 79.96),
        _published("ProMISe-R-B", 64.75, 79.77),
        _published("ProMISe-C", 64.76, 77.59),
    ),
    differences=(*SHARED, data_of_run(), CLOSER),
    data="imagesTr/ and labelsTr/ with colon_001.nii.gz, ..., as the Decathlon hands them out, and the authors' split.pkl",
    beside=(
        "Dice/surface Dice: Swin-UNETR 0.372/0.512, nnFormer 0.214/0.321, 3D UX-Net 0.231/0.328, nnU-Net 0.456/0.530, which "
        "are told nothing; 3DSAM-adapter with one click 0.573/0.737.",
    ),
)

MSD_PANCREAS = Study(
    method="promise3d",
    name="msd-pancreas",
    title="pancreatic tumours in CT, Medical Segmentation Decathlon, task 7",
    target="tumour",
    train=Part("train", 196),
    val=Part("val", 28),
    tests=(Part("test", 57),),
    labels={2: "tumour"},
    total=281,
    prompt="inside:1",
    options=_PUBLISHED,
    clicks=(PUBLISHED, STRICT),
    divide=Division("Task07_Pancreas", (196, 28, 57)),
    components=COMPONENTS,
    published=(
        _published("", 57.46, 79.76),
        _published("", 58.05, 80.36, clicks=10),
        _published("baseline", 54.41, 77.88),
        _published("baseline", 55.94, 79.18, clicks=10),
        _published("two adapters", 56.08, 77.89),
        _published("up-conv", 55.37, 77.38),
        _published("ProMISe-R", 55.15, 79.02),
        _published("ProMISe-R-B", 56.57, 79.46),
        _published("ProMISe-C", 56.35, 78.01),
    ),
    differences=(
        *SHARED,
        "Published and ours: label 2, the tumour; the pancreas around it is background.",
        data_of_run(),
        CLOSER,
    ),
    data="imagesTr/ and labelsTr/ with pancreas_001.nii.gz, ..., as the Decathlon hands them out, or Training/pancreas_001/ "
    "with image.nii.gz and segmentation.nii.gz, ..., and the authors' split.pkl",
    beside=(
        "Dice/surface Dice: Swin-UNETR 0.380/0.564, nnFormer 0.360/0.535, 3D UX-Net 0.376/0.553, nnU-Net 0.391/0.577, which "
        "are told nothing; 3DSAM-adapter with one click 0.544/0.779.",
    ),
)
