"""The five places where a method may take SAM apart."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from promisam.core.errors import InvalidConfig
from promisam.sam.model import fingerprint
from tiny_sam import tiny

ENCODERS = ["vit", "tinyvit"]


@pytest.fixture(params=ENCODERS)
def sam(request):
    return tiny(request.param)


def images(sam, b=2, seed=0):
    return torch.randn(b, 3, sam.side, sam.side, generator=torch.Generator().manual_seed(seed))


def prompts(sam, b=3, seed=1):
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(b, 2, 2, generator=generator) * sam.side
    labels = torch.tensor([[1, 0]]).expand(b, -1)
    low = torch.rand(b, 2, generator=generator) * sam.side / 2
    masks = torch.randn(b, 1, *[4 * sam.prompt_encoder.shape.grid] * 2, generator=generator)
    return {"points_xy": points, "labels": labels, "boxes_xyxy": torch.cat([low, low + sam.side / 3], 1), "masks": masks}


def grown(before, after):
    return (before - after).abs().max() > 1e-3


# 1. Parts of the encoder


def test_forward_is_embed_blocks_neck(sam):
    encoder = sam.image_encoder
    tokens = encoder.embed(images(sam))
    for block in encoder.blocks:
        tokens = block(tokens)
    embedding = encoder.neck(tokens)
    assert torch.equal(embedding, encoder(images(sam)))
    assert embedding.shape == (2, 32, encoder.grid, encoder.grid)


def test_images_of_a_batch_do_not_mix(sam):
    batch = images(sam, 3)
    together = sam.image_encoder(batch)
    for i in range(3):
        assert torch.allclose(together[i], sam.image_encoder(batch[i : i + 1])[0], atol=1e-5)


def test_every_block_matters(sam):
    before = sam.image_encoder(images(sam))
    for block in sam.image_encoder.blocks:
        handle = block.register_forward_hook(lambda _m, _i, out: out + torch.randn_like(out))
        assert grown(before, sam.image_encoder(images(sam)))
        handle.remove()


# 2. Features by block


@pytest.mark.parametrize("after", [(), (0,), (2, 0), (1, 1), (0, 1, 2)])
def test_features_are_the_tokens_after_the_blocks_asked_for(sam, after):
    encoder = sam.image_encoder
    tokens, every = encoder.embed(images(sam)), []
    for block in encoder.blocks:
        tokens = block(tokens)
        every.append(tokens)
    embedding, found = encoder.features(images(sam), after=after)
    assert torch.equal(embedding, encoder(images(sam)))
    assert len(found) == len(after)
    for one, index in zip(found, after, strict=True):
        assert torch.equal(one, every[index])


@pytest.mark.parametrize("absent", [-1, 9])
def test_features_after_a_block_that_does_not_exist_are_refused(sam, absent):
    last = len(sam.image_encoder.blocks) - 1
    with pytest.raises(InvalidConfig, match=f"block {absent}; expected blocks 0 to {last}"):
        sam.image_encoder.features(images(sam), after=(0, absent))


# 3. A Linear can be wrapped


class Shifted(nn.Module):
    """What LoRA does: the old Linear plus something trained that starts at nothing."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner
        self.extra = nn.Parameter(torch.zeros(inner.out_features))

    def forward(self, x):
        return self.inner(x) + self.extra


def test_a_wrapped_qkv_is_used_and_trained():
    sam = tiny().requires_grad_(False)
    before = sam.image_encoder(images(sam))
    wrapped = []
    for block in sam.image_encoder.blocks:
        assert type(block.attn.qkv) is nn.Linear
        block.attn.qkv = Shifted(block.attn.qkv)
        wrapped.append(block.attn.qkv)
    same = sam.image_encoder(images(sam))
    assert torch.allclose(before, same, atol=1e-5)
    same.square().sum().backward()
    width = sam.image_encoder.shape.width
    for one in wrapped:
        for part in (slice(0, width), slice(2 * width, None)):  # a shift of all keys alike cancels in the softmax
            assert one.extra.grad[part].abs().max() > 0
    with torch.no_grad():
        wrapped[0].extra += 0.5
    assert grown(before, sam.image_encoder(images(sam)))


def test_with_and_without_gradients_the_embedding_is_the_same():
    sam = tiny()
    with torch.no_grad():
        without = sam.image_encoder(images(sam))
    assert torch.allclose(sam.image_encoder(images(sam)), without, atol=1e-4)


# 4. The decoder in two halves


def halves(sam, embedding, given, token_shift=None):
    sparse, dense = sam.prompt_encoder(**given)
    tokens, features = sam.mask_decoder.attend(embedding, sam.prompt_encoder.dense_positions(), sparse, dense, token_shift)
    return tokens, features, *sam.mask_decoder.masks(tokens, features)


@pytest.mark.parametrize(
    "kinds", [("points_xy", "labels"), ("boxes_xyxy",), ("masks",), ("points_xy", "labels", "boxes_xyxy", "masks")]
)
def test_the_halves_are_decode(sam, kinds):
    given = {name: value for name, value in prompts(sam).items() if name in kinds}
    embedding = sam.image_encoder(images(sam, 1))
    tokens, features, logits, quality = halves(sam, embedding, given)
    whole = sam.decode(embedding, **given)
    assert torch.equal(logits, whole[0])
    assert torch.equal(quality, whole[1])
    count = {"points_xy": 2, "boxes_xyxy": 2}
    extra = sum(count.get(kind, 0) for kind in kinds) + ("points_xy" in kinds and "boxes_xyxy" not in kinds)
    grid = sam.image_encoder.grid
    assert tokens.shape == (3, 5 + extra, 32)
    assert features.shape == (3, 32, grid, grid)
    assert logits.shape == (3, 4, 4 * grid, 4 * grid)
    assert quality.shape == (3, 4)
    assert sam.mask_decoder.upscale(features).shape == (3, 4, 4 * grid, 4 * grid)


