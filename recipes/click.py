"""The weights `promisam-click`: LiteMedSAM's decoder taught clicks, from open images to the file in the package.

    python recipes/click.py prepare --work FOLDER [--data ../shared/data]     # pictures and objects to learn from
    python recipes/click.py train --work FOLDER                               # one fit; continues where it stopped
    python recipes/click.py export --work FOLDER -o promisam_click.safetensors

`prepare` takes pictures of open licences alone: open sets of medical images, and pictures inside installed wheels. Their
objects are true masks where there are any, and LiteMedSAM's own answers to random boxes, of which those are kept that it is
sure of, that hardly move with the threshold, and that it gives again when it is asked by their own box. From a labelled set
only the cases that `LEARNED` names are taken; the others, and all other sets, are left for evaluation. `sources.csv` says what
went in.

`train` is `promisam fit interactive` on LiteMedSAM; every command that it runs is printed. `export` keeps prompt encoder and
mask decoder in half precision.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import shlex
import subprocess
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image as Picture
from safetensors.torch import save_file
from scipy import ndimage

from promisam import store
from promisam.core import Grid, Image, Window
from promisam.io import read, read_segmentation
from promisam.methods.plain_sam import PlainSam
from promisam.sam.asking import embed

LONGEST = 512  # pixels along a picture's longer side, twice LiteMedSAM's frame
SMALLEST = 40  # pixels of an object in a frame of 256 x 256
SLICES = 6  # of a volume along each axis that is cut, at most
TRIED = 16  # random boxes in each picture
SURE = 0.88  # predicted IoU, at least
STEADY = 0.85  # IoU of the masks at logits of 1 and -1
FITTING = 0.75  # IoU of the box and the mask's own
LAYERS = 3  # label images for one picture, in each of which objects do not touch

# Pictures in wheels: file, licence as the package states it.
WHEELS = {
    "skimage": {
        "data/astronaut.png": "public domain (NASA)",
        "data/camera.png": "CC0",
        "data/cell.png": "CC0",
        "data/chelsea.png": "CC0",
        "data/coffee.png": "CC0",
        "data/coins.png": "no known copyright restrictions (Brooklyn Museum)",
        "data/hubble_deep_field.jpg": "public domain (NASA)",
        "data/ihc.png": "no known copyright restrictions",
        "data/microaneurysms.png": "CC0",
        "data/retina.jpg": "CC0",
        "data/rocket.jpg": "public domain (SpaceX)",
    },
    "pydicom": {"data/test_files/CT_small.dcm": "MIT"},
    "nibabel": {"tests/data/anatomical.nii": "PDDL"},
}
# Open sets: how many cases, in the order of the index, and what of the truth is an object.
LEARNED = {
    "hc18": 16,
    "dsb2018": 30,
    "chase_db1": 28,
    "isic2017_full": 2,
    "msd_hippocampus": 12,
    "sts_mr": 5,
    "sts_pet": 4,
    "pyradiomics_brain": 1,
    "itksnap_mricrop": 1,
    "sct_spinalcord": 3,
    "dcmqi_ct3": 1,
    "totalseg_example": 2,
}
UNLABELLED = ("chase_db1",)  # vessels are nothing that a click asks for: the pictures alone
# Where the model's own objects are taken: pictures without truth. Beside a truth they contradict it: looked at, most fill a box
# that lies across things.
OWN = ("chase_db1", *WHEELS)
TIMES = {
    "hc18": 3,
    "isic2017_full": 8,
    "pyradiomics_brain": 2,
}  # how often objects of sets with few pictures stand in the index
VALIDATION = 24  # objects, each in a picture of a case that nothing else is learned from


@dataclass(frozen=True)
class Source:
    """A picture to learn from.

    Attributes:
        name: of the file to be.
        case: pictures of one case are on the same side of the split.
        origin: data set or package.
        pixels: 0..255, one channel or three.
        truth: integers, 0 for the background; None without any.
    """

    name: str
    case: str
    origin: str
    pixels: np.ndarray
    truth: np.ndarray | None


def main() -> None:
    """One step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=["prepare", "train", "export"])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--set", action="append", default=[], help="options of the fit in place of the recipe's")
    parser.add_argument("--run", default="run", help="name of the run's folder")
    parser.add_argument("-o", "--output", type=Path, default=Path("promisam_click.safetensors"))
    given = parser.parse_args()
    {"prepare": prepare, "train": train, "export": export}[given.step](given)


