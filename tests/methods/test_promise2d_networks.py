"""The networks of ProMISe-2D on tiny models: what they promise beside the values recorded from the release."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

import tiny_sam
from promisam.core.errors import InvalidConfig
from promisam.methods.promise2d.decoding import decode_shifted
from promisam.methods.promise2d.distance_loss import distance_loss, signed_distance
from promisam.methods.promise2d.levels import as_maps
from promisam.methods.promise2d.pattern_shift import PatternShift
from promisam.methods.promise2d.point_modules import point_module
from promisam.methods.promise2d.slots import Slots, anchors, slot_labels
from promisam.sam.taps import default_taps, tap_shapes
from promisam.sam.tinyvit import TinyVit
from promisam.sam.vit import VisionTransformer

FORMS = ("resnet", "cross", "light")
B = 3


@pytest.fixture(params=["vit", "tinyvit"])
def sam(request):
    return tiny_sam.tiny(request.param).requires_grad_(False)


def images(sam, b=B):
    return torch.randn(b, 3, sam.side, sam.side, generator=torch.Generator().manual_seed(1))


def encoded(sam):
    """The embedding, the features, and their widths."""
    taps = default_taps(sam.image_encoder)
    embedding, features = sam.image_encoder.features(images(sam), taps)
    return embedding, features, [s.width for s in tap_shapes(sam.image_encoder, taps)]


def finder(form, widths, **options):
    module = point_module(form, widths, **options)
    tiny_sam.randomise(module)
    if form == "resnet":
        with torch.no_grad():
            module.head.weight *= 0.003  # sixteen blocks with skips have added up
    return module.eval()


def shifter(**options):
    """A shift that acts from the start."""
    shift = PatternShift(32, **options)
    tiny_sam.randomise(shift)
    return shift


def prompts(sam, b=B, n=4):
    points = torch.rand(b, n, 2, generator=torch.Generator().manual_seed(2)) * sam.side
    return points, slot_labels(n).expand(b, -1)


STRIDED = """
import torch
from promisam.methods.promise2d.resnet_points import BasicBlock
x = torch.randn(2, 64, 1, 1, generator=torch.Generator().manual_seed(0))
grads = []
for kind in (torch.float32, torch.bfloat16):
    torch.manual_seed(0)
    block = BasicBlock(64, 128, 2, project=True).eval()
    with torch.autocast("cpu", torch.bfloat16, enabled=kind == torch.bfloat16):
        block(x).sum().backward()
    grads.append(block.conv1.weight.grad)
torch.testing.assert_close(*grads, rtol=0.05, atol=0.05 * float(grads[0].abs().max()))
"""


# Points


def test_gradients_in_bf16_are_whole_where_maps_are_one_cell_large():
    """Whatever lay in the memory before: glibc fills it here."""
    env = {**os.environ, "MALLOC_PERTURB_": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", STRIDED], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("form", FORMS)
def test_points_of_every_form_lie_in_the_image_and_differ_by_image_slot_and_class(sam, form):
    _, features, widths = encoded(sam)
    points = finder(form, widths, points=5, classes=2)(features)
    assert points.shape == (B, 2, 5, 2)
    assert ((points > 0) & (points < 1)).all()
    rows = points.reshape(B * 2 * 5, 2)
    assert len(torch.unique(rows, dim=0)) == len(rows)


@pytest.mark.parametrize("form", FORMS)
def test_a_batch_is_its_images(sam, form):
    embedding, features, widths = encoded(sam)
    module, shift = finder(form, widths), shifter()
    points, shifts = module(features), shift(embedding)
    for i in range(B):
        alone = slice(i, i + 1)
        assert torch.allclose(module([f[alone] for f in features]), points[alone], atol=1e-4)
        assert torch.allclose(shift(embedding[alone]), shifts[alone], atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_all_depths_matter(sam, form):
    _, features, widths = encoded(sam)
    module = finder(form, widths)
    points = module(features)
    for depth in range(3):
        changed = [f.flip(1) if i == depth else f for i, f in enumerate(features)]
        assert not torch.allclose(module(changed), points, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("anchored", [False, True])
def test_the_masks_gradient_reaches_every_weight_through_a_frozen_sam(sam, form, anchored):
    embedding, features, widths = encoded(sam)
    module, shift = finder(form, widths, anchored=anchored, points=4), shifter()
    points = module(features)[:, 0] * sam.side
    decode_shifted(sam, embedding, points, slot_labels(4).expand(B, -1), shift(embedding)[:, 0]).square().mean().backward()
    for name, parameter in [*module.named_parameters(), *shift.named_parameters()]:
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name
    assert all(p.grad is None for p in sam.parameters())


def test_a_shift_begins_at_zero_or_at_random():
    embedding = torch.randn(2, 32, 3, 3)
    assert PatternShift(32)(embedding).count_nonzero() == 0
    assert PatternShift(32, zero=False)(embedding).count_nonzero() == 2 * 4 * 32


def test_the_shifts_last_layer_learns_from_zero(sam):
    embedding, _, _ = encoded(sam)
    shift = PatternShift(32)
    decode_shifted(sam, embedding, *prompts(sam), shift(embedding)[:, 0]).square().mean().backward()
    assert shift.lin2.weight.grad.abs().max() > 0


@pytest.mark.parametrize("form", FORMS)
def test_classes_are_groups_of_slots_on_a_shared_trunk(sam, form):
    """Of a module for three classes, the weights of one class alone give that class's points."""
    _, features, widths = encoded(sam)
    three = finder(form, widths, points=4, classes=3)
    one = point_module(form, widths, points=4).eval()
    for k in range(3):
        state = three.state_dict()
        per_slot = ("head.weight", "head.bias") if form == "resnet" else ("query_feat.weight", "query_embedding.weight")
        for name in per_slot:
            state[name] = state[name].chunk(3)[k]
        one.load_state_dict(state)
        assert torch.allclose(one(features)[:, 0], three(features)[:, k], atol=1e-6)


