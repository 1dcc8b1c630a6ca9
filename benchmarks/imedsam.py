"""I-MedSAM on small real sets: parts switched off, other resolutions, and frozen SAM and the U-Net beside it.

    python benchmarks/imedsam.py --work FOLDER [--data ../shared/data] [--sets cvc_clinicdb busi] [--ways all ...] [--out CSV]
    python benchmarks/imedsam.py --table [--out CSV]

Sets named "5 folds" are trained five times, and their row is the mean over all cases, each tested by the training that did not
see its group.

Each way is a `promisam fit` whose command stands in the row; test cases are those of the split that stands there (by group,
seed 0), the checkpoint is chosen on its validation part. All but the U-Net are asked by the tight box around the truth: such
rows have seen the truth. Dice, HD95 and surface Dice (tolerance one pixel of the image) are means over the test cases, at the
image's own size and, for the method as a whole, with 128, 256 and 896 samples along the longer side: answered by the field
there, or as its mask with 256 samples resized to the nearest sample or linearly. Distances are in pixels of the image at every
size. Rows that are there already are not measured again, and trained runs are used again.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from promisam import store
from promisam.core import Continuous, Example, Grid, Labelled, Prompts, predict
from promisam.evaluation import dice, surface_distances
from promisam.evidence.asking import resized as linearly
from promisam.evidence.asking import with_longer_side
from promisam.io import open_examples
from promisam.spatial.users import jittered_box
from rows import append, read

COMMON = ["precision=bfloat16", "mixed_precision=bf16", "points=2048", "variants=4"]
# Folder, split (by sequence where there are any), epochs, epochs of the U-Net. The default split of CVC-ClinicDB tests on ten
# frames of three sequences; the other one on two fifths of all sequences.
SETS = {
    "cvc_clinicdb": ("cvc_clinicdb", "70,15,15", 4, 64),
    "cvc_clinicdb, 40 % test": ("cvc_clinicdb", "45,15,40", 6, 100),
    "busi": ("busi", "50,15,35", 8, 128),
}
# Every case is tested once, by a network that has seen nothing of its group; the checkpoint is chosen on the next fold.
FOLDED = {"cvc_clinicdb, 5 folds": ("cvc_clinicdb", 4, 64), "busi, 5 folds": ("busi", 8, 128)}
FOLDS = 5
WAYS = {
    "all": [],
    "without LoRA": ["rank=0"],
    "without FA": ["spectrum=none"],
    "without the field": ["decoder=mask"],
    "without sampling": ["sampling=0"],
    "without the prior": ["prior=false"],
    "as published": ["prior=false", "injection=half", "frequencies=10"],
}
SIZES = (128, 256, 896)
RESIZED = ("cvc_clinicdb", "busi")


@dataclass(frozen=True)
class Row:
    """One way on one set at one size."""

    dataset: str
    way: str
    size: str
    answer: str
    prompt_from_truth: bool
    train: int
    test: int
    dice: float
    dice_lowest: float
    hd95_px: float
    surface_dice_1px: float
    val_dice: float
    best_step: int
    fit: str


def fitted(data: Path, dataset: str, way: str, work: Path, fold: int | None = None) -> tuple[Path, str]:
    """The run folder, trained unless it is there, and the command."""
    if fold is None:
        folder, split, epochs, longer = SETS[dataset]
    else:
        folder, epochs, longer = FOLDED[dataset]
        split = str(folds(data / folder / "index.csv", work, fold))
    run = work / re.sub(r"\W+", "_", f"{dataset}_{way}" + ("" if fold is None else f"_{fold}"))
    options = [*COMMON, f"epochs={epochs}", f"validate_every={max(1, epochs // 3)}", *WAYS.get(way, [])]
    method = "imedsam"
    if way == "unet":
        method, options = "unet", ["width=16", f"epochs={longer}", f"validate_every={longer // 10}"]
    index = data / folder / "index.csv"
    sets = [part for option in options for part in ("--set", option)]
    sets += ["--split", split]
    begun = [sys.executable, "-m", "promisam", "fit", method, str(index), "-o", str(run), *sets]
    if not (run / "run.json").is_file() or not json.loads((run / "run.json").read_text()).get("result"):
        subprocess.run([*begun, "--resume"], check=True)
    told = [Path(split).name if part == split else part for part in sets]
    return run, shlex.join(["promisam", "fit", method, f"{folder}/index.csv", "-o", "RUN", *told])


def folds(index: Path, work: Path, fold: int) -> Path:
    """A split file: groups of one fold to test on, of the next to choose the checkpoint by, the rest to learn from."""
    entries = open_examples(index).entries
    groups = sorted({group or name for name, group, _ in entries})
    np.random.default_rng(0).shuffle(groups)
    place = {group: number % FOLDS for number, group in enumerate(groups)}
    part = {fold: "test", (fold + 1) % FOLDS: "val"}
    file = work / f"{index.parent.name}_fold_{fold}.csv"
    lines = [f"{name},{part.get(place[group or name], 'train')}" for name, group, _ in entries]
    file.write_text("\n".join(["name,split", *lines]) + "\n")
    return file


def folded(data: Path, dataset: str, way: str, work: Path, known: set[tuple[str, ...]]) -> Iterator[Row]:
    """The row of one way over all folds, unless it is known."""
    if (dataset, way, "own", "as it is") in known:
        return
    index = data / FOLDED[dataset][0] / "index.csv"
    by_name = {example.name: example for example in open_examples(index).examples}
    found, trained, best, command = [], [], [], ""
    for fold in range(FOLDS):
        run, told = fitted(data, dataset, "all" if way == "frozen" else way, work, fold)
        record = json.loads((run / "run.json").read_text())
        frozen = way == "frozen"
        method = store.load("litemedsam", method="plain_sam") if frozen else store.load(method=run)
        test = [by_name[name] for name in record["data"]["split"]["test"]]
        found += [score(method, one, "own", "as it is") for one in cases(test)]
        trained.append(len(record["data"]["split"]["train"]))
        best.append(float(record["result"].get("best_score") or np.nan))
        command = "" if frozen else told
    best_score = np.nan if way == "frozen" else float(np.mean(best))
    yield row(dataset, way, round(float(np.mean(trained))), found, best_score, command)


def row(dataset: str, way: str, train: int, found: list[tuple[float, float, float]], best: float, command: str) -> Row:
    """At the image's own size."""
    dices, distances, surfaces = (np.array(part) for part in zip(*found, strict=True))
    means = round(float(dices.mean()), 4), round(float(dices.min()), 4), round(float(distances.mean()), 2)
    surface, best = round(float(surfaces.mean()), 4), round(best, 4)
    return Row(dataset, way, "own", "as it is", way != "unet", train, len(found), *means, surface, best, 0, command)


