"""Attention among the tokens of cubic windows, shifted or not, with relative positions along three axes.

Neither the positions nor the border between shifted regions ever become one number for each pair of tokens, as they do in the
release (6 masks of 64 windows x 512 x 512): both ride in extra dimensions of the heads, as in `promisam.sam.attention`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from promisam.sam.attention import STREAM_ENTRIES, offsets
from promisam.sam.vit import Attention

APART = -100.0  # added to the scores between tokens of different regions, as in Liu et al. 2021 (Swin)


@dataclass(frozen=True, eq=False)
class Windows:
    """How tokens on a g x g x g grid fall into windows.

    Attributes:
        side: tokens along a side of a window.
        tokens: numbers of the tokens of each window; those of padding are g ** 3.
        places: of each token, among those of all windows one after another.
        regions: one-hot; tokens of different regions do not see each other. None where all see each other.
    """

    side: int
    tokens: Int64[Tensor, "n t"]
    places: Int64[Tensor, " tokens"]
    regions: Float[Tensor, "n t r"] | None


@lru_cache(maxsize=8)
@torch.inference_mode(False)  # what is kept here serves training too
def windows(grid: int, side: int, *, shifted: bool, device: torch.device) -> Windows:
    """Cut a grid, padded at its high ends to whole windows; a window that holds the whole grid is not shifted.

    Shifted windows begin half a window further on and go round (Swin), but what meets only by going round is kept apart. So is
    padding from tokens, which the release cannot do: its grids are multiples of its windows. DEVIATION for all others.
    """
    side = min(side, grid)
    whole = -(-grid // side)
    shift = side // 2 if shifted and whole > 1 else 0
    place = (torch.arange(whole * side, device=device) + shift) % (whole * side)
    around = (torch.arange(whole * side, device=device) >= whole * side - shift).long()
    absent = place >= grid
    h, w, d = torch.meshgrid(place, place, place, indexing="ij")
    number = (h * grid + w) * grid + d
    region = 4 * around[:, None, None] + 2 * around[:, None] + around
    padding = absent[:, None, None] | absent[:, None] | absent
    number, region = number.masked_fill(padding, grid**3), region.masked_fill(padding, 8)
    cut = [
        x.view(whole, side, whole, side, whole, side).permute(0, 2, 4, 1, 3, 5).reshape(whole**3, side**3)
        for x in (number, region)
    ]
    places = cut[0].flatten().argsort()[: grid**3]
    if whole * side > grid:
        return Windows(side, cut[0], places, F.one_hot(cut[1], 9).float())
    return Windows(side, cut[0], places, F.one_hot(cut[1], 8).float() if shift else None)


def attend(
    tokens: Float[Tensor, "n t c"],
    frozen: Attention,
    rel_pos_d: Float[Tensor, "rows e"],
    side: int,
    regions: Float[Tensor, "#n t r"] | None,
) -> Float[Tensor, "n t c"]:
    """Attention within each window.

    Args:
        tokens: normalised.
        frozen: SAM's own attention, whose tables serve the axes h and w.
        rel_pos_d: table of relative positions along depth.
        side: tokens along a side of a window.
        regions: of the tokens, one-hot.
    """
    n, t, c = tokens.shape
    q, k, v = frozen.qkv(tokens).view(n, t, 3, frozen.heads, c // frozen.heads).permute(2, 0, 3, 1, 4)
    long_q, long_k = _augmented(q, k, (frozen.rel_pos_h, frozen.rel_pos_w, rel_pos_d), side, regions)
    if torch.is_grad_enabled() or q.device.type == "cuda":
        long_v = F.pad(v, (0, long_k.shape[-1] - v.shape[-1]))  # the fused CPU kernel wants values as long as keys
        out = F.scaled_dot_product_attention(long_q, long_k, long_v, scale=1.0)[..., : v.shape[-1]]
    else:
        out = _streamed(long_q.flatten(0, 1), long_k.flatten(0, 1), v.flatten(0, 1)).view_as(v)
    return frozen.proj(out.transpose(1, 2).reshape(n, t, c))  # type: ignore[no-any-return]


def _augmented(
    q: Tensor, k: Tensor, tables: tuple[Tensor, Tensor, Tensor], side: int, regions: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Longer queries and keys: their products are scaled scores with positions (of unscaled queries) and regions added."""
    cube = q.view(*q.shape[:2], side, side, side, -1)
    near = [offsets(table, side).to(q.dtype) for table in tables]
    relative = [
        torch.einsum(f"nmhwdc,{axis}kc->nmhwdk", cube, table).flatten(2, 4) for axis, table in zip("hwd", near, strict=True)
    ]
    one = torch.eye(side, dtype=k.dtype, device=k.device)
    place = torch.cat(
        [one.repeat_interleave(side**2, 0), one.repeat_interleave(side, 0).repeat(side, 1), one.repeat(side**2, 1)], -1
    )
    long_q = [q * q.shape[-1] ** -0.5, *relative]
    long_k = [k, place.expand(*k.shape[:2], -1, -1)]
    if regions is not None:
        own = regions.to(q.dtype)[:, None].expand(len(q), q.shape[1], -1, -1)
        long_q.append(APART * (1 - own))
        long_k.append(own)
    return torch.cat(long_q, -1), torch.cat(long_k, -1)


def _streamed(q: Float[Tensor, "n t e"], k: Float[Tensor, "n t e"], v: Float[Tensor, "n t c"]) -> Float[Tensor, "n t c"]:
    """Few scores at a time; faster than the fused kernel in bfloat16, and as fast in float32."""
    out = torch.empty_like(v)
    together = max(1, STREAM_ENTRIES // q.shape[1] ** 2)
    for some in (slice(i, i + together) for i in range(0, len(q), together)):
        scores = torch.bmm(q[some], k[some].transpose(1, 2))
        torch.bmm(torch.softmax(scores, -1).to(v.dtype), v[some], out=out[some])
    return out
