"""The U-Net learns from labels alone, in pictures and volumes of any size, and refuses what it cannot know."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from geometries import oblique
from promisam.core import Example, Grid, Image, Labelled, Prompts, Segmentation, Segmenter, Task, Window, predict
from promisam.core.errors import GeometryError, InvalidConfig, InvalidImage, NotFitted, UnsupportedPrompt
from promisam.evaluation.metrics import dice
from promisam.methods.unet import Config, UNet
from promisam.methods.unet.config import augmentation_of
from promisam.methods.unet.network import plan
from promisam.methods.unet.prepared import matched, standardised
from promisam.spatial.resizing import resized

SMALL = {"side": 32, "patch": (8, 16, 16), "width": 4, "levels": 3}
TWO = ("disc", "square")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def scene(shape=(40, 61), seed=0, channels=1, classes=2, grid=None):
    """A bright ball and a dark box at random places on noise, in 0..255."""
    chance = np.random.default_rng(seed)
    index = np.indices(shape)
    place = [chance.uniform(0.25, 0.75) * n for n in shape]
    ball = sum(((i - p) / max(n / 4, 1.5)) ** 2 for i, p, n in zip(index, place, shape, strict=True)) < 1
    corner = [chance.uniform(0, 0.6) * n for n in shape]
    box = np.all([(i >= c) & (i <= c + 0.35 * n) for i, c, n in zip(index, corner, shape, strict=True)], axis=0) & ~ball
    values = 110 + 90 * ball - 80 * box * (classes > 1) + chance.normal(0, 6, shape)
    labels = (ball + 2 * box * (classes > 1)).astype(np.uint8)
    grid = grid or (Grid.of_picture(shape) if len(shape) == 2 else oblique(shape, spacing=(0.8, 0.8, 2.0)))
    pixels = np.clip(np.stack([values + 3 * c for c in range(channels)]), 0, 255).astype(np.uint8)
    return Labelled(Image(pixels, grid), Segmentation(labels, grid))


def example(labelled, name="one"):
    return Example.of(name, labelled.image, labelled.truth)


def trained_on(*cases, classes=TWO, **options):
    """An untrained method for the task of these cases."""
    task = Task.of([example(case, str(n)) for n, case in enumerate(cases)], classes)
    return UNet(None, Config(**{**SMALL, **options}), task)


def pictures():
    return [scene((40, 61), 0), scene((64, 30), 1), scene((32, 32), 2), scene((100, 90), 3)]


def volumes():
    return [scene((10, 20, 26), 0), scene((6, 30, 22), 1), scene((14, 18, 18), 2, grid=oblique((14, 18, 18)))]


@pytest.fixture(params=["pictures", "volumes"])
def cases(request):
    return pictures() if request.param == "pictures" else volumes()


def answer(method, image):
    return method.decode(method.encode(image), Prompts(image.grid))


class TestWithoutTask:
    """Nothing is known before a task is."""

    def test_what_needs_a_network_raises(self):
        method, case = UNet(None), scene()
        prepared = trained_on(case).encode(case.image)
        kept = trained_on(case).precompute(case, 0)
        for needs in (
            lambda: method.network,
            lambda: method.initialise(0),
            lambda: method.precompute_settings,
            lambda: method.encode(case.image),
            lambda: method.decode(prepared, Prompts(case.image.grid)),
            lambda: method.precompute(case, 0),
            lambda: method.sample(kept, generator()),
            lambda: method.loss({}),
            lambda: predict(method, case.image),
        ):
            with pytest.raises(NotFitted, match="promisam fit unet"):
                needs()

    def test_what_needs_none_answers(self):
        method, case = UNet(None), scene()
        assert isinstance(method, Segmenter)
        assert (method.ndim, method.classes, method.task, method.automatic) == (2, (), None, True)
        assert method.prepare(case.image).levels is not None
        method.check(case.image.grid, Prompts(case.image.grid))
        with pytest.raises(InvalidConfig):
            UNet(None, Config(window="bones"))


class TestAnswers:
    """One channel for each class, on the image's own grid."""

    def test_scores_of_every_class_on_the_grid_of_the_image(self, cases):
        method = trained_on(*cases)
        for case in cases:
            found = answer(method, case.image)
            assert found.logits.shape == (2, *case.image.grid.shape)
            assert found.logits.dtype == np.float32
            assert np.isfinite(found.logits).all()
            assert found.logits.std() > 0
            assert predict(method, case.image).names == {1: "disc", 2: "square"}

    @pytest.mark.parametrize("shape", [(2, 50), (7, 5), (1, 1), (1, 9, 30), (3, 4, 5), (40, 6, 7)])
    def test_odd_shapes(self, shape):
        like = (40, 61) if len(shape) == 2 else (10, 20, 26)
        method = trained_on(scene(like))
        found = answer(method, scene(shape).image)
        assert found.logits.shape == (2, *shape)
        assert np.isfinite(found.logits).all()

    def test_equal_weights_whatever_the_random_state(self, cases):
        torch.manual_seed(1)
        one = trained_on(*cases)
        before = torch.get_rng_state()
        other = trained_on(*cases)
        assert torch.equal(torch.get_rng_state(), before)
        assert np.array_equal(answer(one, cases[0].image).logits, answer(other, cases[0].image).logits)

    def test_initialise_draws_in_place_and_by_the_seed(self):
        method, other = trained_on(*pictures()), trained_on(*pictures())
        held = list(method.network.parameters())
        first = [p.detach().clone() for p in held]
        method.initialise(3)
        assert all(p is q for p, q in zip(held, method.network.parameters(), strict=True))
        assert not all(torch.equal(p, q) for p, q in zip(held, first, strict=True))
        other.initialise(3)
        assert all(torch.equal(p, q) for p, q in zip(held, other.network.parameters(), strict=True))
        method.initialise(0)
        assert all(torch.equal(p, q) for p, q in zip(held, first, strict=True))

    def test_prompts_are_refused(self):
        case = scene()
        method = trained_on(case)
        with pytest.raises(UnsupportedPrompt, match="automatic"):
            method.decode(method.encode(case.image), Prompts(case.image.grid).click((3, 4)))

    def test_axes_are_compared(self):
        with pytest.raises(GeometryError, match="3 axes"):
            trained_on(scene()).encode(scene((5, 9, 9)).image)
        with pytest.raises(GeometryError, match="2 axes"):
            trained_on(scene((5, 9, 9))).encode(scene().image)

    def test_the_window_comes_first(self):
        case = scene()
        deep = Image(case.image.pixels.astype(np.int16) * 8 - 1000, case.image.grid)
        method = trained_on(case, window="-200,1600")
        prepared = Window(-200.0, 1600.0).apply(deep)
        assert np.array_equal(method.encode(deep).pixels, method.encode(prepared).pixels)
        assert not np.array_equal(method.encode(deep).pixels, trained_on(case).encode(deep).pixels)

    @pytest.mark.parametrize("shape", [(40, 61), (100, 30), (20, 36, 41), (5, 60, 9)])
    def test_the_answer_lies_where_the_image_does(self, shape):
        # A network that answers with what it sees: windows, padding and resizing must put every sample back in its place.
        class Mirror(torch.nn.Module):
            def forward(self, pixels):
                return torch.cat([pixels, -pixels], 1)

        index = np.indices(shape)
        waves = np.sin(index[0] / 5) + sum(np.cos(axis / (8 + n)) for n, axis in enumerate(index[1:]))
        grid = Grid.of_picture(shape) if len(shape) == 2 else oblique(shape, spacing=(0.8, 0.8, 2.0))
        image = Image((waves[None] * 1000).astype(np.int16), grid)
        method = trained_on(scene(shape), side=128)
        found = method._working.logits(Mirror(), method.encode(image), torch.device("cpu"))
        seen = standardised(method.prepare(image).pixels).astype(np.float32)
        np.testing.assert_allclose(found[0], -found[1], atol=1e-5)
        assert np.abs(found[:1] - seen).mean() < 0.03  # half a sample off would be above 0.04


