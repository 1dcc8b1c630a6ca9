"""Means of an image embedding over parts of the picture: what an image shows, as a few numbers."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from promisam.sam.frame import Frame


def means_inside(embedding: Float[Tensor, "1 c g g"], frame: Frame, cells: int) -> Float[Tensor, "c cells cells"]:
    """Means of an embedding over equal parts of the picture, cells x cells of them; the frame's padding is left out.

    What a part covers of a sample of the embedding counts as much as it covers.
    """
    side = embedding.shape[-1]
    down, right = (_shares(extent * side / frame.side, side, cells).to(embedding) for extent in frame.resized)
    return torch.einsum("iy,cyx,jx->cij", down, embedding[0], right)


def _shares(extent: float, side: int, cells: int) -> Float[Tensor, "cells side"]:
    """How much each of the samples belongs to each of the equal parts of what lies before `extent`; rows add up to 1."""
    edges = torch.linspace(0, extent, cells + 1, dtype=torch.float64)[:, None]
    samples = torch.arange(side, dtype=torch.float64)
    covered = (torch.minimum(edges[1:], samples + 1) - torch.maximum(edges[:-1], samples)).clamp(min=0)
    return covered / covered.sum(dim=1, keepdim=True)
