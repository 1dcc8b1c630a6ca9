"""Registration recovers what was done to an image, says how well, and refuses what it cannot use."""

from __future__ import annotations

import importlib.util
from typing import get_args

import jaxtyping
import pytest
import torch
from scipy import ndimage

from promisam.core.errors import GeometryError, InvalidConfig, InvalidImage, MissingExtra
from promisam.spatial.registration import Engine, Registered, register, warp

PACKAGES = {"ffd": "torch", "demons": "SimpleITK", "greedy": "picsl_greedy", "dipy": "dipy"}
ENGINES = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(not importlib.util.find_spec(PACKAGES[name]), reason=f"{PACKAGES[name]} is not installed"),
    )
    for name in PACKAGES
]


def drawn(shape, seed=0, spacing=None):
    """Smooth texture with a bright ellipsoid of known outline in the middle: image and mask, each (1, *shape)."""
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    steps = spacing or [1.0] * len(shape)
    texture = torch.from_numpy(ndimage.gaussian_filter(noise.numpy(), [4.0 / step for step in steps]))
    lines = torch.meshgrid(*[torch.linspace(-1, 1, size) for size in shape], indexing="ij")
    radii = (0.45, 0.35, 0.4)[: len(shape)]
    away = sum((line / radius) ** 2 for line, radius in zip(lines, radii, strict=True))
    mask = (away < 1).float()
    image = 0.3 + 0.08 * texture / texture.std() + 0.4 * torch.sigmoid((1 - away) * 8)
    return image.clamp(0, 1)[None], mask[None]


def bent(shape, amount, stretch=1.0):
    """A smooth field, (1, d, *shape): waves of so many samples, and a stretch about the middle."""
    lines = torch.meshgrid(*[torch.linspace(-1, 1, size) for size in shape], indexing="ij")
    waves = [torch.sin(2.2 * lines[(axis + 1) % len(shape)] + axis) for axis in range(len(shape))]
    grown = [(stretch - 1) * line * size / 2 for line, size in zip(lines, shape, strict=True)]
    return torch.stack([amount * size / 100 * w + g for w, g, size in zip(waves, grown, shape, strict=True)])[None]


def through(values, field):
    return warp(values[:, None], field)[:, 0]


def alike(one, other):
    """The correlation of all samples."""
    return float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1])


def dice(one, other):
    one, other = one > 0.5, other > 0.5
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


