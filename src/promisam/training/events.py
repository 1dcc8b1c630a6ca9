"""What happens while a method is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from promisam.training.validation import CaseDice, Shown


@dataclass(frozen=True)
class Precomputed:
    """So many of the arrays that training needs are there."""

    done: int
    total: int


@dataclass(frozen=True)
class Step:
    """One move of the weights.

    Attributes:
        number: from 1.
        steps: how many there will be at most.
        epoch: how often every example was seen, on average.
        loss: mean over the step's samples, on all processes.
        parts: what it is the sum of.
        learning_rate: of this step.
        seconds: that it took.
    """

    number: int
    steps: int
    epoch: float
    loss: float
    parts: Mapping[str, float]
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class Validated:
    """One validation.

    Attributes:
        step: after which; 0 is before the first.
        score: mean Dice over the classes that a held-out case has; NaN where there is none.
        dice: mean by class.
        cases: every case.
        best: whether it is the best so far, and its weights were kept.
        seconds: that it took.
        shown: what the first cases look like.
    """

    step: int
    score: float
    dice: Mapping[str, float]
    cases: tuple[CaseDice, ...]
    best: bool
    seconds: float
    shown: tuple[Shown, ...] = ()


@dataclass(frozen=True)
class Stopped:
    """The end.

    Attributes:
        step: after which.
        reason: "finished", or "early" (no better validation for long).
        best_score: NaN where no held-out case has anything to find.
        best_step: after which step the kept weights were.
    """

    step: int
    reason: str
    best_score: float
    best_step: int


Event = Precomputed | Step | Validated | Stopped
