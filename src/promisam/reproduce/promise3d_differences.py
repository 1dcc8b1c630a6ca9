"""In what a run of ProMISe-3D differs from the published ones: a sentence each, empty where it does not or nobody knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from promisam.reproduce.data import plural
from promisam.reproduce.differences import (
    Known,
    another_recipe,
    another_sam,
    chosen_checkpoint,
    comes_closer,
    unlike,
)
from promisam.reproduce.values import Difference, Facts

_RECIPE: Mapping[str, Any] = {
    "optimizer": "adamw",
    "learning_rate": 4e-4,
    "weight_decay": 0.0,
    "schedule": "a linear fall to 0.6 of it, begun towards a hundredth over 500 epochs",
    "warmup": 0.0,
    "batch": 1,
    "clip": 1.0,
    "epochs": 200,
}
_REACHABLE = {name: value for name, value in _RECIPE.items() if name != "schedule"}
_NETWORK: Known = {
    "spacing": ((1.0,), "samples of 1 mm"),
    "patch": ((128,), "cubes of 128 samples"),
    "enlargement": ((4,), "four pixels of SAM's input for each sample"),
    "window": ((8,), "attention in windows of 8 tokens a side"),
    "adapters": ((2,), "two adapters in each block"),
    "neck": ((256,), "features of 256 channels"),
    "decoder": ((128,), "a decoder of 128 channels"),
    "upsampling": (("transposed",), "transposed convolutions enlarge the features"),
    "path": (("C",), "a convolutional path over the cube, concatenated"),
    "fineness": ((1,), "the path and the head at twice the tokens' resolution"),
    "queries": ((10,), "10 global queries"),
    "prompt_mlp": ((2048,), "2048 hidden channels in the prompt encoder"),
    "labels": ((False,), "no label tells clicks on the object from others"),
    "click_map": ((False,), "clicks are no maps beside the cube"),
    "boundary": ((10.0,), "a boundary term of weight 10"),
    "view": (("cubes",), "objects are looked for around the clicks"),
}
_LEARNED = ("boundary",)  # what says nothing of weights that were not trained with it


def network(facts: Facts) -> str:
    """Options that are not as published."""
    learned = facts.training is not None
    return unlike(facts, {name: known for name, known in _NETWORK.items() if learned or name not in _LEARNED})


def mode(facts: Facts) -> str:
    """The defects of the release."""
    if facts.options.get("mode") == "official":
        return ""
    return (
        "Published figures were perhaps reached with the released code, in which the second adapter's input counts twice and "
        "the boundary term sees the faces of the cube. Ours: as the paper says; mode=official takes the release."
    )


def boundary(facts: Facts) -> str:
    """The history of the boundary term."""
    plane = facts.options.get("boundary_plane")
    if facts.training is None or not facts.options.get("boundary") or plane == "released":
        return ""
    return (
        "Published: a boundary term of which the released code had three versions, the first without any effect; which of them "
        f"made the figures is not known. Ours: the last, boundary_plane={plane} in place of the release's planes."
    )


def samples(facts: Facts) -> str:
    """What a training cube shows."""
    share, most, off = (facts.options.get(name) for name in ("foreground", "positives", "negatives"))
    if facts.training is None or share is None or facts.options.get("mode") == "official":
        return ""
    return (
        "Published: two thirds of the training cubes hold the object (the paper says half), 10 clicks on it and 20 anywhere "
        f"(the paper says 10 off it). Ours: {share:.2f} of them, 1 to {most} clicks on it and up to {off} off it."
    )


def intensities(facts: Facts) -> str:
    """Where windows come from."""
    percentiles = facts.options.get("percentiles")
    if percentiles is None:
        return ""
    low, high = percentiles
    return (
        "Published: for each data set, a fixed window and fixed mean and standard deviation, of which cases is not said. Ours: "
        f"percentiles {low:g} and {high:g}, mean and standard deviation of the training cases' objects."
    )


def cubes(facts: Facts) -> str:
    """How much of a volume is looked at."""
    most = facts.options.get("cubes", 1)
    if most == 1 or facts.options.get("view") == "volume":
        return ""
    hint = "" if facts.given else "; `--set cubes=1` takes one"
    return (
        "Published: one cube around the middle of the clicks is looked at, and all else is background. Ours: on from there "
        f"wherever the object leaves it, up to {most} cubes for one object{hint}."
    )


def draws(facts: Facts) -> str:
    """Of clicks."""
    return (
        "Published: one draw of clicks without a seed. Ours: rows `published` one draw by seed 0, rows `strict` "
        f"{plural(facts.draws, 'draw')}, ± the standard deviation of their means; both without replacement."
    )


SHARED: tuple[Difference, ...] = (
    "Published and ours: clicks are drawn at random on the true object (inside:N, N clicks). Whoever has no truth should "
    "expect less, and methods that are told nothing are no fair comparison.",
    "The released evaluation hands clicks on with their axes mixed up; whether the figures were reached so is not known. "
    "Ours: where they are.",
    another_sam("sam_vit_b"),
    network,
    mode,
    boundary,
    another_recipe(_RECIPE, ("weight_decay", "batch", "clip")),
    "Published: the gradient is clipped for encoder, prompt encoder and decoder apart. Ours: as a whole.",
    samples,
    intensities,
    chosen_checkpoint("the best Dice on validation cases, of one random cube around the object each, not seeded"),
    cubes,
    draws,
    "Published and ours: Dice and surface Dice of the whole volume on its own grid, an empty answer counting 0, by our own "
    "function in place of DeepMind's, whose surfaces it follows. NSD@2mm is ours, of the same answers: 5 mm forgive much of a "
    "tumour of 2 cm.",
    "ProMISe-R is not in the released code: its residual path is our reading of the paper.",
    "Published: one figure each, of how many runs is not known. Ours: one run.",
)

CLOSER = comes_closer(
    {"mode": "official", "boundary_plane": "released", "labels": False, "click_map": False, "cubes": 1}, _REACHABLE
)