def prepare(given: argparse.Namespace) -> None:
    """Pictures, objects and an index."""
    method = store.load("litemedsam", method="plain_sam", config={"precision": "bfloat16"})
    folder = given.work / "objects"
    folder.mkdir(parents=True, exist_ok=True)
    rows, counts = [], {}
    for source in (*labelled(given.data), *in_wheels()):
        picture = folder / f"{source.name}.png"
        Picture.fromarray(source.pixels).save(picture)
        chance = np.random.default_rng(zlib.crc32(source.name.encode()))
        true = [] if source.truth is None else objects_of(source.truth)
        own = own_objects(method, source.pixels, chance) if source.origin in OWN else []
        kinds = {"true": layered(true), "own": layered(own)}
        for kind, layers in kinds.items():
            for number, layer in enumerate(layers[:LAYERS]):
                mask = folder / f"{source.name}_{kind}{number}.png"
                Picture.fromarray(layer.astype(np.uint8) * 255).save(mask)
                for time in range(TIMES.get(source.origin, 1)):
                    name = f"{source.name}_{kind}{number}" + (f"_{time}" if time else "")
                    rows.append((name, picture.name, mask.name, source.case, kind))
        count = counts.setdefault(source.origin, [0, 0, 0])
        for place, more in enumerate((1, len(true), len(own))):
            count[place] += more
        print(source.name, source.pixels.shape, len(true), "true,", len(own), "of the model", flush=True)
    write_table(folder / "index.csv", ("name", "image", "mask", "group"), [row[:4] for row in rows])
    write_table(
        given.work / "sources.csv", ("origin", "pictures", "true_objects", "own_objects"), ((o, *c) for o, c in counts.items())
    )
    split(given.work / "split.csv", rows)


def labelled(data: Path) -> Iterator[Source]:
    """Pictures and slices of the open sets."""
    for name, many in LEARNED.items():
        with (data / name / "index.csv").open(newline="") as file:
            cases = list(csv.DictReader(file))[:many]
        for case in cases:
            image = read(data / name / case["image"])
            masks = [data / name / part for part in case["masks"].split(";")]
            group = f"{name}_{case.get('group') or case['id']}"
            if image.grid.ndim == 2:
                truth = (
                    None
                    if name in UNLABELLED
                    else np.asarray(Picture.open(next((m for m in masks if "__inst" in m.name), masks[0])))
                )
                pixels, truth = shrunk(Window.parse("auto").apply(image).pixels, truth)
                yield Source(f"{name}_{case['id']}", group, name, pixels, truth)
            else:
                labels = read_segmentation(masks[0]).labels
                yield from slices(f"{name}_{case['id']}", group, name, image, labels)


def slices(name: str, group: str, origin: str, image: Image, labels: np.ndarray) -> Iterator[Source]:
    """Of a volume, along every axis whose slices are not much coarser than it: those where most is marked, some way apart."""
    values = Window.parse("auto").apply(image).pixels[0]
    spacing = image.grid.spacing
    for axis in range(3):
        others = [spacing[a] for a in range(3) if a != axis]
        if max(others) > 1.5 * min(others) or min(n for a, n in enumerate(values.shape) if a != axis) < 24:
            continue
        marked = np.count_nonzero(labels, axis=tuple(a for a in range(3) if a != axis))
        there = np.flatnonzero(marked > 0.2 * max(1, marked.max()))
        many = 1 if origin == "msd_hippocampus" else SLICES
        for place in np.unique(np.linspace(there[0], there[-1], many + 2)[1:-1].round().astype(int)):
            pixels, truth = shrunk(np.take(values, place, axis)[None], np.take(labels, place, axis))
            if pixels.std() > 1:
                yield Source(f"{name}_{'zyx'[axis]}{place}", group, origin, pixels, truth)