def rows(data: Path, dataset: str, way: str, work: Path, known: set[tuple[str, ...]]) -> Iterator[Row]:
    """All rows of one way that are not known."""
    sizes: list[tuple[str, str]] = [("own", "as it is")]
    if way == "all" and dataset in RESIZED:
        sizes += [(str(size), answer) for size in SIZES for answer in ("field", "nearest", "linear")[: 3 if size != 256 else 1]]
    missing = [one for one in sizes if (dataset, way, *one) not in known]
    if not missing:
        return
    if way == "frozen":
        run, command, method = None, "", store.load("litemedsam", method="plain_sam")
        record = json.loads((fitted(data, dataset, "all", work)[0] / "run.json").read_text())
    else:
        run, command = fitted(data, dataset, way, work)
        record, method = json.loads((run / "run.json").read_text()), store.load(method=run)
    by_name = {example.name: example for example in open_examples(data / SETS[dataset][0] / "index.csv").examples}
    test = [by_name[name] for name in record["data"]["split"]["test"]]
    for size, answer in missing:
        found = [score(method, one, size, answer) for one in cases(test)]
        dices, distances, surfaces = (np.array(part) for part in zip(*found, strict=True))
        result = record["result"] if run else {}
        yield Row(
            dataset,
            way,
            size,
            answer,
            way != "unet",
            len(record["data"]["split"]["train"]),
            len(found),
            round(float(dices.mean()), 4),
            round(float(dices.min()), 4),
            round(float(distances.mean()), 2),
            round(float(surfaces.mean()), 4),
            round(float(result.get("best_score") or np.nan), 4),
            int(result.get("best_step", 0)),
            command,
        )