def test_each_class_has_its_own_shift(sam):
    embedding, _, _ = encoded(sam)
    shift = shifter(classes=3)(embedding)
    assert shift.shape == (B, 3, 4, 32)
    assert not torch.allclose(shift[:, 0], shift[:, 1])


def test_sizes_at_vit_b():
    """Weights of the release, without those that it holds and never uses."""
    sizes = {}
    for form in FORMS:
        with torch.device("meta"):
            sizes[form] = sum(p.numel() for p in point_module(form, (768,) * 3).parameters())
    assert sizes["resnet"] == 28_716_448 - (512 * 1024 + 1024)
    assert sizes["cross"] == 44_308_994 - 3 * 2 * 768
    assert 2e6 < sizes["light"] < 3e6
    assert sum(p.numel() for p in PatternShift().parameters()) == 1_312_768


@pytest.mark.parametrize("widths", [(8, 12, 12), (10, 10, 10), (7, 7, 9)])
def test_the_cross_form_projects_only_narrower_features(widths):
    module = point_module("cross", widths)
    common = module.level_embedding.weight.shape[1]
    assert common % 4 == 0
    assert [isinstance(p, torch.nn.Identity) for p in module.project] == [w == common for w in widths]
    module([torch.randn(2, 4, 4, w) for w in widths])


def test_features_of_several_sizes_meet_at_the_coarsest_by_area():
    fine, coarse = torch.arange(16.0).reshape(1, 4, 4, 1), torch.randn(1, 2, 2, 3)
    for order in ((fine, coarse), (coarse, fine)):
        maps = as_maps(order)
        assert [m.shape[-2:] for m in maps] == [(2, 2)] * 2
    assert torch.equal(maps[0], coarse.permute(0, 3, 1, 2))
    assert maps[1].flatten().tolist() == [2.5, 4.5, 10.5, 12.5]


# Slots


@pytest.mark.parametrize(("points", "positive"), [(1, 0), (3, 1), (5, 2), (16, 8)])
def test_the_first_half_of_the_slots_is_positive(points, positive):
    assert slot_labels(points).tolist() == [1] * positive + [0] * (points - positive)


@pytest.mark.parametrize("part", [slice(0, 8), slice(8, 16)])
def test_anchors_of_either_label_cover_the_image(part):
    place = anchors(16)[part]
    assert ((place > 0) & (place < 1)).all()
    quadrants = {(x > 0.5, y > 0.5) for x, y in place.tolist()}
    assert len(quadrants) == 4
    assert torch.cdist(place, place).fill_diagonal_(1).min() > 0.1


@pytest.mark.parametrize("form", FORMS)
def test_anchored_points_begin_apart(sam, form):
    _, features, widths = encoded(sam)
    plain, anchored = finder(form, widths), finder(form, widths, anchored=True)
    assert plain.state_dict().keys() == anchored.state_dict().keys()
    assert not torch.allclose(plain(features), anchored(features), atol=1e-3)
    for module in (plain, anchored):
        torch.nn.init.zeros_(module.head.weight)
        torch.nn.init.zeros_(module.head.bias)
    assert torch.equal(plain(features), torch.full((B, 1, 16, 2), 0.5))
    assert torch.equal(anchored(features), anchors(16).expand(B, 1, -1, -1))


