"""`promisam export`, and `segment` with what it wrote: the masks are those of torch."""

from __future__ import annotations

import json
import shutil

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from command_line import promisam
from promisam import export, io, store
from promisam.core import Grid, Image, Prompts, Task, predict
from promisam.export.quantising import in_eight_bits
from promisam.sam.checkpoint import write_state
from promisam.spatial.slices import SliceWise
from promisam.training.checkpoint import MODEL, write_checkpoint
from promisam.zoo import Cache
from tiny_sam import tiny

weights = pytest.mark.weights


def dice(a, b):
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def picture(shared):
    return shared / "data" / "busi" / "images" / "benign_15.png"


def mask_of(path):
    return np.asarray(Pillow.open(path)) > 0


@weights
def test_a_picture_that_is_not_square(capsys, tmp_path, shared, click, own):
    image = io.read(picture(shared))
    start, rough = Prompts(image.grid), np.zeros(image.grid.shape, bool)
    rough[100:180, 120:300] = True
    ways = (
        start.click((150, 200)),
        start.click((150, 200)).click((5, 5), positive=False),
        start.with_box((90, 80), (215, 380)),
        start.with_mask(rough).click((150, 200)),
    )
    other = export.load(click)
    seen, known = (method.encode(method.prepare(image)) for method in (own, other))
    for prompts in ways:
        right, found = own.decode(seen, prompts), other.decode(known, prompts)
        assert found.logits.shape == (1, *image.grid.shape)
        assert np.count_nonzero(right.logits > 0) > 500
        assert np.count_nonzero((right.logits > 0) ^ (found.logits > 0)) <= 5
        assert found.quality == pytest.approx(right.quality, abs=1e-3)
    words = ("segment", picture(shared), "--point", "200,150", "--method", click, "-o", tmp_path / "m.png", "--json")
    answer = promisam(capsys, *words)
    assert answer.status == 0, answer.err
    report = json.loads(answer.out)
    assert (report["engine"], report["device"], report["weights"]["name"]) == ("onnx", "cpu", "promisam-click")
    assert report["versions"]["onnxruntime"].startswith("1.")
    mask = mask_of(tmp_path / "m.png")
    assert mask.shape[0] != mask.shape[1]
    assert np.count_nonzero(mask ^ (own.decode(seen, ways[0]).logits[0] > 0)) <= 5


@weights
def test_a_volume(tmp_path, shared, click, own):
    whole = nibabel.load(shared / "data" / "msd_hippocampus" / "hippocampus_003" / "image.nii.gz")
    whole.slicer[:, :, 15:17].to_filename(tmp_path / "part.nii.gz")
    image = io.read(tmp_path / "part.nii.gz")
    boxed = Prompts(image.grid).with_box((0, 24, 8), (1, 40, 24))
    other = export.load(click, ndim=3)
    assert isinstance(other, SliceWise)
    right, found = (predict(method, image, boxed).mask() for method in (SliceWise(own), other))
    assert right.any((1, 2)).all()
    assert dice(right, found) > 0.999


@weights
def test_eight_bits_are_close(tmp_path, shared, click):
    import onnx

    encoder, decoder = (click.with_name(f"click.{part}.onnx") for part in ("encoder", "decoder"))
    model = in_eight_bits(onnx.load(encoder))
    onnx.save(model, tmp_path / "a.encoder.onnx")
    shutil.copy(decoder, tmp_path / "a.decoder.onnx")
    assert (tmp_path / "a.encoder.onnx").stat().st_size < 0.5 * encoder.stat().st_size
    image = io.read(picture(shared))
    prompts = Prompts(image.grid).with_box((90, 80), (215, 380))
    scores = []
    for path in (click, tmp_path / "a.onnx"):
        method = export.load(path)
        scores.append(method.decode(method.encode(method.prepare(image)), prompts).logits[0])
    assert np.abs(scores[0] - scores[1]).max() > 0.01
    assert dice(scores[0] > 0, scores[1] > 0) > 0.95


def test_eight_bits_from_the_command(capsys, tmp_path, tiny_weights):
    told = []
    for name, how in (("large", ()), ("small", ("--int8",))):
        words = ("-o", tmp_path / f"{name}.onnx", "--like", "sam_vit_b", "--json")
        answer = promisam(capsys, "export", tiny_weights, *words, *how)
        assert answer.status == 0, answer.err
        told.append(json.loads(answer.out))
    assert [one["numbers"] for one in told] == ["float32", "int8"]
    for part in ("encoder", "decoder"):
        large, small = (one[part] for one in told)
        assert small["bytes"] == (tmp_path / f"small.{part}.onnx").stat().st_size
        assert 10 * large["largest_difference"] < small["largest_difference"]
    assert small["largest_answer"] == pytest.approx(large["largest_answer"])
    assert told[1]["encoder"]["largest_difference"] < 0.05 * told[1]["encoder"]["largest_answer"]
    answer = promisam(capsys, "export", tiny_weights, *words)
    assert answer.status == 2
    assert "--overwrite" in answer.err


