"""In what a run of I-MedSAM differs from the published ones: a sentence each, empty where it does not or nobody knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from promisam.reproduce.differences import (
    Known,
    another_recipe,
    another_sam,
    chosen_checkpoint,
    comes_closer,
    unlike,
    variants,
)
from promisam.reproduce.values import Difference, Facts

_RECIPE: Mapping[str, Any] = {
    "optimizer": "adamw",
    "learning_rate": 1e-3,
    "weight_decay": 0.01,
    "schedule": "linear to a thousandth",
    "warmup": 0.0,
    "batch": 8,
    "epochs": 1000,
}
_REACHABLE = {name: value for name, value in _RECIPE.items() if name != "schedule"}
_NETWORK: Known = {
    "rank": ((4,), "low-rank terms of rank 4"),
    "spectrum": (("linear",), "the spectrum's plain amplitude"),
    "injection": (("half",), "half of the frequency stream is added to the tokens"),
    "decoder": (("field",), "the implicit field decodes"),
    "prior": ((False,), "the field alone, without the logits of SAM's own mask"),
    "frequencies": ((10,), "10 frequencies of the position code"),
    "sampling": ((0.125,), "an eighth of the points is answered by the fine field"),
    "passes": ((2,), "2 stochastic passes"),
    "encoder_rate": ((0.05,), "all but the field learns at 0.05 of its rate"),
}


def side(published: int) -> Difference:
    """Another frame than the published one."""

    def said(facts: Facts) -> str:
        return f"Published: a frame of {published} pixels. Ours: {facts.side}." if facts.side not in (0, published) else ""

    return said


def network(facts: Facts) -> str:
    """Options that are not as published."""
    return unlike(facts, _NETWORK)


def mode(facts: Facts) -> str:
    """The defects of the release."""
    if facts.options.get("mode") == "official":
        return ""
    return (
        "Published figures were perhaps reached with the released code, whose cross-entropy and whose uncertainty at test time "
        "are zero, whose spectrum is of the red channel, and whose low-rank terms have a gate. Ours: as the paper says; "
        "mode=official takes the release."
    )


def places(facts: Facts) -> str:
    """Where the field is taught."""
    points = facts.options.get("points", 0)
    if facts.training is None or not points:
        return ""
    return f"Published: taught at all pixels of the frame. Ours: at {points} of each image (points=0 takes all)."


def boxes(facts: Facts) -> str:
    """How boxes are disturbed in training."""
    if facts.training is None or "box_jitter" not in facts.options:
        return ""
    return (
        "Published: sides of training boxes moved outwards by up to 19 of 384 pixels. Ours: both ways by up to "
        f"{facts.options['box_jitter']:.0%} of the extent."
    )


def stretched(facts: Facts) -> str:
    """How pictures reach the frame."""
    if facts.options.get("mode") == "official":
        return ""
    return (
        "Published: pictures are stretched to the square frame. Ours: they keep their proportions, and answers are stretched."
    )


SHARED: tuple[Difference, ...] = (
    "Published and ours: the box around the truth is the prompt. Whoever has no truth should expect less, and methods that are "
    "told nothing are no fair comparison.",
    another_sam("sam_vit_b"),
    network,
    mode,
    another_recipe(_RECIPE, ("weight_decay", "batch")),
    places,
    variants,
    boxes,
    chosen_checkpoint(
        "the paper says the best epoch on validation cases; the released code takes the best Dice on the test images"
    ),
    stretched,
    "Published: masks come to the scored square by linear interpolation, of which only pure white counts; the box is around "
    "all that is not black. Ours: masks by nearest neighbour, and the box from the mask as it is.",
    "HD: the largest distance between the borders in pixels of the scored square, 100 for an empty answer, as published; by "
    "our own function in place of medpy's, which measures between outermost pixels.",
    "Published: a mean and a spread (that of the Dice is 0.5 to 0.7 of 100), of how many runs is not known. Ours: one run.",
)

CLOSER = comes_closer(
    {"prior": False, "injection": "half", "spectrum": "linear", "encoder_rate": 0.05, "points": 0}, _REACHABLE
)