def in_wheels() -> Iterator[Source]:
    """Pictures inside installed packages."""
    for package, files in WHEELS.items():
        spec = importlib.util.find_spec(package)
        folder = Path(spec.origin).parent if spec and spec.origin else Path()
        for file in files:
            if not (folder / file).is_file():
                print(f"{package}/{file} is not installed", file=sys.stderr)
                continue
            image = read(folder / file)
            name = f"{package}_{Path(file).stem}"
            if image.grid.ndim == 3 and image.pixels.shape[1] > 1:
                everywhere = np.ones(image.grid.shape, np.uint8)
                yield from (replace(one, truth=None) for one in slices(name, name, package, image, everywhere))
                continue
            values = Window.parse("auto").apply(image).pixels
            pixels, _ = shrunk(values if image.grid.ndim == 2 else values[:, 0], None)
            yield Source(name, name, package, pixels, None)


def shrunk(values: np.ndarray, truth: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """A picture no longer than `LONGEST`, as bytes with channels last, and its labels."""
    pixels = np.clip(values, 0, 255).astype(np.uint8)
    pixels = pixels[0] if len(pixels) < 3 else np.moveaxis(pixels[:3], 0, 2)
    height, width = pixels.shape[:2]
    scale = min(1.0, LONGEST / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if scale < 1:
        pixels = np.asarray(Picture.fromarray(pixels).resize(size, Picture.Resampling.BOX))
        if truth is not None:
            truth = np.asarray(Picture.fromarray(truth.astype(np.int32)).resize(size, Picture.Resampling.NEAREST))
    return pixels, truth


def objects_of(truth: np.ndarray) -> list[np.ndarray]:
    """Connected parts of every label, but specks."""
    found = []
    fewest = max(6.0, SMALLEST * (max(truth.shape) / 256) ** 2)
    for value in np.unique(truth[truth > 0]):
        parts, count = ndimage.label(truth == value)
        sizes = np.bincount(parts.ravel(), minlength=count + 1)
        found += [parts == part for part in range(1, count + 1) if sizes[part] >= fewest]
    return found


@torch.inference_mode()
def own_objects(method: PlainSam, pixels: np.ndarray, chance: np.random.Generator) -> list[np.ndarray]:
    """What LiteMedSAM says that there is, largest last, no two nearly the same."""
    channels = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, 2, 0)
    height, width = int(pixels.shape[0]), int(pixels.shape[1])
    encoded = embed(method.sam, method.prepare(Image(channels, Grid.of_picture((height, width)))), "bfloat16")
    inside = encoded.frame.resized
    masks: list[np.ndarray] = []
    boxes = random_boxes(inside, TRIED, chance)
    for _ in range(2):  # the second time by the boxes of the masks themselves
        logits, quality = asked(method, encoded.embedding, boxes, inside)
        good = [k for k in range(len(logits)) if is_object(logits[k], quality[k], boxes[k])]
        masks = [logits[k] > 0 for k in good]
        if not masks:
            return []
        boxes = np.stack([own_box(mask) for mask in masks])
    kept: list[np.ndarray] = []
    for mask in sorted(masks, key=np.count_nonzero):
        if all(overlap(mask, other) < 0.8 for other in kept):
            kept.append(mask)
    large = (Picture.fromarray(mask).resize((width, height), Picture.Resampling.NEAREST) for mask in kept)
    return [np.asarray(mask) for mask in large]


def asked(
    method: PlainSam, embedding: torch.Tensor, boxes: np.ndarray, inside: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Logits in the frame without its padding, and predicted IoU, for each box."""
    with torch.autocast("cpu", torch.bfloat16):
        logits, quality = method.sam.decode(embedding, boxes_xyxy=torch.from_numpy(boxes).float())
    return logits[:, 0, : inside[0], : inside[1]].float().numpy(), quality[:, 0].float().numpy()


def is_object(logits: np.ndarray, quality: float, box: np.ndarray) -> bool:
    """Whether the model is sure, steady and agrees with the box that it was asked by."""
    mask = logits > 0
    if quality < SURE or np.count_nonzero(mask) < SMALLEST or np.count_nonzero(mask) > 0.8 * mask.size:
        return False
    if np.count_nonzero(logits > 1) < STEADY * np.count_nonzero(logits > -1):
        return False
    own = own_box(mask)
    low, high = np.maximum(own[:2], box[:2]), np.minimum(own[2:], box[2:])
    both = np.prod(np.maximum(high - low + 1, 0))
    return bool(both >= FITTING * (np.prod(own[2:] - own[:2] + 1) + np.prod(box[2:] - box[:2] + 1) - both))


def own_box(mask: np.ndarray) -> np.ndarray:
    """(x0, y0, x1, y1)."""
    y, x = np.nonzero(mask)
    return np.array([x.min(), y.min(), x.max(), y.max()], np.float64)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """IoU."""
    return np.count_nonzero(one & other) / max(1, np.count_nonzero(one | other))


def random_boxes(inside: tuple[int, int], count: int, chance: np.random.Generator) -> np.ndarray:
    """Of all sizes, from a two-hundredth of the picture to most of it."""
    found: list[tuple[float, float, float, float]] = []
    while len(found) < count:
        area = np.exp(chance.uniform(np.log(0.005), np.log(0.7))) * inside[0] * inside[1]
        ratio = np.exp(chance.uniform(-0.7, 0.7))
        height, width = np.sqrt(area * ratio), np.sqrt(area / ratio)
        if height < inside[0] and width < inside[1]:
            y, x = chance.uniform(0, inside[0] - height), chance.uniform(0, inside[1] - width)
            found.append((x, y, x + width, y + height))
    return np.array(found)


def layered(objects: list[np.ndarray]) -> list[np.ndarray]:
    """Label images in which objects do not touch, so that each is a connected part."""
    layers: list[np.ndarray] = []
    for one in objects:
        grown = ndimage.binary_dilation(one, np.ones((3, 3), bool))
        free = next((layer for layer in layers if not (layer & grown).any()), None)
        if free is None:
            layers.append(one.copy())
        else:
            free |= one
    return layers


def split(path: Path, rows: list[tuple[str, str, str, str, str]]) -> None:
    """A few cases of every labelled origin to choose the checkpoint by."""
    chance = np.random.default_rng(0)
    cases = sorted({row[3] for row in rows if row[4] == "true"})
    held = set(chance.permutation(cases)[: max(1, len(cases) // 10)])
    chosen = [row for row in rows if row[3] in held and row[4] == "true"]
    keep = {row[0] for row in (chosen[i] for i in chance.permutation(len(chosen))[:VALIDATION])}
    parts = [(row[0], "val" if row[0] in keep else "train") for row in rows if row[0] in keep or row[3] not in held]
    write_table(path, ("name", "split"), parts)


def train(given: argparse.Namespace) -> None:
    """One fit."""
    options = {
        "objects": "part",
        "variants": "3",
        "precision": "bfloat16",
        "mixed_precision": "bf16",
        "rounds": "3",
        "batch": "4",
        "epochs": "17",
        "validate_every": "1",
        "learning_rate": "2e-4",
        "preview_every": "0",
    } | dict(text.split("=", 1) for text in given.set)
    sets = [part for name, value in options.items() for part in ("--set", f"{name}={value}")]
    where = [str(given.work / "objects" / "index.csv"), "-o", str(given.work / given.run)]
    words = [
        "promisam",
        "fit",
        "interactive",
        *where,
        "--split",
        str(given.work / "split.csv"),
        "--weights",
        "litemedsam",
        *sets,
    ]
    print(shlex.join(words), flush=True)
    subprocess.run([sys.executable, "-m", *words, "--resume"], check=True)


def export(given: argparse.Namespace) -> None:
    """Prompt encoder and mask decoder of a run, in half precision, with what made them in the file's own words."""
    run = given.work / given.run
    method = store.load(method=run, device="cpu")
    state = {name: value.half().contiguous() for name, value in method.network.state_dict().items()}
    result = json.loads((run / "run.json").read_text())["result"]
    about = {"name": "promisam-click", "base": "litemedsam", "licence": "Apache-2.0"}
    about |= {"options": method.config.model_dump_json(), "best_step": str(result["best_step"])}
    save_file(state, given.output, about)
    print(f"{given.output}: {sum(v.numel() for v in state.values()):,} numbers, {given.output.stat().st_size:,} bytes")


def write_table(path: Path, names: tuple[str, ...], rows: object) -> None:
    """As CSV."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
