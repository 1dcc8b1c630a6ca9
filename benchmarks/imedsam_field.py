"""Speed and memory of I-MedSAM's field: ours beside the released flow, on the same weights, in one run.

    python benchmarks/imedsam_field.py [--sizes 384 896] [--repeats 3] [--out CSV]

A field of the published sizes (ViT-B at 384: 32 image features on 96 x 96, 256 position features on 24 x 24) with random
weights answers whole lattices. "released" is the official flow, place by place: all 351 inputs, the whole coarse network once
for each of the two passes, the fine network on an eighth. It goes through in chunks, as whole lattices of 896 x 896 need more
than 8 GB there. "ours" is `PictureField.on` in official mode, whose masks must be the same, and in paper mode. Seconds are
processor time of one thread, the median over repeats; memory is the most that a process held that answered one lattice,
Python and libraries included.
"""

from __future__ import annotations

import argparse
import csv
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import torch

from promisam.core import Grid
from promisam.methods.imedsam.answering import CHUNK, PictureField
from promisam.methods.imedsam.codes import OfficialCode, PaperCode
from promisam.methods.imedsam.field import ImplicitField
from promisam.methods.imedsam.official import official_field
from promisam.methods.imedsam.places import at_places
from promisam.sam.frame import Frame

SIDE = 384


def made(mode: str) -> PictureField:
    """A field whose norms and weights do something."""
    torch.manual_seed(0)
    code = OfficialCode() if mode == "official" else PaperCode()
    field = ImplicitField(32 + 256 + code.dims, 1).eval()
    for module in field.modules():
        if isinstance(module, torch.nn.BatchNorm1d) and module.running_var is not None and module.running_mean is not None:
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.05, 0.2)
    canvas, positions = torch.randn(32, SIDE // 4, SIDE // 4), torch.randn(256, SIDE // 16, SIDE // 16).sin()
    grid = Grid.of_picture((SIDE, SIDE))
    seed = None if mode == "official" else 0
    return PictureField(grid, Frame(grid.shape, SIDE, stretch=True), field, 0, canvas, positions, code, None, seed)


@torch.inference_mode()
def released(one: PictureField, size: int) -> np.ndarray:
    """Logits by the official flow; the uncertainty is 0 everywhere, so the choice of places is the library's."""
    centres = (2 * torch.arange(size) + 1) / size - 1
    places = torch.cartesian_prod(centres, centres)
    line = torch.linspace(-1, 1, size)
    codes = torch.cartesian_prod(line, line)
    chosen = torch.zeros(size * size).topk(one.field.count(size * size)).indices
    merged = torch.empty(size * size)
    share, one.field.share = one.field.share, 0.0
    for part in torch.split(torch.arange(size * size), CHUNK):
        merged[part] = official_field(one.field, inputs(one, places[part], codes[part]), 0)[0]
    for part in torch.split(chosen, CHUNK):  # the official flow has kept what the coarse network answered there
        given = inputs(one, places[part], codes[part])
        features = one.field.coarse_heads[0](one.field.coarse(given))[:, 1:]
        merged[part] = one.field.fine_heads[0](one.field.fine(torch.cat([given, features], -1)))[:, 0]
    one.field.share = share
    return merged.view(size, size).numpy()


def inputs(one: PictureField, places: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """All inputs of places."""
    parts = [at_places(maps[None], places[None])[0] for maps in (one.canvas, one.positions)]
    return torch.cat([*parts, one.code.rows(codes[:, 0]) + one.code.columns(codes[:, 1])], -1)


def timed(act: Callable[[], np.ndarray], repeats: int) -> tuple[float, np.ndarray]:
    """Median processor seconds, and the answer."""
    seconds = []
    for _ in range(repeats):
        begun = time.process_time()
        found = act()
        seconds.append(time.process_time() - begun)
    return statistics.median(seconds), found


def held(mode: str, size: int) -> None:
    """Print the most MB that this process holds while a lattice is answered."""
    one = made(mode)
    one.on(one.grid.resample((size, size)))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[384, 896])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    parser.add_argument("--memory", nargs=2, metavar=("MODE", "SIZE"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.memory:
        held(given.memory[0], int(given.memory[1]))
        return
    rows = []
    for size in given.sizes:
        official, paper = made("official"), made("paper")
        grid = official.grid.resample((size, size))
        theirs, wanted = timed(lambda one=official, size=size: released(one, size), given.repeats)
        same, found = timed(lambda one=official, grid=grid: one.on(grid).logits[0], given.repeats)
        ours, _ = timed(lambda one=paper, grid=grid: one.on(grid).logits[0], given.repeats)
        memory = subprocess.run(
            [sys.executable, __file__, "--memory", "paper", str(size)], capture_output=True, text=True, check=True
        ).stdout
        rows.append(
            {
                "size": size,
                "released_seconds": round(theirs, 2),
                "ours_official_seconds": round(same, 2),
                "ours_paper_seconds": round(ours, 2),
                "times_faster_official": round(theirs / same, 2),
                "times_faster_paper": round(theirs / ours, 2),
                "pixels_that_differ": int(((found > 0) != (wanted > 0)).sum()),
                "largest_difference": round(float(np.abs(found - wanted).max()), 5),
                "memory_mb": int(memory),
                "machine": platform.processor() or platform.machine(),
                "date": date.today().isoformat(),
            }
        )
        print(rows[-1], flush=True)
    with given.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
