"""The two files of a benchmark: benchmark.json and benchmark.csv."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from promisam.core.errors import UnwritableOutput
from promisam.evaluation.benchmark_table import Benchmark, Row, Spread
from promisam.evaluation.definitions import SOURCES, versions
from promisam.evaluation.protocols import Protocol
from promisam.evaluation.scores import nsd_column

BENCHMARK_FILES = ("benchmark.json", "benchmark.csv")
FROM_TRUTH = (
    "The prompts were made from the true segmentation. Such scores say what the method reaches when it is prompted by somebody "
    "who already knows the answer; a user without the truth should expect less."
)
NO_TRUTH = "No ground truth was used: the method saw the image alone."
_FORMAT = 1


def benchmark_record(result: Benchmark, source: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The benchmark as plain values for JSON; None where a value is not defined.

    Args:
        result: what was measured.
        source: what it was measured on and with: method, weights, data, device.
    """
    unit = result.unit
    return {
        "format": _FORMAT,
        "source": dict(source or {}),
        "settings": {"draws": result.draws, "seed": result.seed, "tolerances": list(result.tolerances)},
        "classes": list(result.classes),
        "cases": [one.case for one in result.encoding],
        "unit": unit,
        "seconds_to_encode": asdict(result.encode_seconds),
        "rows": [_row(row, result) for row in result.rows],
        "definitions": {
            "mean": "Of the draws' means over all pairs of case and class whose image holds the class.",
            "sd": "Standard deviation (n - 1) of the draws' means; none where chance has no part in the prompts (one draw).",
            "interval_95": "Percentile bootstrap over cases of the mean, each pair averaged over the draws first.",
            "absent": "Pairs whose image does not hold the class: never prompted, in no mean. An automatic answer that finds "
            "something there is a false positive.",
            "clicks": "A case that nothing is left to correct in keeps its score for the clicks that are spared.",
            "seconds": "Of one answer, encoding apart. Encoding is per image, all slices of a volume together.",
        },
        "sources": [*SOURCES, "Sofiiuk et al. 2021, Reviving iterative training with mask guidance, arXiv:2102.06583 (clicks)"],
        "versions": versions(),
    }


def benchmark_csv(result: Benchmark) -> str:
    """One row for each answer; undefined values are empty, infinite ones "inf", numbers in full precision."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    unit = result.unit
    encoding = {one.case: one.seconds for one in result.encoding}
    columns = list(result.trials[0].score.metrics(unit))
    known = ["prompt", "prompt_from_truth", "draw", "clicks", "id", "label", "name", "status", "unit"]
    writer.writerow([*known, *columns, "seconds", "seconds_to_encode"])
    for trial in result.trials:
        score, asked = trial.score, trial.protocol
        metrics = score.metrics(unit)
        if not trial.prompted:  # nothing was answered, so only the truth has a volume
            metrics = {name: value if name == "volume_truth" else None for name, value in metrics.items()}
        numbers = [*metrics.values(), trial.seconds, encoding[score.case]]
        seen = "yes" if asked.sees_truth else "no"
        row = [asked.title, seen, trial.draw, trial.clicks, score.case, score.label, score.name, trial.status, unit]
        writer.writerow([*row, *("" if v is None else repr(float(v)) for v in numbers)])
    return text.getvalue()


def write_benchmark(
    result: Benchmark, folder: str | Path, source: Mapping[str, Any] | None = None, overwrite: bool = False
) -> tuple[Path, ...]:
    """Write record and table of answers into a folder, each whole or not at all.

    Args:
        result: what was measured.
        folder: where to; created when missing.
        source: what it was measured on and with.
        overwrite: replace an earlier benchmark.

    Raises:
        UnwritableOutput: when there is an earlier benchmark, or the folder cannot be written.
    """
    from promisam.io.atomic import atomic_text

    check_benchmark_output(folder, overwrite)
    record = json.dumps(benchmark_record(result, source), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    target = Path(folder)
    for name, text in zip(BENCHMARK_FILES, (record, benchmark_csv(result)), strict=True):
        atomic_text(target / name, text.encode(errors="replace").decode())  # names of files may be no valid text
    return tuple(target / name for name in BENCHMARK_FILES)


def check_benchmark_output(folder: str | Path, overwrite: bool = False) -> None:
    """Refuse what `write_benchmark` would refuse; call it before the work, not after.

    Raises:
        UnwritableOutput: when there is an earlier benchmark, or the folder is a file.
    """
    existing = [name for name in BENCHMARK_FILES if (Path(folder) / name).exists()]
    if Path(folder).is_file() or (existing and not overwrite):
        raise UnwritableOutput(
            f"the output folder {folder}, which {'already holds ' + ', '.join(existing) if existing else 'is a file'}",
            expected="a folder without a benchmark",
            do="Name another folder with -o, or allow it with --overwrite.",
        )


def truth_note(protocol: Protocol) -> str:
    """Whether a score needed the truth, in a sentence."""
    return FROM_TRUTH if protocol.sees_truth else NO_TRUTH


def _row(row: Row, result: Benchmark) -> dict[str, Any]:
    surface = {nsd_column(t, result.unit): _spread(one) for t, one in zip(result.tolerances, row.nsd, strict=True)}
    return {
        "prompt": row.protocol.title,
        "protocol": asdict(row.protocol),
        "clicks": row.clicks,
        "prompt_from_truth": row.protocol.sees_truth,
        "note": truth_note(row.protocol),
        "label": row.label,
        "name": row.name,
        "draws": row.draws,
        "scored": row.scored,
        "nothing_found": row.nothing_found,
        "absent": row.absent,
        "false_positives": row.false_positives,
        "dice": _spread(row.dice),
        "iou": _spread(row.iou),
        **surface,
        "seconds": asdict(row.seconds),
    }


def _spread(one: Spread) -> dict[str, Any]:
    return {"mean": one.mean, "sd": one.sd, "interval_95": None if one.low is None else [one.low, one.high]}
