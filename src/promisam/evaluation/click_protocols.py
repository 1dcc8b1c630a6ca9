"""Two ways in which a method of clicks is scored on whole volumes: as ProMISe-3D was published, and more strictly.

Both draw their clicks on the object from the truth, so neither says what a user without it reaches. The published way draws
once, so that chance has its part in every figure, and forgives 5 mm; the strict one repeats the draw and forgives 2 mm as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from promisam.core import Example, Segmenter
from promisam.evaluation.benchmark import Progress, benchmark
from promisam.evaluation.benchmark_table import Benchmark
from promisam.evaluation.protocols import Protocol


@dataclass(frozen=True)
class ClickProtocol:
    """How often and with how many clicks a method is asked about each object.

    Attributes:
        name: a word for tables and folders.
        clicks: numbers of clicks, each asked by itself.
        draws: how often they are drawn; None for as often as the caller says.
        tolerances: of the surface Dice in millimetres, the published one first.
    """

    name: str
    clicks: tuple[int, ...]
    draws: int | None = None
    tolerances: tuple[float, ...] = (5.0, 2.0)

    def score(
        self,
        method: Segmenter,
        examples: Sequence[Example],
        classes: Sequence[str],
        *,
        draws: int = 5,
        seed: int = 0,
        settle: Callable[[], None] = lambda: None,
        report: Progress = lambda done, of, case: None,  # noqa: ARG005 - the names document the call
    ) -> Benchmark:
        """Ask about each object, and score the answer on all of the image, in its own spacing.

        Args:
            method: one that takes clicks.
            examples: labelled volumes whose labels are 1..n, in the order of `classes`.
            classes: names of the labels 1..n.
            draws: where the protocol leaves them open.
            seed: of the clicks; draw 1 is the same clicks under every protocol.
            settle: waits for the device (`benchmark`).
            report: called after each case.

        Raises:
            PromisamError: as `benchmark`.
        """
        asked = [Protocol("inside", number) for number in self.clicks]
        times, at = self.draws or draws, self.tolerances
        return benchmark(method, examples, classes, asked, draws=times, seed=seed, tolerances=at, settle=settle, report=report)


# One test click, or ten, uniform over the foreground of the label at 1 mm; Dice and surface Dice at 5 mm on the original grid
# (Li et al. 2023, arXiv:2310.19721, and its release). 2 mm stands beside it, of the same answers.
PUBLISHED = ClickProtocol("published", (1, 10), draws=1)
# Ours: what chance in the place of the click does to the figure, and what a few more clicks bring.
STRICT = ClickProtocol("strict", (1, 5))
