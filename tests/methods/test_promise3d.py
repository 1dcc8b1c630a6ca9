"""ProMISe-3D: what it promises beside the values recorded from the release. Its parts: test_promise3d_parts.py."""

from __future__ import annotations

import numpy as np
import pydantic
import pytest
import torch
import torch.nn.functional as F

from geometries import oblique
from promisam.core import Example, Grid, Image, Labelled, Prompts, Segmentation, Task, predict
from promisam.core.errors import GeometryError, InvalidConfig, InvalidImage, UnsupportedPrompt
from promisam.methods.promise3d import Config, Promise3d
from promisam.methods.promise3d.tinyvit import VolumeTinyVit
from promisam.methods.promise3d.vit import VolumeVit
from promisam.store import Source, create, load
from promisam.training.checkpoint import MODEL, write_checkpoint
from promisam.training.course import Course
from promisam.training.events import Validated
from promisam.training.loop import train
from tiny_sam import randomise, tiny

SHAPE = (20, 26, 31)
TASK = Task(("object",), 3, 1, (1.0, 1.0, 1.0), SHAPE)
TWO = Task(("liver", "spleen"), 3, 1, (1.0, 1.0, 1.0), SHAPE)
SMALL = {"patch": 16, "window": 2, "neck": 16, "decoder": 8, "prompt_mlp": 16}
FLOOR = -13.5  # logits below: no cube was there


def scan(seed=0, grid=None, classes=1):
    """A bright ellipsoid in noise, and one that is brighter still where there are two classes."""
    grid = grid or Grid(SHAPE, np.eye(4))
    chance = np.random.default_rng(seed)
    axes, labels = np.indices(grid.shape), np.zeros(grid.shape, np.uint8)
    for value in range(1, classes + 1):
        middle = [n * (chance.uniform(0.4, 0.6) if classes == 1 else value / 3) for n in grid.shape]
        radii = chance.uniform(3.5, 6, 3) / grid.spacing / classes**0.5
        labels[sum(((a - m) / r) ** 2 for a, m, r in zip(axes, middle, radii, strict=True)) < 1] = value
    pixels = (100 + 60 * labels + 8 * chance.standard_normal(grid.shape)).astype(np.float32)
    return Labelled(Image(pixels[None], grid), Segmentation(labels, grid))


def examples(seeds, **what):
    return [Example.of(f"case {seed}", one.image, one.truth) for seed in seeds for one in [scan(seed, **what)]]


def made(encoder="vit", task=TASK, seed=0, **options):
    """A method whose every weight does something."""
    method = Promise3d(tiny(encoder), Config(**{**SMALL, **options}), task)
    randomise(method.network, seed)
    method.measure(examples([0]))
    method.network.eval()
    return method


