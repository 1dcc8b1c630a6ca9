"""The files of a choice."""

from __future__ import annotations

import pytest

from data_maker import grey, picture, text
from promisam.core.errors import UnreadableFile, UnwritableOutput
from promisam.io import find_inputs
from promisam.selection import Place, read_former


def test_a_former_choice_in_its_order(tmp_path):
    assert read_former(text(tmp_path / "a.csv", "name,rank\nx,3\ny,1\nz,2\n")) == ("y", "z", "x")
    assert read_former(text(tmp_path / "b.csv", "\ufeffname,image\nx,1.png\na,2.png\n")) == ("x", "a")


@pytest.mark.parametrize(
    ("content", "saying"),
    [
        ("", "without any row"),
        ("name,rank\n", "without any row"),
        ("image\nx.png\n", "without a name in each row"),
        ("name,rank\nx,1\n,2\n", "without a name in each row"),
        ("name,rank\nx,1\nx,2\n", "x twice"),
    ],
)
def test_tables_that_are_none(tmp_path, content, saying):
    with pytest.raises(UnreadableFile, match=saying):
        read_former(text(tmp_path / "a.csv", content))


def test_tables_that_are_not_there(tmp_path):
    with pytest.raises(UnreadableFile, match=r"none\.csv"):
        read_former(tmp_path / "none.csv")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(UnreadableFile, match=r"b\.csv"):
        read_former(tmp_path / "b.csv")


@pytest.fixture
def inputs(tmp_path):
    picture(tmp_path / "images" / "a.png", grey(0))
    return find_inputs([tmp_path / "images"]).values()


@pytest.mark.parametrize("taken", ["chosen.csv", "chosen.json", "chosen.png"])
def test_what_is_there_is_kept(tmp_path, inputs, taken):
    place = Place(tmp_path / "out" / "chosen.csv")
    place.check(inputs)
    text(tmp_path / "out" / taken, "mine")
    with pytest.raises(UnwritableOutput, match=f"{taken}.*already there.*--overwrite"):
        place.check(inputs)
    Place(tmp_path / "out" / "chosen.csv", overwrite=True).check(inputs)


@pytest.mark.parametrize(
    ("output", "saying"),
    [
        ("chosen.txt", "ends in .csv"),
        ("images/chosen.csv", "taken for an image"),
        ("blocked/chosen.csv", "may write to"),
    ],
)
def test_places_that_are_none(tmp_path, inputs, output, saying):
    text(tmp_path / "blocked", "a file")
    with pytest.raises(UnwritableOutput, match=saying):
        Place(tmp_path / output).check(inputs)
    (tmp_path / "chosen.csv").mkdir()
    with pytest.raises(UnwritableOutput, match="a folder"):
        Place(tmp_path / "chosen.csv", overwrite=True).check(inputs)
