"""I-MedSAM: what its parts promise beside the values recorded from the release."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from geometries import oblique
from promisam.adapters import Adapted, LowRank, amplitude
from promisam.core import Grid, Image, Labelled, Prompts, Segmentation, Task, predict
from promisam.core.errors import GridMismatch, InvalidConfig, InvalidPrompt, WeightsError
from promisam.methods.imedsam import Config, IMedSam
from promisam.methods.imedsam.answering import PictureField
from promisam.methods.imedsam.codes import OfficialCode, PaperCode
from promisam.methods.imedsam.official import official_field, ours, split_official
from promisam.methods.imedsam.places import Taps, at_places
from promisam.methods.imedsam.samples import drawn, kept_truth
from promisam.methods.plain_sam import PlainSam
from promisam.sam.architecture import build, infer
from promisam.sam.model import Traits
from promisam.spatial.slices import SliceWise
from promisam.store import Source, import_released
from promisam.store.loading import load
from tiny_sam import randomise, tiny

SHAPE = (40, 61)
TASK = Task(("object",), 2, 1, (1.0, 1.0), SHAPE)
TWO = Task(("liver", "spleen"), 2, 1, (1.0, 1.0), SHAPE)


def picture(shape=SHAPE):
    y, x = np.indices(shape)
    inside = ((y / shape[0] - 0.5) / 0.3) ** 2 + ((x / shape[1] - 0.4) / 0.25) ** 2 < 1
    return Image((40 + 10 * np.sin(x / 2) + 120 * inside).astype(np.int16)[None], Grid.of_picture(shape))


def box(image, target=""):
    h, w = image.grid.shape
    return Prompts(image.grid, box_zyx=np.array([[h * 0.2, w * 0.15], [h * 0.8, w * 0.65]]), target=target)


def made(encoder="vit", task=TASK, seed=0, **options):
    """A method whose every weight does something."""
    method = IMedSam(tiny(encoder), Config(**options), task)
    randomise(method.network, seed)
    method.network.eval()
    return method


def field(method, image=None, **changes):
    image = picture() if image is None else image
    found = method.field(method.encode(image), box(image, method.classes[0]))
    for name, value in changes.items():
        object.__setattr__(found, name, value)
    return found


# Adapters


def test_a_term_begins_at_nothing_and_merges_into_the_weight():
    torch.manual_seed(0)
    linear = torch.nn.Linear(6, 9)
    layer, x = Adapted(linear, LowRank(6, 9, [torch.arange(0, 3), torch.arange(6, 9)], 2)), torch.randn(2, 5, 6)
    assert torch.equal(layer(x), linear(x))
    randomise(layer.term)
    before = layer(x)
    assert torch.equal(before[..., 3:6], linear(x)[..., 3:6])  # keys
    assert (before - linear(x)).abs().max() > 0.1
    weight = linear.weight.clone()
    layer.merge()
    assert torch.allclose(layer(x), before, atol=1e-6)
    assert torch.equal(linear.weight, weight)
    layer.unmerge()
    assert torch.equal(layer(x), before)


def test_a_gated_term_cannot_be_merged():
    layer = Adapted(torch.nn.Linear(6, 9), LowRank(6, 9, [torch.arange(3)], 2, gated=True))
    with pytest.raises(InvalidConfig, match="gate"):
        layer.merge()


@pytest.mark.parametrize("encoder", ["vit", "tinyvit"])
@pytest.mark.parametrize("options", [{"spectrum": "none"}, {"injection": "learned"}])
def test_an_encoder_that_has_learned_nothing_is_the_frozen_one(encoder, options):
    sam = tiny(encoder)
    method = IMedSam(sam, Config(**options), TASK)
    images = torch.randn(2, 3, sam.side, sam.side, generator=torch.Generator().manual_seed(0))
    early = method._encoder.early(images)
    with torch.no_grad():
        found = method._encoder.late(early, None if options.get("spectrum") else method._encoder.early(-images))
        assert torch.allclose(found, sam.image_encoder(images), atol=1e-5)
        with method._encoder.merged():
            assert torch.allclose(method._encoder.late(early, None), found, atol=1e-5)


@pytest.mark.parametrize("encoder", ["vit", "tinyvit"])
def test_queries_and_values_change_and_keys_do_not(encoder):
    method = made(encoder)
    block = next(iter(method._encoder._blocks()))
    width = block.attn.qkv.linear.in_features
    x = torch.randn(1, 4, width, generator=torch.Generator().manual_seed(0))
    added = block.attn.qkv.term(x)[0]
    if encoder == "tinyvit":
        q, k, v = added.view(4, block.attn.heads, 3, -1).permute(2, 0, 1, 3)
    else:
        q, k, v = added.view(4, 3, -1).permute(1, 0, 2)
    assert k.abs().max() == 0
    assert min(q.abs().max(), v.abs().max()) > 1e-3


def test_amplitudes():
    image = torch.rand(1, 3, 20, 30, generator=torch.Generator().manual_seed(0)) * 255
    luminance, red, log = amplitude(image), amplitude(image, "red"), amplitude(image, log=True)
    for found in (luminance, red, log):
        assert found.shape == (1, 1, 20, 30)
        assert found.min() == 0
        assert found.max() == 1
        assert found.argmax() == 10 * 30 + 15  # the zero frequency, in the middle
    assert torch.equal(amplitude(image.flip(1), "red"), amplitude(image[:, 2:].expand(-1, 3, -1, -1), "red"))
    assert log.mean() > 5 * luminance.mean()
    assert amplitude(torch.full((1, 3, 8, 8), 7.0)).isfinite().all()


# Places and codes


def test_maps_between_their_cells_are_as_when_they_are_resized():
    maps = torch.randn(1, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    wanted = torch.nn.functional.interpolate(maps, (11, 9), mode="bilinear")[0]
    y, x = ((2 * torch.arange(n) + 1) / n - 1 for n in (11, 9))
    found = at_places(maps, torch.cartesian_prod(y, x)[None])[0].T.view(3, 11, 9)
    assert torch.allclose(found, wanted, atol=1e-5)
    last = maps[0].permute(1, 2, 0)
    assert torch.allclose(Taps.of(x, 7).columns(Taps.of(y, 5).rows(last)).permute(2, 0, 1), wanted, atol=1e-5)


@pytest.mark.parametrize("code", [PaperCode(6), OfficialCode()])
def test_codes_tell_places_apart_and_are_sums_over_rows_and_columns(code):
    y, x = torch.tensor([-0.9, 0.1, 0.1]), torch.tensor([0.3, 0.3, -0.7])
    found = code.rows(y) + code.columns(x)
    assert found.shape == (3, code.dims)
    assert len(torch.unique(found, dim=0)) == 3
    assert not ((code.rows(y) != 0) & (code.columns(x) != 0)).any()


def test_the_papers_formula():
    found = PaperCode(2).rows(torch.tensor([0.3]))[0, :4]
    angles = torch.tensor([0.3, 0.6]) * torch.pi
    assert torch.allclose(found, torch.cat([angles.sin(), angles.cos()]))


# The field


@pytest.mark.parametrize("mode", ["paper", "official"])
@pytest.mark.parametrize("shape", [(1, 1), (13, 96), (96, 13), (128, 128)])
def test_any_size_is_answered(mode, shape):
    one = field(made(mode=mode))
    found = one.on(one.grid.resample(shape))
    assert found.logits.shape == (1, *shape)
    assert np.isfinite(found.logits).all()


@pytest.mark.parametrize("mode", ["paper", "official"])
def test_chunks_change_nothing(mode):
    method = made(mode=mode)
    grid = picture().grid.resample((70, 90))
    whole = field(method, chunk=100_000).on(grid).logits
    for chunk in (1, 500, 1777):
        assert np.allclose(field(method, chunk=chunk).on(grid).logits, whole, atol=2e-5)


def test_the_fine_network_answers_exactly_its_share():
    method = made()
    both = field(method).on(picture().grid).logits
    method.network.field.share = 0.0
    coarse = field(method).on(picture().grid).logits
    assert (both != coarse).sum() == int(0.125 * 40 * 61)


def test_uncertainty_is_alive_and_seeded():
    method = made(prior=False)
    one = field(method)
    uncertain = one._coarse(lattice_of(one))[1]
    assert (uncertain > 0).float().mean() > 0.99
    assert uncertain.std() > 0
    assert torch.equal(uncertain, field(method)._coarse(lattice_of(one))[1])
    for changes in ({"seed": 7},):
        assert not torch.equal(uncertain, field(method, **changes)._coarse(lattice_of(one))[1])
    many = made(prior=False, passes=16)
    assert not torch.equal(uncertain, field(many)._coarse(lattice_of(one))[1])


def lattice_of(one):
    from promisam.methods.imedsam.answering import _Lattice

    return _Lattice.of(one, one.grid)


@pytest.mark.parametrize("mode", ["paper", "official"])
def test_places_alone_are_answered_like_the_lattice(mode):
    one = field(made(mode=mode, sampling=0.125 if mode == "paper" else 0.0))
    points = np.argwhere(np.ones(SHAPE)).astype(np.float64)
    gap = np.abs(one.at(points) - one.on(one.grid).logits.ravel())
    tolerance = 2e-4 if mode == "paper" else 2e-2  # as far as the release's large angles allow
    assert (gap < tolerance).mean() > 0.999  # where the two uncertainties differ in the last bit, the other network may answer
    assert len(one.at(np.zeros((0, 2)))) == 0


def test_in_official_mode_the_answer_is_the_released_one():
    method = made(mode="official")
    one = field(method)
    h, w = SHAPE
    y, x = ((2 * torch.arange(n) + 1) / n - 1 for n in SHAPE)
    codes = torch.cartesian_prod(torch.linspace(-1, 1, h), torch.linspace(-1, 1, w))
    places = torch.cartesian_prod(y, x)[None]
    parts = [at_places(one.canvas[None], places)[0], at_places(one.positions[None], places)[0]]
    inputs = torch.cat([*parts, method.code.rows(codes[:, 0]) + method.code.columns(codes[:, 1])], -1)
    with torch.no_grad():
        _, merged, _ = official_field(method.network.field, inputs, 0)
    assert np.allclose(one.on(one.grid).logits.ravel(), merged.numpy(), atol=1e-3)  # as far as the code's large angles allow


def test_another_picture_s_grid_is_refused():
    one = field(made())
    with pytest.raises(GridMismatch):
        one.on(Grid((40, 61), np.diag([2.0, 2.0, 2.0, 1.0])))


def test_it_begins_with_the_mask_of_sam():
    """With nothing learned the field adds nothing to SAM's own logits."""
    sam, image = tiny(), picture((80, 80))
    method = IMedSam(sam, Config(), TASK)
    method.network.eval()
    own = PlainSam(sam).decode(PlainSam(sam).encode(image), box(image)).logits
    assert np.allclose(method.decode(method.encode(image), box(image)).logits, own, atol=1e-3)


