"""Attention with decomposed relative positions, without ever holding one bias for all pairs of tokens.

Source: Li et al. 2022 (MViTv2), equation 4, as used in Kirillov et al. 2023 (Segment Anything), appendix A.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

# Scores held at a time while streaming: 8 MB in float32, near enough to a core to be reused three times over.
STREAM_ENTRIES = 2_097_152


def resize_table(table: Float[Tensor, "rows d"], rows: int) -> Float[Tensor, "{rows} d"]:
    """A table of relative offsets for another number of offsets, resized linearly along its rows."""
    if table.shape[0] == rows:
        return table
    return F.interpolate(table.T[None].float(), size=rows, mode="linear")[0].T.to(table.dtype)


def offsets(table: Float[Tensor, "rows d"], side: int) -> Float[Tensor, "{side} {side} d"]:
    """Rows of the table by query and key position along one axis: entry (q, k) is the row of offset q - k."""
    table = resize_table(table, 2 * side - 1)
    position = torch.arange(side, device=table.device)
    return table[position[:, None] - position[None, :] + side - 1]


def attend(
    q: Float[Tensor, "b heads n d"],
    k: Float[Tensor, "b heads n d"],
    v: Float[Tensor, "b heads n d"],
    tables: tuple[Float[Tensor, "rows_h d"], Float[Tensor, "rows_w d"]] | None,
    size: tuple[int, int],
) -> Float[Tensor, "b heads n d"]:
    """softmax(q kᵀ / sqrt(d) + rel_h + rel_w) v over tokens of an h x w grid in row-major order.

    Exact forms of the same sum. Without gradients, and not on CUDA, scores are computed for one block of queries after
    another (`STREAM_ENTRIES`). Elsewhere the bias rides in extra head dimensions, q' = [q s, q R_h, q R_w] and
    k' = [k, one-hot row, one-hot column], so that the fused kernel needs no bias and keeps no N x N tensor for the backward
    pass. In an exported graph, which knows no buffers, one head's scores follow another's.

    Args:
        q: queries, unscaled.
        k: keys.
        v: values.
        tables: relative positions of rows and columns; None for plain attention.
        size: (h, w) with h * w = n.
    """
    if tables is None:
        return F.scaled_dot_product_attention(q, k, v)
    h, w = size
    grid = q.reshape(*q.shape[:2], h, w, -1)
    rel_h = torch.einsum("bnhwd,hkd->bnhwk", grid, offsets(tables[0], h).to(q.dtype)).flatten(2, 3)
    rel_w = torch.einsum("bnhwd,wkd->bnhwk", grid, offsets(tables[1], w).to(q.dtype)).flatten(2, 3)
    learning = torch.is_grad_enabled() and any(x.requires_grad for x in (q, k, v, rel_h, rel_w))
    if torch.onnx.is_in_onnx_export():
        return _head_by_head(q, k, v, rel_h, rel_w)
    if learning or q.device.type == "cuda":
        return _augmented(q, k, v, rel_h, rel_w)
    return _streamed(q, k, v, rel_h, rel_w)


def _streamed(q: Tensor, k: Tensor, v: Tensor, rel_h: Tensor, rel_w: Tensor) -> Tensor:
    b, heads, n, d = q.shape
    q, k, v, rel_h, rel_w = (x.reshape(b * heads, n, -1) for x in (q * d**-0.5, k, v, rel_h, rel_w))
    out = torch.empty_like(q)
    blocks = list(_blocks(b * heads, n))
    room = max((rows.stop - rows.start) * (queries.stop - queries.start) for rows, queries in blocks)
    scores, shares = q.new_empty(room * n), q.new_empty(room * n)  # reused: fresh pages cost more than the sums
    with torch.autocast(q.device.type, enabled=False):
        for rows, queries in blocks:
            high, wide = rel_h[rows, queries, :, None], rel_w[rows, queries, None, :]
            size = (*high.shape[:2], n)
            here, share = (buffer[: size[0] * size[1] * n].view(size) for buffer in (scores, shares))
            torch.add(high, wide, out=here.view(*high.shape[:3], -1))
            here.baddbmm_(q[rows, queries], k[rows].transpose(1, 2))
            torch.softmax(here, -1, out=share)
            out[rows, queries] = torch.bmm(share, v[rows])
    return out.view(b, heads, n, d)


def _blocks(maps: int, n: int) -> Iterator[tuple[slice, slice]]:
    together = max(1, STREAM_ENTRIES // (n * n))
    queries = max(1, min(n, STREAM_ENTRIES // n))
    for row in range(0, maps, together):
        for query in range(0, n, queries):
            yield slice(row, min(row + together, maps)), slice(query, min(query + queries, n))


def _head_by_head(q: Tensor, k: Tensor, v: Tensor, rel_h: Tensor, rel_w: Tensor) -> Tensor:
    heads, n, d = q.shape[1:]
    apart = range(heads if n * n * heads > STREAM_ENTRIES else 1)  # windows are small enough to be taken together
    step = heads // len(apart)
    out = []
    for head in (slice(i * step, (i + 1) * step) for i in apart):
        bias = (rel_h[:, head, :, :, None] + rel_w[:, head, :, None, :]).flatten(3)
        out.append(((q[:, head] * d**-0.5) @ k[:, head].transpose(2, 3) + bias).softmax(-1) @ v[:, head])
    return torch.cat(out, 1)


def _augmented(q: Tensor, k: Tensor, v: Tensor, rel_h: Tensor, rel_w: Tensor) -> Tensor:
    b, heads, _, d = q.shape
    h, w = rel_h.shape[-1], rel_w.shape[-1]
    row = torch.eye(h, dtype=k.dtype, device=k.device).repeat_interleave(w, 0)
    column = torch.eye(w, dtype=k.dtype, device=k.device).repeat(h, 1)
    place = torch.cat([row, column], -1).expand(b, heads, -1, -1)
    long_q = torch.cat([q * d**-0.5, rel_h, rel_w], -1)
    long_k = torch.cat([k, place], -1)
    long_v = F.pad(v, (0, h + w))  # the fused CPU kernel wants values as long as keys
    return F.scaled_dot_product_attention(long_q, long_k, long_v, scale=1.0)[..., :d]
