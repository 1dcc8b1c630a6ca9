"""In what a run of ProMISe-2D differs from the published ones: a sentence each, empty where it does not or nobody knows."""

from __future__ import annotations

from promisam.reproduce.data import plural
from promisam.reproduce.differences import (
    Known,
    another_recipe,
    another_sam,
    chosen_checkpoint,
    comes_closer,
    unequal,
    unlike,
)
from promisam.reproduce.values import Facts

_OPENING = 5  # of the release's evaluation
_RECIPE = {"optimizer": "adam", "learning_rate": 1e-5, "schedule": "constant", "warmup": 0.0, "epochs": 200}
_LEARNING = {"loss": "official", "start": "random"}
_NETWORK: Known = {
    "form": (("resnet", "cross"), "a ResNet or cross-attention finds points"),
    "points": ((16,), "16 points, as far as it is known"),
    "anchored": ((False,), "all points begin near the centre"),
    "distance_weight": ((0, None), "no second loss on where points lie"),
    "flips": (("auto", "xy"), "mirrored along both axes"),
}
_ANSWERS: Known = {
    "area": (("frame",), "found points lie anywhere in the padded frame"),
    "mask": (("auto", 1), "the decoder's mask 1"),
    "smooth": ((False,), "the pattern of four cells stays on the masks"),
}
_FINDING = ("form", "anchored", "distance_weight", "area")  # what matters only where the method finds points
_LEARNED = ("distance_weight", "flips")  # what says nothing of weights that were not trained with it

sam = another_sam("sam_vit_b")
choice = chosen_checkpoint("the checkpoint with the best IoU on the test images")
recipe = another_recipe(_RECIPE)
advice = comes_closer(_LEARNING, _RECIPE)


def start(facts: Facts) -> str:
    """From where the network begins."""
    shifts = "ips" in str(facts.options.get("mode"))
    if facts.training is None or "start" not in unequal(facts.options, _LEARNING) or not shifts:
        return ""
    return "Published: a random start. Ours: the start is SAM as it is."


def loss(facts: Facts) -> str:
    """The sigmoid in the loss."""
    if facts.training is None or "loss" not in unequal(facts.options, _LEARNING):
        return ""
    return "Published: the sigmoid taken twice in the loss. Ours: once."


def network(facts: Facts) -> str:
    """What learns, where it is not as published."""
    return _unlike(facts, _NETWORK)


def answers(facts: Facts) -> str:
    """What is made of the network's answers, where it is not as published."""
    return _unlike(facts, _ANSWERS)


def opening(facts: Facts) -> str:
    """The opening of masks."""
    size = facts.options.get("opening", 0)
    if size:
        return f"Published: an opening whose size was tuned by data set. Ours: one of {size} cells."
    hint = "" if facts.given else f"; `--set opening={_OPENING}` takes that of the release's evaluation"
    return f"Published: an opening whose size was tuned by data set. Ours: none{hint}."


def draws(facts: Facts) -> str:
    """Of points."""
    return f"Published: one draw of points, with replacement. Ours: {plural(facts.draws, 'draw')}, without replacement."


def _unlike(facts: Facts, published: Known) -> str:
    finds = "apm" in str(facts.options.get("mode"))
    said = {
        name: known
        for name, known in published.items()
        if (finds or name not in _FINDING) and (facts.training is not None or name not in _LEARNED)
    }
    return unlike(facts, said)