def test_classes_have_heads_of_their_own_and_must_be_named():
    method, image = made(task=TWO), picture()
    encoded = method.encode(image)
    liver, spleen = (method.decode(encoded, box(image, name)).logits for name in TWO.classes)
    assert np.abs(liver - spleen).max() > 0.1
    with pytest.raises(InvalidPrompt):
        method.decode(encoded, box(image))


def test_a_mask_decoder_has_no_field():
    method, image = made(decoder="mask"), picture()
    assert method.network.field is None
    with pytest.raises(InvalidConfig, match="field"):
        method.field(method.encode(image), box(image))


def test_through_a_volume():
    method = made()
    grid = oblique((5, 40, 61))
    pixels = np.stack([picture().pixels[0] + 3 * z for z in range(5)])[None]
    prompts = Prompts(grid, box_zyx=np.array([[1.0, 8.0, 9.0], [3.0, 32.0, 40.0]]))
    found = predict(SliceWise(method), Image(pixels, grid), prompts)
    assert found.grid == grid
    assert not found.labels[[0, 4]].any()


# What is learned from


def test_places_of_a_sample_lie_on_the_picture_with_their_truth():
    mask = np.zeros((1, 50, 30), np.float32)
    mask[0, 10:30, 5:20] = 1
    found = drawn(kept_truth(mask), Config(points=2000), 64, clicks=False, generator=torch.Generator().manual_seed(0))
    index = (found["places"] + 1) * 64 / 2 * 50 / 64 - 0.5  # the longer side fills the frame
    assert ((index >= -0.5 - 1e-4) & (index <= torch.tensor([49.5, 29.5]) + 1e-4)).all()
    deep = ((index - torch.tensor([19.5, 12.0])).abs() < torch.tensor([9.0, 6.5])).all(1)
    far = ((index - torch.tensor([19.5, 12.0])).abs() > torch.tensor([11.0, 8.5])).any(1)
    assert (found["shares"][deep] > 0.999).all()
    assert (found["shares"][far] < 0.001).all()
    assert ((found["shares"] > 0) & (found["shares"] < 1)).any()
    assert 0.3 < (~deep & ~far).float().mean() < 0.8