def cases(examples: list[Example]) -> Iterator[Labelled]:
    """Those that show anything."""
    for example in examples:
        labelled = example.load()
        if labelled.truth.labels.any():
            yield labelled


def score(method: store.Segmenter, labelled: Labelled, size: str, answer: str) -> tuple[float, float, float]:
    """Dice, HD95 and surface Dice of one case."""
    grid = labelled.image.grid
    name = labelled.truth.name(1)
    asked = Prompts(grid)
    if "box" in method.accepts:
        asked = jittered_box(labelled.truth.mask(1), grid, np.random.default_rng(0), target=name if method.classes else "")
    if size == "own":
        found, truth = predict(method, labelled.image, asked).labels == 1, labelled.truth.mask(1)
        return measures(found, truth, grid)
    wanted = with_longer_side(grid, int(size))
    truth = labelled.truth.resample(wanted).mask(1)
    return measures(resized(method, labelled, asked, wanted, answer), truth, wanted)


def resized(method: store.Segmenter, labelled: Labelled, asked: Prompts, wanted: Grid, answer: str) -> np.ndarray:
    """The mask with so many samples: of the field, or of its mask with 256 along the longer side."""
    if not isinstance(method, Continuous):
        raise TypeError("only fields are asked for other sizes")
    field = method.field(method.encode(method.prepare(labelled.image)), asked)
    if answer == "field":
        return field.on(wanted).logits[0] > 0
    coarse = with_longer_side(labelled.image.grid, 256)
    mask = field.on(coarse).logits[0] > 0
    if answer == "nearest":
        rows, columns = ((np.arange(n) + 0.5) * m / n - 0.5 for n, m in zip(wanted.shape, coarse.shape, strict=True))
        return mask[np.ix_(np.rint(rows).astype(int).clip(0), np.rint(columns).astype(int).clip(0))]
    return linearly(mask, wanted.shape)


def measures(found: np.ndarray, truth: np.ndarray, grid: Grid) -> tuple[float, float, float]:
    """Dice, HD95 (the image's diagonal where nothing was found) and surface Dice, in the units of the grid."""
    distances = surface_distances(found, truth, grid.spacing)
    if not found.any():
        return 0.0, float(np.hypot(*(np.array(grid.shape) * grid.spacing))), 0.0
    return dice(found, truth), distances.hausdorff(95), distances.surface_dice(1.0)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path)
    parser.add_argument("--sets", nargs="+", choices=[*SETS, *FOLDED], default=list(SETS))
    parser.add_argument(
        "--ways", nargs="+", choices=[*WAYS, "frozen", "unet"], default=["all", "frozen", "unet", *list(WAYS)[1:]]
    )
    parser.add_argument("--table", action="store_true", help="print what was measured as Markdown, and measure nothing")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    given = parser.parse_args()
    if given.table:
        table(read(given.out))
        return
    for dataset in given.sets:
        for way in given.ways:
            known = {(row["dataset"], row["way"], row["size"], row["answer"]) for row in read(given.out)}
            measured = folded if dataset in FOLDED else rows
            for one in measured(given.data, dataset, way, given.work, known):
                append(given.out, one)


def table(found: list[dict[str, str]]) -> None:
    """As Markdown."""
    print(
        "| set | way | size | Dice | lowest | HD95 px | surface Dice, 1 px | validation Dice |",
        "|---|---|---|---|---|---|---|---|",
        sep="\n",
    )
    for row in found:
        size = row["size"] if row["answer"] == "as it is" else f"{row['size']}, {row['answer']}"
        kept = [row[name] for name in ("dice", "dice_lowest", "hd95_px", "surface_dice_1px", "val_dice")]
        print("| " + " | ".join([row["dataset"], row["way"], size, *kept]) + " |")


if __name__ == "__main__":
    main()
