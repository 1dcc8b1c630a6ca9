"""SAM-MPA finds in other images what a few supports show, in pictures and volumes of any size, and says how sure it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geometries import oblique
from promisam.core import Grid, Image, Labelled, Prompts, Segmentation, Task, answer, predict
from promisam.core.errors import GeometryError, InvalidPrompt, UnsupportedPrompt
from promisam.evaluation.metrics import dice
from promisam.io import open_examples
from promisam.methods.sam_mpa import Config, SamMPA
from promisam.sam.picture import prompt_tensors
from promisam.spatial.registration import ffd
from promisam.store import Source
from tiny_sam import tiny

QUICK = {"side": 32, "members": 1, "steps": 30}
PLAIN = {"registration": 1, "sam": 0}  # what a SAM of random weights cannot spoil
TWO = ("disc", "box")


@pytest.fixture(autouse=True)
def few_steps(request, monkeypatch):
    """Registration that finds less, but in a fraction of the time; objects lie nearly alike here."""
    if "litemedsam" not in request.fixturenames:
        monkeypatch.setattr(ffd, "AFFINE_STEPS", 20)
        monkeypatch.setattr(ffd, "LEVELS", {2: (ffd.Level(32, 15, 9),), 3: (ffd.Level(16, 15, 5),)})


def scene(seed=0, shape=(48, 64), classes=1, shown=(1, 2), grid=None, channels=1, place=None):
    """A bright ball left of and above the middle, a dark box on the other side, on a slope with noise, in 0..255."""
    chance = np.random.default_rng(seed)
    index = np.indices(shape)
    middle = [
        (p + chance.uniform(-0.04, 0.04)) * n for p, n in zip(place or (0.36, 0.36, 0.4)[: len(shape)], shape, strict=True)
    ]
    ball = sum(((i - m) / (0.24 * n)) ** 2 for i, m, n in zip(index, middle, shape, strict=True)) < 1
    corner = (0.66 + chance.uniform(-0.04, 0.04)) * np.array(shape)
    box = np.all([(i >= c) & (i <= c + 0.25 * n) for i, c, n in zip(index, corner, shape, strict=True)], axis=0)
    ball, box = ball & (1 in shown), box & (2 in shown) & (classes > 1)
    values = 100 + 20 * index[-1] / shape[-1] + 90 * ball - 80 * box + chance.normal(0, 4, shape)
    grid = grid or (Grid.of_picture(shape) if len(shape) == 2 else oblique(shape))
    pixels = np.clip(np.stack([values - 8 * c for c in range(channels)]), 0, 255).astype(np.uint8)
    return Labelled(Image(pixels, grid), Segmentation((ball + 2 * box).astype(np.uint8), grid))


def taught(*supports, classes=("object",), others=(), traits=None, **options):
    """The method with these supports."""
    grid = supports[0].image.grid
    task = Task(classes, grid.ndim, 1, grid.spacing, grid.shape)
    method = SamMPA(tiny(**(traits or {})), Config(**{**QUICK, **options}), task)
    method.learn(supports, others, torch.Generator().manual_seed(0), lambda *_: None)
    return method


def reached(method, case, label=1):
    return dice(predict(method, case.image).labels == label, case.truth.labels == label)


def highest(method, case):
    """As many samples as the object has, those of the highest scores: a SAM this small leaves them low."""
    encoded = method.encode(case.image)
    logits = method.decode(encoded, Prompts(encoded.grid)).logits[0]
    return logits > np.sort(logits.ravel())[-int((case.truth.labels == 1).sum()) - 1]


def explained(method, image):
    return method.explain(method.encode(image))


@pytest.fixture(scope="module")
def three():
    """With all that is tuned; three supports tell something about each other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ffd, "AFFINE_STEPS", 20)
        patch.setattr(ffd, "LEVELS", {2: (ffd.Level(32, 15, 9),)})
        return taught(scene(1), scene(2), scene(3))