def test_masks_of_different_prompts_and_tokens_differ(sam):
    logits, quality = sam.decode(sam.image_encoder(images(sam, 1)), **prompts(sam))
    for i in range(2):
        assert grown(logits[i], logits[i + 1])
        assert grown(quality[i], quality[i + 1])
    for k in range(3):
        assert grown(logits[:, k], logits[:, k + 1])


@pytest.mark.parametrize("left_out", ["points_xy", "boxes_xyxy", "masks"])
def test_every_kind_of_prompt_matters(sam, left_out):
    embedding = sam.image_encoder(images(sam, 1))
    given = prompts(sam)
    without = {name: value for name, value in given.items() if name != left_out}
    assert grown(sam.decode(embedding, **given)[0], sam.decode(embedding, **without)[0])


def test_a_token_shift_of_zeros_changes_nothing_and_another_the_masks(sam):
    embedding, given = sam.image_encoder(images(sam, 1)), prompts(sam)
    plain = halves(sam, embedding, given)
    for b in (1, 3):
        shifted = halves(sam, embedding, given, torch.zeros(b, 4, 32))
        for one, other in zip(plain, shifted, strict=True):
            assert torch.allclose(one, other, atol=1e-6)
    shift = torch.zeros(3, 4, 32)
    shift[1, 2] = 1.0
    _, _, logits, _ = halves(sam, embedding, given, shift)
    assert torch.allclose(logits[[0, 2]], plain[2][[0, 2]], atol=1e-5)
    assert grown(logits[1, 2], plain[2][1, 2])


def test_the_padding_point_stands_in_for_a_box():
    sam = tiny()
    given = prompts(sam)
    points = {"points_xy": given["points_xy"], "labels": given["labels"]}
    sparse, _ = sam.prompt_encoder(**points)
    assert torch.equal(sparse[:, -1], sam.prompt_encoder.not_a_point_embed.weight.expand(3, -1))
    padded = {**points, "labels": torch.tensor([[1, -1]]).expand(3, -1), "boxes_xyxy": given["boxes_xyxy"]}
    moved = {**padded, "points_xy": padded["points_xy"].clone()}
    moved["points_xy"][:, 1] += 7
    assert torch.equal(sam.prompt_encoder(**padded)[0], sam.prompt_encoder(**moved)[0])


# 5. No no_grad inside


def test_gradients_reach_every_weight_and_every_prompt(sam):
    given = prompts(sam)
    for name in ("points_xy", "boxes_xyxy", "masks"):
        given[name].requires_grad_(True)
    picture, shift = images(sam, 1).requires_grad_(True), torch.zeros(3, 4, 32, requires_grad=True)
    _, _, logits, quality = halves(sam, sam.image_encoder(picture), given, shift)
    (logits.square().sum() + quality.square().sum()).backward()
    for name in ("points_xy", "boxes_xyxy", "masks"):
        assert given[name].grad.abs().amax(tuple(range(1, given[name].ndim))).min() > 0, name
    assert picture.grad.abs().max() > 0
    assert shift.grad.abs().max() > 0
    unused = {"prompt_encoder.no_mask_embed.weight", "prompt_encoder.not_a_point_embed.weight"}  # box and mask were given
    still = {name for name, p in sam.named_parameters() if p.grad is None or not p.grad.abs().max() > 0}
    assert {name for name in still if not name.endswith(("k_proj.bias",))} == unused


def test_a_batch_of_images_with_a_prompt_each_is_one_by_one(sam):
    batch, given = sam.image_encoder(images(sam, 3)), prompts(sam, 3)
    logits, quality = sam.decode(batch, **given)
    for i in range(3):
        one = sam.decode(batch[i : i + 1], **{name: value[i : i + 1] for name, value in given.items()})
        assert torch.allclose(logits[i], one[0][0], atol=5e-3)  # of about 6; batches of another size round differently
        assert torch.allclose(quality[i], one[1][0], atol=2e-3)


def test_a_batch_of_prompts_on_one_image_is_one_by_one(sam):
    embedding, given = sam.image_encoder(images(sam, 1)), prompts(sam, 4)
    logits, quality = sam.decode(embedding, **given)
    for i in range(4):
        one = sam.decode(embedding, **{name: value[i : i + 1] for name, value in given.items()})
        assert torch.allclose(logits[i], one[0][0], atol=5e-3)  # of about 6; batches of another size round differently
        assert torch.allclose(quality[i], one[1][0], atol=2e-3)


def test_looking_changes_no_weight(sam):
    before = fingerprint(sam)
    sam.decode(sam.image_encoder(images(sam, 1)), **prompts(sam))
    assert fingerprint(sam) == before


def test_scale_of_meta_and_unit():
    picture = images(tiny(), 2).abs() * 100
    found = tiny().scale(picture)
    for channel, (mean, std) in enumerate([(123.675, 58.395), (116.28, 57.12), (103.53, 57.375)]):
        assert torch.allclose(found[:, channel], (picture[:, channel] - mean) / std)
    unit = tiny(scaling="unit").scale(picture)
    for one, raw in zip(unit, picture, strict=True):
        assert torch.allclose(one, (raw - raw.min()) / (raw.max() - raw.min()))
    flat = tiny(scaling="unit").scale(torch.full((1, 3, 4, 4), 7.0))
    assert torch.equal(flat, torch.zeros(1, 3, 4, 4))