class TestRecovery:
    @pytest.mark.parametrize("engine", ENGINES)
    @pytest.mark.parametrize("shape", [(96, 96), (72, 112)])
    def test_bent_and_stretched_picture(self, engine, shape):
        moving, mask = drawn(shape)
        field = bent(shape, 12.0, stretch=1.2)
        fixed, truth = through(moving, field), through(mask, field)
        assert dice(mask, truth) < 0.8

        found = register(fixed, moving, engine)

        assert dice(through(mask, found.fields), truth) > 0.93
        assert found.similarity.item() > alike(fixed, moving) + 0.2
        assert found.similarity.item() == pytest.approx(alike(fixed, through(moving, found.fields)), abs=1e-4)
        assert found.folds.item() < 0.02
        inside = truth > 0.5
        assert (found.fields - field).norm(dim=1)[inside].mean() < 2.5  # samples, of about 12

    @pytest.mark.parametrize("engine", ENGINES)
    def test_volume_of_thick_slices(self, engine):
        shape, spacing = (16, 40, 48), (3.0, 1.0, 1.2)
        moving, mask = drawn(shape, spacing=spacing)
        field = bent(shape, 12.0, stretch=1.2)
        fixed, truth = through(moving, field), through(mask, field)
        assert dice(mask, truth) < 0.8

        found = register(fixed, moving, engine, spacing=spacing)

        assert found.fields.shape == (1, 3, *shape)
        assert dice(through(mask, found.fields), truth) > 0.92
        assert found.folds.item() < 0.02

    @pytest.mark.parametrize("engine", ENGINES)
    @pytest.mark.parametrize("spacing", [None, (2.0, 1.0)])
    def test_field_points_from_fixed_to_moving_in_samples_and_array_order(self, engine, spacing):
        moving, _ = drawn((80, 64))
        fixed = torch.roll(moving, (-5, 3), (1, 2))  # fixed(y, x) = moving(y + 5, x - 3)

        found = register(fixed, moving, engine, spacing=spacing)

        middle = found.fields[0, :, 25:55, 20:44].mean((1, 2))
        torch.testing.assert_close(middle, torch.tensor([5.0, -3.0]), atol=0.5, rtol=0)

    def test_spacing_makes_thick_rows_equal_to_pairs_of_thin_ones(self):
        def halved(values):
            return values.reshape(*values.shape[:-2], 32, 2, 128).mean(-2)

        moving, _ = drawn((64, 128))
        fixed = through(moving, bent((64, 128), 12.0, stretch=1.2))
        thin = halved(register(fixed, moving).fields)
        told, untold = (register(halved(fixed), halved(moving), spacing=spacing).fields for spacing in ((2.0, 1.0), None))

        rows = torch.tensor([2.0, 1.0])[:, None, None]
        away, lost = ((field * rows - thin)[..., 4:-4, 8:-8].norm(dim=1).mean().item() for field in (told, untold))
        assert away < 0.4  # of a thin row
        assert lost > 3 * away

    @pytest.mark.parametrize("engine", ENGINES)
    def test_equal_images_stay(self, engine):
        image, _ = drawn((64, 64))
        found = register(image, image, engine)
        assert found.fields[..., 8:-8, 8:-8].abs().mean() < 0.15
        assert found.similarity.item() > 0.99

    @pytest.mark.parametrize("shape", [(9, 70), (8, 8), (2, 30, 31), (5, 30, 31), (1, 40, 40), (40, 1, 40)])
    @pytest.mark.parametrize("engine", ["ffd", "demons"])
    def test_few_samples_along_an_axis(self, engine, shape):
        moving, _ = drawn(shape)
        fixed = torch.roll(moving, 1, -1)
        found = register(fixed, moving, engine)
        assert found.fields.shape == (1, len(shape), *shape)
        assert torch.isfinite(found.fields).all()
        assert found.similarity.item() > alike(fixed, moving) - 0.01


class TestBatch:
    @pytest.mark.parametrize("engine", ["ffd", "demons"])
    def test_equals_one_by_one_and_repeats(self, engine):
        pictures = [drawn((48, 64), seed)[0] for seed in range(3)]
        fixed = torch.cat([through(picture, bent((48, 64), 4.0 + 3 * i)) for i, picture in enumerate(pictures)])
        moving = torch.cat(pictures)

        together = register(fixed, moving, engine)
        alone = [register(fixed[i : i + 1], moving[i : i + 1], engine) for i in range(3)]

        assert_alike(together, alone, tolerance=0.05)
        assert torch.equal(register(fixed[:1], moving[:1], engine).fields, alone[0].fields)
        assert not torch.allclose(together.fields[0], together.fields[2], atol=0.5)

    def test_no_pairs(self):
        found = register(torch.zeros(0, 16, 16), torch.zeros(0, 16, 16))
        assert found.fields.shape == (0, 2, 16, 16)
        assert found.similarity.shape == found.folds.shape == (0,)


class TestStart:
    def test_leads_to_an_object_far_away(self):
        moving, fixed = torch.full((2, 1, 128, 128), 0.2)
        moving[:, 8:28, 8:28] = 0.9
        fixed[:, 96:116, 90:110] = 0.9
        start = torch.tensor([-88.0, -82.0])[None, :, None, None].expand(1, 2, 128, 128)

        lost, led = register(fixed, moving), register(fixed, moving, start=start)

        assert dice(through(moving, lost.fields), fixed) < 0.5
        assert dice(through(moving, led.fields), fixed) > 0.95
        assert led.similarity > lost.similarity + 0.4
        torch.testing.assert_close(led.fields[0, :, 106, 100], torch.tensor([-88.0, -82.0]), atol=1.0, rtol=0)

    @pytest.mark.parametrize("engine", ENGINES)
    def test_is_composed_with_what_is_found(self, engine):
        moving, _ = drawn((80, 64))
        fixed = torch.roll(moving, (-9, 2), (1, 2))
        start = torch.tensor([6.0, 0.0])[None, :, None, None].expand(1, 2, 80, 64)
        found = register(fixed, moving, engine, start=start)
        middle = found.fields[0, :, 30:50, 20:44].mean((1, 2))
        torch.testing.assert_close(middle, torch.tensor([9.0, -2.0]), atol=0.5, rtol=0)