def test_released_samples_are_all_pixels_and_boxes_only_grow():
    mask = np.zeros((1, 64, 64), np.float32)
    mask[0, 20:40, 20:40] = 1
    config = Config(mode="official", points=0)
    for seed in range(5):
        found = drawn(kept_truth(mask), config, 64, clicks=False, generator=torch.Generator().manual_seed(seed))
        assert found["shares"].view(64, 64).numpy() == pytest.approx(mask[0])
        assert torch.equal(found["codes"][[0, -1]], torch.tensor([[-1.0, -1.0], [1.0, 1.0]]))
        assert (found["boxes_xyxy"][:2] <= 20).all()
        assert (found["boxes_xyxy"][2:] >= 39).all()


def test_large_truths_are_kept_small_and_soft():
    mask = np.zeros((1, 3000, 1500), np.float32)
    mask[0, :, 751:] = 1
    kept = kept_truth(mask)
    assert kept.shape == (1, 1024, 512)
    assert 0 < kept[0, 0, 256] < 255


def test_clicks_are_learned_where_the_weights_know_them():
    truth = Segmentation(np.pad(np.ones((20, 20), np.uint8), ((10, 10), (10, 31))), picture().grid, {1: "object"})
    for kinds, clicked in ((frozenset({"box"}), False), (frozenset({"box", "points"}), True)):
        method = IMedSam(tiny(prompts=kinds), Config(points=64, variants=1), TASK)
        assert method.accepts == kinds
        kept = method.precompute(Labelled(picture(), truth), 0)
        samples = [method.sample(kept, torch.Generator().manual_seed(seed)) for seed in range(6)]
        batch = {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}
        assert ("clicked" in batch) == clicked
        if clicked:
            assert len(batch["clicked"].unique()) == 2
            one = {name: value[:1] for name, value in batch.items()}
            method.network.eval()
            alone, _ = method._asked(method._encoder.late(one["tokens"], one["stream"]), one)
            together, _ = method._asked(method._encoder.late(batch["tokens"], batch["stream"]), batch)
            assert torch.allclose(alone, together[:1], atol=1e-4)
        assert sum(method.loss(batch).values()).isfinite()


