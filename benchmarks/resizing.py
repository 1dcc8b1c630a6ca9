"""How a picture is brought to LiteMedSAM's frame: four ways, on sets that the accuracy tables do not use.

    python benchmarks/resizing.py [--data ../shared/data] [--out CSV]

Every mask of a picture, or of a volume its (at most) four largest labels on the slice where each is largest, is asked for by
its tight ground-truth box (an oracle). float32, one thread. The way that promisam uses is "bilinear". Rows that are
there already are not measured again.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F

from promisam import store
from promisam.core import Image, Segmentation
from promisam.core.prompts import Prompts
from promisam.evaluation import dice
from promisam.io import open_examples
from promisam.sam.frame import Frame
from promisam.spatial.users import jittered_box
from rows import append, read

SETS = ("sam_med2d_demo", "isic2017_full", "deeplesion_medsam2", "dcmqi_ct3", "totalseg_example", "brats2013_flair", "sts_mr")
WAYS = {
    "bilinear, anti-aliased": ("bilinear", True),
    "bilinear": ("bilinear", False),
    "bicubic, anti-aliased": ("bicubic", True),
    "bicubic": ("bicubic", False),
}
MOST_LABELS = 4


@dataclass(frozen=True)
class Row:
    """One way on one set."""

    dataset: str
    way: str
    masks: int
    dice: float


def pictures(folder: Path) -> Iterator[tuple[Image, Segmentation]]:
    """Pictures with one label each: of volumes the slices where their largest labels are largest."""
    for example in open_examples(folder / "index.csv").examples:
        labelled = example.load()
        image, truth = labelled.image, labelled.truth
        volumes = sorted((-int(truth.mask(v).sum()), v) for v in truth.values)
        for _, value in volumes if image.grid.ndim == 2 else volumes[:MOST_LABELS]:
            mask = truth.mask(value)
            if not mask.any():
                continue
            if image.grid.ndim == 2:
                yield image, Segmentation(mask.astype(np.uint8), image.grid)
                continue
            axis = image.grid.coarsest_axis
            at = int(mask.sum(axis=tuple(i for i in range(3) if i != axis)).argmax())
            flat = image.slice(axis, at)
            yield flat, Segmentation(np.take(mask, at, axis).astype(np.uint8), flat.grid)


def resizing(mode: str, antialias: bool):  # noqa: ANN201 - a method
    """A frame's own resize, another way."""

    def resize(self: Frame, pixels: np.ndarray, **_: object) -> torch.Tensor:
        colour = pixels[:3] if pixels.shape[0] >= 3 else pixels[:1].repeat(3, axis=0)
        image = torch.from_numpy(np.ascontiguousarray(colour, np.float32))[None]
        if image.shape[-2:] == self.resized:
            return image
        return F.interpolate(image, self.resized, mode=mode, align_corners=False, antialias=antialias).clamp(
            image.min(), image.max()
        )

    return resize


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    known = {(row["dataset"], row["way"]) for row in read(given.out)}
    method = store.load("litemedsam")
    for name in SETS:
        found = list(pictures(given.data / name))
        for way, (mode, antialias) in WAYS.items():
            if (name, way) in known:
                continue
            dices = []
            with patch.object(Frame, "resize", resizing(mode, antialias)):
                for image, truth in found:
                    box: Prompts = jittered_box(truth.mask(1), truth.grid, np.random.default_rng(0))
                    scores = method.decode(method.encode(method.prepare(image)), box)
                    dices.append(dice(scores.logits[0] > 0, truth.mask(1)))
            append(given.out, Row(name, way, len(dices), round(float(np.mean(dices)), 4)))


if __name__ == "__main__":
    main()
