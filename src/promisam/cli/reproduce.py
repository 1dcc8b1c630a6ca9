"""The `reproduce` command: a published experiment on the user's own copy of its data."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from promisam.cli.progress import training_bars
from promisam.cli.reproduce_report import print_comparison
from promisam.cli.settings import settings
from promisam.cli.stopping import stopping
from promisam.cli.terminal import plain
from promisam.core.errors import InvalidConfig

if TYPE_CHECKING:
    from promisam.reproduce import Comparison, FewShotRequest, Request

_DRAWS = 5


def reproduce(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="promise2d, promise3d, imedsam or sam_mpa.")],
    experiment: Annotated[
        str,
        typer.Argument(
            metavar="EXPERIMENT",
            help="Of promise2d: polyps, isic2018. Of promise3d: msd-colon, msd-pancreas. Of imedsam: kvasir-sessile, "
            "cvc-clinicdb, bcv, amos. Of sam_mpa: busi, chest-xray.",
        ),
    ],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="The folder of its data, in the layout that they come in.")],
    out: Annotated[Path, typer.Option("--output", "-o", metavar="OUT", help="A new folder for run, scores and results.")],
    option: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="As of `fit`; repeatable.")] = None,
    config: Annotated[Path | None, typer.Option(metavar="YAML", help="A file of options; --set comes over it.")] = None,
    run: Annotated[
        Path | None, typer.Option("--run", metavar="RUN", help="Score this run, or imported weights; nothing is trained.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="The SAM to stand on. Default: the published one.")
    ] = None,
    like: Annotated[str | None, typer.Option(metavar="NAME", help="The known weights that a FILE was trained like.")] = None,
    side: Annotated[
        int | None,
        typer.Option(min=16, metavar="PIXELS", help="Of the SAM's frame. Default: as published."),
    ] = None,
    components: Annotated[
        bool, typer.Option("--components", help="Train and score the method's published components, too: a training each.")
    ] = False,
    draws: Annotated[int | None, typer.Option(min=1, help=f"How often random prompts are drawn. Default: {_DRAWS}.")] = None,
    limit: Annotated[int | None, typer.Option(help="So many cases of each part only, to try it out.")] = None,
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option(help="Where to compute.")] = "auto",
    allow_training_cases: Annotated[
        bool, typer.Option("--allow-training-cases", help="Score a RUN even on cases that it was trained on.")
    ] = False,
    with_empty: Annotated[
        bool, typer.Option("--with-empty", help="Keep images on which nothing is to be found (BUSI's normal ones).")
    ] = False,
    keep: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Where embeddings are kept. Default: the cache.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what is in OUT.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Never touch the network.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the record as JSON.")] = False,
) -> None:
    """Run a published experiment on your copy of its data: our figures beside the published ones, and what differs.

    A run that was trained on test cases is refused. Experiments across data sets (cvc-clinicdb, amos) score the run of another
    one: --run. Of a few-shot method, 1, 5 and 10 images are chosen and labelled, and all
    others are segmented.
    results.md and results.json hold what is printed, benchmark/ every single score, run/ the trained method.
    """
    from promisam.reproduce import FewShotRequest, FewShotStudy, Request, study
    from promisam.store import Source

    wanted = study(method, experiment)
    options, typed = settings(config, option or []), tuple(sys.argv)
    source = Source(weights, device, like, side, offline=offline)
    if isinstance(wanted, FewShotStudy):
        _check_few_shot(run, draws, side, allowed=allow_training_cases, components=components)
        end: Comparison | None = _few_shot(
            FewShotRequest(wanted, data, out, options, source, limit, with_empty, resume, keep, typed)
        )
    else:
        _check_trained(with_empty=with_empty, draws=draws, boxes=wanted.prompt == "box")
        times = _DRAWS if draws is None else draws
        allowed = allow_training_cases
        end = _trained(Request(wanted, data, out, run, options, source, times, limit, resume, keep, typed, allowed, components))
    if end is not None:
        _print(end, as_json=as_json)


def _check_few_shot(run: Path | None, draws: int | None, side: int | None, *, allowed: bool, components: bool) -> None:
    """Refuse what does nothing where nothing is trained and nothing is prompted at random."""
    told = {"--run": run, "--draws": draws, "--side": side, "--allow-training-cases": allowed, "--components": components}
    given = [name for name, value in told.items() if value]
    if given:
        raise InvalidConfig(
            f"{given[0]} of a few-shot experiment", expected="an experiment with a training part", do="Leave it out."
        )


def _check_trained(*, with_empty: bool, draws: int | None, boxes: bool) -> None:
    if with_empty:
        raise InvalidConfig("--with-empty of an experiment with a split", expected="a few-shot one", do="Leave it out.")
    if boxes and draws is not None:
        raise InvalidConfig(
            "--draws of an experiment with boxes, in which there is no chance",
            expected="an experiment with random points",
            do="Leave it out.",
        )


def _few_shot(request: FewShotRequest) -> Comparison:
    from promisam.reproduce import reproduce_few_shot

    with stopping() as stop, training_bars(visible=True) as bars:

        def said(what: str, done: int, of: int | None) -> None:
            bars.count(what, done, of)
            stop.pause()

        return reproduce_few_shot(request, said)


def _trained(request: Request) -> Comparison | None:
    """The end of all; None in the processes that only help."""
    from promisam.reproduce import Comparison
    from promisam.reproduce import reproduce as start
    from promisam.runs.processes import Processes

    end: Comparison | None = None
    left = len(request.trainings)
    first = Processes.here().rank == 0
    with stopping() as stop:
        with (
            training_bars(visible=first) as bars,
            closing(start(request, lambda done, of, _case: bars.count("scoring", done, of))) as events,
        ):
            for event in events:
                if isinstance(event, Comparison):
                    end = event
                elif bars.show(event) is not None:
                    left -= 1
                    if not left:
                        stop.restore()  # nothing is lost from here on
                elif stop.heard(event):
                    break
        if end is None:
            stop.end(visible=first)
    return end


def _print(end: Comparison, *, as_json: bool) -> None:
    from promisam.reproduce import comparison_record

    if as_json:
        typer.echo(json.dumps(comparison_record(end), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        print_comparison(end)
    for warning in end.warnings:
        typer.echo(plain(f"promisam: warning: {warning}"), err=True)