def test_the_loss_moves_from_the_coarse_answers_to_the_merged_ones():
    method = IMedSam(tiny(), Config(points=64, variants=1, prior=False), TASK)
    truth = Segmentation(np.pad(np.ones((20, 20), np.uint8), ((10, 10), (10, 31))), picture().grid, {1: "object"})
    batch = {n: v[None] for n, v in method.sample(method.precompute(Labelled(picture(), truth), 0), torch.Generator()).items()}
    found = []
    for epoch in (0, 4, 9):
        torch.manual_seed(0)
        method.reached(epoch)
        found.append(float(sum(method.loss(batch).values()).detach()))
    assert found[0] != found[1] == found[2]


# The release


def test_sizes_and_names_on_vit_b(shared):
    keys = json.loads((shared / "golden/keys/imedsam.json").read_text())
    with torch.device("meta"):
        shapes = json.loads((shared / "golden/keys/sam_vit_b.json").read_text())["shapes"]
        sam = build(infer({name: torch.empty(size) for name, size in shapes.items()}).with_side(384), Traits())
        method = IMedSam(sam, Config(mode="official"), TASK)
    learned = [p for p in method.network.parameters() if p.requires_grad]
    assert sum(p.numel() for p in learned) == keys["trainable_parameters"] == 1_595_742
    own = {mine: shape for name, shape in keys["checkpoint_model"].items() if (mine := ours(name)) is not None}
    assert {n: list(v.shape) for n, v in method.network.state_dict().items()} == own
    theirs = {mine for name in keys["in_memory"]["shapes"] if (mine := ours(name)) is not None}
    assert theirs == set(own)


