"""The report's pictures, from its figures alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO
from math import isnan
from typing import TYPE_CHECKING, Any

from promisam.evidence import choosing
from promisam.evidence.cells import MARK, asked
from promisam.evidence.contestants import CONTESTANTS
from promisam.evidence.tables import Figure, Tables

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

# Distinguishable with the common kinds of colour blindness (Okabe and Ito 2008), and by their markers in print.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7A7A7A")
_MARKERS = "osD^vPX*"
_KEYS = {key: place for place, key in enumerate(dict.fromkeys(one.key for one in CONTESTANTS))}
_FROM_TRUTH = {"linestyle": "--", "markerfacecolor": "white"}
_DPI = 110
_MOST_TICKS = 8


def plots(tables: Tables, wanted: Sequence[str]) -> dict[str, bytes]:
    """PNG by name, for those of the wanted that there are figures for."""
    makers: dict[str, Callable[[Tables], Canvas | None]] = {
        "methods.png": _methods,
        "shots.png": lambda t: _curves(_learned(t), lambda f: float(f.train_cases), "labelled images", logarithmic=True),
        "points.png": lambda t: _curves(
            choosing.points(t), lambda f: float(f.prompt.partition(":")[2]), "points at random, on and off the object"
        ),
        "clicks.png": lambda t: _curves(choosing.clicks(t), lambda f: float(f.clicks), "clicks"),
        "sizes.png": lambda t: _curves(
            choosing.sizes(t), lambda f: float(f.size), "samples along the longer side", by_answer=True
        ),
        "cost.png": lambda t: _curves(
            _learned(t), lambda f: max(f.train_minutes, 0.01), "minutes of learning", logarithmic=True
        ),
    }
    made = {name: makers[name](tables) for name in wanted}
    return {name: _png(canvas) for name, canvas in made.items() if canvas is not None}


def _png(canvas: Canvas) -> bytes:
    file = BytesIO()
    canvas.savefig(file, dpi=_DPI, metadata={"Software": None})
    return file.getvalue()


def _canvas(sets: Sequence[str], height: float) -> tuple[Canvas, list[Axes]]:
    from matplotlib.figure import Figure as New

    columns = min(3, len(sets))
    rows = -(-len(sets) // columns)
    canvas = New(figsize=(4.2 * columns, height * rows), layout="constrained")
    axes = canvas.subplots(rows, columns, squeeze=False).ravel().tolist()
    for spare in axes[len(sets) :]:
        spare.set_visible(False)
    return canvas, axes


def _learned(tables: Tables) -> list[Figure]:
    return [f for f in choosing.main(tables) if f.shots != "0"]


def _methods(tables: Tables) -> Canvas | None:
    """Dice of each method with its interval; hollow where the prompt was made from the truth."""
    found = choosing.whole(tables)
    sets = list(dict.fromkeys(f.dataset for f in found))
    if not sets:
        return None
    most = max(sum(f.dataset == name for f in found) for name in sets)
    canvas, axes = _canvas(sets, 0.9 + 0.36 * most)
    for name, axis in zip(sets, axes, strict=False):
        rows = [f for f in found if f.dataset == name][::-1]
        for place, f in enumerate(rows):
            colour = "#0072B2" if not f.from_truth else "#D55E00"
            if not isnan(f.low):
                axis.plot([f.low, f.high], [place, place], color=colour, linewidth=1.5)
            axis.plot(f.dice, place, "o", color=colour, markerfacecolor="white" if f.from_truth else colour, markersize=7)
        axis.set_ylim(-0.6, len(rows) - 0.4)
        axis.set_yticks(range(len(rows)), [f"{f.method}\n{asked(f.prompt)}" for f in rows], fontsize=7)
        axis.set_xlim(max(0.0, min([f.dice if isnan(f.low) else f.low for f in rows]) - 0.05), 1.0)
        axis.set_title(name, fontsize=10)
        axis.set_xlabel("Dice, 95 % interval")
        axis.grid(axis="x", color="#dddddd")
    canvas.suptitle("filled: the image alone; hollow: prompted from the truth", fontsize=9)
    return canvas


def _ticks(values: Sequence[float]) -> list[float]:
    """The values where they are few, as numbers that were chosen are; else one, two and five of each power of ten between."""
    own = sorted(set(values))
    if len(own) <= _MOST_TICKS and all(value == round(value) for value in own):
        return own
    round_ones = [digit * 10.0**power for power in range(-2, 5) for digit in (1, 2, 5)]
    return [value for value in round_ones if own[0] / 2 < value < own[-1] * 2]


def _curves(
    found: Sequence[Figure],
    at: Callable[[Figure], float],
    label: str,
    *,
    logarithmic: bool = False,
    by_answer: bool = False,
) -> Canvas | None:
    """Dice against a number, a line for each method, a panel for each set."""
    sets = list(dict.fromkeys(f.dataset for f in found))
    if not sets:
        return None
    canvas, axes = _canvas(sets, 3.2)
    line: Callable[[Figure], str] = (lambda f: f"{f.method}, {f.how}") if by_answer else (lambda f: f.method)
    names = list(dict.fromkeys(line(f) for f in found))
    for name, axis in zip(sets, axes, strict=False):
        for place, method in enumerate(names):
            rows = sorted((f for f in found if f.dataset == name and line(f) == method), key=at)
            if rows:
                number = place if by_answer else _KEYS.get(rows[0].key, len(_KEYS))  # a method looks the same in all pictures
                style: dict[str, Any] = {
                    "color": _COLOURS[number % len(_COLOURS)],
                    "marker": _MARKERS[number % len(_MARKERS)],
                    "markersize": 5,
                    **(_FROM_TRUTH if rows[0].from_truth else {}),
                }
                told_as = f"{method} {MARK}" if rows[0].from_truth else method
                axis.plot([at(f) for f in rows], [f.dice for f in rows], label=told_as, **style)
                axis.fill_between(
                    [at(f) for f in rows], [f.low for f in rows], [f.high for f in rows], color=style["color"], alpha=0.12
                )
        if logarithmic:
            axis.set_xscale("log")
        ticks = _ticks([at(f) for f in found if f.dataset == name])
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
        axis.minorticks_off()
        axis.set_title(name, fontsize=10)
        axis.set_xlabel(label)
        axis.set_ylabel("Dice")
        axis.grid(color="#dddddd")
    handles = {text: handle for axis in axes for handle, text in zip(*axis.get_legend_handles_labels(), strict=True)}
    told = f"{MARK} hollow, dashed: prompted from the truth" if any(f.from_truth for f in found) else None
    canvas.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=3, fontsize=8, title=told, title_fontsize=8
    )
    return canvas
