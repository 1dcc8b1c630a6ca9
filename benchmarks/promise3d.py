"""ProMISe-3D on small real sets from one click, its parts switched off one by one, and a 3-D U-Net at equal budget beside it.

    python benchmarks/promise3d.py --work FOLDER [--data ../shared/data] [--sets msd_hippocampus sts_mr] [--ways all ...]
    python benchmarks/promise3d.py --table [--out CSV]

Each way is a `promisam fit` whose command stands in the row, on LiteMedSAM in a size for a CPU. The hippocampus is one object
here (both labels of the set together); its cases are divided 70:15:15. The seven sarcomas of sts_mr are each tested once, in
three trainings on three or four of the others, with one more to choose the checkpoint by.

Test clicks are drawn from the truth, uniformly over the object: one click, five draws, so that these rows have seen the truth;
the deviation over draws is that of the mean over cases. The U-Net is told nothing. Dice and surface Dice at 2 mm are means over
cases and draws on the volumes' own grids. `cpu_minutes` is the processor time of all trainings of a row, validation included.
Rows that are there already are not measured again, and trained runs are used again.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import resource
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from promisam import store
from promisam.core import Example, Prompts, Segmentation, predict
from promisam.evaluation import dice, surface_distances
from promisam.io import open_examples, read_segmentation, write
from promisam.spatial.users import random_points
from rows import append, read

DRAWS = 5
TOLERANCE_MM = 2.0
SMALL = ["enlargement=1", "neck=32", "decoder=16", "fineness=2", "prompt_mlp=256", "foreground=0.8", "learning_rate=1e-3"]
SMALL += ["mixed_precision=bf16"]
WAYS = {
    "all": [],
    "one adapter, trilinear, no path, no boundary term": ["adapters=1", "upsampling=trilinear", "path=none", "boundary=0"],
    "no adapter, trilinear, no path, no boundary term": ["adapters=0", "upsampling=trilinear", "path=none", "boundary=0"],
    "two adapters, trilinear, no path, no boundary term": ["upsampling=trilinear", "path=none", "boundary=0"],
    "two adapters, up-conv, no path, no boundary term": ["path=none", "boundary=0"],
    "R, no boundary term": ["path=R", "boundary=0"],
    "R": ["path=R"],
    "C, no boundary term": ["boundary=0"],
    "C": [],
}


@dataclass(frozen=True)
class Set:
    """How one data set is used.

    Attributes:
        options: of the method.
        unet: of the U-Net.
        epochs: of the way "all"; the others are the ablation, which has its own.
        ablation: epochs of each of its rows.
        folds: trainings, each with other cases to test; 0 for one training on the default split.
        unet_epochs: such that it has about the time of "all" on the hippocampi, a third of it on the sarcomas.
    """

    options: tuple[str, ...]
    unet: tuple[str, ...]
    epochs: int
    ablation: int
    folds: int
    unet_epochs: int


SETS = {
    "msd_hippocampus": Set(("patch=48", "flips=x", "rotation=15"), ("patch=48,48,48", "width=16"), 36, 6, 0, 400),
    "sts_mr": Set(("patch=64", "spacing=2"), ("patch=48,96,96", "width=16"), 80, 0, 3, 100),
}


@dataclass(frozen=True)
class Row:
    """One way on one set."""

    dataset: str
    way: str
    prompt_from_truth: bool
    train: int
    test: int
    dice: float
    dice_sd_over_draws: float
    dice_lowest: float
    surface_dice_2mm: float
    val_dice: float
    best_step: int
    cpu_minutes: float
    fit: str


def united(data: Path, dataset: str, work: Path) -> Path:
    """The set with all its labels as one object."""
    folder = work / dataset
    folder.mkdir(parents=True, exist_ok=True)
    index = folder / "index.csv"
    if index.exists():
        return index
    with (data / dataset / "index.csv").open(newline="") as file:
        cases = list(csv.DictReader(file))
    rows = [["name", "image", "mask"]]
    for case in cases:
        truth = read_segmentation(data / dataset / case["masks"])
        mask = folder / f"{case['id']}.nii.gz"
        write(mask, Segmentation((truth.labels > 0).astype(np.uint8), truth.grid, {1: "object"}))
        rows.append([case["id"], str((data / dataset / case["image"]).resolve()), str(mask.resolve())])
    with index.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return index


def fitted(index: Path, dataset: str, way: str, work: Path, fold: int | None) -> tuple[Path, str]:
    """The run folder, trained unless it is there, and the command."""
    kind = SETS[dataset]
    run = work / re.sub(r"\W+", "_", f"{dataset}_{way}" + ("" if fold is None else f"_{fold}"))
    if way == "unet":
        method, options = "unet", [*kind.unet, f"epochs={kind.unet_epochs}", f"validate_every={kind.unet_epochs // 8}"]
    else:
        epochs = kind.epochs if way == "all" else kind.ablation
        method, options = "promise3d", [*SMALL, *kind.options, *WAYS[way], f"epochs={epochs}", f"validate_every={epochs // 4}"]
    sets = [part for option in options for part in ("--set", option)]
    split = [] if fold is None else ["--split", str(left_out(index, work, fold))]
    begun = [sys.executable, "-m", "promisam", "fit", method, str(index), "-o", str(run), *sets, *split]
    if not (run / "run.json").is_file() or not json.loads((run / "run.json").read_text()).get("result"):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*begun, "--resume"], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        (run / "cpu_seconds").write_text(f"{spent:.0f}\n")
    told = [] if fold is None else ["--split", f"{dataset}_fold_N.csv"]
    return run, shlex.join(["promisam", "fit", method, f"{dataset}_united/index.csv", "-o", "RUN", *sets, *told])


def left_out(index: Path, work: Path, fold: int) -> Path:
    """A split file: every so manieth case to test, another to choose the checkpoint by, the rest to learn from."""
    names = [name for name, _, _ in open_examples(index).entries]
    part = {names[(fold + 1) % len(names)]: "val"} | dict.fromkeys(names[fold :: SETS[index.parent.name].folds], "test")
    file = work / f"{index.parent.name}_fold_{fold}.csv"
    file.write_text("\n".join(["name,split", *(f"{name},{part.get(name, 'train')}" for name in names)]) + "\n")
    return file


def measured(data: Path, dataset: str, way: str, work: Path) -> Row:
    """Train where that was not done, and score."""
    index = united(data, dataset, work)
    by_name = {example.name: example for example in open_examples(index).examples}
    found, trained, best, minutes, steps, command = [], [], [], 0.0, 0, ""
    for fold in range(SETS[dataset].folds) or [None]:
        run, command = fitted(index, dataset, way, work, fold)
        record = json.loads((run / "run.json").read_text())
        method = store.load(method=run)
        found += [scored(method, by_name[name]) for name in record["data"]["split"]["test"]]
        trained.append(len(record["data"]["split"]["train"]))
        best.append(float(record["result"].get("best_score") or np.nan))
        steps = int(record["result"].get("best_step", 0))
        minutes += float((run / "cpu_seconds").read_text()) / 60 if (run / "cpu_seconds").is_file() else np.nan
    dices, surfaces = (np.array(part) for part in zip(*found, strict=True))
    return Row(
        dataset,
        way,
        way != "unet",
        round(float(np.mean(trained))),
        len(found),
        round(float(dices.mean()), 4),
        round(float(dices.mean(0).std()), 4),
        round(float(dices.min()), 4),
        round(float(surfaces.mean()), 4),
        round(float(np.mean(best)), 4),
        steps if len(trained) == 1 else 0,
        round(minutes, 1),
        command,
    )


def scored(method: store.Segmenter, example: Example) -> tuple[list[float], list[float]]:
    """Dice and surface Dice of one case, for each draw of its click."""
    labelled = example.load()
    grid, truth = labelled.image.grid, labelled.truth.mask(1)
    dices, surfaces = [], []
    for draw in range(DRAWS):
        chance = np.random.default_rng(draw)
        asked = random_points(truth, grid, 1, chance) if "points" in method.accepts else Prompts(grid)
        answer = predict(method, labelled.image, *([asked] if asked.kinds else [])).labels == 1
        dices.append(dice(answer, truth))
        surfaces.append(surface_distances(answer, truth, grid.spacing).surface_dice(TOLERANCE_MM) if answer.any() else 0.0)
        if not asked.kinds:
            return dices * DRAWS, surfaces * DRAWS
    return dices, surfaces


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--ways", nargs="+", choices=[*WAYS, "unet"], default=["all", "unet"])
    parser.add_argument("--table", action="store_true", help="print what was measured as Markdown, and measure nothing")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    given = parser.parse_args()
    if given.table:
        table(read(given.out))
        return
    for dataset in given.sets:
        for way in given.ways:
            if (dataset, way) in {(row["dataset"], row["way"]) for row in read(given.out)}:
                continue
            append(given.out, measured(given.data, dataset, way, given.work))


def table(found: list[dict[str, str]]) -> None:
    """As Markdown."""
    print(
        "| set | way | Dice | sd over draws | lowest | surface Dice, 2 mm | validation Dice | CPU minutes |",
        "|---|---|---|---|---|---|---|---|",
        sep="\n",
    )
    for row in found:
        names = ("dataset", "way", "dice", "dice_sd_over_draws", "dice_lowest", "surface_dice_2mm", "val_dice", "cpu_minutes")
        print("| " + " | ".join(row[name] for name in names) + " |")


if __name__ == "__main__":
    main()
