"""What stands beside the masks of a method that explains itself: prompts, table and page."""

from __future__ import annotations

import csv
import json
import re

import nibabel
import numpy as np
import pytest

import promisam as ps
from command_line import promisam
from data_maker import OBLIQUE, picture, volume
from promisam.core import Image, Segmentation
from promisam.io import read_prompts
from promisam.runs.predictions import Done
from promisam.runs.review import page, write_picture
from toy_few_shot import Toy, labelled, scene

TOY = "toy_few_shot:Toy"


@pytest.fixture
def place(tmp_path):
    """A run on two supports, and `many` images whose objects grow from case to case; the first has none."""
    labelled(tmp_path / "few", [scene(number) for number in range(2)])
    for number in range(5):
        picture(tmp_path / "many" / f"q{number}.png", scene(number, side=2 * number)[0])
    return tmp_path


@pytest.fixture
def run(capsys, place):
    done = promisam(capsys, "fit", TOY, place / "few", "-o", place / "run")
    assert done.status == 0, done.text
    return place / "run"


def table(folder, name="report.csv"):
    with (folder / name).open() as file:
        return list(csv.DictReader(file))


def names(rows):
    return [row["name"] for row in rows]


def shown(folder):
    return re.findall(r"<strong>(q\d)</strong>", (folder / "review.html").read_text())


def test_masks_come_with_a_table_sorted_by_doubt_prompts_and_a_page(capsys, place, run):
    before = Toy.encodings
    done = promisam(capsys, "predict", run, place / "many", "-o", place / "out")
    assert done.status == 0, done.text
    assert Toy.encodings - before == 5  # each image once
    rows = table(place / "out")
    assert list(rows[0]) == ["name", "confidence", "flags", "share", "brightest", "mask", "seconds"]
    assert names(rows) == ["q0", "q1", "q2", "q3", "q4"]
    assert (rows[0]["flags"], rows[0]["mask"]) == ("nothing here", "q0.png")
    method = ps.load(method=run)
    encoded = method.encode(ps.read(place / "many/q3.png"))
    assert float(rows[3]["confidence"]) == pytest.approx(method.explain(encoded).confidence, abs=1e-4)
    assert shown(place / "out") == names(rows)
    html = (place / "out/review.html").read_text()
    assert html.count("data:image/jpeg;base64,") == 5
    assert "http" not in html.replace("http-equiv", "")
    assert "<script" not in html
    assert not (place / "out/prompts/q0.json").exists()  # nothing was asked
    told = read_prompts(place / "out/prompts/q3.json", encoded.grid)
    assert [one.name for one in told] == ["label 1"]
    np.testing.assert_array_equal(told[0].prompts.box_zyx, [[4, 6], [9, 11]])


def test_prompts_are_given_back_to_segment_and_predict(capsys, place, run):
    promisam(capsys, "predict", run, place / "many", "-o", place / "out")
    file = place / "out/prompts/q3.json"
    content = json.loads(file.read_text())
    content["objects"][0]["box"] = [2, 2, 20, 15]
    edited = place / "edited/q3.json"
    edited.parent.mkdir()
    edited.write_text(json.dumps(content))
    image = place / "many/q3.png"
    again = promisam(capsys, "segment", image, "-o", place / "one.png", "--method", run, "--prompts", edited)
    assert again.status == 0, again.text
    assert ps.read_segmentation(place / "one.png").mask().sum() == 19 * 14
    words = ["predict", run, place / "many", "-o", place / "out", "--prompts", edited.parent, "--overwrite"]
    done = promisam(capsys, *words)
    assert done.status == 0, done.text
    assert ps.read_segmentation(place / "out/q3.png").mask().sum() == 19 * 14
    rows = table(place / "out")
    assert names(rows) == ["q0", "q1", "q2", "q4", "q3"]  # what a person asked for is not doubted
    assert (rows[-1]["confidence"], rows[-1]["flags"]) == ("", "prompted by hand")
    assert json.loads(file.read_text())["objects"][0]["box"] != [2, 2, 20, 15]