class TestMeasures:
    def test_folds_of_a_field_that_turns_the_middle_over(self):
        flat = torch.full((1, 40, 40), 0.5)  # without contrast the start is kept
        field = torch.zeros(1, 2, 40, 40)
        field[0, 0, 10:30] = -2.0 * torch.arange(20.0)[:, None]  # y -> 10 - (y - 10): upside down on 20 of 40 rows
        assert register(flat, flat, start=field).folds.item() == pytest.approx(0.5, abs=0.03)
        gentle = field * 0.4
        gentle[0, 0, 30:] = gentle[0, 0, 29:30]
        assert register(flat, flat, start=gentle).folds.item() == 0

    def test_folds_of_a_mirror_and_of_a_half_turn(self):
        lines = torch.meshgrid(*[torch.arange(12.0)] * 3, indexing="ij")
        mirror, turn = torch.zeros(2, 1, 3, 12, 12, 12)
        mirror[:, 2] = turn[:, 2] = 11 - 2 * lines[2]
        turn[:, 1] = 11 - 2 * lines[1]
        flat = torch.zeros(1, 12, 12, 12)
        assert register(flat, flat, start=mirror).folds.item() == 1
        assert register(flat, flat, start=turn).folds.item() == 0

    @pytest.mark.parametrize("engine", ["ffd", "demons"])
    @pytest.mark.parametrize("empty", ["fixed", "moving", "both"])
    def test_image_without_contrast_keeps_its_place(self, engine, empty):
        image, _ = drawn((48, 48))
        flat = torch.full_like(image, 0.3)
        fixed = torch.cat([flat if empty in ("fixed", "both") else image, image])
        moving = torch.cat([flat if empty in ("moving", "both") else image, torch.roll(image, 3, -1)])
        found = register(fixed, moving, engine)
        assert found.similarity[0] == 0
        assert torch.equal(found.fields[0], torch.zeros(2, 48, 48))
        assert found.similarity[1] > 0.95

    @pytest.mark.parametrize("engine", ["ffd", "demons"])
    def test_images_with_nothing_in_common_are_not_driven_further_apart(self, engine):
        fixed, _ = drawn((40, 56), 3)
        noise = torch.rand(1, 40, 56, generator=torch.Generator().manual_seed(3))
        for moving in (noise, 1 - fixed, torch.roll(fixed, 28, -1)):
            assert register(fixed, moving, engine).similarity.item() > alike(fixed, moving) - 0.02

    def test_unlike_images_score_low(self):
        generator = torch.Generator().manual_seed(1)
        found = register(*torch.rand(2, 1, 64, 64, generator=generator))
        assert found.similarity.item() < 0.7


class TestWarp:
    def test_takes_values_from_where_the_field_points(self):
        values = torch.arange(20.0).view(1, 1, 4, 5)
        field = torch.tensor([1.0, -2.0])[None, :, None, None].expand(1, 2, 4, 5)
        expected = values[0, 0][torch.tensor([1, 2, 3, 3])][:, torch.tensor([0, 0, 0, 1, 2])]
        torch.testing.assert_close(warp(values, field)[0, 0], expected)

    def test_is_linear_between_samples_of_a_volume(self):
        lines = torch.meshgrid(*[torch.arange(size).double() for size in (5, 6, 7)], indexing="ij")
        values = torch.stack([lines[0] * 100 + lines[1] * 10 + lines[2], lines[2]])[None]
        field = torch.tensor([0.5, 0.25, -0.5])[None, :, None, None, None].expand(1, 3, 5, 6, 7)
        moved = warp(values, field)[..., :4, :5, 1:]
        torch.testing.assert_close(moved[0, 0], values[0, 0, :4, :5, 1:] + 52.0)
        torch.testing.assert_close(moved[0, 1], values[0, 1, :4, :5, 1:] - 0.5)


