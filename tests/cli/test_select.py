"""`promisam select` from a folder to its three files."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from command_line import promisam
from data_maker import grey, picture, volume
from promisam.sam.checkpoint import write_state
from tiny_sam import tiny


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    write_state(path, tiny().state_dict())
    return path


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("PROMISAM_CACHE", str(tmp_path / "cache"))
    return tmp_path


def images(place, number=6):
    """Pictures of two kinds, of many shapes."""
    for at in range(number):
        shape = [(20, 30), (31, 17), (25, 25)][at % 3]
        base = grey(at, shape) // 4
        base[:, : shape[1] // 2] += np.uint8(150 if at % 2 else 0)
        picture(place / "images" / f"p{at}.png", base)
    return place / "images"


@pytest.fixture
def select(weights, capsys):
    def call(*words):
        return promisam(capsys, "select", *words, "--weights", weights, "--like", "sam_vit_b", "--device", "cpu")

    return call


def rows(path="chosen.csv"):
    return list(csv.DictReader(Path(path).read_text(encoding="utf-8").splitlines()))


def test_a_table_a_record_and_a_sheet(place, select):
    answer = select(images(place), "-k", 3)
    assert answer.status == 0, answer.text
    chosen = rows()
    assert list(chosen[0]) == ["name", "image", "rank", "represents", "spread", "why"]
    assert [row["rank"] for row in chosen] == ["1", "2", "3"]
    assert sum(int(row["represents"]) for row in chosen) == 6
    assert {row["why"] for row in chosen} == {"medoid"}
    assert all(row["image"] == str(place / "images" / f"{row['name']}.png") for row in chosen)
    record = json.loads((place / "chosen.json").read_text(encoding="utf-8"))
    assert [one["name"] for one in record["images"]] == [f"p{i}" for i in range(6)]
    assert {one["nearest"] for one in record["images"]} == {row["name"] for row in chosen}
    assert (record["k"], record["seed"], record["features"], record["weights"]["name"][-16:]) == (
        3,
        0,
        "both",
        "tiny.safetensors",
    )
    assert Pillow.open(place / "chosen.png").size[0] > 1000
    for row in chosen:
        assert row["name"] in answer.out
    assert "represents" in answer.out
    assert "Next:" in answer.out
    assert not list(place.glob(".*.part*"))


def test_the_order_of_the_files_does_not_matter_and_the_seed_is_kept(place, select):
    folder = images(place)
    files = sorted(folder.iterdir())
    (place / "a").mkdir(), (place / "b").mkdir()
    assert select(*files, "-k", 2, "-o", "a/c.csv", "--seed", 4).status == 0
    assert select(*files[::-1], "-k", 2, "-o", "b/c.csv", "--seed", 4).status == 0
    assert rows("a/c.csv") == rows("b/c.csv")
    assert json.loads((place / "a/c.json").read_text())["images"] == json.loads((place / "b/c.json").read_text())["images"]


def test_included_and_excluded(place, select):
    folder = images(place)
    assert select(folder, "-k", 2).status == 0
    first, second = (row["name"] for row in rows())
    other = next(f"p{i}" for i in range(6) if f"p{i}" not in (first, second))
    answer = select(folder, "-k", 2, "--include", other, "--exclude", first, "--overwrite", "--json")
    assert answer.status == 0
    record = json.loads(answer.out)
    assert record == json.loads((place / "chosen.json").read_text(encoding="utf-8"))
    assert {one["name"]: one["why"] for one in record["chosen"]}[other] == "included"
    assert first not in {one["name"] for one in record["chosen"]}
    assert first in {one["name"] for one in record["images"]}


@pytest.mark.parametrize("features", ["pooled", "grid"])
def test_other_features(place, select, features):
    answer = select(images(place), "-k", 2, "--features", features, "--json")
    assert (answer.status, json.loads(answer.out)["features"]) == (0, features)


def test_an_extension_keeps_the_former_choice(place, select):
    folder = images(place)
    assert select(folder, "-k", 2).status == 0
    former = [row["name"] for row in rows()]
    answer = select(folder, "-k", 4, "--extend", "chosen.csv", "-o", "more.csv")
    assert answer.status == 0
    assert [row["name"] for row in rows("more.csv")][:2] == former
    assert [row["why"] for row in rows("more.csv")] == ["former", "former", "medoid", "medoid"]
    assert select(folder, "-k", 5, "--extend", "more.csv", "-o", "more.csv", "--overwrite").status == 0
    assert [row["name"] for row in rows("more.csv")][:2] == former


def test_what_was_encoded_is_not_encoded_again(place, select, monkeypatch):
    from promisam.selection import Encoder

    folder = images(place)
    assert select(folder, "-k", 2).status == 0

    def forbidden(*_words):
        raise AssertionError("encoded again")

    monkeypatch.setattr(Encoder, "of_image", forbidden)
    assert select(folder, "-k", 3, "--overwrite").status == 0


def test_a_corrupt_image_is_named_and_left_out(place, select):
    folder = images(place)
    (folder / "bad.png").write_bytes((folder / "p0.png").read_bytes()[:70])
    answer = select(folder, "-k", 2)
    assert answer.status == 2
    assert "left out" in answer.err
    assert "bad.png" in answer.err
    assert len(rows()) == 2
    record = json.loads((place / "chosen.json").read_text(encoding="utf-8"))
    assert [one["name"] for one in record["unreadable"]] == ["bad"]
    assert "bad" not in {one["name"] for one in record["images"]}
    answer = select(folder, "-k", 7, "--overwrite")
    assert answer.status == 2
    assert "7 images to choose out of 6 that can be read" in answer.err
    assert len(rows()) == 2, "the earlier choice is kept"
    answer = select(folder, "-k", 2, "--exclude", "bad", "-o", "other.csv")
    assert (answer.status, len(rows("other.csv"))) == (2, 2)


def test_a_corrupt_image_that_is_to_be_chosen_stops_it(place, select):
    folder = images(place)
    (folder / "bad.png").write_bytes((folder / "p0.png").read_bytes()[:70])
    answer = select(folder, "-k", 2, "--include", "bad")
    assert (answer.status, answer.err.count("\n")) == (2, 1)
    assert "bad.png" in answer.err
    assert not (place / "chosen.csv").exists()


def test_one_image_only(place, select):
    picture(place / "images" / "x.png", grey(1))
    answer = select(place / "images", "-k", 1)
    assert answer.status == 0, answer.text
    assert [(row["name"], row["represents"], float(row["spread"])) for row in rows()] == [("x", "1", 0.0)]


def test_identical_images_are_said_to_be(place, select):
    folder = images(place, 4)
    shutil.copy(folder / "p1.png", folder / "p9.png")
    answer = select(folder, "-k", 2)
    assert answer.status == 0
    assert "1 near-duplicate: p9 of p1" in answer.out
    record = json.loads((place / "chosen.json").read_text(encoding="utf-8"))
    assert record["near_duplicates"] == [{"name": "p9", "of": "p1", "same_file": True}]


def test_all_identical(place, select):
    for at in range(8):
        picture(place / "images" / f"x{at}.png", grey(1))
    answer = select(place / "images", "-k", 2)
    assert answer.status == 0, answer.text
    assert "7 near-duplicates: x1 of x0" in answer.out
    assert "and 2 more" in answer.out


def test_all_of_them(place, select):
    answer = select(images(place, 4), "-k", 4)
    assert answer.status == 0
    assert {row["name"] for row in rows()} == {"p0", "p1", "p2", "p3"}
    assert "outlier" not in answer.out


def test_deep_pictures_and_volumes_together(place, select):
    folder = images(place, 3)
    picture(folder / "deep.png", grey(7).astype(np.uint16) * 200 + 9000)
    volume(folder / "ct.nii.gz", np.random.default_rng(0).integers(-1000, 1000, (12, 11, 10)).astype(np.int16))
    answer = select(folder, "-k", 5)
    assert answer.status == 0, answer.text
    assert {row["name"] for row in rows()} == {"p0", "p1", "p2", "deep", "ct"}


@pytest.mark.parametrize(
    ("words", "saying"),
    [
        (("-k", "9"), "9 images to choose out of 6"),
        (("-k", "2", "--include", "p1", "--exclude", "p1"), "p1, excluded and included"),
        (("-k", "2", "--include", "q1"), "Did you mean p1"),
        (("-k", "1", "--include", "p1", "--include", "p2"), "a number from 2"),
        (("-k", "2", "--extend", "none.csv"), "none.csv"),
        (("-k", "2", "-o", "chosen.png"), "ends in .csv"),
        (("-k", "2", "-o", "images/chosen.csv"), "taken for an image"),
        (("-k", "2", "--window", "lungs"), "the window 'lungs'"),
    ],
)
def test_refusals_come_before_any_work(place, select, monkeypatch, words, saying):
    from promisam import store

    def forbidden(*_words, **_more):
        raise AssertionError("weights were loaded")

    monkeypatch.setattr(store, "Source", forbidden)
    answer = select(images(place), *words)
    assert (answer.status, answer.err.count("\n")) == (2, 1)
    assert saying in answer.err


def test_an_image_that_stands_for_itself_alone_is_named(place, select):
    folder = images(place, 5)
    picture(folder / "white.png", np.full((20, 30), 255, np.uint8))
    answer = select(folder, "-k", 1, "--include", "white")
    assert answer.status == 0
    assert "like no other" not in answer.out, "it was asked for, and stands for all"
    answer = select(folder, "-k", 5, "--overwrite")
    assert next(row["name"] for row in rows() if row["represents"] == "1") in answer.out.partition("like no other image:")[2]


def test_earlier_files_are_kept_unless_told_otherwise(place, select):
    folder = images(place, 3)
    assert select(folder, "-k", 1).status == 0
    before = (place / "chosen.csv").read_bytes()
    answer = select(folder, "-k", 2)
    assert answer.status == 2
    assert "--overwrite" in answer.err
    assert (place / "chosen.csv").read_bytes() == before
    assert select(folder, "-k", 2, "--overwrite").status == 0
    assert len(rows()) == 2
