"""Exported graphs answer as the networks do: whole tensors, every way of asking, any number of objects."""

from __future__ import annotations

import pytest
import torch

from promisam.export.running import _points
from promisam.sam.model import Sam

CLOSE = 1e-4
OF_LARGEST = 1e-3  # random weights make rounding larger: the widest is a ninth of this


def prompts(sam: Sam, points: int, *, box: bool, mask: bool, objects: int) -> dict[str, torch.Tensor]:
    """Random prompts, the same for the same arguments; the first of several points lies off the object."""
    chance = torch.Generator().manual_seed(points + 10 * box + 20 * mask + 100 * objects)
    given = {}
    if points:
        given["points_xy"] = torch.rand(objects, points, 2, generator=chance) * sam.side
        given["labels"] = torch.arange(points).expand(objects, -1).clamp(max=1) if points > 1 else torch.ones(objects, 1).long()
    if box:
        given["boxes_xyxy"] = torch.rand(objects, 4, generator=chance).sort(dim=1).values * sam.side
    if mask:
        given["masks"] = torch.randn(objects, 1, 4 * sam.grid, 4 * sam.grid, generator=chance) * 4
    return given


def as_inputs(sam: Sam, embedding: torch.Tensor, given: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same as the graph takes it."""
    objects = len(next(iter(given.values())))
    coords, labels = _points(objects, given.get("points_xy"), given.get("labels"), given.get("boxes_xyxy"))
    blank = torch.zeros(objects, 1, 4 * sam.grid, 4 * sam.grid)
    switch = torch.full((objects,), float("masks" in given))
    names = ("image_embeddings", "point_coords", "point_labels", "mask_input", "has_mask_input")
    return dict(zip(names, (embedding, coords, labels, given.get("masks", blank), switch), strict=True))


@pytest.fixture(scope="session")
def embedding(pair) -> torch.Tensor:
    images = torch.rand(1, 3, pair.sam.side, pair.sam.side, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        return pair.sam.encode(images)


def test_the_encoder(pair, embedding):
    images = torch.rand(1, 3, pair.sam.side, pair.sam.side, generator=torch.Generator().manual_seed(1))
    (found,) = pair.encoder(image=images)
    assert found.shape == embedding.shape
    torch.testing.assert_close(found, embedding, atol=CLOSE, rtol=0)
    (other,) = pair.encoder(image=images.flip(3))
    assert not torch.allclose(other, embedding, atol=0.1)


@pytest.mark.parametrize("objects", [1, 3])
@pytest.mark.parametrize("mask", [False, True], ids=["", "mask"])
@pytest.mark.parametrize("box", [False, True], ids=["", "box"])
@pytest.mark.parametrize("points", [0, 1, 2, 7])
def test_the_decoder(pair, embedding, points, box, mask, objects):
    if not (points or box or mask):
        pytest.skip("nothing is asked")
    given = prompts(pair.sam, points, box=box, mask=mask, objects=objects)
    with torch.inference_mode():
        masks, quality = pair.sam.decode(embedding, **given)
    found, sure = pair.decoder(**as_inputs(pair.sam, embedding, given))
    assert found.shape == (objects, 4, 4 * pair.sam.grid, 4 * pair.sam.grid)
    assert sure.shape == (objects, 4)
    scale = float(masks.abs().max())
    torch.testing.assert_close(found, masks.expand_as(found), atol=OF_LARGEST * scale, rtol=0)
    torch.testing.assert_close(sure, quality.expand_as(sure), atol=OF_LARGEST * float(quality.abs().max()), rtol=0)


def test_objects_asked_in_different_ways_at_once(pair, embedding):
    sam = pair.sam
    box, click, both, masked = (
        prompts(sam, points, box=box, mask=mask, objects=1)
        for points, box, mask in ((0, True, False), (1, False, False), (1, True, False), (0, True, True))
    )
    parts = [as_inputs(sam, embedding, given) for given in (box, click, both, masked)]
    for part in parts:  # to three points each
        missing = 3 - part["point_labels"].shape[1]
        part["point_coords"] = torch.cat([part["point_coords"], torch.zeros(1, missing, 2)], 1)
        part["point_labels"] = torch.cat([part["point_labels"], torch.full((1, missing), -1)], 1)
    together = {name: torch.cat([part[name] for part in parts]) for name in parts[0] if name != "image_embeddings"}
    found, sure = pair.decoder(image_embeddings=embedding, **together)
    for index, part in enumerate(parts):
        alone, quality = pair.decoder(**part)
        torch.testing.assert_close(found[index], alone[0], atol=OF_LARGEST * float(alone.abs().max()), rtol=0)
        torch.testing.assert_close(sure[index], quality[0], atol=OF_LARGEST * float(quality.abs().max()), rtol=0)
