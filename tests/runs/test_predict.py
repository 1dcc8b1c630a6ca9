"""`promisam predict` and what `promisam evaluate` makes of its report, through the command line."""

from __future__ import annotations

import json
import shutil
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image as Pillow
from safetensors.torch import save_file

import promisam as ps
from data_maker import OBLIQUE, picture, text, volume
from dicom_maker import make_series
from promisam.cli.main import run
from promisam.core import Image
from promisam.core.errors import PromisamError
from promisam.io import find_inputs
from promisam.io.digest import file_digest
from promisam.runs.predict import Place, Shard, predict_folder
from tiny_sam import tiny

UNET = ["--set", "width=2", "--set", "levels=2", "--set", "batch=1", "--set", "learning_rate=0.01", "--set", "validate_every=1"]
NAMES = ["p0_0", "p0_1", "p1_2", "p1_3", "p2_4", "p2_5"]


def promisam(*words: object) -> tuple[int, str, str]:
    """Status, output and complaint of the command."""
    out, err = StringIO(), StringIO()
    status = 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            run([str(word) for word in words])
        except SystemExit as stop:
            status = int(stop.code or 0)
    return status, out.getvalue(), err.getvalue()


def rows(folder: Path, name: str = "predictions.json") -> dict[str, dict[str, object]]:
    """Of a report, by the name of the image."""
    return {Path(row["image"]).name: row for row in json.loads((folder / name).read_text())["predictions"]}


def labels(path: Path) -> np.ndarray:
    return ps.read_segmentation(path).labels