def test_anchored_points_reach_all_of_the_image_and_keep_their_gradient():
    slots = Slots(1, 16, anchored=True)
    for extreme in (-20.0, 20.0):
        points = slots(torch.full((1, 1, 16, 2), extreme))
        assert torch.allclose(points, torch.tensor(float(extreme > 0)).expand_as(points), atol=1e-6)
    raw = torch.linspace(-3, 3, 13).reshape(13, 1, 1, 1).expand(-1, 1, 16, 2).clone().requires_grad_()
    slots(raw).sum().backward()
    assert (raw.grad > 0).all()


def test_half_precision_does_not_round_points():
    raw = torch.tensor([0.37, -1.1]).bfloat16().reshape(1, 1, 1, 2)
    assert torch.equal(Slots(1, 1, anchored=False)(raw), raw.float().sigmoid())


# Taps


def vit(depth, global_blocks):
    return VisionTransformer(replace(tiny_sam.VIT, depth=depth, global_blocks=global_blocks))


@pytest.mark.parametrize(
    ("depth", "global_blocks", "taps"),
    [
        (12, (2, 5, 8, 11), (5, 8, 11)),
        (24, (5, 11, 17, 23), (11, 17, 23)),
        (32, (7, 15, 23, 31), (15, 23, 31)),
        (3, (1,), (0, 1, 2)),
    ],
    ids=["b", "l", "h", "one global block"],
)
def test_taps_of_plain_vits(depth, global_blocks, taps):
    assert default_taps(vit(depth, global_blocks)) == taps


def test_taps_of_tinyvit():
    assert default_taps(TinyVit(tiny_sam.TINYVIT)) == (1, 2, 3)


@pytest.mark.parametrize(
    "encoder",
    [
        VisionTransformer(tiny_sam.VIT),
        TinyVit(tiny_sam.TINYVIT),
        TinyVit(replace(tiny_sam.TINYVIT, side=64, stem_stride=4, widths=(8, 16, 20, 320))),
    ],
    ids=["vit", "tinyvit", "tinyvit that keeps its resolution"],
)
def test_tap_shapes_are_those_of_the_features(encoder):
    blocks = range(len(encoder.blocks))
    _, features = encoder.eval().features(torch.randn(1, 3, encoder.side, encoder.side), blocks)
    assert [(s.grid, s.grid, s.width) for s in tap_shapes(encoder, blocks)] == [tuple(f.shape[1:]) for f in features]


def test_taps_that_cannot_be():
    with pytest.raises(InvalidConfig, match="after block 3"):
        tap_shapes(vit(3, ()), (1, 2, 3))
    with pytest.raises(InvalidConfig, match="with 2 blocks"):
        default_taps(vit(2, (0, 1)))
    with pytest.raises(InvalidConfig, match="of the kind Linear"):
        default_taps(torch.nn.Linear(1, 1))


# Decoding


def test_a_zero_start_is_sam_itself(sam):
    embedding, _, _ = encoded(sam)
    given = prompts(sam)
    vanilla, _ = sam.decode(embedding, *given)
    zero = PatternShift(32)(embedding)[:, 0].detach()
    plain, shifted = (decode_shifted(sam, embedding, *given, shift) for shift in (None, zero))
    assert torch.equal(plain, shifted)
    assert torch.allclose(plain, vanilla[:, 1], atol=1e-5)
    moved = decode_shifted(sam, embedding, *given, shifter()(embedding)[:, 0])
    assert not torch.allclose(moved, plain, atol=1e-3)


def test_a_batch_is_decoded_like_its_images(sam):
    embedding, _, _ = encoded(sam)
    points, labels = prompts(sam)
    shift = shifter()(embedding)[:, 0]
    together = decode_shifted(sam, embedding, points, labels, shift)
    for i in range(B):
        alone = slice(i, i + 1)
        found = decode_shifted(sam, embedding[alone], points[alone], labels[alone], shift[alone])
        assert torch.allclose(found, together[alone], atol=1e-4)


def test_one_embedding_and_shift_serve_many_prompts(sam):
    embedding, _, _ = encoded(sam)
    given, shift = prompts(sam), shifter()(embedding)[:1, 0]
    repeated = decode_shifted(sam, embedding[:1].expand(B, -1, -1, -1), *given, shift.expand(B, -1, -1))
    assert torch.allclose(decode_shifted(sam, embedding[:1], *given, shift), repeated, atol=1e-5)


