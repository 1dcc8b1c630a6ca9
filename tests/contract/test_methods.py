"""What every method keeps, whatever it computes."""

from __future__ import annotations

import typing
from importlib import import_module
from itertools import pairwise

import numpy as np
import pydantic
import pytest
import torch

from geometries import flipped, oblique
from promisam import zoo
from promisam.core import Encoded, Grid, Image, Prompts, Scores, Segmenter, predict
from promisam.core.errors import GridMismatch, InvalidConfig, InvalidPrompt, UnsupportedPrompt
from promisam.methods import METHODS
from promisam.sam.model import fingerprint
from promisam.sam.picture import prompt_tensors
from tiny_sam import tiny

PICTURES = {"wide": (40, 61), "tall": (90, 33), "small": (7, 5), "row": (2, 50)}
# Other values of options whose type does not list them.
ALTERNATIVES = {"window": ["40,100", "lung"]}


@pytest.fixture(params=METHODS)
def kind(request):
    module, _, name = METHODS[request.param].partition(":")
    return getattr(import_module(module), name)


def config_of(kind):
    return import_module(kind.__module__).Config


def make(kind, seed=0, traits=None, **options):
    return kind(tiny(seed=seed, **(traits or {})), config_of(kind)(**options))


def picture(shape=(40, 61), channels=1, dtype=np.int16, grid=None):
    """A bright ellipse on a textured ground."""
    y, x = np.indices(shape)
    inside = ((y / shape[0] - 0.5) / 0.3) ** 2 + ((x / shape[1] - 0.4) / 0.25) ** 2 < 1
    values = 30 + 25 * np.sin(x / 3) + 15 * np.cos(y / 2) + 90 * inside
    pixels = np.stack([values + 10 * c for c in range(channels)])
    return Image((pixels * 200 if dtype == np.uint16 else pixels).astype(dtype), grid or Grid.of_picture(shape))


def ask(image, kind_of_prompt):
    h, w = image.grid.shape
    none = Prompts(image.grid)
    if kind_of_prompt == "points":
        return none.click((h * 0.5, w * 0.4))
    if kind_of_prompt == "box":
        return none.with_box((h * 0.2, w * 0.15), ((h - 1) * 0.8, w * 0.65))
    mask = np.zeros(image.grid.shape, bool)
    mask[h // 4 : h // 2 + 1, w // 4 : w // 2] = True
    return none.with_mask(mask)


def usable(method, image):
    """One value of prompts of every kind that the method takes; none for an automatic one."""
    return [ask(image, one) for one in sorted(method.accepts)] or [Prompts(image.grid)]


def scores(method, image, prompts):
    return method.decode(method.encode(image), prompts)


def test_it_keeps_the_protocol(kind):
    method = make(kind)
    assert isinstance(method, Segmenter)
    assert method.ndim in (2, 3)
    assert method.accepts <= {"points", "box", "mask"}
    assert isinstance(method.encode(picture()), Encoded)
    assert method.encode(picture()).grid == picture().grid


@pytest.mark.parametrize("shape", PICTURES.values(), ids=PICTURES.keys())
def test_scores_are_float32_on_the_grid_of_the_image(kind, shape):
    method, image = make(kind), picture(shape)
    for prompts in usable(method, image):
        found = scores(method, image, prompts)
        assert isinstance(found, Scores)
        assert found.logits.dtype == np.float32
        assert found.logits.shape[1:] == shape
        assert found.grid == image.grid
        assert np.isfinite(found.logits).all()
        assert found.logits.std() > 0
        assert all(np.isfinite(found.quality))


def test_a_slice_of_an_oblique_volume_keeps_its_place(kind):
    grid = oblique((5, 40, 61)).slice(0, 3)
    method, image = make(kind), picture(grid=grid)
    found = predict(method, image, usable(method, image)[0])
    assert found.grid == grid


def test_the_same_question_has_the_same_answer(kind):
    method, image = make(kind), picture()
    for prompts in usable(method, image):
        first, again = scores(method, image, prompts), scores(method, image, prompts)
        other = scores(make(kind), image, prompts)
        assert np.array_equal(first.logits, again.logits)
        assert np.array_equal(first.logits, other.logits)
        assert first.quality == again.quality


def test_one_encoding_serves_all_prompts(kind):
    method, image = make(kind), picture()
    encoded = method.encode(image)
    one, two = usable(method, image)[0], usable(method, image)[-1]
    first = method.decode(encoded, one)
    method.decode(encoded, two)
    assert np.array_equal(method.decode(encoded, one).logits, first.logits)


def test_the_answer_depends_on_image_prompt_and_weights(kind):
    method, image = make(kind), picture()
    for prompts in usable(method, image):
        found = scores(method, image, prompts).logits
        mirrored = Image(image.pixels[:, ::-1, ::-1].copy(), image.grid)
        assert np.abs(scores(method, mirrored, prompts).logits - found).max() > 1e-3
        assert np.abs(scores(make(kind, seed=1), image, prompts).logits - found).max() > 1e-3
    answers = [scores(method, image, prompts).logits for prompts in usable(method, image)]
    for one, other in pairwise(answers):
        assert np.abs(one - other).max() > 1e-3


def test_the_given_sam_is_not_changed(kind):
    sam = tiny()
    before, grads, mode = fingerprint(sam), [p.requires_grad for p in sam.parameters()], sam.training
    method, image = kind(sam), picture()
    for prompts in usable(method, image):
        scores(method, image, prompts)
    assert fingerprint(sam) == before
    assert [p.requires_grad for p in sam.parameters()] == grads
    assert sam.training == mode
    assert all(p.grad is None for p in sam.parameters())


def test_the_given_image_is_not_changed(kind):
    image = picture()
    before = image.pixels.copy()
    predict(make(kind), image, usable(make(kind), image)[0])
    assert np.array_equal(image.pixels, before)


def test_raw_and_prepared_images_are_encoded_alike(kind):
    method, image = make(kind), picture()
    prepared = method.prepare(image)
    assert method.prepare(prepared) is prepared
    for prompts in usable(method, image):
        assert np.array_equal(scores(method, image, prompts).logits, scores(method, prepared, prompts).logits)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32])
