"""Arrays that are kept: found again by content and settings alone, and never stale, torn or in the way."""

from __future__ import annotations

import multiprocessing
import resource
import stat
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from learning import TASK, course, ellipses, gap, trained, weights
from promisam.core import Example, Grid, Image, Segmentation
from promisam.core.errors import UnwritableOutput
from promisam.core.window import Levels
from promisam.methods.unet import Config, UNet
from promisam.training.kept import Kept
from promisam.training.stream import precomputed

KEY = {"settings": {"side": 16}, "content": "abc", "variant": 0}


def arrays(value=0.0):
    return {"a": np.full((3, 5), value, np.float32), "b": np.arange(4, dtype=np.uint8)[::2]}


class Maker:
    """Counts how often it was asked."""

    def __init__(self, value=0.0):
        self.asked, self.value = 0, value

    def __call__(self):
        self.asked += 1
        return arrays(self.value)


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("root", ["disk", None])
def test_the_same_key_is_made_once(tmp_path, root):
    make, kept = Maker(), Kept(tmp_path if root else None)
    for store in (kept, kept, Kept(tmp_path) if root else kept):
        found = store.get(KEY, make)
        assert {n: (a.dtype, a.tolist()) for n, a in found.items()} == {n: (a.dtype, a.tolist()) for n, a in arrays().items()}
    assert make.asked == 1


@pytest.mark.parametrize("other", [{"content": "abd"}, {"variant": 1}, {"settings": {"side": 17}}, {"settings": {"Side": 16}}])
def test_another_content_or_setting_is_made_anew(tmp_path, other):
    kept = Kept(tmp_path)
    kept.get(KEY, Maker())
    make = Maker(1.0)
    assert kept.get({**KEY, **other}, make)["a"][0, 0] == 1.0
    assert make.asked == 1
    assert kept.get(dict(reversed(KEY.items())), make)["a"][0, 0] == 0.0  # the order of names says nothing


@pytest.mark.parametrize("damage", [b"", b"half", "cut"])
def test_a_damaged_file_is_made_again(tmp_path, damage):
    kept = Kept(tmp_path)
    kept.get(KEY, Maker())
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes()[:-3] if damage == "cut" else damage)
    make = Maker()
    assert kept.get(KEY, make)["a"].shape == (3, 5)
    assert kept.get(KEY, make)["a"].shape == (3, 5)
    assert make.asked == 1
    assert files(tmp_path) == [path]


def test_others_may_read_what_is_kept(tmp_path):
    (tmp_path / "ordinary").write_text("")
    Kept(tmp_path / "kept").get(KEY, Maker())
    modes = {stat.S_IMODE(path.stat().st_mode) for path in files(tmp_path)}
    assert len(modes) == 1


def _write(folder, barrier, number):
    def make():
        barrier.wait(20)
        return {"a": np.full(200_000, 7.0, np.float32)}

    for turn in range(10):
        found = Kept(folder).get({"turn": turn}, make)
        assert (found["a"] == 7.0).all()


def test_two_processes_may_make_the_same_at_once(tmp_path):
    fork = multiprocessing.get_context("fork")
    barrier = fork.Barrier(2)
    both = [fork.Process(target=_write, args=(tmp_path, barrier, number)) for number in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(60)
    assert [one.exitcode for one in both] == [0, 0]
    assert len(files(tmp_path)) == 10


@contextmanager
def full_at(size):
    """As a disk on which no file can grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path):
    with full_at(100), pytest.raises(UnwritableOutput, match=str(tmp_path)):
        Kept(tmp_path).get(KEY, Maker())
    assert files(tmp_path) == []


def test_a_full_disk_leaves_the_last_state_and_checkpoint_whole(tmp_path):
    trained(course(tmp_path, epochs=2))
    whole = {path: path.read_bytes() for path in files(tmp_path)}
    with full_at(2000), pytest.raises(UnwritableOutput, match=str(tmp_path)):
        trained(course(tmp_path, epochs=3))
    assert {path: path.read_bytes() for path in files(tmp_path)} == whole


def method(**options):
    return UNet(None, Config(**{"side": 16, "width": 2, "levels": 2, **options}), TASK)


def kept_files(folder, made, example):
    precomputed(made, example, 0, Kept(folder))
    return {path.name for path in files(folder)}


def test_what_a_method_keeps_depends_on_all_that_it_is_made_from(tmp_path):
    one = ellipses(1)[0]
    image, truth = one.load().image, one.load().truth
    first = kept_files(tmp_path, method(), one)
    assert kept_files(tmp_path, method(), Example.of("another name", image, truth)) == first
    assert kept_files(tmp_path, method(rotation=5), one) == first  # acts later
    brighter = image.pixels.copy()
    brighter[0, 3, 4] += 1
    changed = [
        (method(side=24), one),
        (method(window="100,50"), one),
        (method(), Example.of("case 0", Image(brighter, image.grid), truth)),
        (method(), Example.of("case 0", replace(image, levels=Levels(0.0, 255.0, "8-bit")), truth)),
        (method(), Example.of("case 0", image, Segmentation(1 - truth.labels, truth.grid, truth.names))),
        (method(), Example.of("case 0", image, Segmentation(truth.labels, truth.grid, {1: "another"}))),
        (method(), moved(image, truth)),
    ]
    for number, (made, example) in enumerate(changed, 2):
        assert len(kept_files(tmp_path, made, example)) == number


def moved(image, truth):
    grid = Grid(image.grid.shape, np.diag([1.0, 2.0, 1.0, 1.0]))
    return Example.of("case 0", Image(image.pixels, grid), Segmentation(truth.labels, grid, truth.names))


def test_training_from_what_is_kept_is_training(tmp_path):
    plain, first, second = (replace(course(), kept=Kept(root)) for root in (None, tmp_path, tmp_path))
    for made in (plain, first):
        trained(made)
    stamps = {path: path.stat().st_mtime_ns for path in files(tmp_path)}
    assert len(stamps) == 6
    for path in list(stamps)[:2]:
        path.write_bytes(b"damaged")
    trained(second)
    assert gap(weights(first), weights(plain)) == 0
    assert gap(weights(second), weights(plain)) == 0
    assert sum(path.stat().st_mtime_ns != stamp for path, stamp in stamps.items()) == 2
