"""In what a run of ProMISe-2D differs from the published ones: a sentence each, empty where it does not or nobody knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from promisam.reproduce.data import plural
from promisam.reproduce.values import Facts
from promisam.store.trained import SAM as _OWN_SAM

_SAM = "sam_vit_b"
_OPENING = 5  # of the release's evaluation
_RECIPE = {"optimizer": "adam", "learning_rate": 1e-5, "schedule": "constant", "warmup": 0.0, "epochs": 200}
_LEARNING = {"loss": "official", "start": "random"}
_NETWORK: Mapping[str, tuple[tuple[object, ...], str]] = {
    "form": (("resnet", "cross"), "a ResNet or cross-attention finds points"),
    "points": ((16,), "16 points, as far as it is known"),
    "anchored": ((False,), "all points begin near the centre"),
    "distance_weight": ((0, None), "no second loss on where points lie"),
    "flips": (("auto", "xy"), "mirrored along both axes"),
}
_ANSWERS: Mapping[str, tuple[tuple[object, ...], str]] = {
    "area": (("frame",), "found points lie anywhere in the padded frame"),
    "mask": (("auto", 1), "the decoder's mask 1"),
    "smooth": ((False,), "the pattern of four cells stays on the masks"),
}
_FINDING = ("form", "anchored", "distance_weight", "area")  # what matters only where the method finds points
_LEARNED = ("distance_weight", "flips")  # what says nothing of weights that were not trained with it


def sam(facts: Facts) -> str:
    """Another SAM than the published one."""
    if facts.weights in ("", _SAM):
        return ""
    named = "the one that came with the weights" if facts.weights == _OWN_SAM else facts.weights
    return f"Published: the SAM {_SAM}. Ours: {named}{f' (like {facts.like})' if facts.like else ''}."


def choice(facts: Facts) -> str:
    """How the checkpoint was chosen."""
    published = "Published: the checkpoint with the best IoU on the test images. Ours: "
    if facts.training is None:
        return f"{published}how these weights were trained and chosen is not known; perhaps in the same way."
    return published + ("the best on validation cases." if facts.validated else "the last, without validation cases.")


def recipe(facts: Facts) -> str:
    """Epochs, optimizer and learning rate as they were used."""
    if facts.training is None or not _other(facts.training, _RECIPE):
        return ""
    used = facts.training
    return f"Published: {_recipe(_RECIPE)}. Ours: {_recipe(used)}."


def start(facts: Facts) -> str:
    """From where the network begins."""
    if facts.training is None or "start" not in _other(facts.options, _LEARNING) or "ips" not in str(facts.options.get("mode")):
        return ""
    return "Published: a random start. Ours: the start is SAM as it is."


def loss(facts: Facts) -> str:
    """The sigmoid in the loss."""
    if facts.training is None or "loss" not in _other(facts.options, _LEARNING):
        return ""
    return "Published: the sigmoid taken twice in the loss. Ours: once."


def variants(facts: Facts) -> str:
    """Augmentation."""
    count = facts.options.get("variants")
    if facts.training is None or not isinstance(count, int):
        return ""
    ours = f"{count} versions of each image, one of them as it is" if count > 1 else "each image as it is, without augmentation"
    return f"Published: augmented at every visit. Ours: {ours}."


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


def data_of_run(facts: Facts) -> str:
    """What a run that was not made here has learned from."""
    if not facts.given or facts.training is None:
        return ""
    cases = f"{plural(facts.trained, 'case')}, chosen by {facts.validated}"
    return f"Published: trained on the experiment's own training part. Ours: a run on {cases}; its run.json says which."


def advice(facts: Facts) -> str:
    """Options that come closer, where the training was ours to choose."""
    if facts.given or facts.training is None:
        return ""
    missing = {**_other(facts.options, _LEARNING), **_other(facts.training, _RECIPE)}
    words = " ".join(
        f"--set {name}={value:g}" if isinstance(value, float) else f"--set {name}={value}" for name, value in missing.items()
    )
    return f"`{words}` comes closer to theirs." if words else ""


def _other(used: Mapping[str, Any], published: Mapping[str, Any]) -> dict[str, Any]:
    """What is not as published."""
    return {name: value for name, value in published.items() if used.get(name) != value}


def _recipe(used: Mapping[str, Any]) -> str:
    names = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD"}
    warm = f"warm-up over {used['warmup']:.0%} of the steps" if used["warmup"] else "no warm-up"
    optimizer = names.get(used["optimizer"], used["optimizer"])
    return f"{plural(used['epochs'], 'epoch')} of {optimizer} at {used['learning_rate']:g}, {used['schedule']}, {warm}"


def _unlike(facts: Facts, published: Mapping[str, tuple[tuple[object, ...], str]]) -> str:
    finds = "apm" in str(facts.options.get("mode"))
    unlike = {
        name: words
        for name, (values, words) in published.items()
        if name in facts.options
        and facts.options[name] not in values
        and (finds or name not in _FINDING)
        and (facts.training is not None or name not in _LEARNED)
    }
    if not unlike:
        return ""
    ours = ", ".join(f"{name}={facts.options[name]}" for name in unlike)
    return f"Published: {'; '.join(unlike.values())}. Ours: {ours}."