class TestChannels:
    """Grey, colour and transparency in pictures; exact numbers in volumes."""

    def of(self, channels, shape=(40, 61)):
        return trained_on(scene(shape, channels=channels)), scene(shape, channels=channels)

    def test_grey_for_a_network_of_colour_is_repeated(self):
        method, case = self.of(3)
        grey = Image(case.image.pixels[:1], case.image.grid)
        alike = Image(case.image.pixels[:1].repeat(3, 0), case.image.grid)
        assert np.array_equal(answer(method, grey).logits, answer(method, alike).logits)

    def test_colour_for_a_network_of_grey_is_its_luminance(self):
        method, case = self.of(1)
        alike = Image(case.image.pixels.repeat(3, 0), case.image.grid)
        assert np.array_equal(answer(method, case.image).logits, answer(method, alike).logits)
        pixels = np.stack([np.full((4, 5), value, np.uint8) for value in (100, 0, 200)])
        assert matched(pixels, method.task) == pytest.approx(0.299 * 100 + 0.114 * 200)

    @pytest.mark.parametrize("learned", [1, 3, 4])
    def test_a_fourth_channel_of_a_picture_is_not_looked_at(self, learned):
        method, _ = self.of(learned)
        four = scene(channels=4).image
        three = Image(four.pixels[:3], four.grid)
        assert np.array_equal(answer(method, four).logits, answer(method, three).logits)

    @pytest.mark.parametrize(("learned", "given"), [(1, 2), (3, 2), (3, 5), (2, 1), (5, 3)])
    def test_other_numbers_are_refused(self, learned, given):
        method, _ = self.of(learned)
        with pytest.raises(InvalidImage, match=f"{given} channels.*of {learned}"):
            method.encode(scene(channels=given).image)

    def test_volumes_must_agree(self):
        method, case = self.of(4, (6, 12, 12))
        assert answer(method, case.image).logits.shape == (2, 6, 12, 12)
        for given in (1, 3):
            with pytest.raises(InvalidImage, match=f"{given} channels.*of 4"):
                method.encode(scene((6, 12, 12), channels=given).image)


