"""SAM-MPA on small real sets: chosen supports against random ones, stage by stage, for K = 1, 5, 10, and the U-Net beside it.

    python benchmarks/few_shot.py [--data ../shared/data] [--sets busi ...] [--k 10 5 1] [--rows ours random unet] [--out CSV]
    python benchmarks/few_shot.py --table [--out CSV]

Queries are all images of a set that are no support; of volumes the first four. Dice is the mean over the classes of an image.
Supports are what `promisam select` chooses (seed 0), or K at random (seeds 0 to 4). Every picture is encoded once; its views
serve all rows. Seconds are processor time for each query, encoding of pictures left out. Rows that are there already are not
measured again. By hand: `promisam select`, `fit sam_mpa`, `predict`, `evaluate` (docs/methods/sam_mpa.md).
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from promisam import store, zoo
from promisam.core import Image, Labelled, Prompts, Segmenter, Task, predict, to_segmentation
from promisam.evaluation import dice
from promisam.io import find_inputs, open_examples
from promisam.methods.sam_mpa import Config, SamMPA, sight
from promisam.methods.sam_mpa.viewing import View
from promisam.runs.fit import Request as Training
from promisam.runs.fit import fit
from promisam.sam.model import Sam
from promisam.sam.picture import Precision
from promisam.selection import Encoder, Request
from promisam.selection import select as selecting
from promisam.store import Source
from promisam.training.kept import Kept
from rows import read, write

SETS = ("minijsrt_lung", "hc18", "busi", "isic2018_512", "msd_hippocampus")
STAGES: dict[str, dict[str, Any]] = {
    "registration alone": {"registration": 1, "sam": 0, "cleaning": False},
    "location prior alone": {"registration": 0, "sam": 0, "cleaning": False},
    "both": {"sam": 0, "cleaning": False},
    "both, prompts, SAM": {"sam": 1, "levels": (0.5,), "cascade": False, "cleaning": False},
    "all": {},
}
SEEDS = range(5)
LIMIT = {2: 10_000, 3: 4}  # queries
OF_VOLUMES = ("registration alone", "all", "unet")
UNET_STEPS = {10: 600, 5: 400, 1: 200}


@dataclass(frozen=True)
class Row:
    """One way on one set."""

    dataset: str
    k: int
    supports: str
    stage: str
    queries: int
    dice: float
    median: float
    lowest: float
    spearman: float | None
    empty: int
    empty_found: int
    falsely_absent: int
    seconds: float
    fit_seconds: float
    tuned: str = ""


class Bench:
    """One set, read once and encoded once."""

    def __init__(self, data: Path, name: str) -> None:
        self.name, self.folder = name, data / name
        data = open_examples(self.folder / "index.csv", (), None)
        self.cases: dict[str, Labelled] = {one.name: one.load() for one in data.examples}
        self.task = Task.of(data.examples, data.classes)
        self.sam, self.backbone = Source(offline=True).sam()
        self._views: dict[int, View] = {}
        plain = sight.view

        def once(sam: Sam, prepared: Image, precision: Precision) -> View:
            key = hash(prepared.pixels.tobytes())
            if key not in self._views:
                self._views[key] = plain(sam, prepared, precision)
            return self._views[key]

        sight.view = once

    @property
    def config(self) -> dict[str, Any]:
        """Options: volumes have many slices."""
        return {"precision": "bfloat16"} if self.task.ndim == 3 else {}

    def chosen(self, k: int) -> list[str]:
        """What `promisam select` would."""
        inputs = find_inputs([self.folder / "index.csv"])
        kept = Kept(zoo.Cache.default().root / "precomputed")
        encoder = Encoder(self.sam, self.backbone.fingerprint, "auto", kept)
        found = selecting(inputs, Request(k), encoder)
        return [one.name for one in found.selection.chosen]

    def random(self, k: int, seed: int) -> list[str]:
        """K of the cases."""
        names = sorted(self.cases)
        return [names[i] for i in np.random.default_rng(seed).permutation(len(names))[:k]]

    def warm(self) -> None:
        """Encode every picture, so that it costs no query; volumes take too much memory."""
        if self.task.ndim == 3:
            return
        method = SamMPA(self.sam, Config(), Task())
        for one in self.cases.values():
            method.encode(one.image).views.whole(0)


def main() -> None:
    arguments = parse()
    done = read(arguments.out)
    if arguments.table:
        print(table(done))
        return
    torch.set_num_threads(1)
    for name in arguments.sets:
        bench = Bench(arguments.data, name)
        for row in rows(bench, arguments.k, arguments.rows, {(r["dataset"], r["k"], r["supports"], r["stage"]) for r in done}):
            done.append({key: "" if value is None else str(value) for key, value in asdict(row).items()})
            write(arguments.out, Row, done)
            print(f"{row.dataset:14} K={row.k:<3} {row.supports:10} {row.stage:22} {row.dice:.3f}", flush=True)


def rows(bench: Bench, ks: list[int], wanted: list[str], there: set[tuple[str, str, str, str]]) -> Iterator[Row]:
    """What is not there yet."""
    for k in ks:
        for supports, stages in kinds(wanted):
            able = [stage for stage in stages if bench.task.ndim == 2 or stage in OF_VOLUMES]
            missing = [stage for stage in able if (bench.name, str(k), supports, stage) not in there]
            if not missing:
                continue
            names = bench.random(k, int(supports.split()[1])) if supports.startswith("random") else bench.chosen(k)
            yield from trained(bench, k, names) if missing == ["unet"] else measured(bench, k, supports, names, missing)


def kinds(wanted: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Supports, and the stages that are measured with them."""
    if "ours" in wanted:
        yield "chosen", list(STAGES)
    if "unet" in wanted:
        yield "chosen", ["unet"]
    if "random" in wanted:
        yield from ((f"random {seed}", ["all"]) for seed in SEEDS)


