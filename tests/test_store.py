"""From names to a method: options, devices, out-of-tree methods and the cache."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from promisam import Grid, Image, Prompts, load, store
from promisam.core.errors import InvalidConfig, WeightsError
from promisam.methods.plain_sam import PlainSam
from promisam.sam.model import fingerprint
from promisam.spatial.slices import SliceWise
from promisam.store import choose_device
from promisam.zoo import Cache

pytestmark = pytest.mark.weights


@pytest.fixture
def cache(tmp_path, litemedsam):
    """A cache that holds the original file only."""
    folder = tmp_path / "cache" / "litemedsam"
    folder.mkdir(parents=True)
    shutil.copy(litemedsam, folder)
    return Cache(tmp_path / "cache")


def same_weights(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.sam.state_dict().values(), other.sam.state_dict().values(), strict=True))


def test_weights_are_converted_once_and_read_from_there(cache, monkeypatch):
    first = load("litemedsam", cache=cache, device="cpu", offline=True)
    converted = cache.converted("litemedsam")
    assert converted.is_file()

    def forbidden(*_words, **_more):
        raise AssertionError("the original was opened again")

    monkeypatch.setattr(torch, "load", forbidden)
    second = load("litemedsam", cache=cache, device="cpu", offline=True)
    assert same_weights(first, second)
    assert second.sam.traits.name == "litemedsam"
    assert second.sam.traits.prompts == {"box"}


def test_a_file_of_the_cache_by_its_path(cache):
    path = cache.folder("litemedsam") / "lite_medsam.pth"
    assert same_weights(load(path, cache=cache, device="cpu"), load("litemedsam", cache=cache, device="cpu", offline=True))


def test_weights_in_the_package_are_a_decoder_on_that_encoder(cache):
    click, base = (load(name, cache=cache, device="cpu", offline=True).sam for name in ("promisam-click", "litemedsam"))
    assert (click.traits.name, click.traits.multimask) == ("promisam-click", True)
    assert click.traits.prompts == {"points", "box", "mask"}
    assert fingerprint(click.image_encoder) == fingerprint(base.image_encoder)
    assert fingerprint(click.mask_decoder) != fingerprint(base.mask_decoder)
    assert {value.dtype for value in click.parameters()} == {torch.float32}


def test_boxes_alone_are_answered_by_the_default_as_by_the_weights_below_it(cache):
    default, base = load(cache=cache, device="cpu", offline=True), load("litemedsam", cache=cache, device="cpu", offline=True)
    assert default.sam.traits.name == "promisam-click"
    image = Image(np.random.default_rng(0).integers(0, 255, (3, 40, 60)).astype(np.uint8), Grid.of_picture((40, 60)))
    boxed = Prompts(image.grid).with_box((5, 5), (30, 50))
    ours, theirs = (predict_scores(method, image, boxed) for method in (default, base))
    assert np.array_equal(ours.logits, theirs.logits)
    assert ours.quality == theirs.quality
    clicked = boxed.click((10, 10))
    assert not np.array_equal(predict_scores(default, image, clicked).logits, ours.logits)


def predict_scores(method, image, prompts):
    return method.decode(method.encode(image), prompts)


def test_volumes_get_the_wrapper_and_pictures_do_not(cache):
    assert isinstance(load(cache=cache, ndim=3, device="cpu", offline=True), SliceWise)
    assert isinstance(load(cache=cache, ndim=2, device="cpu", offline=True), PlainSam)


def test_a_method_out_of_tree_takes_its_options(cache):
    place = "promisam.methods.plain_sam:PlainSam"
    method = load(cache=cache, method=place, device="cpu", offline=True, config={"window": "lung", "precision": "bfloat16"})
    assert (method.config.window, method.config.precision) == ("lung", "bfloat16")


@pytest.mark.parametrize(
    ("options", "saying"),
    [
        ({"config": {"windw": "lung"}}, "window"),
        ({"config": {"precision": "float8"}}, "float8"),
        ({"config": {"window": "lungs"}}, "lung"),
        ({"method": "plain_sma"}, "plain_sam"),
        ({"method": "os:path"}, "os:path"),
        ({"side": 250}, "multiple of 4"),
    ],
)
def test_wrong_options(cache, options, saying):
    with pytest.raises(InvalidConfig, match=saying):
        load(cache=cache, offline=True, **{"device": "cpu", **options})


def test_another_frame(cache):
    assert load(cache=cache, side=128, device="cpu", offline=True).sam.side == 128


def test_absent_devices():
    absent = next(name for name, there in (("cuda", torch.cuda.is_available()), ("mps", False)) if not there)
    with pytest.raises(InvalidConfig, match="cpu"):
        choose_device(absent)
    assert choose_device("cpu") == torch.device("cpu")


def test_weights_of_another_architecture(cache):
    path = cache.root.parent / "own.pth"
    state = torch.load(cache.folder("litemedsam") / "lite_medsam.pth", weights_only=True)
    torch.save(dict(list(state.items())), path)
    assert load(path, like="litemedsam", cache=cache, device="cpu").sam.traits.name == "own"
    with pytest.raises(WeightsError, match="vit_b"):
        load(path, like="medsam_vit_b", cache=cache, device="cpu")


def test_a_run_that_is_not_there_is_told_as_one():
    with pytest.raises(InvalidConfig, match="or a run folder that is there"):
        store.load(method="no_such_run")