def test_grey_colour_and_deep_pictures(kind, channels, dtype):
    method, image = make(kind), picture(channels=channels, dtype=dtype)
    for prompts in usable(method, image):
        found = scores(method, image, prompts)
        assert found.logits.shape == (1, 40, 61)
        assert np.isfinite(found.logits).all()


def test_grey_is_equal_channels_and_a_fourth_is_not_looked_at(kind):
    method, grey = make(kind), picture(dtype=np.uint8)
    prompts = usable(method, grey)[0]
    alike = Image(grey.pixels.repeat(3, 0), grey.grid)
    assert np.array_equal(scores(method, grey, prompts).logits, scores(method, alike, prompts).logits)
    colour = picture(channels=4, dtype=np.uint8)
    three = Image(colour.pixels[:3], colour.grid)
    assert np.array_equal(scores(method, colour, prompts).logits, scores(method, three, prompts).logits)


def test_a_constant_picture_is_answered(kind):
    image = Image(np.full((1, 20, 30), -1024, np.int16), Grid.of_picture((20, 30)))
    method = make(kind)
    assert np.isfinite(scores(method, image, usable(method, image)[0]).logits).all()


def test_prompts_of_another_image_are_refused(kind):
    method, image = make(kind), picture()
    encoded = method.encode(image)
    for other in (Grid.of_picture((40, 60)), flipped(image.grid, 1), oblique((5, 40, 61)).slice(0, 2)):
        strangers = usable(method, Image(np.zeros((1, *other.shape), np.uint8), other))
        for prompts in strangers:
            with pytest.raises(GridMismatch):
                method.decode(encoded, prompts)


def test_no_prompt_is_refused_where_one_is_needed(kind):
    method, image = make(kind), picture()
    if method.accepts:
        with pytest.raises(InvalidPrompt):
            scores(method, image, Prompts(image.grid))


def test_points_off_the_object_alone_are_refused(kind):
    method, image = make(kind), picture()
    if "points" in method.accepts:
        with pytest.raises(InvalidPrompt, match="off the object"):
            scores(method, image, Prompts(image.grid).click((3.0, 3.0), positive=False))


@pytest.mark.parametrize("learned", ["box", "points"])
def test_kinds_that_the_weights_never_learned_are_refused_with_weights_that_did(kind, learned):
    method = make(kind, traits={"prompts": frozenset({learned}), "name": "boxed"})
    image = picture()
    for other in {"points", "box", "mask"} - method.accepts:
        with pytest.raises(UnsupportedPrompt) as caught:
            scores(method, image, ask(image, other))
        assert other in caught.value.given
        if method.accepts:
            assert "boxed" in caught.value.do
            assert learned in caught.value.do
            named = caught.value.do.rpartition("--weights ")[2].rstrip(".")
            assert other in zoo.CATALOGUE[named].prompts
    if method.accepts:
        scores(method, image, ask(image, learned))


def test_several_prompts_get_labels_in_their_order(kind):
    method, image = make(kind), picture()
    if not method.accepts:
        pytest.skip("an automatic method has one answer")
    h, w = image.grid.shape
    left = Prompts(image.grid).with_box((5.0, 2.0), (h - 5.0, w / 2))
    right = Prompts(image.grid).with_box((5.0, w / 2), (h - 5.0, w - 3.0))
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
    if typing.get_origin(annotation) is typing.Literal:
        return [value for value in typing.get_args(annotation) if value != default]
    if annotation is bool:
        return [not default]
    return ALTERNATIVES[name]


def everything_seen(method):
    """Prepared pixels and scores for every kind of prompt."""
    image = picture()
    yield method.prepare(image).pixels.astype(np.float64)
    for prompts in usable(method, image):
        found = scores(method, image, prompts)
        yield found.logits.astype(np.float64)
        yield np.array(found.quality)


def test_every_option_acts(kind):
    for name in config_of(kind).model_fields:
        default = list(everything_seen(make(kind)))
        for value in alternatives(kind, name):
            changed = list(everything_seen(make(kind, **{name: value})))
            assert any(not np.array_equal(a, b) for a, b in zip(default, changed, strict=True)), f"{name}={value} does nothing"


def test_options_are_frozen_and_unknown_ones_refused(kind):
    with pytest.raises(pydantic.ValidationError):
        config_of(kind)(wimdow="auto")
    name = next(iter(config_of(kind).model_fields))
    with pytest.raises(pydantic.ValidationError):
        setattr(config_of(kind)(), name, None)


def test_it_works_on_a_tinyvit_too(kind):
    method, image = kind(tiny("tinyvit", scaling="unit")), picture()
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