class TestNumbers:
    """From pixels to the network and back."""

    @pytest.mark.parametrize("shape", [(31, 17), (7, 31, 17)])
    def test_resizing_there_and_back_keeps_place(self, shape):
        index = np.indices(shape).astype(np.float32)
        there = resized(index, [2 * n for n in shape])
        back = resized(there, shape)
        inner = (slice(None), *[slice(2, -2)] * len(shape))
        np.testing.assert_allclose(back[inner], index[inner], atol=1e-3)

    @pytest.mark.parametrize("shape", [(12, 20), (6, 12, 20)])
    def test_shrinking_averages(self, shape):
        noise = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
        assert resized(noise, [n // 2 for n in shape]).std() < 0.75 * noise[:, ::2, ::2].std()
        assert resized(np.full((1, *shape), 5, np.uint8), [n // 2 for n in shape]) == pytest.approx(5)

    def test_each_channel_is_standardised_over_the_image(self):
        pixels = np.random.default_rng(0).normal(100, 30, (2, 30, 40)).astype(np.float32)
        pixels[1] = 9
        found = standardised(pixels).astype(np.float64)
        assert found[0].mean() == pytest.approx(0, abs=1e-3)
        assert found[0].std() == pytest.approx(1, abs=1e-3)
        assert (found[1] == 0).all()

    def test_a_volume_is_brought_to_the_spacing_of_the_task(self):
        method = trained_on(*volumes())
        case = scene((10, 20, 26), grid=oblique((10, 20, 26), spacing=(1.6, 0.8, 1.0)))
        expected = tuple(round(n * s / t) for n, s, t in zip((10, 20, 26), (1.0, 0.8, 1.6), method.task.spacing, strict=True))
        assert method.encode(case.image).pixels.shape == (1, *expected)

    @pytest.mark.parametrize(
        ("wanted", "spacing", "levels", "strides", "shape"),
        [
            ((256, 256), (1, 1), 5, ((2, 2),) * 4, (256, 256)),
            ((20, 20), (1, 1), 5, ((2, 2),) * 2, (20, 20)),
            ((21, 40), (1, 1), 5, ((2, 2), (2, 2), (1, 2)), (24, 40)),
            ((1, 3), (1, 1), 3, ((1, 1),), (1, 3)),
            ((16, 64, 64), (4.0, 1.0, 1.0), 4, ((1, 2, 2), (1, 2, 2), (2, 2, 2)), (16, 64, 64)),
            ((6, 64, 64), (1.0, 1.0, 1.0), 3, ((1, 2, 2), (1, 2, 2)), (6, 64, 64)),
        ],
    )
    def test_plan(self, wanted, spacing, levels, strides, shape):
        found = plan(wanted, spacing, levels)
        assert found.strides == strides
        assert found.shape == shape


class TestLearning:
    """What the loop asks for."""

    def test_recall_is_encode(self, cases):
        method = trained_on(*cases)
        for case in cases:
            kept = method.precompute(case, 0)
            recalled, encoded = method.recall(case.image.grid, kept), method.encode(case.image)
            assert recalled.grid == encoded.grid
            assert recalled.pixels.dtype == encoded.pixels.dtype
            assert np.array_equal(recalled.pixels, encoded.pixels)

    def test_samples_have_equal_shapes_and_come_from_the_generator(self, cases):
        method = trained_on(*cases)
        kept = [method.precompute(case, 0) for case in cases]
        found = [[method.sample(one, generator(seed)) for seed in range(4)] for one in kept]
        again = [[method.sample(one, generator(seed)) for seed in range(4)] for one in kept]
        shapes = {tuple(sample[name].shape for name in ("pixels", "truth")) for row in found for sample in row}
        assert len(shapes) == 1
        (pixels, truth) = shapes.pop()
        assert pixels[0] == 1
        assert truth[0] == 2
        assert pixels[1:] == truth[1:]
        for row, same in zip(found, again, strict=True):
            for one, other in zip(row, same, strict=True):
                assert all(torch.equal(one[name], other[name]) for name in ("pixels", "truth"))
            assert len({sample["pixels"].numpy().tobytes() for sample in row}) > 1
            assert all(0 <= sample["truth"].min() <= sample["truth"].max() <= 1 for sample in row)

    def test_truth_lies_where_the_object_is_seen(self, cases):
        # The ball is brighter than all else, the box darker: so they are where the labels say, in every sample.
        method = trained_on(*cases, intensity=0)
        for case in cases:
            kept = method.precompute(case, 0)
            for seed in range(6):
                sample = method.sample(kept, generator(seed))
                ball, box = (sample["truth"][n] > 0.9 for n in (0, 1))
                assert not ball.any() or sample["pixels"][0][ball].mean() > 0.5
                assert not box.any() or sample["pixels"][0][box].mean() < -0.5

    def test_thin_objects_keep_their_share(self):
        labels = np.zeros((320, 320), np.uint8)
        labels[100] = 1
        grid = Grid.of_picture(labels.shape)
        case = Labelled(Image(labels[None] * 255, grid), Segmentation(labels, grid))
        truth = trained_on(case, classes=("line",)).precompute(case, 0)["truth"]
        assert truth.sum() == pytest.approx(320 / 100, rel=0.02)  # of 10 x 10 samples each

    def test_images_without_objects_are_learned_too(self, cases):
        grid = cases[0].image.grid
        empty = Labelled(cases[0].image, Segmentation(np.zeros(grid.shape, np.uint8), grid))
        method = trained_on(*cases)
        sample = method.sample(method.precompute(empty, 0), generator())
        assert sample["truth"].max() == 0
        parts = method.loss({name: tensor[None] for name, tensor in sample.items()})
        assert all(torch.isfinite(part) for part in parts.values())

    def test_one_of_the_patches_is_laid_around_each_class(self):
        labels = np.zeros((12, 60, 60), np.uint8)
        labels[2, 3, 3], labels[10, 57, 50] = 1, 2
        grid = oblique(labels.shape, spacing=(1.0, 1.0, 1.0))
        case = Labelled(Image(labels[None] * 100, grid), Segmentation(labels, grid))
        still = {"rotation": 0, "scaling": 0, "flips": "none", "intensity": 0}
        method = trained_on(case, foreground=1.0, **still)
        chance = generator()
        method._working.augment = replace(method._working.augment, shift=0)
        found = [method.sample(method.precompute(case, 0), chance)["truth"].amax((1, 2, 3)).tolist() for _ in range(20)]
        assert all(sum(row) == 1 for row in found)
        assert {tuple(row) for row in found} == {(1, 0), (0, 1)}
        anywhere = trained_on(case, foreground=0.0, **still)
        none = [anywhere.sample(anywhere.precompute(case, 0), chance)["truth"].max() for _ in range(20)]
        assert sum(none) < 10

    def test_validation_asks_once_without_prompts(self):
        case = scene()
        (asked,) = trained_on(case).validation_prompts(case, np.random.default_rng(0))
        assert not asked.kinds
        assert asked.grid == case.image.grid

    def test_settings_name_what_the_arrays_depend_on(self):
        base = trained_on(*pictures()).precompute_settings
        assert trained_on(*pictures(), width=8).precompute_settings == base
        assert trained_on(*pictures(), side=40).precompute_settings != base
        assert trained_on(*pictures(), window="lung").precompute_settings != base
        assert trained_on(*pictures(), classes=("a", "b", "c")).precompute_settings != base
        assert (
            trained_on(scene((5, 9, 9))).precompute_settings
            != trained_on(scene((5, 9, 9), grid=oblique((5, 9, 9)))).precompute_settings
        )

    @pytest.mark.parametrize("ndim", [2, 3])
    def test_it_learns_what_is_easy(self, ndim):
        shapes = [(40, 50), (48, 30), (32, 32)] if ndim == 2 else [(8, 24, 24), (10, 20, 26)]
        cases = [scene(shapes[n % len(shapes)], n) for n in range(8)]
        method = trained_on(*cases, width=8)
        kept, chance = [method.precompute(case, 0) for case in cases], generator()
        optimizer = torch.optim.AdamW(method.network.parameters(), 2e-2)
        losses = []
        for _ in range(50):
            samples = [method.sample(one, chance) for one in kept]
            batch = {name: torch.stack([sample[name] for sample in samples]) for name in ("pixels", "truth")}
            loss = sum(method.loss(batch).values())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        assert np.mean(losses[6:10]) < np.mean(losses[:4])
        assert np.mean(losses[-5:]) < 0.6 * losses[0]
        fresh = scene(shapes[0], 100)
        found = predict(method, fresh.image)
        for label in (1, 2):
            assert dice(found.mask(label), fresh.truth.mask(label)) > 0.85


class TestOptions:
    """Every knob acts."""

    @pytest.mark.parametrize(
        ("name", "value"),
        [("side", 48), ("width", 6), ("levels", 2), ("window", "40,100")],
    )
    def test_options_of_the_answer(self, name, value):
        case = scene()
        default, changed = (answer(trained_on(case, **options), case.image).logits for options in ({}, {name: value}))
        assert not np.array_equal(default, changed)

    @pytest.mark.parametrize(("name", "value"), [("patch", (8, 8, 8)), ("overlap", 0.0), ("levels", 2)])
    def test_options_of_the_answer_in_volumes(self, name, value):
        case = scene((9, 20, 26))
        default, changed = (answer(trained_on(case, **options), case.image).logits for options in ({}, {name: value}))
        assert not np.array_equal(default, changed)

    @pytest.mark.parametrize(
        ("name", "value"),
        [("rotation", 0), ("scaling", 0), ("flips", "none"), ("flips", "x"), ("intensity", 0), ("intensity", 2.0)],
    )
    @pytest.mark.parametrize("shape", [(40, 61), (12, 40, 40)])
    def test_options_of_the_sample(self, name, value, shape):
        case = scene(shape)
        default, changed = (trained_on(case, **options) for options in ({}, {name: value}))
        kept = default.precompute(case, 0)
        pairs = [[method.sample(kept, generator(seed))["pixels"] for seed in range(16)] for method in (default, changed)]
        assert any(not torch.equal(a, b) for a, b in zip(*pairs, strict=True))

    def test_foreground(self):
        case = scene((12, 40, 40))
        methods = [trained_on(case, foreground=share) for share in (0.0, 1.0)]
        kept = methods[0].precompute(case, 0)
        pairs = [[method.sample(kept, generator(seed))["truth"] for seed in range(16)] for method in methods]
        assert any(not torch.equal(a, b) for a, b in zip(*pairs, strict=True))

    @pytest.mark.parametrize(
        ("flips", "classes", "ndim", "axes"),
        [
            ("auto", ("liver",), 2, (0, 1)),
            ("auto", ("liver",), 3, (0, 1, 2)),
            ("auto", ("Left kidney", "spleen"), 3, ()),
            ("auto", ("lung_right",), 2, ()),
            ("auto", ("bright spot",), 2, (0, 1)),
            ("x", ("lung_right",), 2, (1,)),
            ("yz", ("liver",), 3, (0, 1)),
            ("none", ("liver",), 3, ()),
        ],
    )
    def test_mirroring(self, flips, classes, ndim, axes):
        task = Task(classes, ndim, 1, (1.0,) * ndim, (20,) * ndim)
        assert augmentation_of(Config(flips=flips), task).flips == axes

    def test_what_cannot_be_is_refused(self):
        with pytest.raises(InvalidConfig, match="flips=z"):
            trained_on(scene(), flips="z")
        for options in ({"flips": "yx"}, {"flips": ""}, {"levels": 1}, {"overlap": 1.0}, {"wimdow": "auto"}):
            with pytest.raises(ValidationError):
                Config(**options)
