"""The networks of ProMISe-3D on tiny models: what they promise beside the values recorded from the release."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import tiny_sam
from promisam.core.errors import InvalidConfig
from promisam.methods.promise3d.attention import attend, windows
from promisam.methods.promise3d.config import Config
from promisam.methods.promise3d.decoder import CubeDecoder, shrunk
from promisam.methods.promise3d.encoder import CubeEncoder
from promisam.methods.promise3d.losses import boundary_map, click_loss
from promisam.methods.promise3d.network import Network
from promisam.methods.promise3d.patches import embed_cubes
from promisam.methods.promise3d.vit import VolumeVit
from promisam.sam.attention import offsets
from promisam.sam.model import fingerprint
from promisam.sam.picture import frozen

SMALL = {"patch": 16, "window": 3, "neck": 16, "decoder": 8, "queries": 3, "prompt_mlp": 12}  # a grid of 4: padded windows
CPU = torch.device("cpu")


def made(**options):
    """An encoder and a network whose every weight does something."""
    sam = frozen(tiny_sam.tiny())
    config = Config(**{**SMALL, **options})
    encoder = VolumeVit(sam.image_encoder, config)
    network = Network(encoder, config)
    tiny_sam.randomise(network, 1)
    return sam, encoder, network


def asked(b=1, side=16, n=3):
    """Cubes, points, labels and maps of clicks."""
    generator = torch.Generator().manual_seed(3)
    cubes = torch.randn(b, 1, side, side, side, generator=generator)
    points = torch.rand(b, n, 3, generator=generator) * side - 0.5
    labels = torch.randint(0, 2, (b, n), generator=generator)
    return cubes, points, labels, torch.rand(b, 2, side, side, side, generator=generator)


def truth(b=1, side=16):
    mask = torch.zeros(b, side, side, side)
    mask[:, 5:11, 4:10, 6:12] = 1
    return mask


def answer(encoder, network, given):
    cubes, points, labels, maps = given
    return network(encoder, cubes, points, labels, maps if encoder.config.click_map else None)


# Patches


@pytest.mark.parametrize(("side", "enlargement"), [(16, 4), (16, 2), (32, 1), (8, 8), (16, 3), (16, 5)])
def test_tokens_are_those_of_the_enlarged_cube_and_so_are_gradients(side, enlargement):
    torch.manual_seed(0)
    patch, depth = nn.Conv2d(3, 7, 16, stride=16).requires_grad_(False), nn.Conv1d(7, 7, 16, stride=16, groups=7)
    cubes = torch.randn(2, 1, side, side, side)
    found = embed_cubes(cubes, patch, depth, enlargement)
    mine = torch.autograd.grad(found.sin().sum(), [depth.weight, depth.bias])
    large = F.interpolate(cubes, scale_factor=float(enlargement), mode="trilinear").expand(-1, 3, -1, -1, -1)
    slices = patch(large.transpose(1, 2).flatten(0, 1)).unflatten(0, (2, -1))
    wanted = depth(slices.permute(0, 3, 4, 2, 1).flatten(0, 2))
    wanted = wanted.unflatten(0, (2, *slices.shape[3:])).permute(0, 1, 2, 4, 3)
    theirs = torch.autograd.grad(wanted.sin().sum(), [depth.weight, depth.bias])
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)


def test_cubes_of_no_whole_number_of_tokens_are_refused():
    with pytest.raises(InvalidConfig, match="multiple of 16"):
        made(patch=12, enlargement=1)


@pytest.mark.parametrize("patch", [16, 20, 24])
def test_places_of_sam_at_a_grid_of_ones_own(patch):
    """Its table is 5 x 5: interpolated to 4 x 4, taken as it is, interpolated to 6 x 6."""
    sam, encoder, _ = made(patch=patch)
    grid, table = patch // 4, sam.image_encoder.pos_embed
    wanted = F.interpolate(table.permute(0, 3, 1, 2), (grid, grid), mode="bilinear").permute(0, 2, 3, 1)
    torch.testing.assert_close(encoder._positions(), wanted)
    sam.image_encoder.pos_embed = nn.Parameter(torch.randn(1, 2 * grid, 2 * grid, 24), requires_grad=False)
    torch.testing.assert_close(encoder._positions()[0, 1, 0], sam.image_encoder.pos_embed[0, 2:4, :2].mean((0, 1)))


# Windows


@pytest.mark.parametrize(("grid", "side"), [(4, 2), (6, 3), (5, 3), (7, 4), (4, 4), (3, 5)])
@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("learning", [False, True])
def test_tokens_see_what_shares_their_window_and_nothing_else(grid, side, shifted, learning):
    sam, encoder, _ = made()
    attention, table = sam.image_encoder.blocks[0].attn, encoder.learned.blocks[0].rel_pos_d
    tokens = torch.randn(grid**3, 24, generator=torch.Generator().manual_seed(0))
    cut = windows(grid, side, shifted=shifted, device=CPU)
    inside = torch.cat([tokens, torch.zeros(1, 24)])[cut.tokens]
    with torch.set_grad_enabled(learning):
        found = attend(inside, attention, table, cut.side, cut.regions).flatten(0, 1)[cut.places]
    with torch.no_grad():
        wanted = pairwise(tokens, attention, table, grid, min(side, grid), shifted)
    torch.testing.assert_close(found.detach(), wanted, atol=1e-5, rtol=1e-4)


def pairwise(tokens, attention, table, grid, side, shifted):
    """One number for each pair of tokens of the whole cube."""
    place = torch.cartesian_prod(*[torch.arange(grid)] * 3)
    shift = side // 2 if shifted and grid > side else 0
    home = (place - shift).div(side, rounding_mode="floor")
    apart = (home[:, None] != home).any(-1)
    q, k, v = attention.qkv(tokens).view(-1, 3, attention.heads, 12).permute(1, 2, 0, 3)
    scores = q @ k.transpose(1, 2) / 12**0.5
    for axis, rows in enumerate((attention.rel_pos_h, attention.rel_pos_w, table)):
        off = (place[:, None, axis] - place[None, :, axis]).clamp(1 - side, side - 1) + side - 1
        near = torch.zeros(2 * side - 1, 12)
        for i, j in itertools.product(range(side), repeat=2):
            near[i - j + side - 1] = offsets(rows, side)[i, j]
        scores = scores + torch.einsum("mqc,qkc->mqk", q, near[off])
    out = scores.masked_fill(apart, -torch.inf).softmax(-1) @ v
    return attention.proj(out.transpose(0, 1).flatten(1))


def test_what_is_cut_at_rest_serves_learning():
    windows.cache_clear()
    with torch.inference_mode():
        windows(4, 2, shifted=True, device=CPU)
    cut = windows(4, 2, shifted=True, device=CPU)
    assert not cut.regions.is_inference()
    assert not cut.places.is_inference()


# The whole network


def test_it_keeps_its_protocol():
    _, encoder, _ = made()
    assert isinstance(encoder, CubeEncoder)
    assert encoder.channels == 16
    assert encoder.grid == 4
    assert [f.shape for f in encoder.features(asked()[0])] == [(1, 16, 4, 4, 4)] * 4


@pytest.mark.parametrize("options", [{}, {"mode": "official"}, {"click_map": True, "path": "R"}, {"patch": 24, "window": 2}])
def test_a_batch_is_its_cubes_at_rest_and_learning(options):
    _, encoder, network = made(**options)
    given = asked(2, encoder.config.patch)
    with torch.no_grad():
        at_rest = answer(encoder, network, given)
        for i in range(2):
            alone = answer(encoder, network, [part[i : i + 1] for part in given])
            torch.testing.assert_close(alone, at_rest[i : i + 1], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(at_rest[0], at_rest[1], atol=1e-2)
    torch.testing.assert_close(answer(encoder, network, given).detach(), at_rest, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_as_released_the_stream_is_added_twice_behind_a_block():
    tokens = torch.randn(1, 4, 4, 4, 24, generator=torch.Generator().manual_seed(0))
    outcomes = {}
    for mode in ("paper", "official"):
        _, encoder, _ = made(mode=mode)
        outcomes[mode] = encoder.block(1, tokens.clone())
    encoder._pairs[1][0].back = None
    torch.testing.assert_close(outcomes["official"], outcomes["paper"] + encoder.block(1, tokens.clone()))


def test_what_is_seen_once_answers_further_clicks():
    for click_map in (False, True):
        _, encoder, network = made(click_map=click_map)
        first, second = asked(1), asked(1, n=2)
        with torch.no_grad():
            seen = network.look(encoder.features(first[0]), first[0])
            for _, points, labels, maps in (first, second, first):
                told = maps if click_map else None
                wanted = network(encoder, seen.cubes, points, labels, told)
                torch.testing.assert_close(network.reply(seen, points, labels, told), wanted)


def test_points_that_pad_change_nothing_and_kinds_of_clicks_do():
    _, encoder, network = made()
    cubes, points, labels, _ = asked(1)
    with torch.no_grad():
        plain = network(encoder, cubes, points, labels)
        padded = torch.cat([points, torch.full((1, 2, 3), 5.0)], 1)
        more = torch.cat([labels, torch.full((1, 2), -1)], 1)
        torch.testing.assert_close(network(encoder, cubes, padded, more), plain, atol=1e-5, rtol=1e-5)
        assert not torch.allclose(network(encoder, cubes, padded, more.clamp(min=0)), plain, atol=1e-3)
        assert not torch.allclose(network(encoder, cubes, points, 1 - labels), plain, atol=1e-3)
        assert network(encoder, cubes, padded, torch.full_like(more, -1)).isfinite().all()
    begun = Network(encoder, encoder.config).prompts
    assert begun.kinds.count_nonzero() == 0


def test_without_labels_kinds_of_clicks_are_one():
    for options in ({"labels": False}, {"mode": "official"}):
        _, encoder, network = made(**options)
        cubes, points, labels, _ = asked(1)
        with torch.no_grad():
            assert torch.equal(network(encoder, cubes, points, labels), network(encoder, cubes, points, 1 - labels))


def test_the_loss_reaches_every_weight_and_never_the_sam():
    sam, encoder, network = made(labels=True)
    before = fingerprint(sam)
    given = asked(2)
    optimiser = torch.optim.AdamW(network.parameters(), 1e-2)
    sum(click_loss(answer(encoder, network, given), truth(2), encoder.config).values()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name
    optimiser.step()
    assert fingerprint(sam) == before
    assert all(p.grad is None for p in sam.parameters())


def test_checkpointing_computes_blocks_twice_and_the_same_gradients(monkeypatch):
    grads, runs = [], []
    for checkpointing in (False, True):
        _, encoder, network = made(checkpointing=checkpointing)
        count, block = [], encoder.block
        monkeypatch.setattr(encoder, "block", lambda *told, count=count, block=block: count.append(0) or block(*told))
        sum(click_loss(answer(encoder, network, asked()), truth(), encoder.config).values()).backward()
        grads.append([p.grad for p in network.parameters()])
        runs.append(len(count))
        with torch.no_grad():
            encoder.features(asked()[0])
        assert len(count) == runs[-1] + 3
    assert runs == [3, 6]
    for plain, again in zip(*grads, strict=True):
        torch.testing.assert_close(plain, again)


def test_bfloat16_answers_nearly_the_same_and_learns():
    _, encoder, network = made()
    given = asked(2)
    exact = answer(encoder, network, given).detach()
    with torch.autocast("cpu", torch.bfloat16):
        with torch.no_grad():
            near = answer(encoder, network, given)
        logits = answer(encoder, network, given)
    assert near.dtype == torch.float32
    for found in (near, logits):
        assert 0 < (found - exact).abs().max() < 0.25 * exact.std()
    sum(click_loss(logits, truth(2), encoder.config).values()).backward()
    assert all(p.grad.isfinite().all() for p in network.parameters())


OPTIONS = {
    "mode": "official",
    "enlargement": 2,
    "window": 2,
    "adapters": 1,
    "neck": 8,
    "decoder": 4,
    "upsampling": "trilinear",
    "path": "R",
    "queries": 4,
    "prompt_mlp": 16,
    "labels": False,
    "click_map": True,
}


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_of_the_networks_acts(name):
    assert torch.equal(outcome(), outcome())
    assert not torch.allclose(outcome(), outcome(**{name: OPTIONS[name]}), atol=1e-3)
    if name in {"adapters", "path"}:
        third = outcome(**{name: 0 if name == "adapters" else "none"})
        assert not torch.allclose(third, outcome(**{name: OPTIONS[name]}), atol=1e-3)


@torch.no_grad()
def outcome(**options):
    _, encoder, network = made(**options)
    return answer(encoder, network, asked())


# The decoder


@pytest.mark.parametrize("upsampling", ["transposed", "trilinear"])
@pytest.mark.parametrize("path", ["C", "R", "none"])
@pytest.mark.parametrize("click_map", [False, True])
def test_maps_need_not_lie_side_by_side(upsampling, path, click_map):
    decoder = CubeDecoder(Config(**SMALL, upsampling=upsampling, path=path, click_map=click_map))
    tiny_sam.randomise(decoder)
    features = [torch.randn(2, 16, 4, 4, 4) for _ in range(4)]
    cubes, _, _, maps = asked(2)
    small = shrunk(torch.cat([cubes, maps], 1) if click_map else cubes, 8)
    beside = {"C": lambda: [decoder.path(small), small], "R": lambda: [decoder.path(small)], "none": lambda: [small]}[path]()
    branches = [branch(feature) for branch, feature in zip(decoder.branches, features, strict=True)]
    low = decoder.head(decoder.mix(torch.cat([*branches, *beside], 1)))
    wanted = F.interpolate(low, (16,) * 3, mode="trilinear", align_corners=True).permute(0, 1, 4, 2, 3)
    torch.testing.assert_close(decoder(features, cubes, maps if click_map else None), wanted, atol=1e-4, rtol=1e-4)


# The loss


def test_the_boundary_of_a_flat_face_is_two_and_two_samples_wide():
    half = torch.zeros(1, 12, 12, 12)
    half[..., 6:] = 1
    profile = torch.tensor([0, 0, 0, 0, 0.2, 0.4, 0.4, 0.2, 0, 0, 0, 0])
    for plane in ("slices", "all"):
        torch.testing.assert_close(boundary_map(half, plane)[0, 6, 6], profile)
    assert boundary_map(half, "released").count_nonzero() == 0
    lying = half.permute(0, 3, 1, 2)
    torch.testing.assert_close(boundary_map(lying, "released")[0, :, 6, 6], profile)
    assert boundary_map(lying, "slices").count_nonzero() == 0
    edge = boundary_map(torch.ones(1, 12, 12, 12), "released", zeros_outside=True)
    torch.testing.assert_close(edge[0, [0, 0], [6, 0], 6], torch.tensor([0.4, 0.64]))


@pytest.mark.parametrize("plane", ["slices", "released", "all"])
def test_a_perfect_answer_costs_nothing_wherever_the_object_lies(plane):
    mask = torch.zeros(1, 12, 12, 12)
    mask[:, :5, 3:, 4:9] = 1
    perfect = 500 * torch.stack([1 - 2 * mask, 2 * mask - 1], 1)
    parts = click_loss(perfect, mask, Config(boundary_plane=plane))
    assert {name: float(value) for name, value in parts.items()} == {"dice": 0, "ce": 0, "boundary": 0}
    assert click_loss(perfect, mask, Config(mode="official"))["boundary"] > 0.1
    wrong = click_loss(-perfect, mask, Config(boundary_plane=plane, boundary=0.0))
    assert wrong["boundary"] == 0
    assert wrong["dice"] > 0.49
    assert wrong["ce"] > 100


def test_parts_of_the_loss_are_means_over_cubes_and_the_boundary_is_asked_where_there_is_one():
    logits = torch.randn(2, 2, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    masks = torch.zeros(2, 8, 8, 8)
    masks[0, 2:5, 2:6, 3:6] = 1
    for config in (Config(), Config(mode="official")):
        both = click_loss(logits, masks, config)
        alone = [click_loss(logits[i : i + 1], masks[i : i + 1], config) for i in range(2)]
        assert alone[1]["boundary"] == 0
        for name, value in both.items():
            torch.testing.assert_close(value, (alone[0][name] + alone[1][name]) / 2)


def test_options_of_the_loss_act():
    logits = torch.randn(1, 2, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(1, 8, 8, 8)
    mask[:, 2:5, 2:6, 3:6] = 1
    configs = [Config(), Config(boundary=1.0), Config(boundary_plane="released"), Config(boundary_plane="all")]
    found = [float(click_loss(logits, mask, config)["boundary"]) for config in [*configs, Config(mode="official")]]
    assert len(set(found)) == 5
    assert found[0] == pytest.approx(10 * found[1])