@pytest.mark.parametrize("token", range(4))
def test_only_the_wanted_mask_is_drawn(sam, token):
    embedding, _, _ = encoded(sam)
    given, asked = prompts(sam), []
    for index, mlp in enumerate(sam.mask_decoder.output_hypernetworks_mlps):
        mlp.register_forward_hook(lambda *_, index=index: asked.append(index))
    found = decode_shifted(sam, embedding, *given, token=token)
    assert asked == [token]
    assert torch.allclose(found, sam.decode(embedding, *given)[0][:, token], atol=1e-5)


def test_boxes_masks_and_no_prompt_at_all(sam):
    embedding, _, _ = encoded(sam)
    points, labels = prompts(sam)
    box = torch.tensor([[3.0, 4.0, 20.0, 25.0]]).expand(B, -1)
    mask = torch.randn(B, 1, 4 * sam.image_encoder.grid, 4 * sam.image_encoder.grid, generator=torch.Generator().manual_seed(3))
    answers = [decode_shifted(sam, embedding)]
    for more in ({"boxes_xyxy": box}, {"masks": mask}, {"boxes_xyxy": box, "masks": mask}):
        answers.append(decode_shifted(sam, embedding, points, labels, **more))
        assert torch.allclose(answers[-1], sam.decode(embedding, points, labels, **more)[0][:, 1], atol=1e-5)
    assert torch.allclose(answers[0][1:2], sam.decode(embedding[1:2])[0][:, 1], atol=1e-5)
    for i, answer in enumerate(answers):
        assert all(not torch.allclose(answer, other, atol=1e-3) for other in answers[:i])


def test_positions_keep_full_precision_under_autocast(sam):
    embedding, _, _ = encoded(sam)
    points, labels = prompts(sam)
    seen = []
    sam.mask_decoder.transformer.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    decode_shifted(sam, embedding, points, labels)
    with torch.autocast("cpu", torch.bfloat16):
        decode_shifted(sam, embedding, points, labels)
    assert torch.equal(seen[0], seen[1])


# Distances


def test_the_map_of_a_mask_is_signed_and_a_share_of_the_longer_side():
    mask = np.zeros((4, 10), bool)
    mask[:, :3] = True
    assert np.allclose(signed_distance(mask), (np.arange(10) - 2.5) / 10)
    assert np.array_equal(signed_distance(~mask), -signed_distance(mask))


@pytest.mark.parametrize(("value", "distance"), [(False, 1.0), (True, -1.0)])
def test_empty_and_full_masks_are_one_side_from_any_border(value, distance):
    assert np.array_equal(signed_distance(np.full((3, 5), value)), np.full((3, 5), distance, np.float32))


def left_half(side=8):
    mask = np.zeros((side, side), bool)
    mask[:, : side // 2] = True
    return torch.from_numpy(signed_distance(mask))[None, None]


@pytest.mark.parametrize(("label", "x", "loss"), [(1, 10, 0), (1, 50, 0.28125), (0, 50, 0), (0, 10, 0.34375)])
def test_points_pay_for_the_wrong_side(label, x, loss):
    """In a frame of 64 pixels the border lies at 31.5: half a pixel before pixel 32."""
    points = torch.tensor([[[[float(x), 30.0]]]])
    found = distance_loss(points, torch.tensor([label]), left_half(), 64)
    assert found.item() == pytest.approx(abs(x - 31.5) / 64 if loss else 0, abs=1e-6)
    assert found.item() == pytest.approx(loss, abs=0.01)


@pytest.mark.parametrize(("label", "x", "direction"), [(1, 50, -1), (0, 10, 1)])
def test_the_gradient_leads_points_over_the_border(label, x, direction):
    points = torch.tensor([[[[float(x), 30.0]]]], requires_grad=True)
    distance_loss(points, torch.tensor([label]), left_half(), 64).backward()
    assert torch.sign(-points.grad[..., 0]).item() == direction
    assert abs(points.grad[..., 1].item()) < 1e-6


def test_each_class_has_its_own_map():
    points = torch.tensor([[[[50.0, 30.0]], [[50.0, 30.0]]]])
    both = torch.cat([left_half(), left_half().flip(3)], 1)
    found = distance_loss(points, torch.tensor([1]), both, 64)
    assert found.item() == pytest.approx(18.5 / 64 / 2, abs=1e-6)
