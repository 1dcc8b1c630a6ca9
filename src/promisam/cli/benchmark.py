"""The `benchmark` command: what a method reaches on labelled data with the prompts of a simulated user, or with none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from promisam.cli.benchmark_cases import Chosen, Part, Wanted, choose
from promisam.cli.benchmark_report import print_benchmark
from promisam.cli.progress import Progress, progress_bars
from promisam.cli.terminal import plain

if TYPE_CHECKING:
    from promisam.core import Segmenter
    from promisam.evaluation import Benchmark
    from promisam.runs.record import RunRecord

UNKNOWN = "imported weights do not say what they were trained on: make sure that it was none of these cases"


def benchmark(
    source: Annotated[
        str, typer.Argument(metavar="RUN|WEIGHTS", help="A folder that `fit` made, or weights, by name or file.")
    ],
    dataset: Annotated[Path, typer.Argument(help="Labelled images; see `promisam check-data --help`.", show_default=False)],
    *,
    prompt: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND",
            help="box, click, points:NUMBER, inside:NUMBER or auto; repeatable. Default: auto where the method can, else box.",
        ),
    ] = None,
    clicks: Annotated[int, typer.Option(min=1, help="Of --prompt click: a score after each, 1 to N.")] = 5,
    draws: Annotated[int, typer.Option(min=1, help="How often random prompts are drawn.")] = 5,
    jitter: Annotated[
        float, typer.Option(help="Of --prompt box: largest movement of a side, as a fraction of its extent.")
    ] = 0.0,
    label: Annotated[
        list[int] | None, typer.Option(help="This label of the data set only; repeatable. Default: the run's.")
    ] = None,
    group_by: Annotated[str | None, typer.Option(metavar="RE", help="What of a case's name is its patient or group.")] = None,
    split: Annotated[str | None, typer.Option(metavar="FILE|A,B,C", help="Train, val and test: a file, or ratios.")] = None,
    part: Annotated[Part | None, typer.Option(help="Default: test of a run's split or --split; else all cases.")] = None,
    allow_training_cases: Annotated[
        bool, typer.Option("--allow-training-cases", help="Do not refuse cases that the run was trained on.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of random prompts and of a split by ratios.")] = 0,
    tolerance: Annotated[
        list[float] | None, typer.Option(help="Of the surface Dice, in mm (pictures: pixels); repeatable. Default: 2.")
    ] = None,
    weights: Annotated[str | None, typer.Option(metavar="NAME|FILE", help="The SAM below RUN, if it has moved.")] = None,
    like: Annotated[str | None, typer.Option(metavar="NAME", help="The known weights that a FILE was trained like.")] = None,
    method: Annotated[str, typer.Option(metavar="NAME", help="For WEIGHTS: a method, or package.module:Class.")] = "plain_sam",
    window: Annotated[
        str | None, typer.Option(metavar="L,W|PRESET", help="As of `segment`. Default: the method's own.")
    ] = None,
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option(help="Where to compute.")] = "auto",
    precision: Annotated[
        Literal["float32", "bfloat16"] | None, typer.Option(help="bfloat16 is faster. Default: the method's own.")
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for benchmark.json and benchmark.csv.")] = Path(
        "benchmark"
    ),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier benchmark.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Never touch the network.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the record as JSON instead of a table.")] = False,
) -> None:
    """Score a method on labelled data, prompted by a simulated user or by nobody: Dice, surface Dice and seconds.

    Boxes, clicks and points are made from the truth, and the table says so; only `auto` is what an image alone gives.
    Cases that a run was trained on are refused.
    """
    from promisam.evaluation import DEFAULT_TOLERANCE, Protocol, check_benchmark_output
    from promisam.evaluation import benchmark as measure
    from promisam.evaluation.benchmark_record import benchmark_record, write_benchmark
    from promisam.evaluation.stopwatch import settled

    check_benchmark_output(output, overwrite)
    protocols = [Protocol.parse(text, clicks, jitter) for text in dict.fromkeys(prompt or ())]
    run = _run_of(source)
    record = None if run is None else _record(run)
    data = _Data.open(dataset, record, label, group_by, Wanted(part, split, seed, allow_training_cases))
    warnings = [*data.chosen.warnings, *([UNKNOWN] if run is not None and record is None else [])]
    with progress_bars() as progress:
        setup = _Setup(source, run, weights, like, method, device, offline, {"window": window, "precision": precision})
        found = setup.load(data.ndim, progress("weights"))
        cases = progress("cases")
        result = measure(
            found,
            data.chosen.examples,
            data.classes,
            protocols or [Protocol("auto" if found.automatic else "box", jitter=0.0 if found.automatic else jitter)],
            draws=draws,
            seed=seed,
            tolerances=tuple(tolerance or (DEFAULT_TOLERANCE,)),
            settle=settled,
            report=lambda done, of, _case: cases(done, of),
        )
    about = {"method": source, "data": str(dataset), "cases": data.chosen.how, **setup.about(found)}
    about["warnings"] = warnings
    written = write_benchmark(result, output, about, overwrite)
    if as_json:
        typer.echo(json.dumps(benchmark_record(result, about), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        _print(result, data.chosen, warnings, written[0])


@dataclass(frozen=True)
class _Data:
    """The cases and classes of a benchmark."""

    chosen: Chosen
    classes: tuple[str, ...]
    ndim: int

    @classmethod
    def open(
        cls, path: Path, record: RunRecord | None, labels: list[int] | None, group_by: str | None, wanted: Wanted
    ) -> _Data:
        """Read as the run read its data, unless told otherwise: fingerprints of cases depend on the labels that are read."""
        from promisam.io import open_examples

        learned = None if record is None else record.data
        values = labels or (list(learned.labels) if learned else [])
        groups = group_by if group_by is not None else (learned.group_by or None) if learned else None
        found = open_examples(path, labels=values, group_by=groups)
        chosen = choose(found, path, learned, wanted)
        return cls(chosen, found.classes, chosen.examples[0].load().image.grid.ndim)


@dataclass(frozen=True)
class _Setup:
    """What was typed about the method."""

    source: str
    run: Path | None
    weights: str | None
    like: str | None
    method: str
    device: Literal["auto", "cpu", "cuda", "mps"]
    offline: bool
    options: dict[str, str | None]

    def load(self, ndim: int, report: Progress) -> Segmenter:
        """The method of a run folder, or one on plain weights."""
        from promisam import store

        return store.load(
            self.source if self.run is None else self.weights,
            method=self.method if self.run is None else self.run,
            ndim=ndim,
            device=self.device,
            like=self.like,
            offline=self.offline,
            config={name: value for name, value in self.options.items() if value is not None},
            report=report,
        )

    def about(self, found: Segmenter) -> dict[str, Any]:
        """Options, weights, device and versions, for the record."""
        from promisam.cli.segment_report import provenance

        return provenance(found)


def _run_of(source: str) -> Path | None:
    """The run folder, if that is what was named, or the checkpoint in it."""
    from promisam import zoo

    path = Path(source)
    if path.is_dir() and source not in zoo.CATALOGUE:
        return path
    return path.parent if path.is_file() and (path.parent / "run.json").is_file() else None


def _record(run: Path) -> RunRecord | None:
    """What a run learned from; imported weights do not say."""
    from promisam.runs.record import read_record, record_beside
    from promisam.training.checkpoint import MODEL

    return record_beside(run / MODEL) if (run / MODEL).is_file() else read_record(run)


def _print(result: Benchmark, chosen: Chosen, warnings: Sequence[str], record: Path) -> None:
    typer.echo(plain(f"{len(chosen.examples)} cases: {chosen.how}"))
    print_benchmark(result)
    for warning in warnings:
        typer.echo(plain(f"promisam: warning: {warning}"), err=True)
    typer.echo(plain(f"record: {record}"))
