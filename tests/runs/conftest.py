"""A tiny data set, a tiny SAM and the command line in processes of its own."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from safetensors.torch import load_file, save_file

from promisam.cli.main import run
from tiny_sam import tiny

SHAPES = [(40, 61), (61, 40), (33, 33), (50, 20)]


def draw(folder: Path, number: int = 8) -> Path:
    """Bright ellipses on a textured ground, two pictures for each patient."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for i in range(number):
        h, w = SHAPES[i % 4]
        y, x = np.indices((h, w))
        inside = ((y / h - 0.4 - 0.02 * i) / 0.25) ** 2 + ((x / w - 0.5) / 0.3) ** 2 < 1
        pixels = (60 + 20 * np.sin(x / 3) + 100 * inside).astype(np.uint8)
        Pillow.fromarray(pixels).save(folder / "images" / f"p{i // 2}_{i}.png")
        Pillow.fromarray((inside * 255).astype(np.uint8)).save(folder / "masks" / f"p{i // 2}_{i}.png")
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with `data`, and the weights of a tiny SAM in `tiny.safetensors`."""
    folder = tmp_path_factory.mktemp("runs")
    draw(folder / "data")
    save_file({name: value.contiguous() for name, value in tiny().state_dict().items()}, folder / "tiny.safetensors")
    return folder


def arguments(place, run, *more, method="promise2d"):
    """A short training on the tiny data."""
    sam = ["--weights", "tiny.safetensors", "--like", "sam_vit_b"] if method == "promise2d" else []
    own = ["--set", "mode=ips", "--set", "variants=2"] if method == "promise2d" else ["--set", "side=32", "--set", "width=4"]
    short = ["--set", "epochs=3", "--set", "batch=2", "--set", "validate_every=1", "--split", "50,50"]
    short += ["--keep", "kept", "--group-by", "p\\d"]
    return ["fit", method, "data", "-o", run, *sam, *own, *short, *more]


def promisam(place, *given, patch="", env=None, module=()):
    """The command line: in this process where that is enough, else in one of its own; `patch` runs before it."""
    if not patch and not env and not module:
        return here(place, *given)
    script = f"import sys\n{patch}\nfrom promisam.cli.main import run\nrun(sys.argv[1:])\n"
    (place / "entry.py").write_text(script)
    command = [sys.executable, *module, "entry.py", *given]
    whole = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **(env or {})}
    return subprocess.run(command, cwd=place, env=whole, capture_output=True, text=True, timeout=300, check=False)


def here(place, *given):
    """The command line in this process, as if it had been started in that folder."""
    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["promisam", *given]
    try:
        with contextlib.chdir(place), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            run([str(word) for word in given])
        status = 0
    except SystemExit as stop:
        status = int(stop.code or 0)
    finally:
        sys.argv = before
    return subprocess.CompletedProcess(given, status, out.getvalue(), err.getvalue())


def tensors(path):
    return load_file(path)


def equal(one, other, tolerance=0.0):
    return one.keys() == other.keys() and all(torch.allclose(one[k], other[k], rtol=0, atol=tolerance) for k in one)
