"""How figures look in a table."""

from __future__ import annotations

from math import isinf, isnan

from promisam.evidence.comparisons import Comparison
from promisam.evidence.tables import Figure

MARK = "†"  # prompts were made from the truth
SEEN = "‡"  # weights were made from cases of the set
NONE = "n/a"


def method_cell(one: Figure | Comparison) -> str:
    """The method, marked where its weights have seen cases of the set."""
    return f"{one.method} {SEEN}" if one.seen else one.method


def labels_cell(figure: Figure) -> str:
    """How many labelled images were learned from."""
    return {"0": "none", "all": f"all ({figure.train_cases})"}.get(figure.shots, figure.shots)


def prompt_cell(figure: Figure) -> str:
    """How it was asked, marked where the truth had a hand in it."""
    name = {"auto": "none", "click": "1 click" if figure.clicks == 1 else f"{figure.clicks} clicks"}.get(
        figure.prompt, figure.prompt
    )
    return f"{name}{MARK}" if figure.from_truth else name


def asked(prompt: str) -> str:
    """The prompt that comparisons rest on, in words."""
    return {"auto": "no prompt", "click": "1 click"}.get(prompt, prompt)


def row_cells(figure: Figure) -> tuple[str, ...]:
    """What a row begins with: set, method, labels, prompt, Dice, its interval."""
    return (
        figure.dataset,
        method_cell(figure),
        labels_cell(figure),
        prompt_cell(figure),
        spread_cell(figure),
        interval_cell(figure.low, figure.high),
    )


def spread_cell(figure: Figure) -> str:
    """Mean Dice, with the deviation over draws where there is one."""
    return number_cell(figure.dice) + (f" ± {figure.dice_sd:.3f}" if not isnan(figure.dice_sd) else "")


def interval_cell(low: float, high: float, *, sign: bool = False) -> str:
    """From, to; `sign` for differences."""
    form = "+.3f" if sign else ".3f"
    return NONE if isnan(low) else f"{low:{form}} to {high:{form}}"


def number_cell(value: float, digits: int = 3) -> str:
    """A number, or that there is none."""
    return NONE if isnan(value) else "∞" if isinf(value) else f"{value:.{digits}f}"


def p_cell(value: float) -> str:
    """Of a test."""
    return NONE if isnan(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"
