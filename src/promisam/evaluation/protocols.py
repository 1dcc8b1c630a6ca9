"""How a method is asked in a benchmark, and whether the truth has a hand in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from promisam.core import Segmenter
from promisam.core.errors import InvalidConfig, UnsupportedPrompt
from promisam.spatial.users import MOST_JITTER

ProtocolKind = Literal["box", "click", "points", "inside", "auto"]
EXPECTED = "box, click, points:NUMBER, inside:NUMBER or auto"
_COUNTED: tuple[ProtocolKind, ...] = ("points", "inside")


@dataclass(frozen=True)
class Protocol:
    """One way to ask.

    Attributes:
        kind: "box": one box around the object. "click": one click in its middle, then one on the largest mistake each.
            "points": points on and off the object, drawn at random. "inside": clicks on it alone, drawn at random from its
            volume. "auto": nothing at all.
        number: of "click" and "inside", the clicks in all; of "points", the points.
        jitter: of "box", the largest movement of a side as a fraction of the box's extent.

    Raises:
        InvalidConfig: for an unknown kind, no clicks or points, or an impossible jitter.
    """

    kind: ProtocolKind
    number: int = 1
    jitter: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be asked."""
        if self.kind not in get_args(ProtocolKind):
            raise InvalidConfig(f"the prompt {self.kind!r}", expected=EXPECTED, do="Write for example --prompt points:16.")
        if self.number < 1:
            raise InvalidConfig(
                f"{self.number} {'points' if self.kind == 'points' else 'clicks'}",
                expected="at least one",
                do="Give a number from 1.",
            )
        if not 0 <= self.jitter <= MOST_JITTER:
            raise InvalidConfig(
                f"a box jitter of {self.jitter:g}",
                expected=f"a fraction of the box's extent from 0 to {MOST_JITTER:g}",
                do="Try 0.1.",
            )

    @classmethod
    def parse(cls, text: str, clicks: int = 1, jitter: float = 0.0) -> Protocol:
        """From the command line's words: "box", "click", "points:16", "inside:1" or "auto".

        Args:
            text: what was typed.
            clicks: for "click".
            jitter: for "box".

        Raises:
            InvalidConfig: for anything else.
        """
        kind, colon, number = text.partition(":")
        for counted in _COUNTED:
            if kind == counted and number.isdecimal():
                return cls(counted, int(number))
        if kind == "box" and not colon:
            return cls("box", jitter=jitter)
        if kind == "click" and not colon:
            return cls("click", clicks)
        if kind == "auto" and not colon:
            return cls("auto")
        raise InvalidConfig(f"the prompt {text!r}", expected=EXPECTED, do="Write for example --prompt points:16.")

    @property
    def title(self) -> str:
        """How tables name it."""
        if self.kind in _COUNTED:
            return f"{self.kind}:{self.number}"
        return f"box ±{100 * self.jitter:g} %" if self.jitter else self.kind

    @property
    def sees_truth(self) -> bool:
        """Whether its prompts are made from the truth, which nobody has of a new image."""
        return self.kind != "auto"

    @property
    def random(self) -> bool:
        """Whether two draws differ; one that does not is run once."""
        return self.kind in _COUNTED or self.jitter > 0

    def check(self, method: Segmenter) -> None:
        """Refuse what the method cannot be asked, before any image is opened.

        Raises:
            UnsupportedPrompt: with what it takes.
        """
        takes = [*sorted(method.accepts), *(["nothing at all (auto)"] if method.automatic else [])]
        needed = {"box": "box", "click": "points", "points": "points", "inside": "points"}.get(self.kind)
        if not (method.automatic if needed is None else needed in method.accepts):
            raise UnsupportedPrompt(
                f"the prompt {self.title}" if needed else "no prompt (auto)",
                expected=f"what the method takes: {', '.join(takes)}",
                do="Choose another --prompt, or weights that learned this one.",
            )