def click(image, *where, **how):
    where = where or [n // 2 for n in image.grid.shape]
    return Prompts(image.grid).click([float(w) for w in where], **how)


def logits(method, image, prompts):
    return method.decode(method.encode(image), prompts).logits[0]


both = pytest.mark.parametrize("encoder", ["vit", "tinyvit"])


# Answers


@both
@pytest.mark.parametrize(
    "grid",
    [
        oblique((3, 30, 40), spacing=(0.7, 0.9, 6.0)),
        oblique((40, 12, 9), spacing=(1.5, 0.8, 0.3)),
        oblique((2, 3, 2), spacing=(0.5, 0.5, 0.5)),
        oblique((1, 20, 20), spacing=(0.5, 0.5, 5.0)),
    ],
    ids=["three thick slices", "thin columns", "a few samples", "one slice"],
)
def test_awkward_volumes_are_answered_at_every_corner(encoder, grid):
    method, image = made(encoder, cubes=2), scan(grid=grid).image
    encoded = method.encode(image)
    assert encoded.working.shape == tuple(max(1, round(n * s)) for n, s in zip(grid.shape, grid.spacing, strict=True))
    for corner in [(0, 0, 0), np.subtract(grid.shape, 1), np.subtract(grid.shape, 0.5), (-0.5, 0, grid.shape[2] - 1)]:
        found = method.decode(encoded, click(image, *corner))
        assert found.grid == grid
        assert np.isfinite(found.logits).all()
        here = tuple(np.rint(np.clip(corner, 0, np.subtract(grid.shape, 1))).astype(int))
        assert found.logits[0][here] > FLOOR


def test_one_cube_lies_around_the_click_in_the_patient():
    grid = oblique((12, 60, 50), spacing=(0.6, 0.8, 3.0))
    method, image = made(cubes=1), scan(grid=grid).image
    where = (5.2, 22.0, 30.7)
    there = np.argwhere(logits(method, image, click(image, *where)) > FLOOR)
    extent = (there.max(0) - there.min(0) + 1) * grid.spacing
    middle = (there.max(0) + there.min(0)) / 2
    assert np.abs(extent - 16).max() < 2 * max(grid.spacing)
    assert (np.abs(middle - where) * grid.spacing).max() <= max(grid.spacing)


def test_the_release_looks_at_one_cube_however_far_its_clicks_are_apart():
    image = scan(grid=Grid((20, 20, 60), np.eye(4))).image
    prompts = click(image, 10, 10, 10).click((10.0, 10.0, 50.0))
    methods = {"paper": made(cubes=2), "official": made(mode="official")}
    answered = {mode: np.argwhere(logits(method, image, prompts) > FLOOR) for mode, method in methods.items()}
    assert answered["official"].min(0).tolist() == [2, 2, 22]
    assert answered["official"].max(0).tolist() == [17, 17, 37]
    for end in (10, 50):
        assert (answered["paper"] == [10, 10, end]).all(1).any()
    for ignored in ({"cubes": 2}, {"view": "volume", "click_map": True}):
        with pytest.raises(ValueError, match="looks at one cube"):
            made(mode="official", **ignored)


@both
def test_what_lies_beyond_the_cube_changes_nothing(encoder):
    """But for the scale of intensities, which training has fixed."""
    method, image = made(encoder, cubes=1), scan(grid=Grid((40, 44, 36), np.eye(4))).image
    whole = logits(method, image, click(image, 20, 22, 18))
    part = image.crop((10, 6, 5), (33, 40, 30))
    found = logits(method, part, click(part, 10, 16, 13))
    assert np.allclose(found, whole[10:33, 6:40, 5:30], atol=1e-4)


@both
def test_the_whole_volume_is_seen_where_that_is_asked(encoder):
    method, image = made(encoder, click_map=True, view="volume", cubes=4), scan(grid=Grid((9, 50, 9), np.eye(4))).image
    encoded = method.encode(image)
    near, far = (method.decode(encoded, click(image, 4, y, 4)).logits[0] for y in (2, 47))
    assert (near > FLOOR).all()
    assert np.abs(near - far)[:, [0, -1]].max() > 0.1
    assert len(encoded.seen) == 4  # of six cubes, those that are remembered


def test_relative_intensities_have_no_scale():
    method, one = made(), scan().image
    method.measure([*examples([0]), *(scaled(examples([seed])[0], 50.0 * seed, 900.0) for seed in (1, 2))])
    assert method.network.intensity[-1] == 1
    other = Image(one.pixels * 40 - 7000, one.grid)
    assert np.allclose(logits(method, other, click(one)), logits(method, one, click(one)), atol=0.02)
    method = made()
    assert method.network.intensity[-1] == 0
    assert np.abs(logits(method, other, click(one)) - logits(method, one, click(one))).max() > 0.1


def scaled(example, gain, shift):
    one = example.load()
    return Example.of(example.name, Image(one.image.pixels * np.float32(gain) + np.float32(shift), one.image.grid), one.truth)


# Clicks


@both
@pytest.mark.parametrize("told", [{"labels": True}, {"labels": False, "click_map": True}], ids=["labels", "maps"])
def test_clicks_off_the_object_act_where_they_are_told_apart(encoder, told):
    method, image = made(encoder, cubes=1, **told), scan().image
    encoded, first = method.encode(image), click(image)
    alone, on, off = (
        method.decode(encoded, prompts).logits
        for prompts in (first, first.click((12.0, 10.0, 15.0)), first.click((12.0, 10.0, 15.0), positive=False))
    )
    assert np.abs(on - off).max() > 0.05
    assert np.abs(alone - off).max() > 0.05


@pytest.mark.parametrize("options", [{"labels": False}, {"negatives": 0}, {"mode": "official"}], ids=str)
def test_clicks_off_the_object_are_refused_where_nothing_tells_them_apart(options):
    method, image = made(**options), scan().image
    prompts = click(image).click((12.0, 10.0, 15.0), positive=False)
    for refuse in (lambda: method.check(image.grid, prompts), lambda: method.decode(method.encode(image), prompts)):
        with pytest.raises(UnsupportedPrompt) as caught:
            refuse()
        assert "off the object" in caught.value.given
        assert "labels=true" in caught.value.do
    method.check(image.grid, click(image).click((12.0, 10.0, 15.0)))


@pytest.mark.parametrize(("encoder", "kind"), [("vit", VolumeVit), ("tinyvit", VolumeTinyVit)])
@pytest.mark.parametrize("maps", [False, True])
def test_further_clicks_need_no_encoder(encoder, kind, maps, monkeypatch):
    method, image = made(encoder, cubes=1, click_map=maps), scan().image
    calls, features = [], kind.features
    monkeypatch.setattr(kind, "features", lambda self, cubes: calls.append(cubes) or features(self, cubes))
    encoded, prompts = method.encode(image), click(image)
    assert not calls
    answers = []
    for further in ((9.0, 12.0, 17.0), (12.0, 14.0, 14.0), (4.0, 8.0, 15.0)):
        answers.append(method.decode(encoded, prompts).logits)
        prompts = prompts.click(further, positive=len(answers) != 2)
    assert len(calls) == 1
    again = method.decode(encoded, click(image)).logits
    assert np.array_equal(again, answers[0])
    fresh = logits(method, image, prompts)
    assert len(calls) == 2
    assert np.array_equal(fresh, method.decode(encoded, prompts).logits[0])


@both
def test_forgotten_cubes_are_encoded_again(encoder):
    method, image = made(encoder, click_map=True, view="volume", cubes=4), scan(grid=Grid((9, 50, 9), np.eye(4))).image
    encoded = method.encode(image)
    first, _, again = (method.decode(encoded, click(image, 4, y, 4)).logits for y in (2, 47, 2))
    assert np.array_equal(first, again)


@both
def test_the_list_of_clicks_may_be_padded(encoder):
    method = made(encoder)
    cubes = torch.randn(1, 1, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    points, labels = torch.tensor([[[3.0, 9, 5], [12, 2, 14]]]), torch.tensor([[1, 0]])
    with torch.no_grad():
        features = method._encoder.features(cubes)
        short = method.network.answer(features, cubes, points, labels)
        long = method.network.answer(features, cubes, F.pad(points, (0, 0, 0, 3)), F.pad(labels, (0, 3), value=-1))
    assert torch.allclose(short, long, atol=1e-4)


def test_the_click_decides_and_not_the_name():
    one = scan(classes=2)
    method = made(task=TWO, cubes=1)
    asked = method.validation_prompts(one, np.random.default_rng(0))
    assert [prompts.target for prompts in asked] == ["liver", "spleen"]
    for value, prompts in enumerate(asked, 1):
        ((place),) = np.rint(prompts.points_zyx).astype(int)
        assert one.truth.labels[tuple(place)] == value
    encoded = method.encode(one.image)
    liver, spleen = (method.decode(encoded, prompts).logits[0] for prompts in asked)
    assert np.abs(liver - spleen).max() > 1
    renamed = Prompts(one.image.grid, asked[0].points_zyx, asked[0].labels, target="spleen")
    assert np.array_equal(method.decode(encoded, renamed).logits[0], liver)
    found = predict(method, one.image, *asked, names=TWO.classes)
    assert found.grid == one.image.grid
    assert [found.name(value) for value in (1, 2)] == ["liver", "spleen"]
    only = Segmentation((one.truth.labels == 2).astype(np.uint8) * 2, one.truth.grid)
    assert [p.target for p in method.validation_prompts(Labelled(one.image, only), np.random.default_rng(0))] == ["spleen"]


# What it stands on


def test_pictures_channels_and_cubes_that_do_not_fit_are_refused():
    method = made()
    with pytest.raises(GeometryError):
        method.encode(Image(np.zeros((1, 20, 30), np.uint8), Grid.of_picture((20, 30))))
    with pytest.raises(InvalidImage, match="3 channels"):
        method.encode(Image(np.zeros((3, *SHAPE), np.uint8), Grid(SHAPE, np.eye(4))))
    for encoder, options in (
        ("vit", {"enlargement": 1, "patch": 24}),
        ("tinyvit", {"enlargement": 3}),
        ("tinyvit", {"patch": 20, "enlargement": 1}),
    ):
        with pytest.raises(InvalidConfig, match="patch"):
            made(encoder, **options)
    with pytest.raises(pydantic.ValidationError, match="click_map"):
        Config(view="volume")


def test_a_tinyvit_without_adapters_sees_slices_as_the_frozen_one_does():
    sam = tiny("tinyvit")
    method = Promise3d(sam, Config(**{**SMALL, "adapters": 0, "enlargement": 2}), TASK)
    cube = torch.randn(1, 1, 16, 16, 16, generator=torch.Generator().manual_seed(0)) * 2
    seen = []
    method.network.encoder.necks[3].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        method._encoder.features(cube)
        grey = ((cube[0, 0].unflatten(0, (4, 4)).mean(1) + 2.5) / 5).clamp(0, 1)[:, None]  # slices that share a token
        tokens = sam.image_encoder.embed(F.interpolate(grey, scale_factor=2, mode="bilinear").expand(-1, 3, -1, -1))
        for stage in sam.image_encoder.layers:
            tokens = stage(tokens)
    assert torch.allclose(seen[0][0].permute(2, 0, 1, 3), tokens, rtol=1e-3, atol=1e-3)


@both
@pytest.mark.parametrize("options", [{}, {"mode": "official"}, {"adapters": 1}], ids=str)
def test_blocks_computed_twice_learn_the_same(encoder, options):
    found = []
    for twice in (False, True):
        method = made(encoder, checkpointing=twice, **options)
        kept = method.precompute(scan(), 0)
        drawn = [method.sample(kept, torch.Generator().manual_seed(seed)) for seed in (0, 1)]
        method.network.train()
        sum(method.loss({name: torch.stack([one[name] for one in drawn]) for name in drawn[0]}).values()).backward()
        assert not any(p.requires_grad or p.grad is not None for p in method.sam.parameters())
        found.append({name: p.grad for name, p in method.network.named_parameters()})
    silent = [name for name, grad in found[0].items() if grad is None or not grad.any()]
    assert not silent
    for name, grad in found[0].items():
        assert torch.allclose(grad, found[1][name], rtol=1e-3, atol=1e-6), name


@both
def test_cubes_of_a_batch_are_strangers(encoder):
    method = made(encoder)
    kept = method.precompute(scan(), 0)
    drawn = [method.sample(kept, torch.Generator().manual_seed(seed)) for seed in range(3)]
    batch = {name: torch.stack([one[name] for one in drawn]) for name in drawn[0]}
    alone = [method.loss({name: value[None] for name, value in one.items()}) for one in drawn]
    for name, value in method.loss(batch).items():
        assert value.item() == pytest.approx(np.mean([one[name].item() for one in alone]), rel=1e-3)


@pytest.mark.parametrize("mode", ["paper", "official"])
def test_saved_and_opened_it_answers_the_same(mode, tmp_path):
    torch.save(tiny().state_dict(), tmp_path / "sam.pth")
    source = Source(tmp_path / "sam.pth", "cpu", "sam_vit_b", 80)
    method, header = create("promise3d", TWO, source, {**SMALL, "mode": mode, "cubes": {"paper": 3, "official": 1}[mode]})
    randomise(method.network)
    method.measure(examples([3, 4]))
    method.network.eval()
    (tmp_path / "run").mkdir()
    write_checkpoint(tmp_path / "run" / MODEL, method.network, header)
    found = load(method=tmp_path / "run", device="cpu", ndim=3)
    assert isinstance(found, Promise3d)
    assert found.task == TWO
    assert found.config == method.config
    assert torch.equal(found.network.intensity, method.network.intensity)
    assert found.network.intensity.isfinite().all()
    image = scan(7).image
    assert np.array_equal(logits(found, image, click(image)), logits(method, image, click(image)))


def test_a_short_training_finds_what_is_clicked():
    torch.manual_seed(0)
    method = Promise3d(tiny(), Config(**SMALL, rotation=0, scaling=0, boundary=1), TASK)
    recipe = Promise3d.recipe.model_copy(update={"epochs": 12, "batch": 3, "validate_every": 12, "learning_rate": 6e-3})
    before, after = [
        event.score
        for event in train(Course(method, examples(range(6)), examples(range(100, 102)), recipe))
        if isinstance(event, Validated)
    ]
    assert before < 0.3
    assert after > 0.6
