"""A published experiment of a few-shot method: which images to label, and how well the others are then segmented."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from promisam import zoo
from promisam.core import Example
from promisam.core.errors import InvalidConfig, UnreadableFile
from promisam.evaluation import Protocol, benchmark
from promisam.evaluation.benchmark_record import write_benchmark
from promisam.evaluation.benchmark_table import Spread
from promisam.io import Input, atomic_text, find_inputs, open_examples
from promisam.io.digest import file_digest
from promisam.io.layouts.table import TABLE
from promisam.reproduce.checks import check_folder
from promisam.reproduce.comparison import Comparison, Reached, write_results
from promisam.reproduce.data import plural
from promisam.reproduce.drawn import Drawn, united
from promisam.reproduce.values import Facts, FewShotStudy
from promisam.runs.few_shot import Remembered, remember
from promisam.runs.few_shot import Request as FewShotRun
from promisam.selection import Encoder, choose, encode, together
from promisam.selection import Request as Choice
from promisam.store import Source, load
from promisam.training.checkpoint import MODEL
from promisam.training.contract import Said
from promisam.training.kept import Kept

_SUPPORTS = "supports.csv"
_REACHED = "reached.json"


@dataclass(frozen=True)
class FewShotRequest:
    """How an experiment is to be run.

    Attributes:
        study: the experiment.
        data: the folder of its data, in a public layout.
        out: what is written: dataset.csv, k<number>/ with run and scores, results.json and results.md.
        options: of the method, and the seed, over those of the experiment.
        source: of the SAM; by default the experiment's.
        limit: so many cases only, to try things out.
        with_empty: keep the parts of the set on which nothing is to be found.
        resume: go on with what is in `out`.
        keep: where embeddings are kept; the user's cache by default.
        command: what was typed, for the record.
    """

    study: FewShotStudy
    data: Path
    out: Path
    options: Mapping[str, object] = field(default_factory=dict)
    source: Source = field(default_factory=Source)
    limit: int | None = None
    with_empty: bool = False
    resume: bool = False
    keep: Path | None = None
    command: tuple[str, ...] = ()

    @property
    def seed(self) -> int:
        """Of the choice of images, and of the method."""
        given = self.options.get("seed", 0)
        return given if isinstance(given, int) else 0  # what is no number, `remember` refuses


def reproduce_few_shot(request: FewShotRequest, said: Said = lambda _what, _done, _of: None) -> Comparison:
    """For each number of labelled images: choose them, have the method remember them, and score it on all others.

    Args:
        request: what and how.
        said: told of what is being done.

    Raises:
        UnwritableOutput: when the folder holds something and `resume` is not asked for.
        InvalidConfig: for other cases or options than those that were begun with.
        PromisamError: for what is wrong with data, options or weights.
    """
    check_folder(request.out, resume=request.resume)
    study = request.study
    source = request.source if request.source.weights else replace(request.source, weights=study.weights)
    request = replace(request, source=source, options={**study.options, **request.options})
    drawn, notes = find_drawn(request)
    shots = [k for k in study.shots if k < len(drawn)]
    if not shots:
        raise InvalidConfig(f"{plural(len(drawn), 'image')}", expected="more than one", do="Give more, or raise --limit.")
    notes += [f"K = {k} is left out, with {plural(len(drawn), 'image')}" for k in study.shots if k not in shots]
    table = _table(request, drawn)
    inputs = find_inputs([table])
    chosen, name = _chosen(request, inputs, shots, said)
    rows = []
    for k in shots:
        reached, remarks = _reached(request, table, chosen[k], k, said)
        rows.append(reached)
        notes += remarks
    setup = {
        "weights": name,
        "options": json.dumps(dict(request.options), sort_keys=True),
        **{f"labelled, K = {k}": ", ".join(chosen[k]) for k in shots},
    }
    facts = Facts(name, source.like or "", request.options, {"seed": request.seed}, False, max(shots), 0, 1)
    comparison = Comparison(study, tuple(rows), setup, notes, study.differing(facts))
    write_results(comparison, request.out)
    return comparison


def find_drawn(request: FewShotRequest) -> tuple[list[Drawn], list[str]]:
    """The images of the set, and where they are not what was published.

    Raises:
        UnreadableFile: when the folder has none of the known layouts.
        InvalidConfig: for an impossible limit.
    """
    study, data = request.study, request.data
    if request.limit is not None and request.limit < 2:
        raise InvalidConfig(f"a limit of {request.limit} cases", expected="at least 2", do="Raise it, or leave it out.")
    below = sorted(path for path in data.iterdir() if path.is_dir()) if data.is_dir() else []
    every = next((found for place in (data, *below) for layout in study.layouts if (found := layout(place))), [])
    if not every:
        raise UnreadableFile(f"{data} without {study.title}", expected=study.data, do="Name the folder that holds them.")
    drawn = [one for one in every if request.with_empty or one.part not in study.empty]
    notes = []
    if len(drawn) < len(every):
        left = plural(len(every) - len(drawn), "image")
        notes.append(
            f"{left} of {' and '.join(study.empty)}, on which nothing is to be found, left out: --with-empty keeps them"
        )
    if study.cases is not None and len(drawn) != study.cases:
        notes.append(f"{plural(len(drawn), 'image')} with masks; the set has {study.cases} with something to find")
    if request.limit is not None:
        notes.append(f"{min(request.limit, len(drawn))} of {plural(len(drawn), 'image')}, as asked for")
        count = min(request.limit, len(drawn))
        drawn = [drawn[i * len(drawn) // count] for i in range(count)]
    return drawn, notes


def _table(request: FewShotRequest, drawn: Sequence[Drawn]) -> Path:
    """The cases as a CSV, with one mask each; the very same cases when it is gone on with."""
    table = request.out / TABLE
    if table.is_file():
        before = [row["id"] for row in csv.DictReader(table.read_text(encoding="utf-8").splitlines())]
        if before != [one.name for one in drawn]:
            raise InvalidConfig(
                f"{request.out}, which was begun with other cases ({len(before)} in its {TABLE}, now {len(drawn)})",
                expected="the same data, --limit and --with-empty",
                do="Give those, or choose another folder.",
            )
    masks = request.out / "masks"
    rows = [(one.name, one.image.resolve(), united(one, masks).resolve()) for one in drawn]
    atomic_text(table, _csv(rows))
    return table


def _csv(rows: Sequence[tuple[object, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("id", "image", "mask"), *rows])
    return text.getvalue()


def _chosen(
    request: FewShotRequest, inputs: Mapping[str, Input], shots: Sequence[int], said: Said
) -> tuple[dict[int, list[str]], str]:
    """The images to label for each number, and the name of the SAM that compares them."""
    sam, backbone = request.source.sam()
    kept = Kept(request.keep or zoo.Cache.default().root / "precomputed")
    names = sorted(inputs)
    found = encode(inputs, Encoder(sam, backbone.fingerprint, kept=kept), names, lambda done, of: said("comparing", done, of))
    rows = together([found.means[name] for name in names])
    picked = {k: choose(names, rows, Choice(k, seed=request.seed), found.digests) for k in shots}
    return {k: [one.name for one in picked[k].chosen] for k in shots}, backbone.name


def _reached(request: FewShotRequest, table: Path, names: Sequence[str], k: int, said: Said) -> tuple[Reached, list[str]]:
    """What is reached with these supports, and what is to be known of the queries."""
    folder = request.out / f"k{k}"
    supports = folder / _SUPPORTS
    rows = {row["id"]: row for row in csv.DictReader(table.read_text(encoding="utf-8").splitlines())}
    atomic_text(supports, _csv([(name, rows[name]["image"], rows[name]["mask"]) for name in names]))
    wanted = FewShotRun(
        request.study.method,
        supports,
        folder / "run",
        (table,),
        options=request.options,
        source=request.source,
        resume=request.resume,
        command=request.command,
    )
    done = remember(wanted, said)
    queries, copies = _queries(table, done)
    model = file_digest(folder / "run" / MODEL)
    known = _known(folder / _REACHED, model)
    if known is None:
        known = _scored(request, folder, queries, k, lambda at, of, _case: said(f"scoring, K = {k}", at, of))
        atomic_text(folder / _REACHED, json.dumps({"model": model, **known}, indent=1) + "\n")
    remarks = [f"K = {k}: {plural(len(copies), 'image')} with the content of a labelled one left out"] if copies else []
    if known["absent"]:
        painted = known["false_positives"]
        remarks.append(f"K = {k}: {painted} of {plural(known['absent'], 'image')} with nothing to find got a mask; in no mean")
    theirs = next((one for one in request.study.published if one.part == f"K = {k}"), None)
    dice, iou = (Spread(**known[name]) for name in ("dice", "iou"))
    return Reached(f"K = {k}", known["cases"], "auto", False, dice, iou, theirs), remarks


def _queries(table: Path, done: Remembered) -> tuple[list[Example], list[str]]:
    """All cases but the supports, and the names of those that are copies of one."""
    data = done.record.data
    supports = set(data.images.values())
    rest = [example for example in open_examples(table).examples if example.name not in set(done.supports)]
    copies = [example.name for example in rest if example.image in supports]
    return [example for example in rest if example.name not in copies], copies


def _known(file: Path, model: str) -> dict[str, Any] | None:
    """Scores of an earlier, interrupted run on the very same model."""
    try:
        told: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return told if told.get("model") == model else None


def _scored(
    request: FewShotRequest, folder: Path, queries: Sequence[Example], k: int, report: Callable[[int, int, str], None]
) -> dict[str, Any]:
    if not queries:
        raise InvalidConfig(f"no image beside {k} labelled ones", expected="images to segment", do="Give more images.")
    source = request.source
    method = load(source.weights, method=folder / "run", device=source.device, like=source.like, offline=source.offline)
    done = benchmark(method, queries, (request.study.target,), [Protocol("auto")], draws=1, report=report)
    write_benchmark(done, folder / "benchmark", {"run": str(folder / "run"), "labelled": k}, overwrite=True)
    (row,) = done.rows
    nothing = {"absent": row.absent, "false_positives": row.false_positives}
    return {"cases": row.scored, **nothing, "dice": asdict(row.dice), "iou": asdict(row.iou)}
