"""What every method keeps, whatever it computes."""

from __future__ import annotations

import typing
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise, zip_longest

import numpy as np
import pydantic
import pytest
import torch
from safetensors import safe_open

from geometries import flipped, oblique
from promisam import zoo
from promisam.core import (
    Encoded,
    Example,
    Explains,
    Grid,
    Image,
    Labelled,
    Prompts,
    Scores,
    Segmentation,
    Segmenter,
    Task,
    predict,
)
from promisam.core.errors import (
    GridMismatch,
    InvalidConfig,
    InvalidImage,
    InvalidPrompt,
    NotFitted,
    PromisamError,
    UnsupportedPrompt,
    WeightsError,
)
from promisam.methods import METHODS
from promisam.runs.few_shot import Learning
from promisam.sam.model import fingerprint
from promisam.sam.picture import prompt_tensors
from promisam.spatial.registration import ffd
from promisam.training.checkpoint import MODEL, Header, read_header, read_into, read_shapes, write_checkpoint
from promisam.training.contract import FewShot, Measuring
from promisam.training.course import Course
from promisam.training.events import Step, Stopped
from promisam.training.loop import train
from promisam.training.recipe import Recipe
from tiny_sam import randomise, tiny


@dataclass(frozen=True)
class World:
    """What methods of images of so many axes are tried on.

    Attributes:
        task: what they learn; its shape is that of the image that most tests take.
        shapes: of other images.
        oblique: where an image lies that stands at an angle in the patient.
    """

    task: Task
    shapes: dict[str, tuple[int, ...]]
    oblique: Grid

    def image(self, **changes):
        return picture(self.task.shape, **changes)

    @property
    def grid(self):
        return Grid.of_picture(self.task.shape)


TASK = Task(("object",), 2, 1, (1.0, 1.0), (40, 61))
SOLID = Task(("object",), 3, 1, (1.0, 1.0, 1.0), (20, 26, 31))
SHAPES = ("wide", "tall", "small", "row")
WORLDS = {
    2: World(TASK, dict(zip(SHAPES, [(40, 61), (90, 33), (7, 5), (2, 50)], strict=True)), oblique((5, 40, 61)).slice(0, 3)),
    3: World(SOLID, dict(zip(SHAPES, [(9, 14, 37), (33, 15, 6), (3, 4, 2), (1, 2, 30)], strict=True)), oblique((5, 14, 19))),
}
# Other values of options whose type does not list them.
ALTERNATIVES = {
    "window": ["40,100", "lung"],
    "points": [3],
    "distance_weight": [0.5],
    "mask": [0, 2],
    "opening": [5],
    "variants": [2],
    "side": [32],
    "patch": [(32, 32, 32)],
    "spacing": [1.5],
    "enlargement": [2],
    "neck": [24],
    "decoder": [12],
    "fineness": [2],
    "queries": [3],
    "prompt_mlp": [24],
    "boundary": [1.0],
    "positives": [3],
    "negatives": [3],
    "percentiles": [(20.0, 80.0)],
    "cubes": [1],
    "width": [8],
    "levels": [3],
    "rotation": [0.0],
    "scaling": [0.0],
    "flips": ["none"],
    "intensity": [0.0],
    "foreground": [1.0],
    "overlap": [0.0],
    "registration": [0.0, 0.3],
    "sam": [0.0, 1.0],
    "neighbours": [1],
    "sharpness": [0.0],
    "members": [2],
    "steps": [10],
    "margin": [0.2],
    "smallest": [1.0],
    "rank": [0],
    "frequencies": [5],
    "sampling": [0.0],
    "passes": [3],
    "dropout_seed": [1],
    "box_jitter": [0.0],
    "encoder_rate": [0.5],
    "parts": [1],
    "agreement": [1.0],
    "evidence": [5.0],
    "rounds": [1],
    "boxes": [0.0],
    "feedback": [1.0],
    "box_answers": ["learned"],
    "quality": [0.0],
}
# The same where the name means something else to one method, or not all that its type lists can be had everywhere.
OWN_ALTERNATIVES = {
    "SamMPA": {"side": [48], "levels": [(0.5,)], "engine": ["demons"]},
    "Promise3d": {"patch": [24], "window": [4]},
}
# Options without which another one is refused.
NEEDED = {
    ("Promise3d", "view"): {"click_map": True},
    ("Promise3d", "mode"): {"cubes": 1},
    ("Interactive", "feedback"): {"rounds": 2},
    ("Interactive", "boxes"): {"box_answers": "learned"},
    ("Interactive", "box_jitter"): {"box_answers": "learned"},
}
# Sizes for tests. Interactive: clicks alone and no corrections, which lie elsewhere as soon as a mask differs by a pixel.
QUICK = {
    "Interactive": {"rounds": 0},
    "SamMPA": {"side": 32, "members": 1, "steps": 30},
    "UNet": {"patch": (16, 16, 16)},  # smaller than the volume
    "Promise3d": {"patch": 16, "window": 2, "neck": 16, "decoder": 8, "prompt_mlp": 16, "cubes": 4},
}
MEMORIES: dict[tuple[object, ...], dict[str, torch.Tensor]] = {}


