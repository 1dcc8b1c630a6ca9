"""The `fit` command: a data set and a method in, a run folder out."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from promisam.cli.fit_few_shot import fit_few_shot
from promisam.cli.progress import training_bars
from promisam.cli.settings import settings
from promisam.cli.stopping import stopping
from promisam.core.errors import InvalidConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    from promisam.runs.fit import Request
    from promisam.training.events import Stopped


def fit(
    method: Annotated[
        str,
        typer.Argument(
            help="What to train: promise2d, promise3d, imedsam, interactive, unet, sam_mpa, or package.module:Class."
        ),
    ],
    out: Annotated[Path, typer.Option("--output", "-o", metavar="RUN", help="The run folder to write.")],
    dataset: Annotated[
        Path | None,
        typer.Argument(show_default=False, help="A folder with images/ and masks/, nnU-Net or MSD data, a CSV, a datalist."),
    ] = None,
    support: Annotated[
        Path | None, typer.Option(metavar="DATASET", help="The few labelled images of a few-shot method (sam_mpa).")
    ] = None,
    images: Annotated[
        list[Path] | None,
        typer.Option(metavar="FOLDER", help="Images without labels, for a few-shot method; may be repeated."),
    ] = None,
    option: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="An option; may be repeated.")] = None,
    config: Annotated[Path | None, typer.Option(metavar="YAML", help="A file of options; --set comes over it.")] = None,
    label: Annotated[list[int] | None, typer.Option(min=1, help="Learn this label only; may be repeated.")] = None,
    split: Annotated[
        str | None, typer.Option(metavar="FILE|RATIOS", help="Which case is in which part. Default: 70,15,15 by group.")
    ] = None,
    group_by: Annotated[str | None, typer.Option(metavar="REGEX", help="Finds the patient in a case's name.")] = None,
    weights: Annotated[str | None, typer.Option(metavar="NAME|FILE", help="The SAM to stand on. Default: litemedsam.")] = None,
    like: Annotated[str | None, typer.Option(metavar="NAME", help="The known weights that a FILE was trained like.")] = None,
    side: Annotated[
        int | None, typer.Option(min=16, metavar="PIXELS", help="Of the SAM's frame, if not the weights' own; plain ViTs only.")
    ] = None,
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option(help="Where to compute.")] = "auto",
    keep: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Where embeddings are kept. Default: the cache.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run, or begin it if there is none.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Never touch the network.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a method on your labels. The checkpoint is chosen on held-out validation cases, never on test cases.

    A few-shot method is not trained: it remembers all of DATASET and looks at the images without labels
    (promisam fit sam_mpa --support DATASET --images FOLDER -o RUN).

    Runs unchanged under torchrun and SLURM. Stopped at any moment, --resume goes on to the same result: after Ctrl-C or
    SIGTERM from the last step, after anything else from the last validation.
    """
    from promisam.runs import few_shot, fit
    from promisam.store import Source, find_method, is_few_shot

    kind = find_method(method)[0]
    _check_sam(kind, method, {"--weights": weights, "--like": like, "--side": side})
    options = settings(config, option or [])
    source = Source(weights, device, like, side, offline=offline)
    labels, typed = tuple(label or ()), tuple(sys.argv)
    if is_few_shot(kind):
        _check_few_shot(method, dataset, support, keep)
        data, others = _given(dataset or support), tuple(images or ())
        asked = few_shot.Request(method, data, out, others, labels, group_by, split, options, source, resume, typed)
        fit_few_shot(asked, as_json=as_json)
        return
    _check_trained(method, support, images)
    _train(
        fit.Request(method, _given(dataset), out, labels, group_by, split, options, source, keep, resume, typed),
        as_json=as_json,
    )


def _given(dataset: Path | None) -> Path:
    """The data set, which must be there."""
    if dataset is None:
        raise typer.BadParameter("Missing argument 'DATASET'.")
    return dataset


def _check_sam(kind: Any, method: str, given: Mapping[str, object]) -> None:  # noqa: ANN401 - a class that keeps a protocol
    """Refuse what chooses a SAM, for a method that stands on none."""
    from promisam.store import uses_sam

    named = [name for name, value in given.items() if value is not None]
    if named and not uses_sam(kind):
        raise InvalidConfig(
            f"{' and '.join(named)} for {method}, which stands on no SAM", expected=f"no {named[0]}", do="Leave it out."
        )


def _check_few_shot(method: str, dataset: Path | None, support: Path | None, keep: Path | None) -> None:
    """Refuse, for a few-shot method, two data sets and what would do nothing."""
    if dataset is not None and support is not None:
        raise InvalidConfig(
            f"DATASET {dataset} and --support {support}", expected="one of the two", do="Name the labelled images once."
        )
    if keep is not None:
        raise InvalidConfig(f"--keep for {method}, which keeps nothing", expected="no --keep", do="Leave it out.")


def _check_trained(method: str, support: Path | None, images: list[Path] | None) -> None:
    """Refuse, for a method that is trained, the options of few-shot methods."""
    given = [name for name, value in (("--support", support), ("--images", images)) if value]
    if given:
        raise InvalidConfig(
            f"{' and '.join(given)} for {method}, which is no few-shot method",
            expected="a DATASET to train on",
            do=f"Write promisam fit {method} DATASET -o RUN.",
        )


def _train(request: Request, *, as_json: bool) -> None:
    from promisam.runs.fit import fit as run
    from promisam.runs.processes import Processes

    first = Processes.here().rank == 0
    end: Stopped | None = None
    worked = False
    with stopping() as stop:
        with training_bars(visible=first) as bars, closing(run(request)) as events:
            for event in events:
                end = bars.show(event) or end
                worked = worked or end is None
                if stop.heard(event):
                    break
        if end is None:
            stop.end(visible=first)
    if first and end is not None:
        _print_end(request.out, end, worked=worked, as_json=as_json)


def _print_end(out: Path, end: Stopped, *, worked: bool, as_json: bool) -> None:
    score = end.best_score if end.best_score == end.best_score and end.best_step >= 0 else None  # NaN without validation cases
    if as_json:
        record = {
            "run": str(out),
            "step": end.step,
            "stopped": end.reason,
            "worked": worked,
            "validation_dice": score,
            "best_step": end.best_step,
        }
        typer.echo(json.dumps(record, indent=2))
        return
    chosen = (
        f"best validation Dice {score:.4f} after step {end.best_step}"
        if score is not None
        else "the last weights are kept, since no validation case has anything to find"
    )
    how = {"finished": "finished", "early": "stopped early, for lack of a better validation,"}[end.reason]
    typer.echo(f"{out}: {'' if worked else 'nothing to do, it had '}{how} after step {end.step}; {chosen}")
    typer.echo(f"Next: promisam benchmark {out} DATASET, or promisam segment IMAGE --method {out}")
