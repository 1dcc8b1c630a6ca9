"""Every trainable method on the same small real sets, splits and budget, beside the U-Net.

    python benchmarks/few_labels.py --work FOLDER [--data ../shared/data] [--sets hc18 ...] [--methods ips ...] [--out CSV]
    python benchmarks/few_labels.py --table [--out CSV]

Each row is two commands, `fit` and then `benchmark` on the test cases, which stand in the row, so that it can be made again by
hand. Test cases are those of the default split (70:15:15 by group, seed 0); the checkpoint is chosen on its validation part. A
row that is there already is not measured again, and an interrupted training goes on. Minutes are those of steps and validations
on one core of whatever else the machine does; encoding comes before, under a second for each image and variant.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from rows import read, write

# So that a training takes less than 30 minutes of one core, encoding included.
IPS = {"hc18": (8, 100), "isic2018_512": (4, 40), "minijsrt_lung": (4, 45), "cvc_clinicdb": (8, 45)}  # variants, epochs
APM = {"hc18": 24, "isic2018_512": 5, "minijsrt_lung": 15, "cvc_clinicdb": 10}  # epochs
UNET = {"hc18": 150, "isic2018_512": 34, "minijsrt_lung": 95, "cvc_clinicdb": 64}  # epochs


@dataclass(frozen=True)
class Row:
    """One method on one set with one kind of prompt."""

    dataset: str
    method: str
    prompt: str
    prompt_from_truth: bool
    train: int
    val: int
    test: int
    val_dice: float
    best_step: int
    steps: int
    draws: int
    dice: float
    dice_sd: float | None
    dice_low: float
    dice_high: float
    nsd_2px: float
    training_minutes: float
    fit: str
    benchmark: str


def options(method: str, dataset: str) -> list[str]:
    """What is set for a method; the rest are its defaults."""
    frozen = ["precision=bfloat16"]
    variants, epochs = IPS[dataset]
    light = [*frozen, "form=light", "variants=2", f"epochs={APM[dataset]}", f"validate_every={APM[dataset] // 5}"]
    ips = ["mode=ips", *frozen, f"variants={variants}", f"epochs={epochs}", f"validate_every={epochs // 10}"]
    return {
        "ips": [*ips, "batch=4"] if dataset == "isic2018_512" else ips,
        "apm": ["mode=apm", *light],
        "apm+ips": ["mode=apm+ips", *light],
        "apm anchored": ["mode=apm", *light, "anchored=true"],
        "apm distance": ["mode=apm", *light, "distance_weight=1"],
        "apm resnet": ["mode=apm", *light, "form=resnet"],
        "apm untrained": ["mode=apm", *frozen, "form=light", "variants=1", "epochs=0"],
        "apm+ips untrained": ["mode=apm+ips", *frozen, "form=light", "variants=1", "epochs=0"],
        "unet": ["width=16", f"epochs={UNET[dataset]}", f"validate_every={UNET[dataset] // 10}"],
    }[method]


METHODS = ("ips", "apm", "apm untrained", "unet", "apm+ips", "apm+ips untrained")
MORE = ("apm anchored", "apm distance", "apm resnet")


def main() -> None:
    arguments = parse()
    done = read(arguments.out)
    if arguments.table:
        print(table(done))
        return
    for dataset in arguments.sets:
        for method in arguments.methods:
            if not any((row["dataset"], row["method"]) == (dataset, method) for row in done):
                rows = measure(dataset, method, arguments.data / dataset / "index.csv", arguments.work)
                done += [{name: "" if value is None else str(value) for name, value in asdict(row).items()} for row in rows]
                write(arguments.out, Row, done)
                print(
                    *(f"{r.dataset:14} {r.method:18} {r.prompt:10} {r.dice:.3f} {r.dice_sd or 0:.3f}" for r in rows), sep="\n"
                )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--sets", nargs="+", default=list(IPS), choices=list(IPS))
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=[*METHODS, *MORE])
    parser.add_argument("--work", type=Path, default=Path("few_labels"), help="where run folders go")
    parser.add_argument("--table", action="store_true", help="print what was measured as Markdown, and measure nothing")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    return parser.parse_args()


def measure(dataset: str, method: str, data: Path, work: Path) -> list[Row]:
    """Train and score."""
    run = work / f"{dataset}_{method.replace(' ', '_')}"
    scores = run.with_name(f"{run.name}_benchmark")
    kind = "unet" if method == "unet" else "promise2d"
    fit = ["fit", kind, str(data), "-o", str(run), *(w for o in options(method, dataset) for w in ("--set", o)), "--resume"]
    promisam(fit)
    minutes = sum(float(line["seconds"]) for log in ("metrics.csv", "validation.csv") for line in read(run / log)) / 60
    prompts = ["points:16"] if method == "ips" else ["auto"]
    test = ["benchmark", str(run), str(data), *(w for p in prompts for w in ("--prompt", p)), "-o", str(scores), "--overwrite"]
    promisam(test)
    record = json.loads((run / "run.json").read_text())
    split, result = record["data"]["split"], record["result"]
    shown = {str(data): f"{dataset}/index.csv", str(run): "RUN"}
    told = [shlex.join(shown.get(word, word) for word in command) for command in (fit[:-1], test[:-3])]
    return [
        Row(
            dataset=dataset,
            method=method,
            prompt=row["prompt"],
            prompt_from_truth=row["prompt_from_truth"],
            train=len(split["train"]),
            val=len(split["val"]),
            test=row["scored"],
            val_dice=round(result["best_score"], 4),
            best_step=result["best_step"],
            steps=result["step"],
            draws=row["draws"],
            dice=round(row["dice"]["mean"], 4),
            dice_sd=row["dice"]["sd"] and round(row["dice"]["sd"], 4),
            dice_low=round(row["dice"]["interval_95"][0], 4),
            dice_high=round(row["dice"]["interval_95"][1], 4),
            nsd_2px=round(row["nsd@2px"]["mean"], 4),
            training_minutes=round(minutes, 1),
            fit=f"promisam {told[0]}",
            benchmark=f"promisam {told[1]}",
        )
        for row in json.loads((scores / "benchmark.json").read_text())["rows"]
    ]


def promisam(words: list[str]) -> None:
    """Run the command line on one thread."""
    code = "import sys; from promisam.cli.main import run; run(sys.argv[1:])"
    subprocess.run(
        [sys.executable, "-c", code, *words, "--device", "cpu"], env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True
    )


def table(rows: list[dict[str, str]]) -> str:
    """The rows as documentation shows them."""
    head = ["set", "method", "prompt", "cases", "Dice", "95 % over cases", "NSD, 2 px", "validation", "steps", "minutes"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in sorted(rows, key=lambda row: list(IPS).index(row["dataset"])):
        sd = f" ± {float(row['dice_sd']):.3f}" if row["dice_sd"] else ""
        prompt = f"{row['prompt']}, from the truth" if row["prompt_from_truth"] == "True" else "none"
        dice, low, high, nsd, val = (f"{float(row[n]):.3f}" for n in ("dice", "dice_low", "dice_high", "nsd_2px", "val_dice"))
        count = f"{row['train']} + {row['val']} + {row['test']}"
        cells = [row["dataset"], row["method"], prompt, count, f"{dice}{sd}", f"{low} to {high}", nsd, val, row["steps"]]
        lines.append("| " + " | ".join([*cells, row["training_minutes"]]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