def measured(bench: Bench, k: int, supports: str, names: list[str], stages: list[str]) -> Iterator[Row]:
    """Remember once, then answer with more and more of the stages."""
    bench.warm()
    full = SamMPA(bench.sam, Config(**bench.config), bench.task)
    begun = time.process_time()
    full.learn([bench.cases[name] for name in names], [], torch.Generator().manual_seed(0), lambda *_: None)
    fitting = time.process_time() - begun
    state = full.network.state_dict()
    for stage in stages:
        method = SamMPA(bench.sam, Config(**bench.config, **STAGES[stage]), bench.task)
        method.make_room({name: tuple(tensor.shape) for name, tensor in state.items()})
        method.network.load_state_dict(state)
        yield scored(bench, k, supports, stage, names, method, fitting)


def trained(bench: Bench, k: int, names: list[str]) -> Iterator[Row]:
    """The U-Net on the very same pictures."""
    with TemporaryDirectory() as folder:
        index = Path(folder) / "supports.csv"
        listed = {row["id"]: row for row in read(bench.folder / "index.csv")}
        with index.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "image", "masks", "split"])
            for name in names:
                masks = ";".join(str((bench.folder / mask).resolve()) for mask in listed[name]["masks"].split(";"))
                picture = (bench.folder / listed[name]["image"]).resolve()
                writer.writerow([name, picture, masks, "train"])
                if k == 1:  # there is no other to choose a checkpoint with
                    writer.writerow([f"{name}_again", picture, masks, "val"])
        run = Path(folder) / "run"
        batch = min(8, k)
        options = {"width": 16, "batch": batch, "epochs": UNET_STEPS[k] * batch // k, "validate_every": 1000}
        begun = time.process_time()
        for _ in fit(Training("unet", index, run, options=options)):
            pass
        fitting = time.process_time() - begun
        yield scored(bench, k, "chosen", "unet", names, store.load(method=run), fitting)


def scored(bench: Bench, k: int, supports: str, stage: str, names: list[str], method: Segmenter, fitting: float) -> Row:
    """Dice over the queries; those without an object are counted apart."""
    dices, trusts, empty, found, absent = [], [], 0, 0, 0
    queries = [name for name in bench.cases if name not in names][: LIMIT[bench.task.ndim]]
    begun = time.process_time()
    for name in queries:
        case = bench.cases[name]
        truth = case.truth.labels
        if isinstance(method, SamMPA):
            encoded = method.encode(case.image)
            mask = to_segmentation([method.decode(encoded, Prompts(encoded.grid))]).labels
            trust = method.explain(encoded).confidence
        else:
            mask, trust = predict(method, case.image).labels, float("nan")
        if not truth.any():
            empty, found = empty + 1, found + bool(mask.any())
            continue
        absent += not mask.any()
        dices.append(float(np.mean([dice(mask == label, truth == label) for label in np.unique(truth[truth > 0])])))
        trusts.append(trust)
    seconds = (time.process_time() - begun) / len(queries)
    rank = None if np.isnan(trusts).any() or np.ptp(trusts) == 0 else round(float(spearmanr(trusts, dices).statistic), 3)
    return Row(
        bench.name,
        k,
        supports,
        stage,
        len(dices),
        round(float(np.mean(dices)), 4),
        round(float(np.median(dices)), 4),
        round(float(np.min(dices)), 4),
        rank,
        empty,
        found,
        absent,
        round(seconds, 2),
        round(fitting, 1),
        json.dumps({key: round(v, 3) for key, v in asdict(method.network.tuned).items()}) if isinstance(method, SamMPA) else "",
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--sets", nargs="+", default=list(SETS[:4]), choices=list(SETS))
    parser.add_argument("--k", nargs="+", type=int, default=[10, 5, 1], choices=[10, 5, 1])
    parser.add_argument("--rows", nargs="+", default=["ours", "random", "unet"], choices=["ours", "random", "unet"])
    parser.add_argument("--table", action="store_true", help="print what was measured as Markdown, and measure nothing")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    return parser.parse_args()


def table(done: list[dict[str, str]]) -> str:
    """Markdown: a line for each K, kind of supports and stage; Dice by set, of random supports the mean and the range."""
    sets = [name for name in SETS if any(row["dataset"] == name for row in done)]
    lines = ["| K | supports | stage | " + " | ".join(sets) + " |", "|" + "---|" * (3 + len(sets))]
    grouped: dict[tuple[int, str, str], dict[str, list[dict[str, str]]]] = {}
    for row in done:
        key = (int(row["k"]), row["supports"].split()[0], row["stage"])
        grouped.setdefault(key, {}).setdefault(row["dataset"], []).append(row)
    order = [*STAGES, "unet"]
    for k, supports, stage in sorted(grouped, key=lambda key: (-key[0], key[1], order.index(key[2]))):
        cells = [cell(grouped[k, supports, stage].get(name, [])) for name in sets]
        lines.append(f"| {k} | {supports} | {stage} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(rows: list[dict[str, str]]) -> str:
    """One figure, or the mean and the range of several seeds."""
    dices, ranks = [float(row["dice"]) for row in rows], [float(row["spearman"]) for row in rows if row["spearman"]]
    if not rows:
        return ""
    if len(rows) > 1:
        return f"{np.mean(dices):.3f} ({min(dices):.3f} to {max(dices):.3f}, {len(rows)} seeds)"
    return f"{dices[0]:.3f}" + (f" (rank {ranks[0]:.2f})" if ranks and rows[0]["stage"] == "all" else "")


if __name__ == "__main__":
    main()
