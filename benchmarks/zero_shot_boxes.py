"""Zero-shot accuracy of the command line on real pictures, prompted with tight ground-truth boxes.

    python benchmarks/zero_shot_boxes.py [--data ../shared/data] [--sets cvc_clinicdb ...] [--weights litemedsam] [--out CSV]

Every image goes through `promisam segment FILE --box ... -o MASK` and its mask file is read back and compared with the ground
truth. A mask file of several objects prompts each one's union, as the set defines it. Empty ground truth has no box and is
counted apart. Ground-truth boxes are an oracle: these figures say how well a box is followed, not what is found without one.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io as text_io
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from promisam.cli.main import run
from promisam.evaluation import evaluate_case
from promisam.io import read_segmentation

TARGETS = {"cvc_clinicdb": 0.88, "busi": 0.90, "isic2018_512": 0.93, "hc18": 0.95, "minijsrt_lung": 0.95}


@dataclass(frozen=True)
class Row:
    """One mask of one image."""

    dataset: str
    case: str
    dice: float
    hd95_px: float
    predicted_quality: float
    encode_s: float
    decode_s: float


def main() -> None:
    arguments = parse()
    rows: list[Row] = []
    for dataset in arguments.sets:
        empty = 0
        for case, image, mask in cases(arguments.data / dataset):
            row = score(dataset, case, image, mask, arguments.weights, arguments.precision)
            empty += row is None
            rows.extend([row] if row else [])
        report(dataset, [row for row in rows if row.dataset == dataset], empty)
    if arguments.out:
        write_csv(arguments.out, rows)
    means = {name: np.mean([row.dice for row in rows if row.dataset == name]) for name in arguments.sets}
    sys.exit(any(means[name] < TARGETS.get(name, 0) for name in arguments.sets))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--sets", nargs="+", default=list(TARGETS))
    parser.add_argument("--weights", default="litemedsam")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--out", type=Path, help="a CSV with one row per mask")
    return parser.parse_args()


def cases(folder: Path) -> Iterator[tuple[str, Path, Path]]:
    with (folder / "index.csv").open() as file:
        for entry in csv.DictReader(file):
            for mask in entry["masks"].split(";"):
                yield entry["id"], folder / entry["image"], folder / mask


def score(dataset: str, case: str, image: Path, mask: Path, weights: str, precision: str) -> Row | None:
    """Segment one image from its mask's bounding box through the command line; None for an empty mask."""
    truth = read_segmentation(mask)
    marked = np.argwhere(truth.mask())
    if not len(marked):
        return None
    (y0, x0), (y1, x1) = marked.min(axis=0), marked.max(axis=0)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "mask.png"
        command = ["segment", str(image), "--box", f"{x0},{y0},{x1},{y1}", "-o", str(target)]
        options = ["--weights", weights, "--precision", precision, "--device", "cpu", "--offline", "--json"]
        printed = text_io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            run(command + options)
        answer = json.loads(printed.getvalue())
        found = evaluate_case(read_segmentation(target), truth, labels=(1,))[0]
    return Row(
        dataset,
        case,
        found.dice,
        found.hd95,
        answer["labels"][0]["predicted_quality"],
        answer["seconds"]["encode"],
        answer["seconds"]["decode"],
    )


def report(dataset: str, rows: list[Row], empty: int) -> None:
    dice = np.array([row.dice for row in rows])
    hd95 = np.array([row.hd95_px for row in rows])
    reached = {True: "reached", False: "MISSED"}[bool(dice.mean() >= TARGETS.get(dataset, 0))]
    print(
        f"{dataset:16} n {len(rows):3}  empty {empty:2}  Dice mean {dice.mean():.4f}  median {np.median(dice):.4f}  "
        f"min {dice.min():.3f}  HD95 median {np.median(hd95):.1f} px  "
        f"encode {np.median([row.encode_s for row in rows]):.2f} s  decode {np.median([row.decode_s for row in rows]):.3f} s  "
        f"target {TARGETS.get(dataset, float('nan')):.2f} {reached}",
        flush=True,
    )


def write_csv(path: Path, rows: list[Row]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(asdict(rows[0])))
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


if __name__ == "__main__":
    main()
