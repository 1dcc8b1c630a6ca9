"""Which sample is seen when; processes that prepare samples; slices of volumes."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
import torch

from learning import course, ellipses, gap, trained, weights
from promisam.core import Example, Grid, Image, Segmentation, Window
from promisam.core.errors import GeometryError, TrainingStopped, WeightsError
from promisam.methods.unet import UNet
from promisam.training.checkpoint import STATE, read_state
from promisam.training.kept import Kept
from promisam.training.slices import pictures_of
from promisam.training.stream import Share, Stream, batches


def test_samples_prepared_by_other_processes_are_the_same():
    alone, helped = course(workers=0, epochs=2), course(workers=2, epochs=2)
    trained(alone)
    trained(helped)
    assert gap(weights(alone), weights(helped)) == 0


class Nothing(UNet):
    """Finds nothing to learn from anywhere."""

    def sample(self, kept, generator):
        return None


@pytest.mark.parametrize("workers", [0, 1])
def test_refusals_of_other_processes_arrive_as_they_are(workers):
    with pytest.raises(TrainingStopped) as caught:
        trained(course(kind=Nothing, workers=workers))
    assert "4 examples without anything to learn from" in str(caught.value)
    assert "Traceback" not in str(caught.value)


class Choosy(UNet):
    """Learns from large objects alone."""

    def sample(self, kept, generator):
        return super().sample(kept, generator) if kept["truth"].sum() > 0 else None


def test_examples_without_anything_to_learn_from_are_passed_over():
    mixed = [*ellipses(2), *ellipses(3, 2, empty=True)]
    made = course(kind=Choosy, training=mixed)
    stream = Stream(made.method, mixed, Kept(), 0)
    seen = [stream[position][1] for position in range(20)]
    assert set(seen) == {"case 0", "case 1"}


def test_every_epoch_visits_every_example_once_in_its_own_order():
    examples = ellipses(5)
    stream = Stream(course().method, examples, Kept(), 3)
    orders = [tuple(stream.index(5 * epoch + place) for place in range(5)) for epoch in range(6)]
    assert all(sorted(order) == list(range(5)) for order in orders)
    assert len(set(orders)) > 3
    other = Stream(course().method, examples, Kept(), 4)
    assert [other.index(position) for position in range(30)] != list(itertools.chain(*orders))


def test_processes_share_what_one_sees():
    together = [p for batch in Share(6).positions(2, 5) for p in batch]
    parts = [list(Share(2, rank, 3).positions(2, 5)) for rank in range(3)]
    assert [p for step in zip(*parts, strict=True) for batch in step for p in batch] == together


def test_samples_of_a_position_are_always_the_same():
    made = course()
    stream = Stream(made.method, made.training, Kept(), 0)
    late = next(batches(stream, Share(2), 7, 8))
    early = list(batches(stream, Share(2), 0, 8))[-1]
    assert late[1] == early[1]
    assert all(torch.equal(late[0][name], early[0][name]) for name in late[0])


def volume(name="v", labelled=(1, 3), group=""):
    """Five coarse slices across y, of which some are labelled."""
    affine = np.diag([1.0, 4.0, 1.0, 1.0])
    grid = Grid((6, 5, 7), affine)
    pixels = np.random.default_rng(0).integers(0, 255, (1, 6, 5, 7)).astype(np.int16)
    labels = np.zeros((6, 5, 7), np.uint8)
    for index in labelled:
        labels[1:4, index, 2:5] = 1
    return Example.of(name, Image(pixels, grid), Segmentation(labels, grid, {1: "object"}), group)


def test_volumes_become_their_labelled_slices_across_the_coarsest_axis():
    one = volume()
    found = pictures_of([one, volume("w", (0,), "patient 7")])
    assert [e.name for e in found] == ["v y=1", "v y=3", "w y=0"]
    assert [e.group for e in found] == ["v", "v", "patient 7"]
    assert len({e.content for e in found}) == 3
    first = found[0].load()
    assert first.image.grid.ndim == 2
    assert np.array_equal(first.truth.labels, one.load().truth.labels[:, 1, :])
    assert first.truth.names == {1: "object"}


def test_examples_can_be_sent_to_other_processes():
    for one in (*ellipses(1), *pictures_of([volume()])):
        sent = pickle.loads(pickle.dumps(one))
        assert np.array_equal(sent.load().truth.labels, one.load().truth.labels)


def test_pictures_stay_and_volumes_without_labels_are_refused_unless_they_may_be():
    pictures = ellipses(2)
    assert pictures_of(pictures) == pictures
    with pytest.raises(GeometryError, match="without a labelled slice"):
        pictures_of([volume(labelled=())])
    assert pictures_of([volume(labelled=())], empty=True) == []
    assert pictures_of([]) == []


@pytest.mark.parametrize("damage", [b"", b"half of a state", "pickle", "cut"])
def test_a_damaged_state_is_refused(tmp_path, damage):
    trained(course(tmp_path, epochs=1))
    path = tmp_path / STATE
    contents = {"pickle": pickle.dumps({"step": 3}), "cut": path.read_bytes()[:-100]}
    path.write_bytes(contents.get(damage, damage))
    with pytest.raises(WeightsError, match=STATE):
        read_state(path)
    torch.save({"step": 3}, path)
    with pytest.raises(WeightsError, match="without belongs_to"):
        trained(course(tmp_path, epochs=1), resume=True)


def bright_to_dark():
    """A volume whose first slices are ten times as bright as its last: each by itself would be windowed otherwise."""
    grid = Grid((6, 20, 24), np.diag([4.0, 1.0, 1.0, 1.0]))
    pixels = np.random.default_rng(0).integers(0, 100, grid.shape) * np.linspace(10, 1, 6)[:, None, None]
    labels = np.zeros(grid.shape, np.uint8)
    labels[1:3, 5:9, 5:9] = 1
    return Example.of("v", Image(pixels[None].astype(np.int16), grid), Segmentation(labels, grid, {1: "object"}))


def test_slices_are_windowed_with_their_volume():
    example, window = bright_to_dark(), Window.parse("auto")
    whole = window.apply(example.load().image)
    prepared = pictures_of([example], prepare=window.apply)
    for one, index in zip(prepared, (1, 2), strict=True):
        found = window.apply(one.load().image)  # what a method does again, to no effect
        assert np.array_equal(found.pixels, whole.slice(0, index).pixels)
    raw = pictures_of([example])
    assert not np.array_equal(window.apply(raw[0].load().image).pixels, whole.slice(0, 1).pixels)
    assert {one.content for one in raw}.isdisjoint(one.content for one in prepared)


def test_slices_without_a_label_come_along_where_they_are_asked_for():
    found = pictures_of([bright_to_dark()], background=True)
    assert [one.name for one in found] == ["v z=0", "v z=1", "v z=2", "v z=5"]
    assert [bool(one.load().truth.mask().any()) for one in found] == [False, True, True, False]