@pytest.fixture
def released(tmp_path):
    """What a trainer of the release saves: everything but the image encoder; and the SAM that it began with."""
    method = made(mode="official")
    names = {mine: name for name in _file_names(len(method.network.adapters)) if (mine := ours(name)) is not None}
    state = {names[mine]: value for mine, value in method.network.state_dict().items()}
    decoder = {f"mask_decoder.{n}": v for n, v in method.sam.mask_decoder.state_dict().items() if "upscaling" not in n}
    torch.save({"model": {**state, **decoder}, "epoch": 3}, tmp_path / "model_best.pth")
    torch.save(method.sam.state_dict(), tmp_path / "sam.pth")
    return method, tmp_path


def _file_names(blocks):
    sam = tiny()
    yield from (f"w_g_{i:03d}" for i in range(blocks))
    yield from (f"w_{kind}_{i:03d}" for i in range(2 * blocks) for kind in "ab")
    for i in range(blocks):
        ends = [f"freq_adapter.D_fc{n}.{kind}" for n in (1, 2) for kind in ("weight", "bias")]
        yield from (f"image_encoder.blocks.{i}.{end}" for end in (*ends, "freq_norm.weight", "freq_norm.bias"))
    yield from (f"prompt_encoder.{name}" for name in sam.prompt_encoder.state_dict())
    yield from (f"mask_decoder.output_upscaling.{name}" for name in sam.mask_decoder.output_upscaling.state_dict())
    field = made(mode="official").network.field
    for part, net in enumerate((field.coarse, field.fine)):
        yield from (f"mask_decoder.seg_field.seg_net.{part}.{name}" for name in net.state_dict())
    yield from (f"mask_decoder.seg_field.seg_net.2.0.0.{name}" for name in ("weight", "bias"))
    yield from (f"mask_decoder.seg_field.seg_net.3.{name}" for name in field.fine_heads.state_dict())


def test_released_weights_answer_as_their_file_says(released):
    method, folder = released
    source = Source(folder / "sam.pth", "cpu", "sam_vit_b", 80)
    header = import_released("imedsam", folder / "model_best.pth", folder / "run", ("polyp",), source)
    assert header.options["mode"] == "official"
    found = load(method=folder / "run", device="cpu")
    image = picture()
    assert np.array_equal(
        found.decode(found.encode(image), box(image)).logits, method.decode(method.encode(image), box(image)).logits
    )


def test_other_files_are_refused(released):
    _, folder = released
    with pytest.raises(WeightsError, match=r"w_a_000"):
        split_official(torch.load(folder / "sam.pth", weights_only=True))


def test_the_field_type_is_what_the_method_gives():
    assert isinstance(field(made()), PictureField)