class TestPictures:
    """What the supports show is found, whatever the pictures are."""

    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_few_supports_are_enough(self, number):
        method = taught(*(scene(seed) for seed in range(number)), **PLAIN)
        assert len(method.network.pictures) == number
        for case in (scene(11), scene(12, (60, 44))):
            assert reached(method, case) > 0.85

    def test_a_support_is_answered_with_its_label(self, three):
        method = taught(scene(1), scene(2), scene(3), neighbours=1, **PLAIN)
        for case in (scene(1), scene(2), scene(3)):
            assert reached(method, case) > 0.93
            assert explained(method, case.image).measures["similarity"] > 0.97
        assert reached(three, scene(1)) > 0.8

    def test_features_alone_tell_places_apart(self):
        places = [(0.35, 0.3), (0.65, 0.7)]
        method = taught(*(scene(seed, place=places[seed % 2]) for seed in range(4)), registration=0, sam=0, steps=150)
        for place in places:
            case = scene(20, place=place)
            assert dice(highest(method, case), case.truth.labels == 1) > 0.6

    @pytest.mark.parametrize("registration", [0, 1])
    def test_parts_that_are_not_wanted_are_not_measured(self, registration):
        case = scene(4)
        for sam in (0, 1):
            told = explained(taught(scene(1), scene(2), registration=registration, sam=sam), case.image)
            assert ("similarity" in told.measures) == (registration == 1)
            assert ("quality" in told.measures) == (sam == 1)
            assert bool(told.prompts) == (sam == 1)

    def test_supports_without_objects_do_no_harm(self):
        one = taught(scene(1), scene(2, shown=()), **PLAIN)
        assert reached(one, scene(1)) > 0.8
        three = taught(scene(1), scene(2, shown=()), scene(3), scene(4))
        assert np.isfinite(explained(three, scene(5).image).confidence)
        assert reached(three, scene(5)) > 0.5

    @pytest.mark.parametrize("number", [1, 3])
    @pytest.mark.parametrize("options", [{}, {"registration": 0, "sam": 1}])
    def test_supports_without_any_object_find_nothing(self, number, options):
        method = taught(*(scene(seed, shown=()) for seed in range(number)), steps=200, **options)
        assert not predict(method, scene(5, shown=()).image).labels.any()
        told = explained(method, scene(5, shown=()).image)
        assert told.flags == ("nothing found",)
        assert 0 <= told.confidence <= 1

    def test_two_classes_of_which_supports_may_lack_one(self):
        given = [scene(1, classes=2), scene(2, classes=2, shown=(1,)), scene(3, classes=2), scene(4, classes=2, shown=(2,))]
        method = taught(*given, classes=TWO, **PLAIN)
        case = scene(1, classes=2)
        found = predict(method, case.image)
        assert [found.name(value) for value in (1, 2)] == list(TWO)
        assert reached(method, case, 1) > 0.7
        assert reached(method, case, 2) > 0.6

    def test_a_class_that_no_support_shows_is_not_found(self):
        method = taught(scene(1, classes=2, shown=(1,)), scene(2, classes=2, shown=(1,)), scene(3), classes=TWO, sam=0)
        found = predict(method, scene(5).image)
        assert (found.labels == 1).any()
        assert not (found.labels == 2).any()
        assert explained(method, scene(5).image).flags == ("a class was not found",)

    @pytest.mark.parametrize(
        ("shape", "channels", "dtype"),
        [((30, 90), 1, np.uint8), ((90, 30), 3, np.uint8), ((50, 50), 1, np.uint16), ((48, 64), 4, np.float32)],
    )
    def test_pictures_of_all_kinds(self, shape, channels, dtype):
        def case(seed):
            one = scene(seed, shape, channels=channels)
            pixels = one.image.pixels.astype(dtype) * (200 if dtype == np.uint16 else 1)
            return Labelled(Image(pixels, one.image.grid), one.truth)

        assert reached(taught(case(1), case(2), **PLAIN), case(3)) > 0.8

    def test_supports_of_different_sizes(self):
        method = taught(scene(1, (30, 64)), scene(2, (64, 40)), scene(3, (7, 5)), scene(4, (100, 120)))
        for shape in ((55, 44), (7, 5), (1, 9), (130, 20)):
            found = predict(method, (case := scene(9, shape)).image)
            assert found.grid == case.image.grid
            assert np.isfinite(explained(method, case.image).confidence)
        assert reached(taught(scene(1, (30, 64)), scene(2, (64, 40)), **PLAIN), scene(9, (55, 44))) > 0.8

    def test_a_constant_picture_is_answered(self, three):
        blank = Image(np.full((1, 48, 64), 100, np.uint8), Grid.of_picture((48, 64)))
        assert 0 <= explained(three, blank).confidence <= 1
        flat = Labelled(blank, scene(1).truth)
        assert np.isfinite(predict(taught(flat), blank).labels).all()

    def test_an_image_unlike_the_supports_is_trusted_less(self, three):
        noise = np.random.default_rng(0).integers(0, 256, (1, 48, 64)).astype(np.uint8)
        usual = explained(three, scene(7).image)
        for pixels in (noise, np.full_like(noise, 100)):
            told = explained(three, Image(pixels, Grid.of_picture((48, 64))))
            assert told.measures["similarity"] < 0.3
            assert told.confidence < 0.8 * usual.confidence

    def test_unlike_numbers_of_axes_are_refused(self):
        with pytest.raises(GeometryError):
            taught(scene(1), scene(2, (6, 20, 20)))
        with pytest.raises(GeometryError, match="SliceWise"):
            predict(taught(scene(1), **PLAIN), scene(2, (6, 20, 20)).image)


