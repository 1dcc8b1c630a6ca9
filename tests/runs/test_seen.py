"""What gives away that a run has seen an image."""

from __future__ import annotations

from dataclasses import replace

import pytest

from data_maker import blocks, grey, picture
from promisam.io import find_inputs, open_examples
from promisam.runs.record import DataRecord
from promisam.runs.seen import same_data, seen


@pytest.fixture
def data(tmp_path):
    """Two cases, of which the run learned from one."""
    for number, name in enumerate("ab"):
        picture(tmp_path / "data" / "images" / f"{name}.png", grey(number))
        picture(tmp_path / "data" / "masks" / f"{name}.png", blocks(1))
    return open_examples(tmp_path / "data")


def record(found, path):
    return DataRecord(
        str(path), "", (), "", found.classes, {"train": ("a",), "val": ("b",)}, "", (),
        {e.name: e.content for e in found.examples}, {e.name: e.image for e in found.examples},
    )  # fmt: skip


def test_an_image_with_other_labels_and_another_name(data, tmp_path):
    picture(tmp_path / "new" / "images" / "x.png", grey(0))
    picture(tmp_path / "new" / "masks" / "x.png", blocks(1, 1))
    others = open_examples(tmp_path / "new").examples
    run = record(data, tmp_path / "data")
    assert others[0].content not in run.content.values()
    assert same_data(others, tmp_path / "new", run)
    assert seen(others, others, run, "train", same=True) == {"x": "content"}
    assert seen(others, others, replace(run, images={}), "train", same=False) == {}


def test_an_input_and_an_example_of_equal_files_have_one_fingerprint(data, tmp_path):
    inputs = find_inputs([tmp_path / "data"])
    assert {name: one.digest() for name, one in inputs.items()} == {e.name: e.image for e in data.examples}


def test_the_group_of_a_training_case_that_is_no_longer_there(data, tmp_path):
    run = replace(record(data, tmp_path / "data"), groups={"a": "p1", "b": "p2"})
    later = [replace(data.examples[1], name="c", content="1", image="2", group="p1")]
    assert seen(later, later, run, "train", same=True) == {"c": "group"}
    assert seen(later, later, run, "train", same=False) == {}
