"""In what runs differ from published ones: sentences that hold for any method, made for its published values."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from promisam.reproduce.data import plural
from promisam.reproduce.values import Difference, Facts
from promisam.store.trained import SAM as _OWN_SAM

Known = Mapping[str, tuple[tuple[object, ...], str]]
"""By name of an option: the published values, and what they mean in words."""


def another_sam(published: str) -> Difference:
    """Another SAM than the published one."""

    def said(facts: Facts) -> str:
        if facts.weights in ("", published):
            return ""
        named = "the one that came with the weights" if facts.weights == _OWN_SAM else facts.weights
        return f"Published: the SAM {published}. Ours: {named}{f' (like {facts.like})' if facts.like else ''}."

    return said


def chosen_checkpoint(published: str) -> Difference:
    """How the checkpoint was chosen."""

    def said(facts: Facts) -> str:
        words = f"Published: {published}. Ours: "
        if facts.training is None:
            return f"{words}how these weights were trained and chosen is not known; perhaps in the same way."
        return words + ("the best on validation cases." if facts.validated else "the last, without validation cases.")

    return said


def another_recipe(published: Mapping[str, Any], names: Collection[str] = ()) -> Difference:
    """Epochs, optimizer, learning rate and, as far as they are named, other numbers as they were used."""

    def said(facts: Facts) -> str:
        if facts.training is None or not unequal(facts.training, published):
            return ""
        return f"Published: {_recipe(published, names)}. Ours: {_recipe(facts.training, names)}."

    return said


def data_of_run(published: str = "the experiment's own training part") -> Difference:
    """What a run that was not made here has learned from."""

    def said(facts: Facts) -> str:
        if not facts.given or facts.training is None:
            return ""
        cases = f"{plural(facts.trained, 'case')}, chosen by {facts.validated}"
        return f"Published: trained on {published}. Ours: a run on {cases}; its run.json says which."

    return said


def comes_closer(options: Mapping[str, Any], recipe: Mapping[str, Any]) -> Difference:
    """Options that come closer, where the training was ours to choose."""

    def said(facts: Facts) -> str:
        if facts.given or facts.training is None:
            return ""
        missing = {**unequal(facts.options, options), **unequal(facts.training, recipe)}
        words = " ".join(
            f"--set {name}={value:g}" if isinstance(value, float) else f"--set {name}={value}"
            for name, value in missing.items()
        )
        return f"`{words}` comes closer to theirs." if words else ""

    return said


def variants(facts: Facts) -> str:
    """Augmentation."""
    count = facts.options.get("variants")
    if facts.training is None or not isinstance(count, int):
        return ""
    ours = f"{count} versions of each image, one of them as it is" if count > 1 else "each image as it is, without augmentation"
    return f"Published: augmented at every visit. Ours: {ours}."


def unequal(used: Mapping[str, Any], published: Mapping[str, Any]) -> dict[str, Any]:
    """The published values that were not used."""
    return {name: value for name, value in published.items() if used.get(name) != value}


def unlike(facts: Facts, published: Known) -> str:
    """Options of the method that are not as published, in a sentence; empty where all are."""
    found = {
        name: words
        for name, (values, words) in published.items()
        if name in facts.options and facts.options[name] not in values
    }
    if not found:
        return ""
    ours = ", ".join(f"{name}={facts.options[name]}" for name in found)
    return f"Published: {'; '.join(found.values())}. Ours: {ours}."


def _recipe(used: Mapping[str, Any], others: Collection[str]) -> str:
    names = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD"}
    warm = f"warm-up over {used['warmup']:.0%} of the steps" if used["warmup"] else "no warm-up"
    optimizer = names.get(used["optimizer"], used["optimizer"])
    more = "".join(f", {name.replace('_', ' ')} {used[name]}" for name in others)
    return f"{plural(used['epochs'], 'epoch')} of {optimizer} at {used['learning_rate']:g}, {used['schedule']}, {warm}{more}"