class TestAnswers:
    """What is said beside the mask, and what can be asked further."""

    def test_confidence_flags_and_prompts(self, three):
        case = scene(7)
        told = explained(three, case.image)
        assert 0 <= told.confidence <= 1
        assert told.flags == ()
        assert {"sureness", "evidence", "coarse_dice", "similarity", "agreement", "folds"} <= set(told.measures)

    def test_prompts_given_back_hit_the_same_place(self):
        options = {"sam": 1, "levels": (0.5,), "cascade": False, "cleaning": False, "agreement": 0, "evidence": 0}
        method = taught(scene(1), scene(2), registration=1, traits={"multimask": False}, **options)
        encoded = method.encode(scene(3).image)
        (asked,) = method.explain(encoded).prompts
        own, again = (method.decode(encoded, one).logits[0] > 0 for one in (Prompts(encoded.grid), asked))
        assert asked.kinds == {"points", "box", "mask"}
        assert asked.target == "object"
        assert 0.02 < own.mean() < 0.98
        assert dice(own, again) > 0.93

    def test_prompts_are_drawn_around_the_object(self):
        method = taught(scene(1), scene(2), registration=1, sam=1)
        case = scene(3)
        (asked,) = method.suggest(method.encode(case.image))
        on = np.argwhere(case.truth.labels)
        assert np.abs(asked.box_zyx - [on.min(0), on.max(0)]).max() < 7
        assert case.truth.labels[tuple(np.rint(asked.points_zyx[0]).astype(int))] == 1
        assert asked.labels[0] == 1
        assert dice(asked.mask, case.truth.labels == 1) > 0.8

    def test_suggested_is_explained(self, three):
        encoded = three.encode(scene(3).image)
        suggested, told = three.suggest(encoded), three.explain(encoded).prompts
        assert len(suggested) == len(told)
        assert all(one is other for one, other in zip(suggested, told, strict=True))

    def test_a_sam_that_disagrees_is_flagged_and_not_believed(self):
        method = taught(scene(1), scene(2), registration=1, sam=1, agreement=1)
        plain = taught(scene(1), scene(2), **PLAIN)
        assert "SAM disagrees: coarse mask kept" in explained(method, scene(3).image).flags
        assert reached(method, scene(3)) == pytest.approx(reached(plain, scene(3)), abs=0.02)

    def test_too_little_evidence_is_nothing_found(self):
        sure = taught(scene(1), scene(2), scene(3), **PLAIN)
        strict = taught(scene(1), scene(2), scene(3), evidence=5, **PLAIN)
        assert predict(sure, scene(4).image).labels.any()
        assert not predict(strict, scene(4).image).labels.any()
        assert explained(strict, scene(4).image).flags == ("nothing found",)

    def test_a_box_by_hand_asks_the_sam(self, three):
        encoded = three.encode(scene(3).image)
        box = Prompts(encoded.grid).with_box((5.0, 6.0), (30.0, 40.0))
        seen = encoded.views[0]
        logits, quality = three.sam.decode(seen.embedding, **prompt_tensors(three.sam, seen.frame, box))
        found = three.decode(encoded, box)
        assert np.array_equal(found.logits, seen.frame.restore(logits[:, :1])[0].numpy())
        assert found.quality == (pytest.approx(float(quality[0, 0])),)

    def test_prompts_name_their_class_where_there_are_several(self):
        method = taught(scene(1, classes=2), classes=TWO, **PLAIN)
        encoded = method.encode(scene(2, classes=2).image)
        box = Prompts(encoded.grid).with_box((5.0, 6.0), (30.0, 40.0))
        with pytest.raises(InvalidPrompt, match="disc, box"):
            method.decode(encoded, box)
        named = Prompts(encoded.grid, target="box").with_box((5.0, 6.0), (30.0, 40.0))
        assert method.decode(encoded, named).logits.shape == (1, 48, 64)

    def test_other_images_shift_what_is_usual(self):
        alone, among = taught(scene(1)), taught(scene(1), others=[scene(seed, (30, 40)).image for seed in (5, 6)])
        assert torch.equal(alone.network.pooled, among.network.pooled)
        assert not torch.allclose(alone.network.mean, among.network.mean)
        volume = scene(1, (4, 12, 12)).image  # of other axes: left out
        assert torch.equal(taught(scene(1), others=[volume]).network.mean, alone.network.mean)