@pytest.fixture
def tiny_weights(tmp_path, monkeypatch):
    """A file of a tiny ViT's weights, and a cache of its own."""
    monkeypatch.setenv("PROMISAM_CACHE", str(tmp_path / "cache"))
    sam = tiny("vit", 3)
    write_state(tmp_path / "tiny.safetensors", dict(sam.state_dict()))
    Pillow.fromarray(np.random.default_rng(0).integers(0, 255, (30, 50), np.uint8)).save(tmp_path / "image.png")
    return tmp_path / "tiny.safetensors"


def test_the_engine_exports_once_and_then_reuses(capsys, tmp_path, tiny_weights):
    words = ("segment", tmp_path / "image.png", "--point", "20,10", "--weights", tiny_weights, "--like", "sam_vit_b")
    masks = {}
    for number, engine in enumerate(("torch", "onnx", "onnx")):
        target = tmp_path / f"{number}.png"
        answer = promisam(capsys, *words, "--engine", engine, "-o", target, "--device", "cpu")
        assert answer.status == 0, answer.err
        masks[number] = mask_of(target)
        kept = {path: path.stat().st_mtime_ns for path in (Cache.default().root / "_onnx").glob("*.onnx")}
        assert len(kept) == (0 if engine == "torch" else 2)
        if number == 1:
            first = kept
    assert kept == first
    assert 0 < np.count_nonzero(masks[0]) < masks[0].size
    assert np.array_equal(masks[0], masks[1])
    assert np.array_equal(masks[0], masks[2])
    for path in kept:
        path.write_bytes(path.read_bytes()[:1000])  # damaged since: made again
    answer = promisam(capsys, *words, "--engine", "onnx", "-o", tmp_path / "3.png")
    assert answer.status == 0, answer.err
    assert np.array_equal(masks[0], mask_of(tmp_path / "3.png"))


def test_a_run_of_interactive_training(capsys, tmp_path, tiny_weights):
    source = store.Source(tiny_weights, "cpu", like="sam_vit_b")
    made, header = store.create("interactive", Task(("lesion",), 2), source, {"window": "60,100"}, seed=1)
    with torch.no_grad():
        made.network.mask_decoder.mask_tokens.weight.mul_(1.5)  # no longer what answers boxes
    run = tmp_path / "run"
    run.mkdir()
    write_checkpoint(run / MODEL, made.network, header)
    answer = promisam(capsys, "export", run, "-o", tmp_path / "out" / "lesion.onnx")
    assert answer.status == 0, answer.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["lesion.decoder.onnx", "lesion.encoder.onnx"]
    own = store.load(method=run, device="cpu")
    other = export.load(tmp_path / "out" / "lesion.onnx")
    assert other.classes == ("lesion",)
    image = io.read(tmp_path / "image.png")
    start = Prompts(image.grid)
    for prompts in (start.click((10, 20)), start.with_box((4, 6), (20, 40)), start.with_box((4, 6), (20, 40)).click((10, 20))):
        right = own.decode(own.encode(own.prepare(image)), prompts)
        found = other.decode(other.encode(other.prepare(image)), prompts)
        assert np.abs(right.logits - found.logits).max() < 1e-3 * np.abs(right.logits).max()
        assert right.quality == pytest.approx(found.quality, rel=1e-3)


@pytest.mark.parametrize("ndim", [2, 3])
def test_a_unet_in_one_file(capsys, tmp_path, ndim):
    task = Task(("object", "other"), ndim, 1, (1.0,) * ndim, (20, 31) if ndim == 2 else (9, 20, 24))
    method, header = store.create(
        "unet", task, store.Source(device="cpu"), {"side": 16, "patch": (8, 16, 16), "width": 2, "levels": 2}
    )
    write_checkpoint(tmp_path / MODEL, method.network, header)
    answer = promisam(capsys, "export", tmp_path, "-o", tmp_path / "net.onnx")
    assert answer.status == 0, answer.err
    assert (tmp_path / "net.onnx").is_file()
    shape = (20, 31) if ndim == 2 else (9, 26, 30)
    grid = Grid.of_picture(shape) if ndim == 2 else Grid(shape, np.eye(4))
    image = Image(np.random.default_rng(0).integers(0, 255, (1, *shape)).astype(np.uint8), grid)
    own, other = store.load(method=tmp_path, ndim=ndim, device="cpu"), export.load(tmp_path / "net.onnx", ndim=ndim)
    right, found = (m.decode(m.encode(m.prepare(image)), Prompts(grid)).logits for m in (own, other))
    assert right.shape == (2, *shape)
    assert right.std() > 0.01
    assert np.abs(right - found).max() < 1e-4
