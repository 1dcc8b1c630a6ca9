"""Mask propagation by registration on real sets: how well each engine carries the masks of a few labelled images to others.

    python benchmarks/registration.py [--data ../shared/data] [--sets busi ...] [--engines ffd ...] [--out CSV]

Ten labelled images (supports) are drawn at random; each query is registered to the three that look most like it, and their
masks vote, weighted by the similarity that the registration reached. Dice of the vote, before any segmentation method sees it.
Pictures are squashed to 256 x 256; volumes are centred in a common shape. Intensities: 1st to 99th percentile become 0 to 1.
Seconds are processor time per query, that is for three pairs. "none" is the vote without registration. The engines "greedy" and
"dipy" need the extra `register`.
"""

from __future__ import annotations

import argparse
import csv
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import get_args

import numpy as np
import torch
import torch.nn.functional as F

from promisam import read, read_segmentation
from promisam.spatial.registration import Engine, register, warp

QUERIES = {"minijsrt_lung": 12, "hc18": 12, "busi": 12, "msd_hippocampus": 8}
SUPPORTS, VOTERS, SHARPNESS, SIDE = 10, 3, 20.0, 256
ENGINES = ("none", *(name for name in get_args(Engine) if name != "auto"))


@dataclass(frozen=True)
class Row:
    """One engine on one set; a volume's Dice is the mean over its labels."""

    engine: str
    set: str
    dice: float
    min: float
    folds: float
    seconds: float


@dataclass(frozen=True)
class Example:
    """An image and its masks, one per label."""

    image: torch.Tensor  # *space
    masks: torch.Tensor  # label *space


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--sets", nargs="+", default=list(QUERIES))
    parser.add_argument("--engines", nargs="+", default=list(ENGINES))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows = []
    for name in arguments.sets:
        supports, queries = drawn(arguments.data / name, QUERIES[name])
        for engine in arguments.engines:
            rows.append(score(engine, name, supports, queries))
            print(rows[-1], flush=True)
    if arguments.out:
        with arguments.out.open("w", newline="") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(Row)])
            writer.writeheader()
            writer.writerows(asdict(row) for row in rows)


def drawn(folder: Path, count: int) -> tuple[list[Example], list[Example]]:
    """Supports and queries: a random order of the set, seed 0."""
    with (folder / "index.csv").open() as file:
        entries = list(csv.DictReader(file))
    order = np.random.default_rng(0).permutation(len(entries))[: SUPPORTS + count]
    examples = [example(folder, entries[i]) for i in order]
    if examples[0].image.ndim == 3:
        largest = [max(sizes) for sizes in zip(*(one.image.shape for one in examples), strict=True)]
        examples = [centred(one, largest) for one in examples]
    return examples[:SUPPORTS], examples[SUPPORTS:]


def example(folder: Path, entry: dict[str, str]) -> Example:
    image = torch.from_numpy(read(folder / entry["image"]).pixels.astype(np.float32)).mean(0)
    labels = [read_segmentation(folder / name).labels for name in entry["masks"].split(";")]
    if image.ndim == 2:
        masks = torch.from_numpy(np.any([label > 0 for label in labels], axis=0).astype(np.float32))[None]
        image, masks = squashed(image[None])[0], squashed(masks)
    else:
        masks = torch.from_numpy(np.stack([labels[0] == value for value in (1, 2)]).astype(np.float32))
    low, high = np.percentile(image.numpy(), [1, 99])
    return Example(((image - low) / (high - low)).float().clamp(0, 1), masks)


def squashed(images: torch.Tensor) -> torch.Tensor:
    return F.interpolate(images[None], (SIDE, SIDE), mode="bilinear", antialias=True)[0]


def centred(one: Example, shape: list[int]) -> Example:
    room = [(new - old) // 2 for new, old in zip(shape, one.image.shape, strict=True)]
    rest = [new - old - before for new, old, before in zip(shape, one.image.shape, room, strict=True)]
    pads = [pad for pair in zip(reversed(room), reversed(rest), strict=True) for pad in pair]
    return Example(F.pad(one.image[None, None], pads, mode="replicate")[0, 0], F.pad(one.masks, pads))


def score(engine: str, name: str, supports: list[Example], queries: list[Example]) -> Row:
    thumbnails = torch.stack([thumbnail(one.image) for one in supports])
    dices, folds, seconds = [], [], 0.0
    for query in queries:
        nearest = (thumbnails @ thumbnail(query.image)).topk(VOTERS).indices
        moving = torch.stack([supports[i].image for i in nearest])
        masks = torch.stack([supports[i].masks for i in nearest])
        begun = time.process_time()
        moved, similarity, folded = propagated(engine, query.image.expand_as(moving), moving, masks)
        seconds += time.process_time() - begun
        vote = torch.einsum("n,nl...->l...", torch.softmax(SHARPNESS * similarity, 0), moved) > 0.5
        dices.append(float(np.mean([dice(one, other) for one, other in zip(vote, query.masks > 0.5, strict=True)])))
        folds.append(float(folded.mean()))
    return Row(
        engine,
        name,
        round(float(np.mean(dices)), 4),
        round(min(dices), 4),
        round(float(np.mean(folds)), 5),
        round(seconds / len(queries), 2),
    )


def propagated(
    engine: str, fixed: torch.Tensor, moving: torch.Tensor, masks: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Warped masks, similarity and folds of each pair."""
    if engine == "none":
        alike = torch.stack(
            [torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1] for a, b in zip(fixed, moving, strict=True)]
        )
        return masks, alike, torch.zeros(len(fixed))
    found = register(fixed, moving, engine)
    return warp(masks, found.fields), found.similarity, found.folds


def thumbnail(image: torch.Tensor) -> torch.Tensor:
    """A small normalised copy whose products are correlations."""
    pool = F.adaptive_avg_pool2d if image.ndim == 2 else F.adaptive_avg_pool3d
    small = pool(image[None, None], 16 if image.ndim == 2 else 8).flatten()
    return (small - small.mean()) / (small - small.mean()).norm()


def dice(one: torch.Tensor, other: torch.Tensor) -> float:
    """1 where both are empty."""
    total = int(one.sum() + other.sum())
    return 2 * int((one & other).sum()) / total if total else 1.0


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