class TestSurroundings:
    @pytest.mark.parametrize("engine", ["ffd", "demons"])
    def test_works_where_gradients_are_off(self, engine):
        moving, _ = drawn((48, 48))
        fixed = torch.roll(moving, 2, -1)
        plain = register(fixed, moving, engine)
        with torch.inference_mode():
            inferred = register(fixed.clone(), moving.clone(), engine)
        with torch.autocast("cpu", torch.bfloat16):
            cast = register(fixed, moving, engine)
        assert torch.equal(inferred.fields, plain.fields)
        assert torch.equal(cast.fields, plain.fields)
        assert not plain.fields.requires_grad

    def test_takes_other_precisions_and_leaves_inputs_alone(self):
        moving, _ = drawn((40, 40))
        fixed = torch.roll(moving, 2, -1).double()
        kept = fixed.clone(), moving.clone()
        found = register(fixed, moving.requires_grad_())
        assert found.fields.dtype == torch.float32
        assert torch.equal(fixed, kept[0])
        assert torch.equal(moving, kept[1])


class TestRefusals:
    IMAGE = torch.rand(2, 16, 16)

    @pytest.mark.parametrize(
        ("moving", "start", "words"),
        [
            (torch.rand(2, 16, 17), None, "moving of shape (2, 16, 17)"),
            (torch.rand(1, 16, 16), None, "moving of shape (1, 16, 16)"),
            (torch.rand(2, 16, 16), torch.zeros(2, 3, 16, 16), "start of shape (2, 3, 16, 16)"),
            (torch.rand(2, 16, 16), torch.zeros(1, 2, 16, 16), "start of shape (1, 2, 16, 16)"),
        ],
    )
    def test_shapes_that_disagree(self, moving, start, words, unchecked):
        with pytest.raises(GeometryError, match=r"with fixed images") as error:
            unchecked(self.IMAGE, moving, start=start)
        assert words in str(error.value)

    @pytest.mark.parametrize("shape", [(16, 16), (2, 1, 2, 3, 4), (2, 0, 16), (2, 1, 16), (2, 1, 1, 16)])
    def test_other_numbers_of_axes(self, shape):
        with pytest.raises(GeometryError, match=r"\(n, y, x\) or \(n, z, y, x\)"):
            register(torch.rand(shape), torch.rand(shape))

    @pytest.mark.parametrize("bad", [float("nan"), float("inf")])
    @pytest.mark.parametrize("which", ["fixed", "moving", "start"])
    def test_values_that_are_not_finite(self, which, bad):
        given = {"fixed": self.IMAGE.clone(), "moving": self.IMAGE.clone(), "start": torch.zeros(2, 2, 16, 16)}
        given[which].view(-1)[7] = bad
        with pytest.raises(InvalidImage, match=f"{which} with NaN"):
            register(**given)

    @pytest.mark.parametrize("spacing", [(1.0,), (1.0, 0.0), (1.0, -2.0), (1.0, float("nan")), (1.0, 1.0, 1.0)])
    def test_impossible_spacing(self, spacing):
        with pytest.raises(InvalidConfig, match="2 positive numbers"):
            register(self.IMAGE, self.IMAGE, spacing=spacing)

    def test_unknown_engine(self, unchecked):
        with pytest.raises(InvalidConfig, match=r"'elastix'.*ffd, demons"):
            unchecked(self.IMAGE, self.IMAGE, "elastix")

    @pytest.mark.parametrize(("engine", "package"), [("greedy", "picsl-greedy"), ("dipy", "dipy")])
    def test_missing_package(self, engine, package, monkeypatch):
        for module in ("picsl_greedy", "dipy", "dipy.align", "dipy.align.imaffine", "dipy.align.transforms"):
            monkeypatch.setitem(__import__("sys").modules, module, None)
        with pytest.raises(MissingExtra, match=rf"without the package {package}.*pip install 'promisam\[register\]'"):
            register(self.IMAGE, self.IMAGE, engine)

    def test_every_engine_is_tested(self):
        assert set(get_args(Engine)) - {"auto"} == set(PACKAGES)


@pytest.fixture
def unchecked(monkeypatch):
    """`register` as a user calls it: the shape checks of jaxtyping exist in tests only."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    return register


def assert_alike(together: Registered, alone: list[Registered], tolerance: float) -> None:
    for i, one in enumerate(alone):
        torch.testing.assert_close(together.fields[i : i + 1], one.fields, atol=tolerance, rtol=0)
        torch.testing.assert_close(together.similarity[i : i + 1], one.similarity, atol=1e-3, rtol=0)
        torch.testing.assert_close(together.folds[i : i + 1], one.folds, atol=1e-3, rtol=0)
