"""One click, five clicks and boxes, on sets that the weights never saw: Dice, and whether predicted qualities mean something.

    python benchmarks/clicks.py [--data ../shared/data] [--weights promisam-click litemedsam] [--sets hc18 ...] [--out CSV]
    python benchmarks/clicks.py --table [--out CSV]

Prompts are made from the truth as `promisam benchmark` makes them (`--prompt click --clicks 5`, `--prompt box`): the first
click in the middle of the object, each further one in the middle of the largest mistake; the box is the object's own. So all
rows have seen the truth. With each further click the last answer is given as a mask, as the annotator does and as SAM was
trained; `alone_5` is the fifth click without it. Each class of a case is an object; images without it are not asked. Of hc18
and dsb2018 only the cases that `recipes/click.py` does not learn from are taken, of brats2013_flair every fifth slice with at
least 100 marked pixels, all labels together. In rows of parts, the largest connected parts of a class, eight at most, are
objects of their own. `r` is the correlation of predicted and true IoU over the answers to one click, `r_box` over those to
boxes. Weights that did not learn clicks are asked by boxes alone. Rows that are there already are not measured again.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from promisam import store
from promisam.core import Grid, Image, Scores, Window
from promisam.evaluation import dice
from promisam.io import open_examples, read, read_segmentation
from promisam.methods.plain_sam import PlainSam
from promisam.sam.asking import EncodedPicture
from promisam.spatial.users import corrective_click, first_click, jittered_box
from rows import append
from rows import read as read_rows

CLICKS = 5
WHOLE = ("hc18", "minijsrt_lung", "cvc_clinicdb", "busi", "isic2018_512", "brats2013_flair")
PARTS = ("minijsrt_lung", "dsb2018")
SETS = (*WHOLE, *(f"{name}, parts" for name in PARTS))
Scored = tuple[float, float, float]  # Dice, predicted and true IoU
UNASKED: Scored = (np.nan, np.nan, np.nan)
LEARNED = {"hc18": 16, "dsb2018": 30}  # the first so many cases, by recipes/click.py


@dataclass(frozen=True)
class Row:
    """One set under some weights."""

    weights: str
    dataset: str
    objects: int
    click_1: float
    click_3: float
    click_5: float
    alone_5: float
    box: float
    box_and_click: float
    r: float
    r_box: float


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--weights", nargs="+", default=["promisam-click", "litemedsam"], help="names, or run folders")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--every", type=int, default=1, help="of the cases, to be quick")
    parser.add_argument("--table", action="store_true", help="print what was measured as Markdown, and measure nothing")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    given = parser.parse_args()
    if given.table:
        table(read_rows(given.out))
        return
    for weights in given.weights:
        run = Path(weights).is_dir()
        method = store.load(method=weights, device="cpu") if run else store.load(weights, method="plain_sam", device="cpu")
        for dataset in given.sets:
            if (weights, dataset) not in {(row["weights"], row["dataset"]) for row in read_rows(given.out)}:
                append(given.out, measured(method, weights, dataset, objects(given.data, dataset, given.every)))


def objects(data: Path, dataset: str, every: int) -> Iterator[tuple[Image, list[np.ndarray]]]:
    """Pictures and the masks to be asked for."""
    name, _, parts = dataset.partition(", ")
    for number, (image, masks) in enumerate(pictures(data, name)):
        if number % every == 0:
            wanted = [part for mask in masks for part in (parts_of(mask) if parts else [mask])]
            if wanted:
                yield image, wanted


def pictures(data: Path, dataset: str) -> Iterator[tuple[Image, list[np.ndarray]]]:
    """Pictures and one mask for each class that is there."""
    if dataset == "brats2013_flair":
        with (data / dataset / "index.csv").open(newline="") as file:
            for case in csv.DictReader(file):
                yield from slices(data / dataset / case["image"], data / dataset / case["masks"])
        return
    examples = open_examples(data / dataset / "index.csv").examples[LEARNED.get(dataset, 0) :]
    for example in examples:
        labelled = example.load()
        masks = [labelled.truth.mask(label) for label in labelled.truth.names]
        yield labelled.image, [mask for mask in masks if mask.any()]


def slices(volume: Path, labels: Path) -> Iterator[tuple[Image, list[np.ndarray]]]:
    """Axial ones, windowed as a whole."""
    image, truth = Window.parse("auto").apply(read(volume)), read_segmentation(labels).labels > 0
    marked = np.flatnonzero(truth.sum((1, 2)) >= 100)
    for z in marked[::5]:
        grid = Grid.of_picture((int(truth.shape[1]), int(truth.shape[2])))
        yield Image(image.pixels[:, z].astype(np.uint8), grid), [truth[z]]


def parts_of(mask: np.ndarray) -> list[np.ndarray]:
    """The largest connected parts."""
    labels, count = ndimage.label(mask)
    largest = 1 + np.argsort(-np.bincount(labels.ravel(), minlength=count + 1)[1:], kind="stable")[:8]
    return [labels == part for part in largest]


def measured(method: PlainSam, weights: str, name: str, asked: Iterator[tuple[Image, list[np.ndarray]]]) -> Row:
    """One row."""
    found = [answers(method, encoded, truth) for image, masks in asked for encoded in [method.encode(image)] for truth in masks]
    scores = np.array([[value for value, _, _ in one] for one in found])
    told = np.array([[(quality, overlap) for _, quality, overlap in one] for one in found])
    means = [round(float(value), 4) for value in scores.mean(0)]
    clicks = (means[0], means[2], means[CLICKS - 1], means[2 * CLICKS - 1])
    correlations = [round(float(np.corrcoef(*told[:, at].T)[0, 1]), 3) if len(told) > 2 else np.nan for at in (0, 2 * CLICKS)]
    return Row(weights, name, len(found), *clicks, *means[2 * CLICKS :], *correlations)


def answers(method: PlainSam, encoded: EncodedPicture, truth: np.ndarray) -> list[Scored]:
    """After each click, with and without the last answer; for the box, and for the box with a click on its largest mistake."""
    clicks = "points" in method.accepts
    found = [
        one for fed in (True, False) for one in (clicked(method, encoded, truth, fed=fed) if clicks else [UNASKED] * CLICKS)
    ]
    boxed = jittered_box(truth, encoded.grid, np.random.default_rng(0))
    answer = method.decode(encoded, boxed)
    found.append(scored(answer, truth))
    more = corrective_click(boxed, truth, answer.logits[0] > 0) if clicks else None
    found.append(scored(method.decode(encoded, more), truth) if more else found[-1])
    return found


def clicked(method: PlainSam, encoded: EncodedPicture, truth: np.ndarray, *, fed: bool) -> list[Scored]:
    """After each click; where nothing is left to correct, the last answer stands."""
    found: list[Scored] = []
    asked, before = first_click(truth, encoded.grid), None
    for _ in range(CLICKS):
        shown = asked.with_mask(before) if fed and before is not None and before.any() else asked
        answer = method.decode(encoded, shown)
        found.append(scored(answer, truth))
        before = answer.logits[0] > 0
        longer = corrective_click(asked, truth, before)
        if longer is None:
            break
        asked = longer
    return found + [found[-1]] * (CLICKS - len(found))


def scored(answer: Scores, truth: np.ndarray) -> Scored:
    """Dice, predicted and true IoU."""
    mask = answer.logits[0] > 0
    overlap = np.count_nonzero(mask & truth) / max(1, np.count_nonzero(mask | truth))
    return dice(mask, truth) if mask.any() else 0.0, answer.quality[0], overlap


def table(found: list[dict[str, str]]) -> None:
    """As Markdown."""
    names = ("weights", "dataset", "objects", "click_1", "click_3", "click_5", "alone_5", "box", "box_and_click", "r", "r_box")
    print("| weights | set | objects | 1 click | 3 clicks | 5 clicks | 5, unfed | box | box and click | r, 1 click | r, box |")
    print("|" + "---|" * len(names))
    for row in found:
        print("| " + " | ".join(row[name] for name in names) + " |")


if __name__ == "__main__":
    main()
