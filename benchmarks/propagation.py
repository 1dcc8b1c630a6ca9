"""Volumes from a box: one flat box on the largest slice, followed through its neighbours, and a box through the whole object.

    python benchmarks/propagation.py [--data ../shared/data] [--sets sts_mr ...] [--out CSV]

The boxes are tight ground-truth boxes (an oracle). For each label of each case: Dice of both ways over the whole volume, and
the number of slices in the truth and of those found by following.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from promisam import Prompts, Segmentation, Segmenter, load, read, read_segmentation
from promisam.core import Encoded

SETS = ("sts_mr", "msd_hippocampus", "pyradiomics_brain")
LIMIT = 7  # cases of a set


@dataclass(frozen=True)
class Row:
    """One label of one case."""

    dataset: str
    case: str
    label: int
    dice_followed: float
    dice_box: float
    slices_true: int
    slices_followed: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    method = load("litemedsam", ndim=3, device="cpu", config={"precision": arguments.precision})
    rows = [row for name in arguments.sets for row in score(method, name, arguments.data / name)]
    for name in arguments.sets:
        here = [row for row in rows if row.dataset == name]
        followed, box = (np.mean([getattr(row, key) for row in here]) for key in ("dice_followed", "dice_box"))
        print(
            f"{name:18} n {len(here):2}  followed from one slice: Dice {followed:.3f}  box through the object: Dice {box:.3f}"
        )
    if arguments.out:
        with arguments.out.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(asdict(rows[0])))
            writer.writeheader()
            writer.writerows(asdict(row) for row in rows)


def score(method: Segmenter, dataset: str, folder: Path) -> Iterator[Row]:
    with (folder / "index.csv").open() as file:
        for entry in list(csv.DictReader(file))[:LIMIT]:
            encoded = method.encode(read(folder / entry["image"]))
            truth = read_segmentation(folder / entry["masks"].split(";")[0])
            for label in truth.values[:2]:
                row = compare(method, encoded, truth, dataset, entry["id"], label)
                print(row, flush=True)
                yield row


def compare(method: Segmenter, encoded: Encoded, truth: Segmentation, dataset: str, case: str, label: int) -> Row:
    true = truth.mask(label)
    marked = np.argwhere(true)
    middle = int(true.sum((1, 2)).argmax())
    here = np.argwhere(true[middle])
    empty = Prompts(encoded.grid)
    flat = empty.with_box([middle, *here.min(0).tolist()], [middle, *here.max(0).tolist()])
    whole = empty.with_box(marked.min(0).tolist(), marked.max(0).tolist())
    followed, boxed = (method.decode(encoded, prompts).logits[0] > 0 for prompts in (flat, whole))
    return Row(
        dataset,
        case,
        label,
        round(dice(followed, true), 4),
        round(dice(boxed, true), 4),
        int(true.any((1, 2)).sum()),
        int(followed.any((1, 2)).sum()),
    )


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


if __name__ == "__main__":
    main()
