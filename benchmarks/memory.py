"""Peak memory of commands on a CT of 512 x 512 x 400 voxels, each in a process of its own.

    python benchmarks/memory.py                 # some minutes; writes memory.csv
    python benchmarks/memory.py --slices 40     # a tenth of it, to try out

The volume is made on the spot: 200 MiB as int16, and two label volumes of 100 MiB. A command may hold what it starts with
(interpreter, packages, weights: measured with 8 slices, and rounded up), and so many times the samples:

* `info`: 2. The samples once, and what reading takes beside them. The same for samples that the header scales.
* `segment`: 6. The samples, the windowed copy (half of them), one object's scores and their running maximum in float32 (twice
  each), labels; followed from one slice, also 4 MiB for each encoded slice, of which at most 128 are kept.
* `check-data`: 3. An image and its mask.
* `evaluate`: 5 of one label volume: two of them, and their comparison.
"""

from __future__ import annotations

import argparse
import os
import platform
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813 - its usual name

import rows

RESULTS = Path(__file__).with_suffix(".csv")
MIB = 1 << 20
BASE = {"info": 100, "segment": 750, "check-data": 150, "evaluate": 150}  # MiB held before any sample is read


@dataclass(frozen=True)
class Row:
    """A command's peak, and the bound that it has to keep."""

    command: str
    what: str
    slices: int
    samples_mib: float
    peak_mib: float
    bound_mib: float
    kept: bool
    seconds: float
    date: str
    machine: str


def make(folder: Path, slices: int) -> None:
    """A body with organs on a table of noise, and labels of two organs, twice."""
    rng = np.random.default_rng(0)
    y, x = np.indices((512, 512))
    body = ((y - 256) / 170) ** 2 + ((x - 256) / 220) ** 2 < 1
    noise = rng.integers(-20, 20, (512, 512)).astype(np.int16)
    image = np.empty((slices, 512, 512), np.int16)
    labels = np.zeros((slices, 512, 512), np.uint8)
    for z in range(slices):
        liver = ((y - 230) / 90) ** 2 + ((x - 190) / 80) ** 2 < 1 - ((z - slices / 2) / min(30, slices / 2.5)) ** 2
        image[z] = np.where(body, 40, -1000) + np.roll(noise, 7 * z) + 60 * liver
        labels[z] = liver
    for part in ("data/images", "data/masks", "predicted"):
        (folder / part).mkdir(parents=True)
    for path, array in (("data/images/ct", image), ("data/masks/ct", labels), ("predicted/ct", np.roll(labels, 2, axis=2))):
        made = sitk.GetImageFromArray(array)
        made.SetSpacing((0.8, 0.8, 1.5))
        sitk.WriteImage(made, str(folder / f"{path}.nii.gz"), useCompression=True)
        if path == "data/images/ct":
            sitk.WriteImage(made, str(folder / "ct.nii"))
            content = bytearray((folder / "ct.nii").read_bytes())
            struct.pack_into("<ff", content, 112, 1, -24)  # slope, intercept
            (folder / "scaled.nii").write_bytes(content)


def peak(words: list[str], folder: Path) -> tuple[float, float]:
    """MiB and seconds of one command.

    The bound is one of memory that is used, as the operating system counts it (VmHWM of the command and what it started).
    """
    code = (
        "import resource, sys, subprocess\n"
        "done = subprocess.run([sys.executable, '-m', 'promisam', *sys.argv[1:]])\n"
        "print('PEAK', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
        "sys.exit(done.returncode)\n"
    )
    begun = time.perf_counter()
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    told = [line for line in done.stdout.splitlines() if line.startswith("PEAK")]
    if done.returncode or not told:
        raise SystemExit(f"{words}: {done.stderr[-2000:]}")
    return int(told[-1].split()[1]) / 1024, time.perf_counter() - begun


def commands(slices: int) -> list[tuple[str, str, list[str], float, float]]:
    """Name, what, words, samples in MiB, and how many times those may be held."""
    image, labels = 512 * 512 * slices * 2 / MIB, 512 * 512 * slices / MIB
    middle = slices // 2
    few = f"110,140,{middle},270,320,{middle + 2}"
    one = f"110,140,{middle},270,320,{middle}"
    ask = ["segment", "ct.nii", "--weights", "litemedsam", "--offline", "--overwrite", "--device", "cpu", "--window", "abdomen"]
    return [
        ("info", "uncompressed", ["info", "ct.nii"], image, 2),
        ("info", "gzip", ["info", "data/images/ct.nii.gz"], image, 2),
        ("info", "scaled by its header", ["info", "scaled.nii"], image, 2),
        ("segment", "box through 3 slices", [*ask, "--box", few, "-o", "a.nii.gz"], image, 6),
        ("segment", "the same with preview", [*ask, "--box", few, "-o", "b.nii.gz", "--preview", "b.png"], image, 6),
        ("segment", "one slice, followed", [*ask, "--box", one, "-o", "c.nii.gz"], image, 6),
        ("check-data", "one case", ["check-data", "data"], image, 3),
        ("evaluate", "two label volumes", ["evaluate", "predicted", "data/masks", "-o", "report"], labels, 5),
    ]


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--slices", type=int, default=400)
    parser.add_argument("--only", default="")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    machine = f"{platform.machine()}, {os.cpu_count()} threads"
    made: list[dict[str, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), given.slices)
        for name, what, words, samples, times in commands(given.slices):
            if given.only not in name:
                continue
            found, seconds = peak(words, Path(folder))
            bound = BASE[name] + times * samples
            day = date.today().isoformat()
            row = Row(
                name, what, given.slices, samples, round(found), round(bound), found <= bound, round(seconds, 1), day, machine
            )
            print(row, flush=True)
            made.append({key: str(value) for key, value in vars(row).items()})
    rows.write(given.results, Row, made)
    sys.exit(not all(row["kept"] == "True" for row in made))


if __name__ == "__main__":
    main()
