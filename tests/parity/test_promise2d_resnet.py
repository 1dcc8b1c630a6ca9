"""ProMISe-2D with the ResNet point module, encoder features, losses and gradients, against values recorded from the release."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from parity.golden import Golden
from parity.promise2d import Filled, compare_decoder, compare_whole
from promisam.methods.promise2d.decoding import decode_shifted
from promisam.methods.promise2d.official import official_loss
from promisam.sam.checkpoint import fit
from promisam.sam.taps import default_taps, tap_shapes
from promisam.sam.vit import VisionTransformer, VitShape
from promisam.training.losses import bce_dice

SIDE = 1024


@pytest.fixture(scope="module")
def golden(shared):
    return Golden(shared / "golden", "promise2d_resnet")


@pytest.fixture(scope="module")
def filled(golden):
    model = golden.meta["official_state"]["model"]["shapes"]
    return Filled(golden, model, grid=golden.meta["config"]["grid"])


@pytest.fixture(scope="module")
def features(golden):
    return [golden.input(f"block{i}").permute(0, 2, 3, 1) for i in (6, 9, 12)]


@pytest.fixture(scope="module")
def raw(filled, features):
    return filled.points.raw(features)


@pytest.fixture(scope="module")
def truth(golden):
    masks = torch.cat([golden.input("mask0"), golden.input("mask1")])
    return F.interpolate(masks, (256, 256), mode="bilinear")


def test_what_the_file_is(filled):
    assert (filled.facts.mode, filled.facts.form, filled.facts.points) == ("apm+ips", "resnet", 16)


def test_encoder_features(golden):
    config = golden.meta["config"]["taps"]
    shape = VitShape(
        side=config["img_size"],
        width=config["embed_dim"],
        depth=config["depth"],
        heads=config["num_heads"],
        global_blocks=tuple(config["global_attn_indexes"]),
        patch=config["patch_size"],
        window=config["window_size"],
        mlp_width=4 * config["embed_dim"],
        out_channels=config["out_chans"],
    )
    encoder = VisionTransformer(shape)
    weights = golden.weights(golden.meta["official_state"]["taps"]["shapes"])
    fit(encoder, {name.removeprefix("taps/"): value for name, value in weights.items()})
    taps = default_taps(encoder)
    assert taps == (5, 8, 11)
    embedding, found = encoder.features(golden.input("taps_image"), (2, *taps))
    golden.compare("taps.embedding", embedding)
    for number, tokens in zip((3, 6, 9, 12), found, strict=True):
        golden.compare(f"taps.block{number}", tokens.permute(0, 3, 1, 2))
    assert [(t.shape[-1], t.shape[1]) for t in found[1:]] == [(s.width, s.grid) for s in tap_shapes(encoder, taps)]


def test_point_module_piece_by_piece(golden, filled):
    module = filled.points
    features = [golden.input(f"unit_block{i}").permute(0, 2, 3, 1) for i in (6, 9, 12)]
    x = module.fuse(torch.cat([golden.input(f"unit_block{i}") for i in (12, 9, 6)], 1))
    golden.compare("apm.unit_fused", x)
    x = module.trunk.stem(x)
    for stage in (1, 2, 3, 4):
        x = module.trunk.get_submodule(f"layer{stage}")(x)
        golden.compare(f"apm.unit_stage{stage}", x)
    golden.compare("apm.unit_raw", module.raw(features).flatten(1))
    golden.compare("apm.unit_points", module(features)[:, 0] * SIDE)


def test_shift_points_decoder_and_whole(golden, filled, raw):
    golden.compare("pae.shift", filled.shift(golden.input("embedding"))[:, 0])
    golden.compare("apm.raw", raw[:, 0])
    compare_decoder(golden, filled)
    compare_whole(golden, filled, filled.points.slots(raw))


def test_losses(golden, filled, raw, truth):
    golden.compare("loss.target", truth)
    logits = filled.whole(filled.points.slots(raw), golden.input("embedding"))[:, None]
    for name, twice in (("released", True), ("single", False)):
        parts = official_loss(logits, truth, double_sigmoid=twice)
        golden.compare(f"loss.{name}_bce", parts["bce"])
        golden.compare(f"loss.{name}_dice", parts["dice"])
        golden.compare(f"loss.{name}", parts["bce"] + parts["dice"])
    ours = bce_dice(logits, truth)
    golden.compare("loss.single_dice_clean", ours["dice"])
    assert torch.allclose(ours["bce"], parts["bce"])


@pytest.mark.parametrize(("name", "twice"), [("released", True), ("single", False)])
def test_gradients_reach_given_points(golden, filled, truth, name, twice):
    points = golden.input("points").requires_grad_()
    embedding = golden.input("embedding")
    labels = golden.input("labels").expand(2, -1)
    logits = decode_shifted(filled.sam, embedding, points, labels, filled.shift(embedding)[:, 0])
    sum(official_loss(logits[:, None], truth, double_sigmoid=twice).values()).backward()
    golden.compare(f"gradient.points_{name}", points.grad)


def test_gradients_reach_both_networks(golden, filled, features, truth):
    learned = {
        "ips_ffn.lin2.bias": filled.shift.lin2.bias,
        "ips_ffn.lin1.weight": filled.shift.lin1.weight,
        "apm_resnet.fc.bias": filled.points.head.bias,
        "apm_resnet.fc.weight": filled.points.head.weight,
    }
    for parameter in learned.values():
        parameter.requires_grad_()
    try:
        logits = filled.whole(filled.points(features), golden.input("embedding"))
        loss = sum(official_loss(logits[:, None], truth).values())
        for (name, _), gradient in zip(learned.items(), torch.autograd.grad(loss, list(learned.values())), strict=True):
            golden.compare(f"gradient.{name}", gradient)
    finally:
        for parameter in learned.values():
            parameter.requires_grad_(False)


def test_nothing_recorded_was_left_out(golden):
    golden.assert_complete()
