"""The `report` command: every method on one's own labelled data, measured and told in a way that anyone can run again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from promisam.cli.stopping import ending
from promisam.cli.terminal import plain
from promisam.core.errors import FolderInUse, InvalidConfig, ProcessDied, PromisamError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from promisam.evidence import Entry, Machine, Measured, Profile


def report(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A labelled data set, or a folder of several.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="OUT", help="A folder; an interrupted report goes on in it.")
    ],
    *,
    profile: Annotated[
        Literal["fast", "full"], typer.Option(help="fast: a few cases and steps, to see all of it work; full: hours.")
    ] = "fast",
    sets: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME", help="This subfolder of DATA only; repeatable.")
    ] = None,
    group_by: Annotated[
        str | None, typer.Option(metavar="REGEX", help="Finds the patient or sequence in a case's name.")
    ] = None,
    methods: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Of sam, click, unet, ips, apm, imedsam, interactive, mpa, promise3d.")
    ] = None,
    shots: Annotated[
        str | None,
        typer.Option(metavar="K,...", help="Numbers of labelled images that curves begin with; `all` for no curves."),
    ] = None,
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option(help="Where to compute.")] = "auto",
    threads: Annotated[int, typer.Option(min=1, help="Of PyTorch, on a CPU.")] = 1,
    offline: Annotated[bool, typer.Option("--offline", help="Never touch the network.")] = False,
    render_only: Annotated[
        bool, typer.Option("--render-only", help="Measure nothing: make the texts again from OUT's tables.")
    ] = False,
) -> None:
    """Compare every method with plain SAM and a U-Net on labelled data: tables, plots, a page, and what makes each row again.

    Writes report.html, results.md, summary.csv, comparisons.csv and plots/ after each row, so that what is there can be read
    at any moment. They tell of everything in OUT: sets and methods may be measured one after the other, or on several machines
    at once. What was measured before is not measured again. Rows whose prompts were made from the truth are marked.
    """
    from promisam.evidence import PROFILES, Machine, find_sets, kept, left_out, plan, publish

    if render_only:
        _say(f"page: {publish(output)}")
        return
    wanted = _wanted(PROFILES[profile], methods, shots)
    found = find_sets(data, _sets(wanted, data, sets), wanted.cases, _say, group_by)
    for one in found:
        for warning in one.warnings:
            _say(f"{one.name}: {warning}")
    entries = plan(found, wanted)
    for line in left_out(found, wanted):
        _say(f"left out: {line}")
    if not entries:
        raise InvalidConfig("a report of nothing", expected="a method for these sets", do="See what was left out, and why.")
    _say(f"{len(entries)} entries on {', '.join(one.name for one in found)}")
    _check(entries, output)
    measured = {entry.name: kept(entry, output) for entry in entries}
    if any(measured.values()):
        publish(output)
    with ending():
        later = _measured(entries, measured, output, Machine(device, threads, offline))
    minutes = sum(one.cost.cpu_minutes for one in measured.values() if one is not None)
    _say(f"processor time of all: {minutes:.1f} minutes")
    _say(f"page: {output / 'report.html'}")
    if later:
        raise later[0]


def _check(entries: Sequence[Entry], output: Path) -> None:
    """Refuse what could not stand in one table with what is there."""
    from promisam.evidence import check_same_cases, gathered

    there = gathered(output) if output.is_dir() else ()
    check_same_cases((*(one.about for one in there), *(entry.about for entry in entries)), output)


def _measured(
    entries: Sequence[Entry], measured: dict[str, Measured | None], output: Path, machine: Machine
) -> list[PromisamError]:
    """Measure what is not there yet, one after the other; what another process is at is left to it.

    Returns:
        What ended before it was measured, told when all others are.
    """
    from promisam.evidence import measure, publish

    failed: list[PromisamError] = []
    for number, entry in enumerate(entries):
        if measured[entry.name] is None:
            try:
                measured[entry.name] = measure(entry, output, machine, lambda text: _say(f"  {text}"))
            except FolderInUse:
                _say(f"{number + 1}/{len(entries)} {entry.name}: left to the process that is at it")
                continue
            except ProcessDied as error:
                failed.append(error)
                _say(f"{number + 1}/{len(entries)} {entry.name}: {error.given}; going on with the others")
                continue
            publish(output)
        _say(f"{number + 1}/{len(entries)} {entry.name}: {_headline(measured[entry.name])}")
    return failed


def _wanted(profile: Profile, methods: str | None, shots: str | None) -> Profile:
    if methods is not None:
        profile = replace(profile, methods=tuple(methods.split(",")), without=())
    return profile if shots is None else replace(profile, shots=_numbers(shots))


def _numbers(shots: str) -> tuple[int, ...]:
    words = [word for word in shots.split(",") if word != "all"]  # all of them are learned from in any case
    if not all(word.isdecimal() and int(word) > 0 for word in words):
        raise InvalidConfig(f"--shots {shots}", expected="numbers of images such as 1,5,10, or all", do="Check --shots.")
    return tuple(sorted({int(word) for word in words}))


def _sets(profile: Profile, data: Path, named: list[str] | None) -> tuple[str, ...]:
    """Those that were named, else those of the profile that are there, with the sets that what is learned is tried on."""
    if named:
        return tuple(dict.fromkeys(named))
    preferred = [*profile.sets, *(name for pair in profile.transfers for name in pair)]
    return tuple(name for name in dict.fromkeys(preferred) if (data / name).is_dir())


def _headline(one: Measured | None) -> str:
    if one is None or not one.answers:
        return "no test case holds what is to be found"
    first = one.answers[0].prompt
    dices = [a.dice for a in one.answers if a.prompt == first and a.clicks <= 1 and a.size == 0]
    told = ", prompted from the truth" if one.answers[0].from_truth else ""
    return f"Dice {sum(dices) / len(dices):.3f} ({first}{told}; {one.cost.train_minutes:.1f} minutes of learning)"


def _say(text: str) -> None:
    typer.echo(plain(text))
