"""Both forms of attention against the definition, with the whole bias written out."""

from __future__ import annotations

import pytest
import torch

from promisam.sam import attention
from promisam.sam.attention import attend, offsets, resize_table

SIZES = [(4, 4), (3, 7), (7, 3), (1, 5), (5, 1), (1, 1), (9, 6)]
EXACT = {torch.float32: 2e-5, torch.float64: 1e-12}


def naive(q, k, v, tables, size):
    """softmax(q k / sqrt(d) + rel) v, pair by pair of rows and columns."""
    h, w = size
    bias = torch.zeros(*q.shape[:2], h * w, h * w, dtype=q.dtype)
    for i in range(h * w):
        for j in range(h * w):
            down, right = i // w - j // w, i % w - j % w
            bias[:, :, i, j] = q[:, :, i] @ tables[0][down + h - 1] + q[:, :, i] @ tables[1][right + w - 1]
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5 + bias
    return scores.softmax(-1) @ v


def inputs(size, dtype=torch.float64, b=2, heads=3, d=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    h, w = size
    q, k, v = (torch.randn(b, heads, h * w, d, generator=generator, dtype=dtype) for _ in range(3))
    tables = tuple(torch.randn(2 * n - 1, d, generator=generator, dtype=dtype) for n in size)
    return q, k, v, tables


@pytest.mark.parametrize("dtype", EXACT)
@pytest.mark.parametrize("size", SIZES)
def test_without_gradients_it_is_the_definition(size, dtype):
    q, k, v, tables = inputs(size, dtype)
    with torch.no_grad():
        found = attend(q, k, v, tables, size)
    assert found.dtype == dtype
    assert torch.allclose(found, naive(q, k, v, tables, size), atol=EXACT[dtype], rtol=0)


@pytest.mark.parametrize("dtype", EXACT)
@pytest.mark.parametrize("size", SIZES)
def test_with_gradients_it_is_the_definition_and_so_are_they(size, dtype):
    q, k, v, tables = inputs(size, dtype)
    leaves = [x.requires_grad_(True) for x in (q, k, v, *tables)]
    weight = torch.randn(q.shape, generator=torch.Generator().manual_seed(9), dtype=dtype)
    found, expected = attend(q, k, v, tables, size), naive(q, k, v, tables, size)
    assert torch.allclose(found, expected, atol=EXACT[dtype], rtol=0)
    ours = torch.autograd.grad((found * weight).sum(), leaves)
    theirs = torch.autograd.grad((expected * weight).sum(), leaves)
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, atol=50 * EXACT[dtype], rtol=0)


@pytest.mark.parametrize("trained", [(0,), (1,), (2,), (1, 2), (3,), (4,), (2, 4)])
def test_gradients_are_right_whatever_is_frozen(trained, monkeypatch):
    monkeypatch.setattr(attention, "STREAM_ENTRIES", 40)  # several blocks, whose memory a backward pass must not share
    size = (3, 5)
    q, k, v, tables = inputs(size)
    every = [q, k, v, *tables]
    leaves = [every[i].requires_grad_(True) for i in trained]
    weight = torch.randn(q.shape, generator=torch.Generator().manual_seed(9), dtype=q.dtype)
    ours = torch.autograd.grad((attend(q, k, v, tables, size) * weight).sum(), leaves)
    theirs = torch.autograd.grad((naive(q, k, v, tables, size) * weight).sum(), leaves)
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, atol=1e-10, rtol=0)


@pytest.mark.parametrize("entries", [1, 30, 35 * 9, 35 * 35, 3 * 35 * 35, 35 * 35 * 100])
def test_streaming_in_blocks_changes_nothing(entries, monkeypatch):
    size = (5, 7)
    q, k, v, tables = inputs(size)
    expected = naive(q, k, v, tables, size)
    monkeypatch.setattr(attention, "STREAM_ENTRIES", entries)
    calls = []
    real = torch.softmax

    def counted(scores, *more, **options):
        calls.append(scores.numel())
        return real(scores, *more, **options)

    monkeypatch.setattr(attention.torch, "softmax", counted)
    with torch.no_grad():
        found = attend(q, k, v, tables, size)
    assert torch.allclose(found, expected, atol=1e-12, rtol=0)
    assert sum(calls) == 6 * 35 * 35
    assert max(calls) <= max(entries, 35)
    assert (len(calls) == 1) == (entries >= 6 * 35 * 35)


def test_training_holds_no_bias_for_all_pairs():
    size = (16, 16)
    q, k, v, tables = inputs(size, torch.float32, b=1, heads=1, d=2)
    kept = []

    def keep(tensor):
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        attend(q.requires_grad_(True), k, v, tables, size)
    assert max(kept) < 256 * 256


def test_without_tables_it_is_plain_attention():
    q, k, v, _ = inputs((3, 4))
    expected = (q @ k.transpose(-1, -2) * 0.5).softmax(-1) @ v
    assert torch.allclose(attend(q, k, v, None, (3, 4)), expected, atol=1e-12)


def test_offsets_by_query_and_key():
    table = torch.arange(7.0)[:, None]
    expected = torch.tensor([[3.0, 2, 1, 0], [4, 3, 2, 1], [5, 4, 3, 2], [6, 5, 4, 3]])
    assert torch.equal(offsets(table, 4)[..., 0], expected)


@pytest.mark.parametrize("rows", [3, 9, 13, 27, 1])
def test_tables_are_resized_linearly_along_their_rows(rows):
    table = torch.randn(9, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = resize_table(table, rows)
    assert found.dtype == table.dtype
    assert found.shape == (rows, 5)
    expected = torch.empty(rows, 5, dtype=torch.float64)
    for row in range(rows):
        at = min(max((row + 0.5) * 9 / rows - 0.5, 0), 8)
        low = min(int(at), 7)
        expected[row] = table[low] + (at - low) * (table[low + 1] - table[low])
    assert torch.allclose(found, expected, atol=1e-6)


def test_a_table_of_another_grid_is_resized_on_the_way():
    size = (3, 5)
    q, k, v, _ = inputs(size)
    tables = tuple(torch.randn(11, 4, generator=torch.Generator().manual_seed(i), dtype=q.dtype) for i in (1, 2))
    resized = tuple(resize_table(t, 2 * n - 1) for t, n in zip(tables, size, strict=True))
    with torch.no_grad():
        found = attend(q, k, v, tables, size)
    assert torch.allclose(found, naive(q, k, v, resized, size), atol=1e-12)
