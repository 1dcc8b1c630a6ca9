"""Exported models against torch: seconds, sizes, and how near their masks are.

    python benchmarks/onnx_export.py [--data ../shared/data] [--weights promisam-click] [--images 4] [--out CSV]

Every picture is encoded and asked twice, with the tight box of its object and with one click in the object's middle, by torch
in float32 and bfloat16 (the encoder; the decoder is float32) and by onnxruntime in float32 and int8, in turn, on one thread.
Dice is against the mask of torch in float32 for the same prompt, and once more against the truth.
Seconds in the table are those of the fastest picture. The table is printed from the CSV file.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from promisam import export, io, store
from promisam.core import Prompts, Segmenter
from promisam.spatial.users import first_click
from rows import read  # a file beside this one
from speed import machine

SETS = ("cvc_clinicdb", "busi", "isic2018_512", "hc18", "minijsrt_lung")
ENGINES = ("torch float32", "torch bfloat16", "onnx float32", "onnx int8")


@dataclass(frozen=True)
class Row:
    """One engine's answer to one prompt on one picture."""

    machine: str
    weights: str
    engine: str
    encoder_mb: float
    decoder_mb: float
    dataset: str
    case: str
    prompt: str
    encode_s: float
    decode_s: float
    largest_logit: float
    largest_logit_difference: float
    dice_to_torch_float32: float
    dice_to_truth: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--weights", default="promisam-click")
    parser.add_argument("--images", type=int, default=4, help="of each set")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    parser.add_argument("--table", action="store_true", help="print the table of what was measured before")
    arguments = parser.parse_args()
    if not arguments.table:
        torch.set_num_threads(1)
        with tempfile.TemporaryDirectory() as folder:
            methods, sizes = contestants(arguments.weights, Path(folder))
            found = [
                row
                for dataset in SETS
                for case, image, mask in cases(arguments.data / dataset, arguments.images)
                for row in measure(methods, sizes, (arguments.weights, dataset, case), image, mask)
            ]
        write(arguments.out, found)
    show(read(arguments.out))


def contestants(weights: str, folder: Path) -> tuple[dict[str, Segmenter], dict[str, tuple[float, float]]]:
    """The methods, and megabytes of encoder and decoder."""
    methods, sizes = {}, {}
    for numbers in ("float32", "bfloat16"):
        method: Any = store.load(weights, device="cpu", config={"precision": numbers})
        methods[f"torch {numbers}"] = method
        encoder = [*method.sam.image_encoder.parameters(), *method.sam.image_encoder.buffers()]
        parts = [sum(p.numel() * p.element_size() for p in some) for some in (encoder, [*method.sam.state_dict().values()])]
        sizes[f"torch {numbers}"] = (parts[0] / 1e6, (parts[1] - parts[0]) / 1e6)
    for numbers in ("float32", "int8"):
        name = folder / f"{numbers}.onnx"
        written = export.export(weights, name, int8=numbers == "int8")
        methods[f"onnx {numbers}"] = export.load(name)
        encoder_mb, decoder_mb = (written.files[part].stat().st_size / 1e6 for part in ("encoder", "decoder"))
        sizes[f"onnx {numbers}"] = (encoder_mb, decoder_mb)
    return methods, sizes


def cases(folder: Path, number: int) -> Iterator[tuple[str, Path, Path]]:
    """Pictures with one mask that is not empty, as many as are wanted, spread over the set."""
    with (folder / "index.csv").open() as file:
        entries = [entry for entry in csv.DictReader(file) if ";" not in entry["masks"]]
    usable = [e for e in entries if io.read_segmentation(folder / e["masks"]).mask().any()]
    for entry in usable[:: max(1, len(usable) // number)][:number]:
        yield entry["id"], folder / entry["image"], folder / entry["masks"]


def measure(
    methods: dict[str, Segmenter], sizes: dict[str, tuple[float, float]], named: tuple[str, str, str], image: Path, mask: Path
) -> list[Row]:
    """All engines on one picture."""
    picture, truth = io.read(image), io.read_segmentation(mask).mask()
    marked = np.argwhere(truth)
    prompts = {
        "box": Prompts(picture.grid).with_box(marked.min(0), marked.max(0)),
        "click": first_click(truth, picture.grid, np.random.default_rng(0)),
    }
    rows: list[Row] = []
    right: dict[str, np.ndarray] = {}
    for engine, method in methods.items():
        prepared = method.prepare(picture)
        encode_s, encoded = timed(lambda method=method, prepared=prepared: method.encode(prepared))
        for kind, asked in prompts.items():
            decode_s, scores = timed(lambda method=method, encoded=encoded, asked=asked: method.decode(encoded, asked))
            logits = scores.logits[0]
            reference = right.setdefault(kind, logits)
            weights, dataset, case = named
            rows.append(
                Row(
                    machine(),
                    weights,
                    engine,
                    *(round(mb, 1) for mb in sizes[engine]),
                    dataset,
                    case,
                    kind,
                    round(encode_s, 4),
                    round(decode_s, 4),
                    round(float(np.abs(reference).max()), 3),
                    float(f"{np.abs(logits - reference).max():.3g}"),
                    round(dice(logits > 0, reference > 0), 5),
                    round(dice(logits > 0, truth), 5),
                )
            )
    print(rows[0].dataset, rows[0].case, [(r.engine, r.encode_s, r.dice_to_torch_float32) for r in rows], flush=True)
    return rows


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds and answer."""
    begun = time.perf_counter()
    answer = call()
    return time.perf_counter() - begun, answer


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """1 where both are empty."""
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 2 * np.count_nonzero(a & b) / total if total else 1.0


def write(path: Path, rows: list[Row]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(asdict(rows[0])), lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def show(rows: list[dict[str, str]]) -> None:
    """The table of docs/export.md."""
    print(f"{rows[0]['machine']}; {rows[0]['weights']}; {len({(r['dataset'], r['case']) for r in rows})} pictures\n")
    print(
        "| engine | encoder, MB | decoder, MB | encode, s | decode, s | largest logit difference | "
        "Dice to torch float32, mean (least): boxes | clicks | Dice to the truth: boxes | clicks |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for engine in ENGINES:
        own = [row for row in rows if row["engine"] == engine]
        if not own:
            continue
        fastest = [min(float(row[name]) for row in own) for name in ("encode_s", "decode_s")]
        apart = max(float(row["largest_logit_difference"]) for row in own)
        same, true = (
            [[float(row[name]) for row in own if row["prompt"] == kind] for kind in ("box", "click")]
            for name in ("dice_to_torch_float32", "dice_to_truth")
        )
        words = [f"{np.mean(values):.4f} ({min(values):.3f})" for values in same] + [
            f"{np.mean(values):.3f}" for values in true
        ]
        print(
            f"| {engine} | {own[0]['encoder_mb']} | {own[0]['decoder_mb']} | {fastest[0]:.2f} | {fastest[1]:.3f} "
            f"| {apart:.2g} | {' | '.join(words)} |"
        )


if __name__ == "__main__":
    main()