def test_what_is_done_stays_in_the_table_and_a_changed_mask_is_said(capsys, place, run):
    words = ["predict", run, place / "many", "-o", place / "out"]
    promisam(capsys, *words, "--shard", "0/2")
    first = table(place / "out")
    assert names(first) == ["q0", "q2", "q4"]
    (place / "out/q2.png").write_bytes((place / "out/q4.png").read_bytes())
    done = promisam(capsys, *words)
    assert "2 done, 3 skipped" in done.out
    (place / "out/predictions_0_of_2.json").unlink()
    assert "0 done, 5 skipped" in promisam(capsys, *words).out  # what is told does not rest on the first report
    rows = {row["name"]: row for row in table(place / "out")}
    assert rows["q4"] == first[2]
    assert rows["q2"]["confidence"] == ""
    assert "changed since it was made" in (place / "out/review.html").read_text()
    assert sorted(shown(place / "out")) == ["q0", "q1", "q2", "q3", "q4"]


def test_shards_have_tables_of_their_own_and_the_last_tells_of_all(capsys, place, run):
    words = ["predict", run, place / "many", "-o", place / "out"]
    for shard in ("1/3", "0/3", "2/3"):
        assert promisam(capsys, *words, "--shard", shard).status == 0
    assert names(table(place / "out", "report_1_of_3.csv")) == ["q1", "q4"]
    assert names(table(place / "out")) == ["q0", "q1", "q2", "q3", "q4"]
    whole = promisam(capsys, "predict", run, place / "many", "-o", place / "whole")
    assert whole.status == 0
    drop = {"seconds"}
    strip = [[{k: v for k, v in row.items() if k not in drop} for row in table(place / out)] for out in ("out", "whole")]
    assert strip[0] == strip[1]
    assert shown(place / "out") == shown(place / "whole")


def test_images_without_a_mask_stand_on_the_page(capsys, place, run):
    (place / "many/q1.png").write_bytes(b"no picture")
    done = promisam(capsys, "predict", run, place / "many", "-o", place / "out")
    assert done.status == 2
    html = (place / "out/review.html").read_text()
    assert "Without a mask: 1" in html
    assert names(table(place / "out")) == ["q0", "q2", "q3", "q4"]


def test_supports_are_marked(capsys, place, run):
    promisam(capsys, "predict", run, place / "few", place / "many", "-o", place / "out")
    assert (place / "out/review.html").read_text().count("learned from this image") == 2


def test_volumes_slice_by_slice(capsys, place):
    """A method of pictures on a volume: what it says of the slices that hold something, and prompts on the volume."""
    pictures = "toy_few_shot:OfPictures"
    made = promisam(capsys, "fit", pictures, place / "few", "-o", place / "flat")
    assert made.status == 0, made.text
    random = np.random.default_rng(0)
    array = random.integers(0, 40, (12, 11, 6)).astype(np.uint8)
    array[3:8, 2:6, 2:5] += 150
    volume(place / "deep/v.nii.gz", array)
    done = promisam(capsys, "predict", place / "flat", place / "deep", "-o", place / "out")
    assert done.status == 0, done.text
    (row,) = table(place / "out")
    assert float(row["confidence"]) == pytest.approx(4 * 20 / 132, abs=1e-4)
    grid = ps.read(place / "deep/v.nii.gz").grid
    boxes = [one.prompts.box_zyx for one in read_prompts(place / "out/prompts/v.json", grid)]
    np.testing.assert_array_equal(boxes, [[[z, 2, 3], [z, 5, 7]] for z in (2, 3, 4)])
    assert "data:image/jpeg" in (place / "out/review.html").read_text()
    assert nibabel.load(place / "out/v.nii.gz").get_fdata().sum() == 60
    np.testing.assert_allclose(np.abs(nibabel.load(place / "out/v.nii.gz").affine), np.abs(OBLIQUE), atol=1e-5)


def test_the_page_stays_small_and_escapes(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (3, 600, 700), dtype=np.uint8)
    grid = ps.Grid.of_picture((600, 700))
    found = Segmentation((noise[0] > 128).astype(np.uint8), grid, {1: "x"})
    write_picture(tmp_path / "a.jpg", Image(noise, grid), found, ())
    assert 500 * (tmp_path / "a.jpg").stat().st_size * 4 / 3 < 28e6
    evil = "<img src=x onerror=alert(1)>"
    row = Done("/x/a.png", "", "done", mask="a.png", confidence=0.5, flags=(evil,), measures={evil: 1.0})
    html = page(evil, [(row, evil, tmp_path / "a.jpg")] * 600, [Done(f"/x/{evil}", "", "failed", reason=evil)])
    assert evil not in html
    assert html.count("<figure>") == 500
    assert "The first 500 are shown" in html
    assert len(html) < 28e6
