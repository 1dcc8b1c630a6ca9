"""Speed and memory of the encoders and of the whole command, as ratios within one run.

    python benchmarks/speed.py [--repeats 3] [--json FILE]

* ViT-B encoder at 1024 x 1024, float32 and bfloat16 (autocast), against `transformers.SamModel` with the same random weights.
* LiteMedSAM encode and decode (released weights), float32 and bfloat16, and click-to-mask time on a cached encoding.
* `promisam segment` from the shell on a photograph that scikit-image carries.

Every measurement runs in a process of its own, on one thread, the contestants taking turns. Extra memory is the peak of the
resident set during the call above what the process held just before it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

VIT_B = ("ours float32", "transformers float32", "ours bfloat16", "transformers bfloat16", "transformers .to(bfloat16)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(MEASUREMENTS[arguments.one]()))
        return
    found: dict[str, list[dict[str, float]]] = {name: [] for name in MEASUREMENTS}
    for _ in range(arguments.repeats):
        for name in MEASUREMENTS:
            found[name].append(in_own_process(name))
    summary = {name: summarise(runs) for name, runs in found.items()}
    show(summary)
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine(), "measurements": summary}, indent=1) + "\n")


def in_own_process(name: str) -> dict[str, float]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, __file__, "--one", name], capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def summarise(runs: list[dict[str, float]]) -> dict[str, float]:
    """Fastest time and median memory over the repeats."""
    best = {key: min if key.endswith("_s") else statistics.median for key in runs[0]}
    return {key: round(choose([run[key] for run in runs]), 4) for key, choose in best.items()}


def show(found: dict[str, dict[str, float]]) -> None:
    print(f"machine: {machine()}\n")
    print("| ViT-B encode, 1024 x 1024 | seconds | extra memory, MB |\n|---|---|---|")
    for name in VIT_B:
        print(f"| {name} | {found[name]['seconds_s']:.2f} | {found[name]['extra_mb']:.0f} |")
    print("\n| ratio ours / transformers | time | extra memory |\n|---|---|---|")
    for precision in ("float32", "bfloat16"):
        ours, theirs = found[f"ours {precision}"], found[f"transformers {precision}"]
        print(f"| {precision} | {ours['seconds_s'] / theirs['seconds_s']:.2f} | {ours['extra_mb'] / theirs['extra_mb']:.2f} |")
    print("\n| LiteMedSAM, 256 x 256 | encode, s | decode a box, s |\n|---|---|---|")
    for name in ("litemedsam float32", "litemedsam bfloat16"):
        print(f"| {name.split()[1]} | {found[name]['encode_s']:.3f} | {found[name]['decode_s']:.3f} |")
    print("\n| shell command | seconds |\n|---|---|")
    for name in ("promisam segment", "promisam --help"):
        print(f"| `{name}` | {found[name]['total_s']:.2f} |")


def machine() -> str:
    model = next((line.split(":")[1].strip() for line in cpu_info() if line.startswith("model name")), platform.processor())
    return f"{model}, {os.cpu_count()} cores, one thread used, {time.strftime('%Y-%m-%d')}, Python {platform.python_version()}"


def cpu_info() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def measured(call: Callable[[], object]) -> dict[str, float]:
    """Seconds of a call and how far the resident set's peak rose above its level before."""
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = memory("VmRSS")
    begun = time.perf_counter()
    call()
    seconds = time.perf_counter() - begun
    return {"seconds_s": seconds, "extra_mb": (memory("VmHWM") - before) / 1024}


def memory(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def vit_b(whose: str, precision: str) -> dict[str, float]:
    import torch

    torch.set_num_threads(1)
    encoder = ours() if whose == "ours" else theirs()
    image = torch.rand(1, 3, 1024, 1024)
    if precision == "to_bfloat16":
        encoder, image = encoder.to(torch.bfloat16), image.to(torch.bfloat16)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        encoder(image[..., :1024, :1024])  # once, so that kernels and allocator are warm
        return measured(lambda: encoder(image))


def ours() -> nn.Module:
    import torch

    from promisam.sam.vit import VisionTransformer, VitShape

    torch.manual_seed(0)
    shape = VitShape(1024, 768, 12, 12, (2, 5, 8, 11), 16, 14, 3072, 256)
    return randomised(VisionTransformer(shape)).eval()


def theirs() -> nn.Module:
    import torch
    from transformers import SamVisionConfig
    from transformers.models.sam.modeling_sam import SamVisionEncoder

    torch.manual_seed(0)
    config = SamVisionConfig()
    config._attn_implementation = "sdpa"
    return randomised(SamVisionEncoder(config)).eval()


def randomised(module: nn.Module) -> nn.Module:
    import torch

    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    return module


def litemedsam(precision: str) -> dict[str, float]:
    import numpy as np
    import torch

    from promisam import Image, Prompts, load
    from promisam.core import Grid

    torch.set_num_threads(1)
    method = load("litemedsam", device="cpu", config={"precision": precision})
    pixels = (np.random.default_rng(0).random((3, 384, 512)) * 255).astype(np.uint8)
    image = Image(pixels, Grid.of_picture((384, 512)))
    prompts = Prompts(image.grid).with_box((40, 60), (200, 300))
    encoded = method.encode(image)
    method.decode(encoded, prompts)
    encode = min(measured(lambda: method.encode(image))["seconds_s"] for _ in range(3))
    decode = min(measured(lambda: method.decode(encoded, prompts))["seconds_s"] for _ in range(3))
    return {"encode_s": encode, "decode_s": decode}


def shell(*words: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        command = [str(Path(sys.executable).parent / "promisam"), *words]
        begun = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, cwd=folder)
        return {"total_s": time.perf_counter() - begun}


def retina() -> str:
    import skimage

    return str(Path(skimage.__file__).parent / "data" / "retina.jpg")


MEASUREMENTS: dict[str, Callable[[], dict[str, float]]] = {
    "ours float32": lambda: vit_b("ours", "float32"),
    "transformers float32": lambda: vit_b("transformers", "float32"),
    "ours bfloat16": lambda: vit_b("ours", "bfloat16"),
    "transformers bfloat16": lambda: vit_b("transformers", "bfloat16"),
    "transformers .to(bfloat16)": lambda: vit_b("transformers", "to_bfloat16"),
    "litemedsam float32": lambda: litemedsam("float32"),
    "litemedsam bfloat16": lambda: litemedsam("bfloat16"),
    "promisam segment": lambda: shell("segment", retina(), "--box", "118,540,326,762", "-o", "mask.png", "--offline"),
    "promisam --help": lambda: shell("--help"),
}


if __name__ == "__main__":
    main()