def named(method):
    module, _, name = METHODS[method].partition(":")
    return getattr(import_module(module), name)


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    """Registration that finds less, but in a tenth of the time."""
    monkeypatch.setattr(ffd, "AFFINE_STEPS", 10)
    monkeypatch.setattr(ffd, "LEVELS", {2: (ffd.Level(16, 12, 5),), 3: (ffd.Level(8, 8, 5),)})


@pytest.fixture(params=METHODS)
def kind(request):
    return named(request.param)


def worlds_of(kind):
    """All that it can be made for: one, unless the task says whether pictures or volumes are learned."""
    return [WORLDS[kind.ndim]] if isinstance(kind.ndim, int) else [*WORLDS.values()]


@pytest.fixture
def world(kind):
    return worlds_of(kind)[0]


def config_of(kind):
    return import_module(kind.__module__).Config


def quick(kind, **options):
    """Options of a size for tests."""
    return config_of(kind)(**{**QUICK.get(kind.__name__, {}), **options})


def make(kind, seed=0, traits=None, **options):
    return on(kind, tiny(seed=seed, **(traits or {})), seed, **options)


def on(kind, sam, /, seed=0, task=None, **options):
    """The method on a SAM; a trainable one with weights that do something, a few-shot one with supports."""
    if remembers(kind):
        return remembering(kind, sam, seed, **options)
    if not learns(kind):
        return kind(sam, quick(kind, **options))
    task = task or worlds_of(kind)[0].task
    method = kind(sam, quick(kind, **options), task)
    randomise(method.network, seed)
    if isinstance(method, Measuring):
        method.measure(examples(task.shape))
    method.network.eval()
    return method


def learns(kind):
    return hasattr(kind, "recipe")


def remembers(kind):
    return getattr(kind, "few_shot", False)


def remembering(kind, sam, /, seed=0, learned=None, **options):
    """A few-shot method with three supports; learned once for each SAM, seed and options, by default those of `options`."""
    learned = options if learned is None else learned
    key = (kind, fingerprint(sam), seed, *sorted(learned.items()))
    if key not in MEMORIES:
        teacher = fresh(kind, sam, **learned)
        learn(teacher, seed=seed)
        MEMORIES[key] = {name: tensor.clone() for name, tensor in teacher.network.state_dict().items()}
    method = fresh(kind, sam, **options)
    method.make_room({name: tuple(tensor.shape) for name, tensor in MEMORIES[key].items()})
    method.network.load_state_dict(MEMORIES[key])
    return method


def fresh(kind, sam, /, task=TASK, **options):
    """A few-shot method before it learns, in a size for tests."""
    return kind(sam, quick(kind, **options), task)


def learn(method, number=3, seed=0, others=(), said=lambda _what, _done, _of: None):
    method.learn(supports(number), others, torch.Generator().manual_seed(seed), said)


def supports(number=3):
    """Pictures like `picture`, of several sizes, with the ellipse and a small square labelled."""
    shapes = {(40, 61): 0.0, (45, 60): 0.06, (50, 50): -0.05}
    return [drawn(shape, shift) for shape, shift in list(shapes.items())[:number]]


def drawn(shape, shift=0.0):
    """One of them, moved to the right by a share of its width."""
    image = picture(shape)
    y, x = np.indices(shape)
    labels = ((y / shape[0] - 0.5) / 0.3) ** 2 + ((x / shape[1] - 0.4) / 0.25) ** 2 < 1
    square = (abs(y / shape[0] - 0.85) < 0.09) & (abs(x / shape[1] - 0.85) < 0.09)
    pixels = np.roll(image.pixels + 80 * square.astype(np.int16), round(shift * shape[1]), axis=2)
    found = np.roll(labels | square, round(shift * shape[1]), axis=1).astype(np.uint8)
    return Labelled(Image(pixels, image.grid), Segmentation(found, image.grid, {1: "object"}))


def picture(shape=TASK.shape, channels=1, dtype=np.int16, grid=None):
    """A bright ellipse on a textured ground, or an ellipsoid in one."""
    *_, y, x = axes = np.indices(shape)
    ellipse = [(0.5, 0.4), (0.5, 0.3), (0.4, 0.25)][-len(shape) :]  # middle and radius
    inside = sum(((a / n - m) / r) ** 2 for a, n, (m, r) in zip(axes, shape, ellipse, strict=True)) < 1
    values = 30 + 25 * np.sin(x / 3) + 15 * np.cos(y / 2) + 90 * inside
    pixels = np.stack([values + 10 * c for c in range(channels)])
    return Image((pixels * 200 if dtype == np.uint16 else pixels).astype(dtype), grid or Grid.of_picture(shape))


