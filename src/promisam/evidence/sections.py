"""What the report says: tables and sentences made of the figures alone, whatever they are written as."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from promisam.evidence import choosing
from promisam.evidence.answers import OWN
from promisam.evidence.cells import (
    MARK,
    NONE,
    SEEN,
    asked,
    interval_cell,
    labels_cell,
    method_cell,
    number_cell,
    p_cell,
    prompt_cell,
    row_cells,
    spread_cell,
)
from promisam.evidence.comparisons import LEAST_GROUPS, Comparison
from promisam.evidence.published import published_lines
from promisam.evidence.tables import Figure, Tables

FAST = (
    "Sets of the profile `fast` (see the table) rest on a few cases and a few steps of training: they show that everything "
    "runs, not what a method reaches."
)
FROM_TRUTH = (
    f"{MARK} The prompts were made from the true mask: where the object is, how large it is and that it is there at all was "
    "told. Rows without the mark saw the image alone. The two kinds answer different questions; they are no ranking of each "
    "other."
)
NARROW = (
    "with fewer than about fifteen the intervals are narrower than their 95 % say (five normal patients: they hold the mean in "
    "85 % of the draws)."
)
PRETRAINED = (
    "What LiteMedSAM itself learned from (1.5 million pairs) is its authors' affair and may overlap with public sets: rows "
    "that stand on it may have seen images of a set there, the U-Net has not."
)
FROM_SET = (
    f"{SEEN} The weights that this method begins with were made from some cases of this set, which may be among the test "
    "cases: see their card."
)


@dataclass(frozen=True)
class Section:
    """A part of the report.

    Attributes:
        title: heading.
        text: paragraphs.
        head: of the table; empty without one.
        rows: of the table.
        plot: name of its picture; empty without one.
    """

    title: str
    text: tuple[str, ...]
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    plot: str = ""


def sections(tables: Tables) -> tuple[Section, ...]:
    """All parts that there are figures for."""
    parts = (_what, _methods, _pairs, _shots, _points, _clicks, _draws, _sizes, _moved, _cost, _published)
    return tuple(one for part in parts if (one := part(tables)) is not None)


def _what(tables: Tables) -> Section:
    first = tables.summary
    machines = "; ".join(dict.fromkeys(f.machine for f in first))
    dates = sorted({f.date for f in first})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    loads = sorted(f.load for f in first if isfinite(f.load))
    beside = f" Load of the machine, this work included: {loads[0]:.1f} to {loads[-1]:.1f}." if loads else ""
    commits = "; ".join(dict.fromkeys(f"{f.version}, commit {f.commit or 'unknown'}" for f in first))
    text = (
        *((FAST,) if any(f.profile == "fast" for f in first) else ()),
        f"Measured on {machines}; {when}; promisam {commits}.{beside}",
        "Every figure is from `summary.csv` and `comparisons.csv`, which `promisam report` wrote; the column `commands` of the "
        "former holds what makes a row again by hand, with a folder RUN and the row's file SPLIT in `splits/`; masks of other "
        "sizes are asked for by the report alone. A set that brings its own parts keeps them, any other was divided "
        "(50:15:35, seed 0), by patient or sequence where they are known: learned from, chosen by, tested on. Nothing was "
        "chosen on test cases. Intervals (95 %) are percentile bootstraps over patients or sequences; deviations (±) are over "
        "draws of random prompts.",
        f"Intervals are of the cases at hand; {NARROW} Images without the object are not asked about: what a method marks "
        "where there is nothing is not in these figures.",
        FROM_TRUTH,
        PRETRAINED,
        *(f"{name}: {told}." for name, told in dict.fromkeys((f.dataset, f.warnings) for f in first) if told),
        *((FROM_SET,) if any(f.seen for f in first) else ()),
    )
    sets = dict.fromkeys(f.dataset for f in first)
    rows = []
    for name in sets:
        of = [f for f in first if f.dataset == f.tested == name]
        if of:
            full = max(of, key=lambda f: f.train_cases if f.shots == "all" else 0)
            learned = str(full.train_cases) if full.shots == "all" else NONE
            rows.append((name, full.profile, learned, str(max(f.cases for f in of)), str(max(f.groups for f in of))))
    head = ("set", "profile", "cases learned from", "test pairs of case and class", "patients or sequences among them")
    return Section("What was measured", text, head, tuple(rows))


def _methods(tables: Tables) -> Section | None:
    found = choosing.whole(tables)
    if not found:
        return None
    rows = tuple((*row_cells(f), number_cell(f.lowest), number_cell(f.nsd), number_cell(f.hd95, 1)) for f in found)
    text = ("Surface Dice (NSD) at 2 mm, HD95 in mm (median); both in pixels where the files have no scale.",)
    head = ("set", "method", "labels", "prompt", "Dice", "95 %", "lowest", "NSD", "HD95")
    return Section("Every method", text, head, rows, "methods.png")


def _pairs(tables: Tables) -> Section | None:
    if not tables.comparisons:
        return None
    text = (
        "Differences of Dice on the same test cases, with intervals over resampled patients or sequences, and Wilcoxon's "
        "signed-rank test (two-sided) of the patients' mean differences; p after Holm's correction over all lines of this "
        f"table. With fewer than {LEAST_GROUPS} patients there is none, for it could not become significant; {NARROW}",
    )
    head = ("set", "method", "labels", "compared with", "labels", "pairs (patients)", "difference", "95 %", "p", "p, Holm")
    return Section("Paired comparisons", text, head, tuple(_pair(pair) for pair in tables.comparisons))


def _pair(one: Comparison) -> tuple[str, ...]:
    mine = f"{method_cell(one)}, {asked(one.prompt)}{MARK if one.from_truth else ''}"
    theirs = f"{one.other}, {asked(one.other_prompt)}{MARK if one.other_from_truth else ''}"
    shots = "none" if one.other_shots == "0" else one.other_shots
    count = f"{one.cases} ({one.groups})"
    difference = f"{one.difference:+.3f}"
    own = "none" if one.shots == "0" else one.shots
    return (
        one.dataset,
        mine,
        own,
        theirs,
        shots,
        count,
        difference,
        interval_cell(one.low, one.high, sign=True),
        p_cell(one.p),
        p_cell(one.p_holm),
    )


def _shots(tables: Tables) -> Section | None:
    few = {(f.dataset, f.key) for f in tables.summary if f.shots not in ("0", "all")}
    found = [f for f in choosing.main(tables) if (f.dataset, f.key) in few]
    if not found:
        return None
    text = (
        "K images are chosen by `promisam select` among the training cases, the same for all methods, without a look at "
        "labels. No checkpoint is chosen: the last weights are kept. A method makes the same number of steps with any K.",
    )
    head = ("set", "method", "prompt", "K", "Dice", "95 %", "minutes of learning")
    rows = tuple(
        (
            f.dataset,
            method_cell(f),
            prompt_cell(f),
            labels_cell(f),
            spread_cell(f),
            interval_cell(f.low, f.high),
            number_cell(f.train_minutes, 1),
        )
        for f in found
    )
    return Section("Few labels", text, head, rows, "shots.png")


def _points(tables: Tables) -> Section | None:
    text = ("Points on and off the object, drawn at random at once.",)
    return _table("Number of points", choosing.points(tables), text, "points.png")


def _clicks(tables: Tables) -> Section | None:
    text = (
        "A click in the middle of the object, then each in the middle of the largest mistake, with the last mask given back.",
    )
    return _table("Corrections", choosing.clicks(tables), text, "clicks.png", clicks=True)


def _draws(tables: Tables) -> Section | None:
    found = [f for f in choosing.at_home(tables) if f.prompt.startswith("inside:")]
    text = ("One click at a random place on the object: ± is the standard deviation of the mean over draws.",)
    return _table("Where the click falls", found, text)


def _table(
    title: str, found: Sequence[Figure], text: tuple[str, ...], plot: str = "", *, clicks: bool = False
) -> Section | None:
    if not found:
        return None
    head = ("set", "method", "labels", "prompt", *(("clicks",) if clicks else ()), "draws", "Dice", "95 %", "lowest")
    rows = tuple(
        (
            f.dataset,
            method_cell(f),
            labels_cell(f),
            prompt_cell(f),
            *((str(f.clicks),) if clicks else ()),
            str(f.draws),
            spread_cell(f),
            interval_cell(f.low, f.high),
            number_cell(f.lowest),
        )
        for f in found
    )
    return Section(title, text, head, rows, plot)


def _sizes(tables: Tables) -> Section | None:
    found = choosing.sizes(tables)
    if not found:
        return None
    text = ("Masks with so many samples along the longer side, asked of the field, or resized from its mask with 256 samples.",)
    head = ("set", "method", "size", "answer", "prompt", "Dice", "95 %")
    rows = tuple(
        (f.dataset, method_cell(f), str(f.size), f.how, prompt_cell(f), number_cell(f.dice), interval_cell(f.low, f.high))
        for f in found
    )
    return Section("Other resolutions", text, head, rows, "sizes.png")


def _moved(tables: Tables) -> Section | None:
    found = [f for f in tables.summary if f.tested != f.dataset]
    if not found:
        return None
    own = {(f.dataset, f.key, f.shots, f.prompt, f.clicks): f for f in choosing.at_home(tables) if f.size == OWN}
    rows = []
    for f in found:
        home = own.get((f.dataset, f.key, f.shots, f.prompt, f.clicks))
        rows.append(
            (
                f.dataset,
                f.tested,
                method_cell(f),
                prompt_cell(f),
                str(f.cases),
                NONE if home is None else number_cell(home.dice),
                spread_cell(f),
            )
        )
    text = ("Learned on one set, tested on the test cases of another; images that both hold are left out.",)
    head = ("learned on", "tested on", "method", "prompt", "test pairs", "Dice at home", "Dice there")
    return Section("Other data", text, head, tuple(rows))


def _cost(tables: Tables) -> Section | None:
    text = (
        "Minutes of steps and validations; encoding of the training images comes before and is kept. Memory is the largest "
        "of a process, PyTorch and all else included. The last column is the processor time of the whole entry: encoding, "
        "learning, every answer to every prompt, and its scoring; images that an earlier entry encoded are not encoded again.",
    )
    head = (
        "set",
        "method",
        "labels",
        "steps",
        "minutes of learning",
        "MB, learning",
        "s to encode",
        "s an answer",
        "MB, answering",
        "CPU minutes in all",
    )
    rows = tuple(
        (
            f.dataset,
            method_cell(f),
            labels_cell(f),
            str(f.steps) if f.steps else NONE,
            number_cell(f.train_minutes, 1) if f.shots != "0" else NONE,
            str(f.train_peak_mb) if f.train_peak_mb else NONE,
            number_cell(f.encode_seconds, 2),
            number_cell(f.seconds),
            str(f.test_peak_mb),
            number_cell(f.cpu_minutes, 1),
        )
        for f in choosing.whole(tables)
    )
    return Section("Time and memory", text, head, rows, "cost.png")


def _published(_tables: Tables) -> Section:
    text = (
        "No row above follows a published protocol: the sets here are small parts of, or other sets than, those of the "
        "papers, with other splits. The papers' figures therefore stand apart; `promisam reproduce` runs the published "
        "protocol on your copy of the data and puts both side by side.",
    )
    head = ("method", "experiment", "part", "published Dice", "where it stands", "the same protocol")
    return Section("Published figures, and why they are not beside ours", text, head, tuple(published_lines()))
