"""Speed and memory of ProMISe-3D: ours beside the published flow, on the same weights, in one run.

    python benchmarks/promise3d_speed.py [--patch 64] [--repeats 3] [--full] [--out CSV]

A network of the published sizes (ViT-B) with random weights answers one click in one cube. "published" is the official flow,
written down literally: the cube is enlarged four times along each axis and held with three channels, SAM's patch embedding runs
over all slices, masks of the shifted windows are kept as buffers, the relative positions become one number for each pair of
tokens, then a softmax; the decoder lays all maps side by side. "ours" is what the package does, with the same weights, in
official mode. Each figure is of a process of its own with one thread: processor seconds, the median over repeats, and the most
memory that it held beyond what it held with all weights loaded, before the first answer. `--full` adds our answer to a cube of
128 samples, for which the published flow wants more memory than a small machine has.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promisam.methods.promise3d.config import Config
from promisam.methods.promise3d.network import Network
from promisam.methods.promise3d.vit import VolumeVit
from promisam.sam.vit import VisionTransformer, VitShape

VIT_B = VitShape(
    side=1024, width=768, depth=12, heads=12, global_blocks=(2, 5, 8, 11), patch=16, window=14, mlp_width=3072, out_channels=256
)
WINDOW, SHIFT = 8, 4
KINDS = ("published float32", "published bfloat16", "ours float32", "ours bfloat16")


def made(patch: int) -> tuple[VisionTransformer, VolumeVit, Network]:
    """SAM's encoder, ours on it, and the network; weights whose signals neither fade nor grow, though the stream doubles."""
    torch.manual_seed(0)
    frozen = VisionTransformer(VIT_B).eval().requires_grad_(False)
    config = Config(mode="official", patch=patch)
    encoder = VolumeVit(frozen, config)
    network = Network(encoder, config).eval().requires_grad_(False)
    frozen.pos_embed.normal_(0, 0.5)
    for number, block in enumerate(frozen.blocks):
        for table in (block.attn.rel_pos_h, block.attn.rel_pos_w, encoder.learned.blocks[number].rel_pos_d):
            table.normal_(0, 0.1)
        for layer in (block.attn.proj, block.mlp.lin2):
            layer.weight *= 2.2**number
    return frozen, encoder, network


def asked(patch: int) -> tuple[Tensor, Tensor, Tensor]:
    """A cube, a click in it, and its label."""
    cube = torch.randn(1, 1, patch, patch, patch, generator=torch.Generator().manual_seed(1))
    return cube, torch.tensor([[[patch * 0.5, patch * 0.25, patch * 0.7]]]), torch.ones(1, 1, dtype=torch.int64)