def ask(image, kind_of_prompt):
    *rest, w = image.grid.shape
    none = Prompts(image.grid)
    if kind_of_prompt == "points":
        return none.click((*(n * 0.5 for n in rest), w * 0.4))
    if kind_of_prompt == "box":
        return none.with_box((*(n * 0.2 for n in rest), w * 0.15), (*((n - 1) * 0.8 for n in rest), w * 0.65))
    mask = np.zeros(image.grid.shape, bool)
    mask[(*(slice(n // 4, n // 2 + 1) for n in rest), slice(w // 4, w // 2))] = True
    return none.with_mask(mask)


def ask_for_two(method, image):
    """The left and the right of an image, by boxes for a method that takes them."""
    *rest, w = image.grid.shape
    none = Prompts(image.grid)
    if "box" in method.accepts:
        low, high = [5.0] * len(rest), [n - 5.0 for n in rest]
        return none.with_box((*low, 2.0), (*high, w / 2)), none.with_box((*low, w / 2), (*high, w - 3.0))
    left, right = ((*(n / 2 for n in rest), w * part) for part in (0.25, 0.75))
    return none.click(left), none.click(right)


def usable(method, image):
    """One value of prompts of every kind that the method takes; the last is without prompts for an automatic one."""
    return [*(ask(image, one) for one in sorted(method.accepts)), *([Prompts(image.grid)] if method.automatic else [])]


def scores(method, image, prompts):
    return method.decode(method.encode(image), prompts)


def test_it_keeps_the_protocol(kind, world):
    method = make(kind)
    assert isinstance(method, Segmenter)
    assert method.ndim in (2, 3)
    assert method.accepts <= {"points", "box", "mask"}
    assert isinstance(method.encode(world.image()), Encoded)
    assert method.encode(world.image()).grid == world.image().grid


@pytest.mark.parametrize("name", SHAPES)
def test_scores_are_float32_on_the_grid_of_the_image(kind, world, name):
    method, image = make(kind), picture(world.shapes[name])
    for prompts in usable(method, image):
        found = scores(method, image, prompts)
        assert isinstance(found, Scores)
        assert found.logits.dtype == np.float32
        assert found.logits.shape[1:] == image.grid.shape
        assert found.grid == image.grid
        assert np.isfinite(found.logits).all()
        assert found.logits.std() > 0
        assert all(np.isfinite(found.quality))


def test_what_stands_at_an_angle_keeps_its_place(kind, world):
    method, image = make(kind), picture(world.oblique.shape, grid=world.oblique)
    found = predict(method, image, usable(method, image)[0])
    assert found.grid == world.oblique


def test_the_same_question_has_the_same_answer(kind, world):
    method, image = make(kind), world.image()
    for prompts in usable(method, image):
        first, again = scores(method, image, prompts), scores(method, image, prompts)
        other = scores(make(kind), image, prompts)
        assert np.array_equal(first.logits, again.logits)
        assert np.array_equal(first.logits, other.logits)
        assert first.quality == again.quality


def test_one_encoding_serves_all_prompts(kind, world):
    method, image = make(kind), world.image()
    encoded = method.encode(image)
    one, *others = [*usable(method, image), *(ask_for_two(method, image) if method.accepts else [])]
    first = method.decode(encoded, one)
    for other in others:
        method.decode(encoded, other)
    assert np.array_equal(method.decode(encoded, one).logits, first.logits)


def test_the_answer_depends_on_image_prompt_and_weights(kind, world):
    method, image = make(kind), world.image()
    for prompts in usable(method, image):
        found = scores(method, image, prompts).logits
        mirrored = Image(image.pixels[..., ::-1, ::-1].copy(), image.grid)
        assert np.abs(scores(method, mirrored, prompts).logits - found).max() > 1e-3
        assert np.abs(scores(make(kind, seed=1), image, prompts).logits - found).max() > 1e-3
    answers = [scores(method, image, prompts).logits for prompts in usable(method, image)]
    for one, other in pairwise(answers):
        assert np.abs(one - other).max() > 1e-3


def test_the_given_sam_is_not_changed(kind, world):
    sam = tiny()
    before, grads, mode = fingerprint(sam), [p.requires_grad for p in sam.parameters()], sam.training
    method, image = on(kind, sam), world.image()
    for prompts in usable(method, image):
        scores(method, image, prompts)
    assert fingerprint(sam) == before
    assert [p.requires_grad for p in sam.parameters()] == grads
    assert sam.training == mode
    assert all(p.grad is None for p in sam.parameters())


def test_the_given_image_is_not_changed(kind, world):
    image = world.image()
    before = image.pixels.copy()
    predict(make(kind), image, usable(make(kind), image)[0])
    assert np.array_equal(image.pixels, before)


def test_raw_and_prepared_images_are_encoded_alike(kind, world):
    method, image = make(kind), world.image()
    prepared = method.prepare(image)
    assert method.prepare(prepared) is prepared
    for prompts in usable(method, image):
        assert np.array_equal(scores(method, image, prompts).logits, scores(method, prepared, prompts).logits)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32])
def test_grey_colour_and_deep_images(kind, world, channels, dtype):
    method, image = make(kind), world.image(channels=channels, dtype=dtype)
    if refuses_colour(method, image):
        return
    for prompts in usable(method, image):
        found = scores(method, image, prompts)
        assert found.logits.shape == (1, *image.grid.shape)
        assert np.isfinite(found.logits).all()


def refuses_colour(method, image):
    """Methods of pictures answer colour; those of volumes may refuse several channels, but not look at one in silence."""
    if method.ndim == 3 and image.channels > 1:
        try:
            method.encode(image)
        except InvalidImage:
            return True
    return False


def test_grey_is_equal_channels_and_a_fourth_is_not_looked_at(kind, world):
    method, grey, colour = make(kind), world.image(dtype=np.uint8), world.image(channels=4, dtype=np.uint8)
    if refuses_colour(method, colour):
        pytest.skip("it takes grey alone")
    prompts = usable(method, grey)[0]
    alike = Image(grey.pixels.repeat(3, 0), grey.grid)
    assert np.array_equal(scores(method, grey, prompts).logits, scores(method, alike, prompts).logits)
    three = Image(colour.pixels[:3], colour.grid)
    assert np.array_equal(scores(method, colour, prompts).logits, scores(method, three, prompts).logits)


def test_a_constant_image_is_answered(kind, world):
    image = Image(np.full((1, *world.task.shape), -1024, np.int16), world.grid)
    method = make(kind)
    assert np.isfinite(scores(method, image, usable(method, image)[0]).logits).all()


def test_prompts_of_another_image_are_refused(kind, world):
    method, image = make(kind), world.image()
    encoded = method.encode(image)
    narrower = Grid.of_picture((*image.grid.shape[:-1], image.grid.shape[-1] - 1))
    for other in (narrower, flipped(image.grid, 1), world.oblique.resample(image.grid.shape)):
        strangers = usable(method, Image(np.zeros((1, *other.shape), np.uint8), other))
        for prompts in strangers:
            with pytest.raises(GridMismatch):
                method.decode(encoded, prompts)


def test_no_prompt_is_refused_where_one_is_needed(kind, world):
    method, image = make(kind), world.image()
    if not method.automatic:
        with pytest.raises(InvalidPrompt):
            scores(method, image, Prompts(image.grid))


def test_points_off_the_object_alone_are_refused(kind, world):
    method, image = make(kind), world.image()
    if "points" in method.accepts:
        with pytest.raises(InvalidPrompt, match="off the object"):
            scores(method, image, Prompts(image.grid).click((3.0,) * image.grid.ndim, positive=False))


@pytest.mark.parametrize("learned", ["box", "points"])
def test_kinds_that_the_weights_never_learned_are_refused_with_weights_that_did(kind, world, learned):
    method = make(kind, traits={"prompts": frozenset({learned}), "name": "boxed"})
    image = world.image()
    for other in {"points", "box", "mask"} - method.accepts:
        with pytest.raises(UnsupportedPrompt) as caught:
            scores(method, image, ask(image, other))
        assert other in caught.value.given
        if method.accepts and not learns(kind):
            assert "boxed" in caught.value.do
            assert learned in caught.value.do
            named = caught.value.do.rpartition("--weights ")[2].rstrip(".")
            assert other in zoo.CATALOGUE[named].prompts
    if method.accepts:
        scores(method, image, ask(image, learned if learned in method.accepts else next(iter(method.accepts))))


def test_several_prompts_get_labels_in_their_order(kind, world):
    method, image = make(kind), world.image()
    if not method.accepts:
        pytest.skip("it takes no prompts")
    left, right = ask_for_two(method, image)
    encoded = method.encode(image)
    one, two = (method.decode(encoded, p).logits[0] for p in (left, right))
    for order, (first, second) in {("a", "b"): (one, two), ("b", "a"): (two, one)}.items():
        found = predict(method, image, *((left, right) if order[0] == "a" else (right, left)), names=order)
        expected = np.where(second > np.maximum(first, 0), 2, np.where(first > 0, 1, 0))
        assert np.array_equal(found.labels, expected)
        assert [found.name(v) for v in (1, 2)] == list(order)
    assert (one > 0).any()
    assert (two > 0).any()


def alternatives(kind, name):
    annotation = config_of(kind).model_fields[name].annotation
    default = config_of(kind).model_fields[name].default
    if name in OWN_ALTERNATIVES.get(kind.__name__, {}):
        return OWN_ALTERNATIVES[kind.__name__][name]
    if typing.get_origin(annotation) is typing.Literal:
        return [value for value in typing.get_args(annotation) if value != default]
    if annotation is bool:
        return [not default]
    return ALTERNATIVES[name]


def labelled(grid, channels=1):
    """A bright ellipsoid, labelled."""
    axes = np.indices(grid.shape)
    inside = sum(((a / n - 0.45) / 0.25) ** 2 for a, n in zip(axes, grid.shape, strict=True)) < 1
    pixels = 40 + 10 * np.sin(axes[-1] / 2) + 120 * inside
    return Labelled(
        Image(np.stack([pixels] * channels).astype(np.int16), grid), Segmentation(inside.astype(np.uint8), grid, {1: "object"})
    )


def examples(shape, number=1):
    """Labelled images of several sizes, the first of this one."""
    found = [labelled(Grid.of_picture([n - 2 * i for n in np.roll(shape, i).tolist()])) for i in range(number)]
    return [Example.of(f"case {i}", one.image, one.truth) for i, one in enumerate(found)]


def everything_seen(kind, **options):
    """Prepared pixels and scores for every kind of prompt; of what learns, also its first weights, what it learns from and how.

    Of what remembers: what two supports leave in it, and what it answers with three that were learned without options. One by
    one, for a difference in the first spares the others.
    """
    if remembers(kind):
        yield from all_remembered(kind, **options)
        return
    method, image = make(kind, **options), worlds_of(kind)[0].image()
    asked = usable(method, image)
    if "points" in method.accepts:
        *rest, w = image.grid.shape
        asked.append(ask(image, "points").click((*(n / 2 for n in rest), w - 1.0)))  # far from the first
    yield method.prepare(image).pixels
    for prompts in asked:
        found = scores(method, image, prompts)
        yield from (found.logits, np.array(found.quality))
    if learns(kind):
        for world in worlds_of(kind):
            yield from all_learned(kind, world, **options)


def all_learned(kind, world, **options):
    torch.manual_seed(0)
    new = kind(tiny(), quick(kind, **options), world.task)
    yield from (np.array(new.variants), np.array([*getattr(new.network, "rates", {}).values()]))
    yield from (value.numpy() for value in new.network.state_dict().values())
    method, example = on(kind, tiny(), task=world.task, **options), labelled(world.grid)
    kept = method.precompute(example, new.variants - 1)
    batch = [method.sample(kept, torch.Generator().manual_seed(seed)) for seed in range(4, 8)]
    stacked = {name: torch.stack([one[name] for one in batch]) for name in batch[0]}
    yield from (value.numpy() for value in stacked.values())
    method.network.train()
    remembered = []
    with torch.autograd.graph.saved_tensors_hooks(lambda one: remembered.append(one.numel()), lambda _: None):  # counted alone
        parts = method.loss(stacked)
    yield from (value.detach().numpy() for value in parts.values())
    yield np.array(sum(remembered))  # for the gradients
    method.network.eval()
    if method.automatic:
        yield method.decode(method.encode(example.image), Prompts(world.grid)).logits


def all_remembered(kind, **options):
    image = drawn((42, 58), 0.03).image
    taught, given = fresh(kind, tiny(), **options), remembering(kind, tiny(), learned={}, **options)
    yield given.prepare(image).pixels
    yield scores(given, image, Prompts(image.grid)).logits
    learn(taught, 2)
    yield from (value.numpy() for value in taught.network.state_dict().values())


def alike(one, other):
    """Whether two rows of arrays are the same; what comes after the first difference is not asked for."""
    end = np.array(np.nan)  # is like nothing
    return all(np.array_equal(a, b) for a, b in zip_longest(one, other, fillvalue=end))


def test_every_option_acts(kind):
    default = list(everything_seen(kind))
    assert alike(default, everything_seen(kind))
    for name in config_of(kind).model_fields:
        others = NEEDED.get((kind.__name__, name), {})
        without = list(everything_seen(kind, **others)) if others else default
        for value in alternatives(kind, name):
            assert not alike(without, everything_seen(kind, **others, **{name: value})), f"{name}={value} does nothing"


def test_options_are_frozen_and_unknown_ones_refused(kind):
    with pytest.raises(pydantic.ValidationError):
        config_of(kind)(wimdow="auto")
    name = next(iter(config_of(kind).model_fields))
    with pytest.raises(pydantic.ValidationError):
        setattr(config_of(kind)(), name, None)


def test_it_works_on_a_tinyvit_too(kind, world):
    method, image = on(kind, tiny("tinyvit", scaling="unit")), world.image()
    for prompts in usable(method, image):
        assert np.isfinite(scores(method, image, prompts).logits).all()


class TestPlainSam:
    """Knobs of zero-shot SAM, one by one."""

    @pytest.fixture
    def kind(self):
        from promisam.methods.plain_sam import PlainSam

        return PlainSam

    def both(self, kind, prompts, **options):
        sam, image = tiny(), picture()
        method = kind(sam, config_of(kind)(**options))
        encoded = method.encode(image)
        with torch.inference_mode():
            given = prompt_tensors(sam, encoded.frame, prompts)
            logits, quality = sam.decode(encoded.embedding, **given)
            restored = encoded.frame.restore(logits)[0].numpy()
        return method.decode(encoded, prompts), restored, quality[0].numpy()

    @pytest.mark.parametrize("option", ["auto", "always", "never"])
    @pytest.mark.parametrize("asked", ["click", "clicks", "box", "click and box"])
    def test_multimask(self, kind, option, asked):
        image = picture()
        click, box = ask(image, "points"), ask(image, "box")
        prompts = {
            "click": click,
            "clicks": click.click((5.0, 9.0), positive=False),
            "box": box,
            "click and box": box.click((20.0, 25.0)),
        }[asked]
        found, logits, quality = self.both(kind, prompts, multimask=option)
        three = option == "always" or (option == "auto" and asked == "click")
        best = 1 + int(quality[1:].argmax()) if three else 0
        assert np.array_equal(found.logits[0], logits[best])
        assert found.quality == (pytest.approx(float(quality[best])),)

    def test_precision_changes_the_embedding_slightly(self, kind):
        full, half = (make(kind, precision=p).encode(picture()).embedding for p in ("float32", "bfloat16"))
        assert full.dtype == half.dtype == torch.float32
        gap = (full - half).abs().max()
        assert 0 < gap < 0.2 * full.abs().max()

    def test_the_window_is_parsed_at_once(self, kind):
        with pytest.raises(InvalidConfig):
            make(kind, window="bones")

    def test_a_mask_prompt_matters_together_with_a_box(self, kind):
        method, image = make(kind), picture()
        box = ask(image, "box")
        with_mask = box.with_mask(ask(image, "mask").mask)
        assert np.abs(scores(method, image, box).logits - scores(method, image, with_mask).logits).max() > 1e-3


class TestLearning:
    """What every method that learns keeps, tried in a few steps on tiny pictures."""

    @pytest.fixture(params=[name for name in METHODS if learns(named(name))])
    def kind(self, request):
        return named(request.param)

    def course(self, kind, folder=None, **options):
        torch.manual_seed(0)
        world = worlds_of(kind)[0]
        method = kind(tiny(), quick(kind), world.task)
        recipe = kind.recipe.model_copy(update={"epochs": 2, "batch": 2, "validate_every": 1, **options})
        header = Header(kind.__name__, method.config.model_dump(mode="json"), world.task, None, "0")
        several = examples(world.task.shape, number=3)
        return Course(method, several, several[:1], recipe, header, folder)

    def test_without_a_task_it_refuses(self, kind, world):
        method = kind(tiny(), config_of(kind)())
        with pytest.raises(NotFitted):
            method.encode(world.image())
        with pytest.raises(NotFitted):
            _ = method.network

    def test_training_moves_the_network_and_nothing_of_the_sam(self, kind):
        course = self.course(kind)
        sam = tiny()
        before, own = fingerprint(sam), fingerprint(course.method.network)
        events = list(train(course))
        assert fingerprint(course.method.network) != own
        assert fingerprint(sam) == before
        if hasattr(course.method, "sam"):
            assert fingerprint(course.method.sam) == before
            assert not any(p.grad is not None for p in course.method.sam.parameters())
        steps = [e for e in events if isinstance(e, Step)]
        assert [s.number for s in steps] == [1, 2, 3]
        assert all(s.loss == pytest.approx(sum(s.parts.values())) for s in steps)
        assert isinstance(events[-1], Stopped)

    def test_in_mixed_precision_the_loss_is_nearly_the_same(self, kind):
        plain, mixed = (
            [e for e in train(self.course(kind, mixed_precision=precision)) if isinstance(e, Step)]
            for precision in ("no", "bf16")
        )
        assert [s.loss for s in mixed] == pytest.approx([s.loss for s in plain], rel=0.1)
        assert [s.loss for s in mixed] != [s.loss for s in plain]

    def test_interrupted_and_continued_is_uninterrupted(self, kind, tmp_path):
        whole = self.course(kind, tmp_path / "whole", epochs=3)
        list(train(whole))
        first = self.course(kind, tmp_path / "parts", epochs=3)
        for event in train(first):
            if isinstance(event, Step) and event.number == 2:
                break
        second = self.course(kind, tmp_path / "parts", epochs=3)
        list(train(second, resume=True))
        assert fingerprint(second.method.network) == fingerprint(whole.method.network)
        read_into(tmp_path / "parts" / MODEL, first.method.network)
        read_into(tmp_path / "whole" / MODEL, second.method.network)
        assert fingerprint(first.method.network) == fingerprint(second.method.network)

    def test_the_checkpoint_holds_own_tensors_alone(self, kind, tmp_path):
        course = self.course(kind, tmp_path)
        list(train(course))
        with safe_open(tmp_path / MODEL, framework="pt") as file:
            assert set(file.keys()) == set(course.method.network.state_dict())
        assert read_header(tmp_path / MODEL).task == course.method.task

    def test_recalled_is_encoded(self, kind, world):
        method, image = make(kind), world.image()
        truth = Segmentation(np.ones(image.grid.shape, np.uint8), image.grid, {1: "object"})
        kept = method.precompute(Labelled(image, truth), 0)
        for prompts in usable(method, image):
            one = method.decode(method.encode(image), prompts).logits
            other = method.decode(method.recall(image.grid, kept), prompts).logits
            gap = np.quantile(np.abs(one - other), 0.95)  # of a field, single places may be answered by its other network
            assert gap < 0.02 * np.abs(one).max()  # kept in half precision

    def test_options_of_method_and_recipe_have_different_names(self, kind):
        assert not set(config_of(kind).model_fields) & set(Recipe.model_fields)


class TestRemembering:
    """What every method keeps that remembers a few labelled pictures."""

    @pytest.fixture(params=[name for name in METHODS if remembers(named(name))])
    def kind(self, request):
        return named(request.param)

    def header(self, kind, method):
        return Header(kind.__name__, method.config.model_dump(mode="json"), method.task, None, "0")

    def test_it_keeps_the_protocol(self, kind):
        method = on(kind, tiny())
        assert isinstance(method, FewShot)
        assert method.automatic
        assert method.classes == TASK.classes
        assert isinstance(method.network, torch.nn.Module)

    def test_without_a_task_it_refuses(self, kind):
        method = kind(tiny(), config_of(kind)())
        with pytest.raises(NotFitted):
            learn(method)
        for use in (lambda: method.network, lambda: predict(method, picture())):
            with pytest.raises(NotFitted, match=r"promisam fit .*--support"):
                use()

    def test_without_supports_it_says_how_to_give_some(self, kind):
        method = fresh(kind, tiny())
        for use in (lambda: method.network, lambda: predict(method, picture())):
            with pytest.raises(NotFitted, match=r"promisam fit .*--support"):
                use()
        with pytest.raises(PromisamError):
            learn(method, 0)
        with pytest.raises(NotFitted):
            _ = method.network

    def test_learning_changes_nothing_but_the_memory(self, kind):
        sam, given = tiny(), supports()
        before, grads, mode = fingerprint(sam), [p.requires_grad for p in sam.parameters()], sam.training
        pixels, labels = [one.image.pixels.copy() for one in given], [one.truth.labels.copy() for one in given]
        method, chance, drawn_from = fresh(kind, sam), torch.get_rng_state(), np.random.get_state()[1].copy()
        method.learn(given, [], torch.Generator().manual_seed(0), lambda *_: None)
        assert fingerprint(sam) == before
        assert [p.requires_grad for p in sam.parameters()] == grads
        assert all(p.grad is None for p in sam.parameters())
        assert sam.training == mode
        assert all(np.array_equal(one.image.pixels, kept) for one, kept in zip(given, pixels, strict=True))
        assert all(np.array_equal(one.truth.labels, kept) for one, kept in zip(given, labels, strict=True))
        assert torch.equal(torch.get_rng_state(), chance)  # its chance is what it was given
        assert np.array_equal(np.random.get_state()[1], drawn_from)

    def test_the_same_seed_leaves_the_same_memory(self, kind):
        first, again = fresh(kind, tiny()), fresh(kind, tiny())
        learn(first, 2, seed=3)
        learn(again, 3, seed=8)  # what is learned twice is as if learned once
        learn(again, 2, seed=3)
        assert fingerprint(first.network) == fingerprint(again.network)
        one, other = (scores(method, picture(), Prompts(picture().grid)) for method in (first, again))
        assert np.array_equal(one.logits, other.logits)

    def test_other_images_are_looked_at_once_and_one_by_one(self, kind):
        alive, told = [], []

        def others():
            for number in range(3):
                alive.append(number)
                yield picture((30 + number, 44))

        plain, looked = fresh(kind, tiny()), fresh(kind, tiny())
        learn(plain, 2)
        learn(looked, 2, others=others(), said=lambda *one: told.append(one))
        assert alive == [0, 1, 2]
        assert fingerprint(looked.network) != fingerprint(plain.network)
        assert told
        assert all(isinstance(what, str) and done >= 0 and (of is None or done <= of) for what, done, of in told)

    def test_a_checkpoint_answers_as_what_wrote_it(self, kind, tmp_path):
        method, image = on(kind, tiny()), picture()
        write_checkpoint(tmp_path / MODEL, method.network, self.header(kind, method))
        header = read_header(tmp_path / MODEL)
        assert header.task == TASK
        opened = kind(tiny(), config_of(kind).model_validate(header.options), header.task)
        opened.make_room(read_shapes(tmp_path / MODEL))
        read_into(tmp_path / MODEL, opened.network)
        for prompts in usable(method, image):
            one, other = scores(method, image, prompts), scores(opened, image, prompts)
            assert np.array_equal(one.logits, other.logits)
            assert one.quality == other.quality

    def test_the_checkpoint_holds_own_tensors_alone(self, kind, tmp_path):
        method = fresh(kind, sam := tiny())
        learn(method, 2)
        write_checkpoint(tmp_path / MODEL, method.network, self.header(kind, method))
        with safe_open(tmp_path / MODEL, framework="pt") as file:
            assert set(file.keys()) == set(method.network.state_dict())
        of_sam = {tensor.data_ptr() for one in (sam, method.sam) for tensor in one.state_dict().values()}
        assert not of_sam & {tensor.data_ptr() for tensor in method.network.state_dict().values()}
        assert not any(p.requires_grad for p in method.network.parameters())

    def test_a_checkpoint_of_other_shapes_is_refused(self, kind, tmp_path):
        method, fewer = on(kind, tiny()), fresh(kind, tiny())
        learn(fewer, 2)
        write_checkpoint(tmp_path / MODEL, method.network, self.header(kind, method))
        before = fingerprint(fewer.network)
        with pytest.raises(WeightsError):
            read_into(tmp_path / MODEL, fewer.network)
        assert fingerprint(fewer.network) == before

    def test_a_checkpoint_of_another_method_is_refused(self, kind):
        shapes = {name: tuple(tensor.shape) for name, tensor in on(kind, tiny()).network.state_dict().items()}
        empty = fresh(kind, tiny())
        one_less = [{n: s for n, s in shapes.items() if n != gone} for gone in shapes]
        for foreign in ({}, {"stem.weight": (8, 1, 3, 3)}, dict.fromkeys(shapes, ())):
            with pytest.raises(WeightsError):
                empty.make_room(foreign)
        for other in one_less:  # refused at once, or when the tensors are read
            try:
                empty.make_room(other)
            except WeightsError:
                continue
            assert set(empty.network.state_dict()) != set(other)

    def test_classes_are_answered_in_their_order(self, kind):
        task = Task(("ellipse", "square"), 2, 1, (1.0, 1.0), (40, 61))
        method = fresh(kind, tiny(), task)
        given = [self.of_two(one) for one in supports(2)]
        method.learn(given, [], torch.Generator().manual_seed(0), lambda *_: None)
        found = predict(method, given[0].image)
        assert [found.name(value) for value in (1, 2)] == ["ellipse", "square"]
        assert scores(method, given[0].image, Prompts(given[0].image.grid)).logits.shape == (2, 40, 61)

    def of_two(self, one):
        """What lies on the right is the second class."""
        x = np.indices(one.truth.grid.shape)[1] / one.truth.grid.shape[1]
        labels = one.truth.labels * (1 + (x > 0.7)).astype(np.uint8)
        return Labelled(one.image, Segmentation(labels, one.truth.grid, {1: "ellipse", 2: "square"}))

    def test_explained_is_answered(self, kind):
        method, image = on(kind, tiny()), picture()
        if not isinstance(method, Explains):
            pytest.skip("it explains nothing")
        encoded = method.encode(image)
        told = method.explain(encoded)
        assert 0 <= told.confidence <= 1
        assert all(isinstance(flag, str) and flag for flag in told.flags)
        assert all(np.isfinite(value) for value in told.measures.values())
        for one in told.prompts:
            assert one.target in method.classes
            assert np.isfinite(method.decode(encoded, one).logits).all()

    def test_options_of_method_and_learning_have_different_names(self, kind):
        assert not set(config_of(kind).model_fields) & set(Learning.model_fields)
