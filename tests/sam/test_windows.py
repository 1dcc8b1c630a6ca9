"""Windows: cut and joined again without loss."""

from __future__ import annotations

import pytest
import torch

from promisam.sam.windows import join, partition


@pytest.mark.parametrize("size", [(6, 6), (6, 9), (5, 7), (1, 1), (2, 11), (7, 3)])
@pytest.mark.parametrize("side", [1, 3, 4])
def test_join_undoes_partition(size, side):
    x = torch.arange(2.0 * size[0] * size[1] * 2).view(2, *size, 2) + 1
    windows = partition(x, side)
    rows, columns = -(-size[0] // side), -(-size[1] // side)
    assert windows.shape == (2 * rows * columns, side, side, 2)
    assert torch.equal(join(windows, size), x)


def test_windows_stand_in_row_major_order_and_the_padding_is_zero():
    x = torch.arange(1.0, 16.0).view(1, 3, 5, 1)
    windows = partition(x, 2)[..., 0]
    expected = [
        [[1, 2], [6, 7]], [[3, 4], [8, 9]], [[5, 0], [10, 0]],
        [[11, 12], [0, 0]], [[13, 14], [0, 0]], [[15, 0], [0, 0]],
    ]  # fmt: skip
    assert windows.tolist() == expected


def test_images_of_a_batch_do_not_mix():
    x = torch.randn(3, 5, 4, 2)
    assert torch.equal(partition(x, 3)[4:8], partition(x[1:2], 3))


def test_padding_never_comes_back():
    windows = partition(torch.zeros(1, 5, 7, 1), 4) + 1
    joined = join(windows, (5, 7))
    assert joined.shape == (1, 5, 7, 1)
    assert (joined == 1).all()