def scene(number: int, size: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """A picture with two bright squares, and their labels 1 and 2."""
    drawn = np.zeros((size, size + 6), np.uint8)
    drawn[4:12, 3 + number % 5 : 11 + number % 5] = 1
    drawn[14:20, 16 : 24 - number % 3] = 2
    rest = np.random.default_rng(number).integers(0, 60, drawn.shape)
    return (rest + 90 * drawn).astype(np.uint8), drawn


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A U-Net that learned from six pictures of three patients: two to train, two to validate, two to test."""
    folder = tmp_path_factory.mktemp("predict")
    for number, name in enumerate(NAMES):
        pixels, drawn = scene(number)
        picture(folder / "data" / "images" / f"{name}.png", pixels)
        picture(folder / "data" / "masks" / f"{name}.png", drawn)
    parts = ["train", "train", "val", "val", "test", "test"]
    text(folder / "split.json", {part: [n for n, p in zip(NAMES, parts, strict=True) if p == part] for part in set(parts)})
    learn = ["fit", "unet", folder / "data", "-o", folder / "flat", "--split", folder / "split.json", "--keep", folder / "kept"]
    status, _, err = promisam(*learn, *UNET, "--set", "epochs=3", "--set", "side=16", "--group-by", "^p\\d")
    assert status == 0, err
    return folder


def channel_volume(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two channels and labels, x, y, z; the object is where the two differ."""
    random = np.random.default_rng(number)
    drawn = np.zeros((10, 9, 8), np.uint8)
    drawn[2 + number : 7 + number, 2:7, 2:6] = 1
    first, second = (random.normal(100, 5, drawn.shape).astype(np.float32) for _ in range(2))
    return first + 80 * drawn, second - 60 * drawn, drawn


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    """nnU-Net's folders of two channels with a U-Net of volumes that learned from them."""
    folder = tmp_path_factory.mktemp("deep")
    data = folder / "Dataset"
    for part, numbers in (("Tr", range(2)), ("Ts", range(2, 4))):
        for number in numbers:
            first, second, drawn = channel_volume(number % 3)
            volume(data / f"images{part}" / f"case{number}_0000.nii.gz", first)
            volume(data / f"images{part}" / f"case{number}_0001.nii.gz", second)
            if part == "Tr":
                volume(data / "labelsTr" / f"case{number}.nii.gz", drawn)
    told = {"channel_names": {"0": "T1", "1": "T2"}, "labels": {"background": 0, "cord": 1}, "file_ending": ".nii.gz"}
    text(data / "dataset.json", {**told, "numTraining": 2})
    learn = ["fit", "unet", data, "-o", folder / "run", "--split", "50,50", "--keep", folder / "kept"]
    status, _, err = promisam(*learn, *UNET, "--set", "epochs=2", "--set", "patch=[8,8,8]")
    assert status == 0, err
    return folder


@pytest.fixture
def images(place, tmp_path):
    """The two test pictures in a folder of their own."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name in NAMES[4:]:
        shutil.copy(place / "data" / "images" / f"{name}.png", folder)
    return folder


def whole(folder: Path, name: str, run_folder: Path) -> np.ndarray:
    """What the method answers to channels that were put together by hand."""
    parts = [ps.read(folder / f"{name}_000{n}.nii.gz") for n in (0, 1)]
    image = Image(np.concatenate([part.pixels for part in parts]), parts[0].grid)
    return ps.predict(ps.load(method=run_folder, ndim=3), image).labels


class TestChannels:
    def test_a_folder_below_a_description(self, deep, tmp_path):
        tests = deep / "Dataset" / "imagesTs"
        assert {name: one.channels for name, one in find_inputs([tests]).items()} == dict.fromkeys(
            ["case2", "case3"], ("T1", "T2")
        )
        status, out, err = promisam("predict", deep / "run", tests, "-o", tmp_path / "out")
        assert (status, err) == (0, "")
        assert "2 done, 0 skipped, 0 failed" in out
        assert sorted(p.name for p in tmp_path.glob("out/*.nii.gz")) == ["case2.nii.gz", "case3.nii.gz"]
        mask = nibabel.load(tmp_path / "out" / "case2.nii.gz")
        assert np.allclose(mask.affine, OBLIQUE, atol=1e-5)
        assert np.array_equal(labels(tmp_path / "out" / "case2.nii.gz"), whole(tests, "case2", deep / "run"))
        assert labels(tmp_path / "out" / "case2.nii.gz").any()

    def test_a_data_set_a_bare_folder_and_files_are_alike(self, deep, tmp_path):
        bare = tmp_path / "bare"
        shutil.copytree(deep / "Dataset" / "imagesTr", bare)
        for given, out in (([deep / "Dataset"], "a"), ([bare], "b"), (sorted(bare.iterdir()), "c")):
            status, _, err = promisam("predict", deep / "run", *given, "-o", tmp_path / out)
            assert status == 0, err
            assert sorted(p.name for p in (tmp_path / out).glob("*.nii.gz")) == ["case0.nii.gz", "case1.nii.gz"]
        for name in ("case0.nii.gz", "case1.nii.gz"):
            assert np.array_equal(labels(tmp_path / "a" / name), labels(tmp_path / "b" / name))
            assert np.array_equal(labels(tmp_path / "a" / name), labels(tmp_path / "c" / name))

    @pytest.mark.parametrize("described", [True, False])
    def test_a_channel_that_is_missing_fails_its_case_alone(self, deep, tmp_path, described):
        folder = tmp_path / ("imagesTs" if described else "bare")
        shutil.copytree(deep / "Dataset" / "imagesTs", folder)
        if described:
            shutil.copy(deep / "Dataset" / "dataset.json", tmp_path)
        (folder / "case2_0001.nii.gz").unlink()
        status, out, err = promisam("predict", deep / "run", folder, "-o", tmp_path / "out")
        assert status == 2
        assert "1 done, 0 skipped, 1 failed" in out
        assert "case2 lacks the channel 0001 (T2)" in err
        assert [row["status"] for row in rows(tmp_path / "out").values()] == ["failed", "done"]

    def test_channels_on_other_grids_fail(self, deep, tmp_path):
        shutil.copytree(deep / "Dataset" / "imagesTs", tmp_path / "in")
        moved = OBLIQUE.copy()
        moved[:3, 3] += 5
        volume(tmp_path / "in" / "case3_0001.nii.gz", channel_volume(0)[1], moved)
        status, out, err = promisam("predict", deep / "run", tmp_path / "in", "-o", tmp_path / "out")
        assert (status, "1 done, 0 skipped, 1 failed" in out) == (2, True)
        assert "expected the grid of case3_0000.nii.gz" in err

    @pytest.mark.parametrize("described", [True, False])
    def test_a_fourth_axis_of_channels(self, deep, tmp_path, described):
        first, second, _ = channel_volume(2)
        path = tmp_path / "imagesTs" / "case_002.nii.gz"
        volume(path, np.stack([first, second], -1))
        if described:
            text(tmp_path / "dataset.json", {"modality": {"0": "T1", "1": "T2"}, "labels": {"0": "background", "1": "cord"}})
        status, _, err = promisam("predict", deep / "run", path.parent if described else path, "-o", tmp_path / "out")
        assert status == 0, err
        expected = whole(deep / "Dataset" / "imagesTs", "case2", deep / "run")
        assert np.array_equal(labels(tmp_path / "out" / "case_002.nii.gz"), expected)

    def test_frames_of_a_video_are_no_channels(self, place, tmp_path):
        for number in range(3):
            colours = np.stack([scene(number)[0]] * 3, -1)
            picture(tmp_path / "in" / f"video_{number:04d}.png", colours)
        assert promisam("predict", place / "flat", tmp_path / "in", "-o", tmp_path / "out")[0] == 0
        assert len(list(tmp_path.glob("out/video_000?.png"))) == 3
        assert sorted(find_inputs([tmp_path / "in"], number=3)) == ["video_0000", "video_0001", "video_0002"]

    def test_one_channel_loses_its_number_in_the_name(self, place, tmp_path):
        for number in range(2):
            picture(tmp_path / "in" / f"case{number}_0000.png", scene(number)[0])
        assert promisam("predict", place / "flat", tmp_path / "in", "-o", tmp_path / "out")[0] == 0
        assert sorted(p.name for p in tmp_path.glob("out/*.png")) == ["case0.png", "case1.png"]


class TestKindsOfImages:
    def test_series_volumes_stacks_and_pictures_of_one_method(self, place, tmp_path):
        given = tmp_path / "in"
        levels = np.stack([scene(number)[0] for number in range(4)])
        make_series(given / "series", levels.astype(np.int16))
        volume(given / "scan.nii.gz", levels.transpose(2, 1, 0))
        picture(given / "flat.png", levels[0])
        pages = [Pillow.fromarray(page) for page in levels]
        pages[0].save(given / "stack.tif", save_all=True, append_images=pages[1:])
        (given / "corrupt.nii.gz").write_bytes((given / "scan.nii.gz").read_bytes()[:300])
        status, out, err = promisam("predict", place / "flat", given, "-o", tmp_path / "out")
        assert status == 2
        assert "4 done, 0 skipped, 1 failed" in out, err
        assert err.count("\n") == 1
        assert "corrupt.nii.gz, which is damaged or cut off" in err
        assert {p.name for p in tmp_path.glob("out/*")} == {
            "flat.png", "predictions.json", "scan.nii.gz", "series.nii.gz", "stack.nii.gz",
        }  # fmt: skip
        for name in ("series", "scan.nii.gz"):
            mask = ps.read_segmentation(tmp_path / "out" / f"{name.removesuffix('.nii.gz')}.nii.gz")
            assert mask.grid.matches(ps.read(given / name).grid)
        method = ps.load(method=place / "flat")
        expected = ps.predict(method, ps.read(given / "flat.png")).labels
        assert np.array_equal(labels(tmp_path / "out" / "flat.png"), expected)
        assert rows(tmp_path / "out")["corrupt.nii.gz"]["status"] == "failed"
        again = promisam("predict", place / "flat", given, "-o", tmp_path / "out")
        assert "0 done, 4 skipped, 1 failed" in again[1]

    def test_real_series(self, place, shared, tmp_path):
        series = tmp_path / "ct3"
        series.mkdir()
        for slice_ in sorted((shared / "data" / "dcmqi_ct3" / "dicom").glob("0?.dcm")):
            (series / slice_.name).symlink_to(slice_)
        status, _, err = promisam("predict", place / "flat", series, "-o", tmp_path / "out")
        assert status == 0, err
        assert ps.read_segmentation(tmp_path / "out" / "ct3.nii.gz").grid.matches(ps.read(series).grid)

    def test_a_picture_for_a_method_of_volumes_is_a_failure_with_a_reason(self, deep, images, tmp_path):
        status, out, err = promisam("predict", deep / "run", images, "-o", tmp_path / "out")
        assert (status, "0 done, 0 skipped, 2 failed" in out) == (2, True)
        assert "p2_4.png, a picture, for a method that never learned from one; expected a volume" in err
        assert "SliceWise" not in err

    def test_no_method_for_a_number_of_axes(self, images, tmp_path):
        found = list(predict_folder({}, find_inputs([images]), Place(tmp_path / "out")))
        assert [(row.status, "never learned" in row.reason) for row in found] == [("failed", True)] * 2


class TestNames:
    def test_two_images_of_one_name_are_refused(self, place, images, tmp_path):
        picture(tmp_path / "other" / "p2_4.jpg", scene(1)[0])
        for given in ([images, tmp_path / "other"], [images / "p2_4.png", tmp_path / "other" / "p2_4.jpg"]):
            status, _, err = promisam("predict", place / "flat", *given, "-o", tmp_path / "out")
            assert status == 2
            assert "both called p2_4; expected names that differ" in err
        shutil.copy(tmp_path / "other" / "p2_4.jpg", images)
        assert promisam("predict", place / "flat", images, "-o", tmp_path / "out")[0] == 2
        shutil.copytree(images, tmp_path / "set" / "images")
        (tmp_path / "set" / "masks").mkdir()
        assert promisam("predict", place / "flat", tmp_path / "set", "-o", tmp_path / "out")[0] == 2
        assert not (tmp_path / "out").exists()

    def test_one_image_given_twice_is_done_once(self, place, images, tmp_path):
        status, out, _ = promisam("predict", place / "flat", images, images / "p2_4.png", "-o", tmp_path / "out")
        assert (status, "2 done" in out) == (0, True)

    def test_a_name_cannot_leave_the_folder(self, place, images, tmp_path):
        text(tmp_path / "list.csv", "image,id\nimages/p2_4.png,../escaped\nimages/p2_5.png,kept\n")
        status, out, err = promisam("predict", place / "flat", tmp_path / "list.csv", "-o", tmp_path / "out")
        assert (status, "1 done, 0 skipped, 1 failed" in out) == (2, True)
        assert "outside of" in err
        assert not (tmp_path / "escaped.png").exists()

    def test_masks_are_never_put_among_the_inputs(self, place, tmp_path):
        data = tmp_path / "data"
        shutil.copytree(place / "data", data)
        before = {path: path.read_bytes() for path in data.rglob("*.png")}
        one = data / "images" / "p0_0.png"
        cases = [
            (data / "images", data / "images"),
            (one, data / "images"),
            (data, data / "images"),
            (data, data / "masks"),
            (data, data),
        ]
        for given, out in cases:
            status, _, err = promisam("predict", place / "flat", given, "-o", out, "--overwrite")
            assert status == 2, (given, out)
            assert "a folder of the inputs" in err
        assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before
        series = tmp_path / "series"
        make_series(series, np.zeros((3, 4, 5), np.int16))
        assert promisam("predict", place / "flat", series, "-o", series)[0] == 2


class TestReport:
    def test_shards_cover_everything_once(self, place, tmp_path):
        given = place / "data" / "images"
        for shard in ("0/2", "1/2"):
            assert promisam("predict", place / "flat", given, "-o", tmp_path, "--shard", shard)[0] == 0
        told = [list(rows(tmp_path, f"predictions_{i}_of_2.json")) for i in (0, 1)]
        assert sorted(told[0] + told[1]) == [f"{name}.png" for name in NAMES]
        assert [len(part) for part in told] == [3, 3]
        assert sorted(p.stem for p in tmp_path.glob("*.png")) == NAMES
        for text_ in ("2/2", "-1/2", "x", "1"):
            assert promisam("predict", place / "flat", given, "-o", tmp_path, "--shard", text_)[0] == 2

    def test_what_is_skipped_keeps_what_was_said_of_it(self, place, images, tmp_path):
        out = tmp_path / "out"
        promisam("predict", place / "flat", place / "data" / "images" / "p0_0.png", "-o", out)
        promisam("predict", place / "flat", images / "p2_4.png", "-o", out)
        first = rows(out)
        assert set(first) == {"p0_0.png", "p2_4.png"}
        status, printed, _ = promisam("predict", place / "flat", images, "-o", out, "--json")
        assert [row["status"] for row in json.loads(printed)] == ["skipped", "done"]
        again = rows(out)
        assert again["p0_0.png"] == first["p0_0.png"]
        assert again["p0_0.png"]["trained_on"]
        assert again["p2_4.png"] == {**first["p2_4.png"], "status": "skipped"}
        assert again["p2_4.png"]["seconds"] > 0
        assert again["p2_4.png"]["sha256"] == file_digest(out / "p2_4.png")
        assert status == 0

    def test_what_nobody_told_of_is_not_claimed(self, place, images, tmp_path):
        out = tmp_path / "out"
        picture(out / "p2_4.png", scene(0)[1])
        status, printed, _ = promisam("predict", place / "flat", images, "-o", out)
        assert (status, "1 done, 1 skipped" in printed) == (0, True)
        assert "1 of those skipped were not made by this method" in printed
        assert rows(out)["p2_4.png"]["made_by"] == "unknown"
        assert "no report says" in rows(out)["p2_4.png"]["reason"]
        picture(out / "p2_5.png", scene(0)[1])
        promisam("predict", place / "flat", images, "-o", out)
        assert rows(out)["p2_5.png"]["reason"] == "changed since it was made"
        assert promisam("predict", place / "flat", images, "-o", out, "--overwrite")[0] == 0
        assert [row["made_by"] for row in rows(out).values()] == ["", ""]

    def test_the_head_names_the_checkpoint_and_another_is_refused(self, place, images, tmp_path):
        out, model = tmp_path / "out", place / "flat" / "model.safetensors"
        promisam("predict", place / "flat", images / "p2_4.png", "-o", out)
        head = json.loads((out / "predictions.json").read_text())["checkpoint"]
        assert (head["method"], head["file"], head["sha256"]) == ("unet", str(model), file_digest(model))
        other = tmp_path / "other"
        status, _, err = promisam(
            "fit", "unet", place / "data", "-o", other, "--keep", place / "kept", *UNET, "--set", "epochs=1", "--set", "side=16"
        )
        assert status == 0, err
        status, _, err = promisam("predict", other, images, "-o", out)
        assert status == 2
        assert "one method's masks in a folder" in err
        assert err.count("model.safetensors") == 2
        assert promisam("predict", other, images / "p2_5.png", "-o", out, "--overwrite")[0] == 0
        assert rows(out)["p2_4.png"]["made_by"] == head["sha256"]
        assert rows(out)["p2_5.png"]["made_by"] == ""

    def test_images_are_found_from_any_working_directory(self, place, tmp_path, monkeypatch):
        picture(tmp_path / "in" / "good.png", scene(1)[0])
        (tmp_path / "in" / "bad.png").write_bytes(b"no picture")
        monkeypatch.chdir(tmp_path)
        status, _, err = promisam("predict", place / "flat", "in", "-o", "out")
        assert (status, err.count("bad.png")) == (2, 1)
        assert {row["image"] for row in rows(tmp_path / "out").values()} == {
            str(tmp_path.resolve() / "in" / name) for name in ("good.png", "bad.png")
        }
        monkeypatch.chdir(place)
        assert promisam("predict", place / "flat", tmp_path / "in" / "good.png", "-o", tmp_path / "out")[0] == 0
        assert rows(tmp_path / "out")["bad.png"]["status"] == "failed"

    def test_an_interrupted_run_tells_of_what_it_did(self, place, tmp_path):
        methods = {2: ps.load(method=place / "flat")}
        inputs = find_inputs([place / "data" / "images"])
        work = predict_folder(methods, inputs, Place(tmp_path), shard=Shard())
        assert [next(work).status, next(work).status] == ["done", "done"]
        work.close()
        assert list(rows(tmp_path)) == ["p0_0.png", "p0_1.png"]

    def test_other_programs_reports_are_left_alone(self, place, images, tmp_path):
        mine = text(tmp_path / "out" / "predictions.json", {"predictions": 3})
        status, _, err = promisam("predict", place / "flat", images, "-o", mine.parent)
        assert (status, "no report of promisam" in err) == (2, True)
        assert json.loads(mine.read_text()) == {"predictions": 3}
        text(mine, '{"predictions": [')
        assert promisam("predict", place / "flat", images, "-o", mine.parent)[0] == 2


class TestSeenBefore:
    def test_by_content_whatever_it_is_called(self, place, tmp_path):
        for new, old in (("x1", "p0_0"), ("x2", "p1_2"), ("x3", "p2_4")):
            (tmp_path / "in").mkdir(exist_ok=True)
            shutil.copy(place / "data" / "images" / f"{old}.png", tmp_path / "in" / f"{new}.png")
        status, out, _ = promisam("predict", place / "flat", tmp_path / "in", "-o", tmp_path / "out")
        found = rows(tmp_path / "out")
        assert [found[f"x{n}.png"]["trained_by"] for n in (1, 2, 3)] == ["content", "", ""]
        assert [found[f"x{n}.png"]["validated_on"] for n in (1, 2, 3)] == [False, True, False]
        assert "1 of them are images that the method learned from" in out
        assert "1 of them are images that the method's checkpoint was chosen by" in out
        assert status == 0

    def test_a_name_alone_is_no_proof_in_other_data(self, place, tmp_path):
        picture(tmp_path / "in" / "p0_0.png", scene(77)[0])
        _, out, _ = promisam("predict", place / "flat", tmp_path / "in", "-o", tmp_path / "out")
        row = rows(tmp_path / "out")["p0_0.png"]
        assert (row["trained_on"], row["trained_by"]) == (False, "name alone")
        assert "called like training cases" in out

    def test_a_name_counts_where_nothing_else_is_known(self, place, tmp_path):
        older = tmp_path / "run"
        shutil.copytree(place / "flat", older)
        record = json.loads((older / "run.json").read_text())
        for new in ("images", "groups", "channels"):
            del record["data"][new]
        text(older / "run.json", record)
        picture(tmp_path / "in" / "p0_0.png", scene(77)[0])
        promisam("predict", older / "model.safetensors", tmp_path / "in", "-o", tmp_path / "out")
        row = rows(tmp_path / "out")["p0_0.png"]
        assert (row["trained_on"], row["trained_by"]) == (True, "name")

    def test_in_the_same_data_by_name_and_group(self, place, tmp_path):
        data = tmp_path / "data"
        shutil.copytree(place / "data", data)
        run_ = tmp_path / "run"
        shutil.copytree(place / "flat", run_)
        record = json.loads((run_ / "run.json").read_text())
        record["data"]["path"] = str(data)
        text(run_ / "run.json", record)
        picture(data / "images" / "p0_0.png", scene(77)[0])
        picture(data / "images" / "p0_9.png", scene(78)[0])
        promisam("predict", run_, data / "images", "-o", tmp_path / "out")
        found = rows(tmp_path / "out")
        assert [found[f"{n}.png"]["trained_by"] for n in ("p0_0", "p0_1", "p0_9", "p2_4")] == ["name", "content", "group", ""]


@pytest.fixture(scope="module")
def prompted(place):
    """ProMISe-2D with two classes, which takes points for either."""
    save_file({name: value.contiguous() for name, value in tiny().state_dict().items()}, place / "tiny.safetensors")
    status, _, err = promisam(
        "fit", "promise2d", place / "data", "-o", place / "points", "--split", place / "split.json", "--keep", place / "kept",
        "--weights", place / "tiny.safetensors", "--like", "sam_vit_b", "--set", "mode=ips", "--set", "variants=1",
        "--set", "epochs=1", "--set", "batch=2",
    )  # fmt: skip
    assert status == 0, err
    return place / "points"


class TestPrompts:
    def test_names_that_are_classes_aim_at_them_and_give_their_labels(self, prompted, images, tmp_path):
        objects = [{"label": f"label {n}", "points": [{"at": at}]} for n, at in ((2, [18, 16]), (1, [6, 7]))]
        text(tmp_path / "prompts" / "p2_4.json", {"objects": objects})
        text(tmp_path / "prompts" / "p2_5.json", {"objects": objects[:1]})
        status, out, err = promisam("predict", prompted, images, "-o", tmp_path / "out", "--prompts", tmp_path / "prompts")
        assert (status, "2 done" in out) == (0, True), err
        method = ps.load(method=prompted)
        image = ps.read(images / "p2_5.png")
        asked = ps.Prompts(image.grid).click((16, 18))
        aimed = ps.predict(method, image, type(asked)(asked.grid, asked.points_zyx, asked.labels, target="label 2")).labels
        assert aimed.any()
        assert np.array_equal(labels(tmp_path / "out" / "p2_5.png"), 2 * aimed)

    def test_a_prompt_for_no_class_and_a_missing_file_fail_alone(self, prompted, images, tmp_path):
        text(tmp_path / "prompts" / "p2_4.json", {"objects": [{"label": "lesion", "points": [{"at": [6, 7]}]}]})
        status, out, err = promisam("predict", prompted, images, "-o", tmp_path / "out", "--prompts", tmp_path / "prompts")
        assert (status, "0 done, 0 skipped, 2 failed" in out) == (2, True)
        assert "one of label 1, label 2" in err
        assert "p2_5.json" in err


@pytest.fixture(scope="module")
def predicted(place):
    """All six pictures."""
    assert promisam("predict", place / "flat", place / "data" / "images", "-o", place / "masks")[0] == 0
    return place / "masks"


class TestEvaluation:
    def test_training_cases_are_refused(self, place, predicted, tmp_path):
        status, out, err = promisam("evaluate", predicted, place / "data" / "masks", "-o", tmp_path / "o")
        assert (status, out) == (2, "")
        assert "2 of 6 predictions of images that the method was trained on: p0_0.png, p0_1.png;" in err
        assert "--skip-training-cases" in err
        assert "--allow-training-cases" in err
        assert not (tmp_path / "o").exists()
        one = promisam("evaluate", predicted / "p0_0.png", place / "data" / "masks" / "p0_0.png", "-o", tmp_path / "o")
        assert one[0] == 2

    def test_allowed_ones_carry_a_warning(self, place, predicted, tmp_path):
        given = ["evaluate", predicted, place / "data" / "masks", "--allow-training-cases"]
        status, out, _ = promisam(*given, "-o", tmp_path / "o")
        assert status == 0
        assert "warning: the method was trained on 2 of these 6 cases (p0_0.png, p0_1.png)" in out
        summary = json.loads((tmp_path / "o" / "summary.json").read_text())
        assert "trained on 2 of these 6" in summary["warnings"][0]
        assert "chosen by its scores on 2 of 6 cases (p1_2.png, p1_3.png)" in summary["warnings"][1]
        assert (summary["cases"], summary["left_out"]) == (6, [])
        assert summary["made_by"][0]["sha256"] == file_digest(place / "flat" / "model.safetensors")
        page = (tmp_path / "o" / "report.html").read_text()
        assert "trained on 2 of these 6" in page
        assert summary["made_by"][0]["sha256"] in page
        _, printed, complaint = promisam(*given, "-o", tmp_path / "p", "--json")
        assert json.loads(printed)["warnings"] == summary["warnings"]
        assert "promisam: warning: the method was trained on 2" in complaint

    def test_the_rest_is_scored_without_them(self, place, predicted, tmp_path):
        status, out, _ = promisam(
            "evaluate", predicted, place / "data" / "masks", "-o", tmp_path / "o", "--skip-training-cases"
        )
        assert status == 0
        assert "2 of 6 cases were left out" in out
        summary = json.loads((tmp_path / "o" / "summary.json").read_text())
        assert (summary["cases"], summary["left_out"]) == (4, ["p0_0.png", "p0_1.png"])
        alone = tmp_path / "alone"
        alone.mkdir()
        for name in ("p0_0.png", "predictions.json"):
            shutil.copy(predicted / name, alone)
        truth = tmp_path / "truth"
        truth.mkdir()
        shutil.copy(place / "data" / "masks" / "p0_0.png", truth)
        status, _, err = promisam("evaluate", alone, truth, "-o", tmp_path / "q", "--skip-training-cases")
        assert (status, "all left out" in err) == (2, True)
        both = promisam("evaluate", predicted, truth, "-o", tmp_path / "q", "--skip-training-cases", "--allow-training-cases")
        assert (both[0], "one of them" in both[2]) == (2, True)

    def test_validation_cases_alone_are_a_warning(self, place, predicted, tmp_path):
        some = tmp_path / "some"
        some.mkdir()
        for name in ("p1_2.png", "p2_4.png"):
            shutil.copy(place / "data" / "masks" / name, some)
        out = tmp_path / "masks"
        out.mkdir()
        for name in ("p1_2.png", "p2_4.png", "predictions.json"):
            shutil.copy(predicted / name, out)
        status, printed, _ = promisam("evaluate", out, some, "-o", tmp_path / "o")
        assert status == 0
        assert "chosen by its scores on 1 of 2 cases (p1_2.png)" in printed

    def test_a_stale_report_does_not_speak_for_a_newer_mask(self, place, tmp_path):
        """A shard's report of an older mask stays; the row that knows the very file is believed."""
        out, truth = tmp_path / "out", tmp_path / "truth"
        truth.mkdir()
        shutil.copy(place / "data" / "masks" / "p2_4.png", truth)
        image = place / "data" / "images" / "p2_4.png"
        assert promisam("predict", place / "flat", image, "-o", out)[0] == 0
        content = json.loads((out / "predictions.json").read_text())
        content["predictions"][0] |= {"trained_on": True, "sha256": "0" * 64}
        text(out / "predictions_0_of_2.json", content)
        assert promisam("evaluate", out, truth, "-o", tmp_path / "o")[0] == 0
        (out / "predictions.json").unlink()
        assert promisam("evaluate", out, truth, "-o", tmp_path / "p")[0] == 2

    def test_no_report_or_anothers_means_nothing_is_known(self, place, predicted, tmp_path):
        bare = tmp_path / "bare"
        bare.mkdir()
        for mask in predicted.glob("*.png"):
            shutil.copy(mask, bare)
        text(bare / "predictions_coco.json", [{"image_id": 1}])
        status, out, _ = promisam("evaluate", bare, place / "data" / "masks", "-o", tmp_path / "o")
        assert (status, "warning" in out) == (0, False)


def test_the_refusal_comes_before_anything_is_done(place, tmp_path):
    inputs = find_inputs([place / "data" / "images"])
    with pytest.raises(PromisamError, match="a folder of the inputs"):
        predict_folder({}, inputs, Place(place / "data" / "images"))