VOLUMES = {
    "slices along the first axis": lambda n: oblique((6 + n, 24, 30), spacing=(0.8, 0.8, 3.0)),
    "slices along the second": lambda n: oblique((24, 6 + n, 30), spacing=(0.8, 3.0, 0.8)),
    "slices along the last": lambda n: oblique((26, 24, 6 + n), spacing=(4.0, 1.0, 1.1)),
    "equal spacing": lambda n: Grid((14, 16 + n, 20), np.eye(4)),
}


class TestVolumes:
    """The mask lies where the object is, on the grid of the volume."""

    @pytest.mark.parametrize("grid_of", VOLUMES.values(), ids=VOLUMES.keys())
    def test_objects_are_found_where_they_are(self, grid_of):
        given = [scene(seed, grid_of(seed).shape, grid=grid_of(seed)) for seed in (0, 2)]
        method = taught(*given, side=40, **PLAIN)
        case = scene(7, grid_of(1).shape, grid=grid_of(1))
        found = predict(method, case.image)
        assert found.grid == case.image.grid
        assert dice(found.labels == 1, case.truth.labels == 1) > 0.6
        off = np.argwhere(found.labels).mean(0) - np.argwhere(case.truth.labels).mean(0)
        assert np.abs(off).max() < 1.5

    @pytest.mark.parametrize("axis", [0, 2])
    def test_features_alone_find_them_too(self, axis):
        spacing = (0.9, 0.9, 3.0) if axis == 0 else (3.0, 0.9, 0.9)
        shape = (5, 30, 36) if axis == 0 else (30, 36, 5)
        given = [scene(seed, shape, grid=oblique(shape, spacing=spacing)) for seed in (0, 1)]
        method = taught(*given, registration=0, sam=0, steps=150)
        case = scene(7, shape, grid=oblique(shape, spacing=spacing))
        off = np.argwhere(highest(method, case)).mean(0) - np.argwhere(case.truth.labels).mean(0)
        assert np.abs(off).max() < 3

    def test_all_of_it_works_on_volumes_of_different_shapes(self):
        given = [scene(seed, (3 + seed, 20 + 2 * seed, 24)) for seed in (0, 1, 2)]
        method = taught(*given, classes=TWO)
        case = scene(5, (2, 18, 30))
        encoded = method.encode(case.image)
        scored = method.decode(encoded, Prompts(encoded.grid))
        assert scored.logits.shape == (2, 2, 18, 30)
        assert np.isfinite(scored.logits).all()
        told = method.explain(encoded)
        assert 0 <= told.confidence <= 1
        assert told.prompts == ()
        assert method.suggest(encoded) == []
        again = method.decode(method.encode(case.image), Prompts(encoded.grid))
        assert np.array_equal(again.logits, scored.logits)

    def test_a_volume_of_one_slice(self):
        one = scene(1, (1, 24, 30))
        assert predict(taught(one, **PLAIN), one.image).labels.shape == (1, 24, 30)

    def test_prompts_are_refused(self):
        method = taught(scene(1, (3, 20, 24)), **PLAIN)
        grid = scene(1, (3, 20, 24)).image.grid
        with pytest.raises(UnsupportedPrompt, match="Leave prompts out"):
            method.check(grid, Prompts(grid).with_box((0, 2, 2), (2, 9, 9)))


def test_lungs_are_found_from_four_labels_with_released_weights(shared, litemedsam):
    examples = open_examples(shared / "data" / "minijsrt_lung" / "index.csv", (), None).examples
    cases = [one.load() for one in examples[::6][:7]]
    sam = Source(like="litemedsam", weights=litemedsam).sam()[0]
    method = SamMPA(sam, Config(side=64, members=1, steps=100), Task(("lungs",), 2, 1, (1.0, 1.0), (256, 256)))
    method.learn(cases[:4], [], torch.Generator().manual_seed(0), lambda *_: None)
    encoded = [method.encode(case.image) for case in cases[4:]]
    found = [dice(answer(method, e).labels == 1, case.truth.labels == 1) for e, case in zip(encoded, cases[4:], strict=True)]
    assert np.mean(found) > 0.9, found
    told = [method.explain(one) for one in encoded]
    assert np.mean([one.confidence for one in told]) == pytest.approx(np.mean(found), abs=0.1)
    assert all(one.flags == () for one in told)