class Published:
    """The official flow."""

    def __init__(self, frozen: VisionTransformer, encoder: VolumeVit, network: Network, patch: int) -> None:
        self.frozen, self.own, self.network, self.patch = frozen, encoder.learned, network, patch
        self.grid = patch * 4 // 16
        mask = shift_mask(self.grid)
        self.masks = [mask.clone() if number % 2 == 0 else None for number in range(12)]
        own = self.own.slice_embed
        self.slice_embed = nn.Conv3d(768, 768, (1, 1, 16), stride=(1, 1, 16), groups=768)
        self.slice_embed.weight.data = own.weight.data[:, :, None, None]
        self.slice_embed.bias = own.bias

    def __call__(self, cube: Tensor, point: Tensor, labels: Tensor) -> Tensor:
        """Logits of a click in a cube."""
        large = F.interpolate(cube.expand(-1, 3, -1, -1, -1).contiguous(), scale_factor=4, mode="trilinear")
        x = self.frozen.patch_embed(large[0].transpose(0, 1))
        x = self.slice_embed(x.permute(3, 1, 2, 0)[None]).permute(0, 2, 3, 4, 1)
        positions = F.avg_pool2d(self.frozen.pos_embed.permute(0, 3, 1, 2), 64 // self.grid).permute(0, 2, 3, 1)
        x = x + positions[:, :, :, None] + self.own.depth_embed
        features = []
        for number in range(12):
            x = self.block(number, x)
            if number % 3 == 2:
                features.append(self.own.necks[number // 3](x))
        features[3] = self.network.prompts(features[3], point, labels, self.patch)
        return self.decode(features, cube)

    def block(self, number: int, x: Tensor) -> Tensor:
        """Tokens to tokens."""
        own, frozen, mask = self.own.blocks[number], self.frozen.blocks[number], self.masks[number]
        x = own.front(x)
        short, x = x, own.norm1(x)
        if mask is not None:
            x = torch.roll(x, (-SHIFT,) * 3, (1, 2, 3))
        g, w = self.grid, WINDOW
        n = g // w
        windows = x.view(n, w, n, w, n, w, -1).permute(0, 2, 4, 1, 3, 5, 6).reshape(n**3, w**3, -1)
        windows = self.attention(windows, frozen.attn, own.rel_pos_d, mask)
        x = windows.view(n, n, n, w, w, w, -1).permute(0, 3, 1, 4, 2, 5, 6).reshape(1, g, g, g, -1)
        if mask is not None:
            x = torch.roll(x, (SHIFT,) * 3, (1, 2, 3))
        x = short + x
        x = x + frozen.mlp(own.norm2(x))
        return x + own.back(x)

    def attention(self, x: Tensor, attn: nn.Module, table_d: Tensor, mask: Tensor | None) -> Tensor:
        """Within each window, with one number for each pair of tokens."""
        b, t, c = x.shape
        w, heads = WINDOW, attn.heads
        qkv = attn.qkv(x).reshape(b, t, 3, heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.reshape(3, b * heads, t, -1).unbind(0)
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(1, 2)
        cube = q.reshape(-1, w, w, w, q.shape[-1])
        at = torch.arange(w)
        at = at[:, None] - at + w - 1
        tables = [
            F.interpolate(table.T[None], size=2 * w - 1, mode="linear")[0].T[at]
            for table in (attn.rel_pos_h, attn.rel_pos_w, table_d)
        ]
        rel = [torch.einsum(f"bhwdc,{axis}kc->bhwdk", cube, table) for axis, table in zip("hwd", tables, strict=True)]
        scores = scores.view(-1, w, w, w, w, w, w)
        scores = (
            scores + rel[0][:, :, :, :, :, None, None] + rel[1][:, :, :, :, None, :, None] + rel[2][:, :, :, :, None, None, :]
        ).view(b, heads, t, t)
        if mask is not None:
            scores = scores + mask[:, None]
        shares = scores.softmax(-1).view(b * heads, t, t)
        return attn.proj((shares @ v).view(b, heads, t, -1).transpose(1, 2).reshape(b, t, c))

    def decode(self, features: list[Tensor], cube: Tensor) -> Tensor:
        """All maps side by side."""
        decoder = self.network.decoder
        small = F.interpolate(cube, scale_factor=2 * self.grid / self.patch, mode="trilinear").permute(0, 1, 3, 4, 2)
        maps = [branch(feature) for branch, feature in zip(decoder.branches, features, strict=True)]
        low = decoder.head(decoder.mix(torch.cat([*maps, decoder.path(small), small], 1)))
        whole = F.interpolate(low, scale_factor=self.patch / (2 * self.grid), mode="trilinear", align_corners=True)
        return whole.permute(0, 1, 4, 2, 3)


def shift_mask(grid: int) -> Tensor:
    """For each window, 0 or -100 for each pair of its tokens."""
    region = torch.zeros(grid, grid, grid)
    spans = (slice(0, -WINDOW), slice(-WINDOW, -SHIFT), slice(-SHIFT, None))
    for number, (h, w, d) in enumerate((h, w, d) for h in spans for w in spans for d in spans):
        region[h, w, d] = number
    n = grid // WINDOW
    cut = region.view(n, WINDOW, n, WINDOW, n, WINDOW).permute(0, 2, 4, 1, 3, 5).reshape(n**3, -1)
    return (cut[:, None] != cut[:, :, None]).float() * -100


def held() -> float:
    """Most MB that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@torch.inference_mode()
def measure(kind: str, patch: int, repeats: int, answers: Path) -> None:
    """Print what one process needs, and keep its logits."""
    frozen, encoder, network = made(patch)
    cube, point, labels = asked(patch)
    who, precision = kind.split()
    flow = Published(frozen, encoder, network, patch) if who == "published" else None
    before, seconds, further = held(), [], []
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        for _ in range(repeats):
            begun = time.process_time()
            if flow is not None:
                logits = flow(cube, point, labels)
                seconds.append(time.process_time() - begun)
                continue
            seen = network.look(encoder.features(cube), cube)
            looked = time.process_time()
            logits = network.reply(seen, point, labels)
            seconds.append(time.process_time() - begun)
            further.append(time.process_time() - looked)
    torch.save(logits.float().clone(), answers)
    again = statistics.median(further) if further else statistics.median(seconds)
    print(json.dumps([statistics.median(seconds), again, held() - before, held()]))


def row(kind: str, patch: int, repeats: int, folder: Path) -> dict[str, object]:
    """What one kind needs, measured in a process of its own."""
    command = [sys.executable, __file__, "--one", kind, str(folder / f"{kind}.pt")]
    command += ["--patch", str(patch), "--repeats", str(repeats)]
    seconds, further, memory, whole = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return {
        "patch": patch,
        "kind": kind,
        "seconds": round(seconds, 2),
        "seconds_for_a_further_click": round(further, 2),
        "memory_mb": round(memory),
        "memory_with_weights_mb": round(whole),
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    parser.add_argument("--one", nargs=2, metavar=("KIND", "FILE"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.one:
        measure(given.one[0], given.patch, given.repeats, Path(given.one[1]))
        return
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for patch, kinds in ((given.patch, KINDS), (128, KINDS[2:] if given.full else ())):
            reference: dict[str, object] | None = None
            for kind in kinds:
                one = row(kind, patch, given.repeats if patch == given.patch else 1, folder)
                reference = reference or one
                wanted, found = (torch.load(folder / f"{k['kind']}.pt", weights_only=True) for k in (reference, one))
                one["times_faster"] = round(reference["seconds"] / one["seconds"], 2)
                one["share_of_memory"] = round(one["memory_mb"] / reference["memory_mb"], 3)
                one["largest_difference_in_deviations"] = float(f"{float((found - wanted).abs().max() / wanted.std()):.2g}")
                one["compared_with"] = reference["kind"]
                one["machine"] = platform.processor() or platform.machine()
                one["date"] = date.today().isoformat()
                rows.append(one)
                print(one, flush=True)
    with given.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
