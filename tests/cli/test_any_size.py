"""`promisam segment` with masks of any size and with outlines, by a method whose answer is a function of place."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from PIL import Image as Pillow

from command_line import promisam
from promisam import io
from promisam.core import Continuous, Segmenter
from toy_field import Config, Disc, Pixels

BOX = ("--box", "10,8,49,27")  # 40 x 20 pixels
RADII = np.array([20.0, 10.0])  # x, y
CENTRE = np.array([29.5, 17.5])
AREA = np.pi * 200


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path, monkeypatch):
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    Pillow.fromarray(np.random.default_rng(0).integers(0, 255, (48, 64), np.uint8)).save("p.png")


def segment(capsys, *words, image="p.png", method="toy_field:Disc"):
    done = promisam(capsys, "segment", image, "--method", method, "--device", "cpu", "--offline", "--json", *words)
    assert done.status == 0, done.err
    return json.loads(done.out)


def refused(capsys, *words, image="p.png", method="toy_field:Disc", saying):
    before = {p: p.read_bytes() for p in Path().iterdir()}
    done = promisam(capsys, "segment", image, "--method", method, "--offline", *words)
    assert done.status == 2, done.out
    assert done.out == ""
    (line,) = done.err.strip().splitlines()
    for part in (saying,) if isinstance(saying, str) else saying:
        assert part in line
    assert {p: p.read_bytes() for p in Path().iterdir()} == before


def oblique_picture(name="o.nii"):
    """A tilted picture of 64 x 48 pixels of 0.5 x 1.5 mm."""
    turn = np.array([[0.8, -0.6, 0], [0.36, 0.48, -0.8], [0.48, 0.64, 0.6]])
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn @ np.diag([0.5, 1.5, 1.0]), (12.5, -40.25, 7)
    image = nibabel.Nifti1Image(np.random.default_rng(0).normal(size=(64, 48)).astype(np.float32), affine)
    image.set_sform(affine, code=1)
    nibabel.save(image, name)
    return name


def outer_corners(grid):
    high = np.array(grid.shape) - 0.5
    return grid.to_mm(np.array([[y, x] for y in (-0.5, high[0]) for x in (-0.5, high[1])]))


def test_the_toy_is_what_it_is_meant_to_be():
    assert isinstance(Disc(None, Config()), Segmenter)
    assert isinstance(Disc(None, Config()), Continuous)


@pytest.mark.parametrize(
    ("words", "size"),
    [
        ((), (64, 48)),
        (("--size", "256x192"), (256, 192)),
        (("--size", "100X333"), (100, 333)),
        (("--size", "16x12"), (16, 12)),
        (("--scale", "2"), (128, 96)),
        (("--scale", "0.5"), (32, 24)),
        (("--scale", "1.51"), (97, 72)),
        (("--size", "64x48"), (64, 48)),
    ],
)
def test_a_mask_of_any_size(capsys, words, size):
    report = segment(capsys, *BOX, *words)
    mask = np.asarray(Pillow.open("p_mask.png"))
    assert mask.shape == size[::-1]
    assert set(np.unique(mask)) == {0, 255}
    assert report["size"] == list(size)
    factor = np.array(size) / (64, 48)
    y, x = np.indices(mask.shape)
    places = (np.stack([x, y], -1) + 0.5) / factor - 0.5
    assert np.array_equal(mask > 0, np.linalg.norm((places - CENTRE) / RADII, axis=-1) < 1)
    (label,) = report["labels"]
    assert label["volume"] == pytest.approx(np.count_nonzero(mask) / factor.prod())  # in pixels of the image
    assert label["volume"] == pytest.approx(AREA, rel=0.07)
    assert label["predicted_quality"] == 0.75


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("words", [("--size", "100x200"), ("--scale", "0.5")])
def test_a_tilted_picture_keeps_its_borders(capsys, suffix, words):
    source = oblique_picture()
    report = segment(capsys, *BOX, *words, "-o", f"m{suffix}", "--contour", "c.json", image=source)
    picture, written = io.read(source).grid, io.read_segmentation(f"m{suffix}")
    size = (100, 200) if words[0] == "--size" else (32, 24)
    plane = written.slice(0, 0) if written.grid.ndim == 3 else written  # a tilted picture is stored as a volume of one slice
    assert picture.ndim == 2
    assert plane.grid.shape == size[::-1]
    assert np.allclose(outer_corners(plane.grid), outer_corners(picture), atol=1e-4)
    assert np.allclose(plane.grid.direction[:, :2], picture.direction[:, :2], atol=1e-6)
    assert report["labels"][0]["unit"] == "mm²"
    assert report["labels"][0]["volume"] == pytest.approx(AREA * 0.5 * 1.5, rel=0.06)
    y, x = np.nonzero(plane.mask())
    centre = plane.grid.to_mm(np.array([[y.mean(), x.mean()]]))
    assert np.allclose(centre, picture.to_mm(CENTRE[None, ::-1]), atol=0.2)


@pytest.mark.parametrize("words", [(), ("--scale", "4"), ("--size", "16x12")])
def test_outlines_in_patient_millimetres(capsys, words):
    source = oblique_picture()
    report = segment(capsys, *BOX, *words, "--label", "spot", "-o", "m.nii.gz", "--contour", "c.json", image=source)
    assert report["contours"] == "c.json"
    content = json.loads(Path("c.json").read_text())
    grid = io.read(source).grid
    assert (content["unit"], content["image"]["size"]) == ("mm", [64, 48])
    (one,) = content["objects"]
    assert (one["label"], one["name"]) == (1, "spot")
    (polygon,) = one["polygons"]
    ring = np.array(polygon["exterior"])
    assert np.allclose(grid.off_plane(ring), 0, atol=1e-5)
    yx = grid.to_index(ring)
    assert np.abs(np.linalg.norm((yx[:, ::-1] - CENTRE) / RADII, axis=1) - 1).max() < 1e-4  # far nearer than any pixel
    assert len(ring) >= (400 if "4" in words else 100)  # a finer mask, a finer outline; never a coarser one


def test_outlines_for_viewers_one_feature_per_object(capsys):
    words = ("--box", "0,0,19,19", "--box", "30,8,59,37", "--label", "left", "--label", "right")
    segment(capsys, *words, "--contour", "out/c.geojson", "--preview", "v.png", "--scale", "3")
    content = json.loads(Path("out/c.geojson").read_text())
    assert content["unit"] == "px"
    assert [f["properties"] for f in content["features"]] == [{"label": 1, "name": "left"}, {"label": 2, "name": "right"}]
    for feature, (centre, radius) in zip(content["features"], ((9.5, 10), ((44.5, 22.5), 15)), strict=True):
        assert feature["geometry"]["type"] == "Polygon"
        (ring,) = np.array(feature["geometry"]["coordinates"])
        assert (ring[0] == ring[-1]).all()
        assert np.abs(np.linalg.norm(ring - centre, axis=1) - radius).max() < 1e-3
    assert set(np.unique(np.asarray(Pillow.open("p_mask.png")))) == {0, 1, 2}
    assert Pillow.open("v.png").size[0] >= 512


def test_a_hole_is_a_hole(capsys):
    segment(capsys, *BOX, "--point", "29,17,-", "--contour", "c.geojson")
    (feature,) = json.loads(Path("c.geojson").read_text())["features"]
    _, hole = feature["geometry"]["coordinates"]
    assert np.abs(np.linalg.norm((np.array(hole) - CENTRE) / RADII, axis=1) - 0.4).max() < 1e-4
    assert np.asarray(Pillow.open("p_mask.png"))[17, 29] == 0


def test_the_text_names_the_file(capsys):
    done = promisam(capsys, "segment", "p.png", *BOX, "--method", "toy_field:Disc", "--contour", "c.json")
    assert done.status == 0
    assert "contours: c.json" in done.out


def test_warnings_look_at_the_box_on_the_image(capsys):
    Pillow.fromarray(np.full((48, 64), 90, np.uint8)).save("flat.png")
    (warning,) = segment(capsys, *BOX, "--scale", "3", image="flat.png")["warnings"]
    assert "no contrast" in warning
    assert segment(capsys, *BOX, "--scale", "3")["warnings"] == []


@pytest.mark.parametrize(
    ("words", "saying"),
    [
        (("--size", "64"), ("--size 64", "896x896")),
        (("--size", "64x-3"), "896x896"),
        (("--size", "64,48"), "896x896"),
        (("--size", "0x48"), ("0 x 48", "1 to 16384")),
        (("--size", "64x16385"), "1 to 16384"),
        (("--scale", "0.001"), "0 x 0"),
        (("--scale", "1000"), "64000 x 48000"),
        (("--scale", "0"), "positive"),
        (("--scale", "-2"), "positive"),
        (("--scale", "nan"), "positive"),
        (("--scale", "inf"), "positive"),
        (("--size", "64x48", "--scale", "2"), "--size beside --scale"),
        (("--contour", "c.svg"), (".json or .geojson", "c.svg")),
        (("--contour", "."), "folder"),
        (("--contour", "p.png/c.json"), "p.png/c.json"),
        (("--contour", "there.json"), ("already there", "--overwrite")),
        (("--contour", "c.json", "-o", "c.json"), "c.json"),
    ],
)
def test_refusals(capsys, words, saying):
    Path("there.json").write_text("drawn by hand")
    refused(capsys, *BOX, *words, saying=saying)


def test_every_output_has_a_file_of_its_own(capsys, monkeypatch):
    monkeypatch.setattr(Disc, "encode", _never)
    refused(
        capsys, *BOX, "--contour", "c.json", "--show-prompts", "./c.json", saying=("as contours and as prompts", "two files")
    )
    refused(capsys, *BOX, "--contour", "c.geojson", "-o", "there/no.xyz", saying=".xyz")


def test_outlines_are_overwritten_when_told(capsys):
    Path("c.json").write_text("drawn by hand")
    segment(capsys, *BOX, "--contour", "c.json", "--overwrite")
    assert json.loads(Path("c.json").read_text())["format"] == "promisam contours"


def _never(*_words):
    raise AssertionError("work before the refusal")


@pytest.mark.parametrize("words", [("--size", "32x32"), ("--scale", "2"), ("--contour", "c.json")])
def test_a_method_of_pixels_is_refused_before_its_weights_are_wanted(capsys, words, monkeypatch):
    from promisam import store

    monkeypatch.setattr(store, "load", _never)
    for method in ("plain_sam", "toy_field:Pixels"):
        refused(capsys, *BOX, *words, method=method, saying=(words[0], method, "imedsam", "image tool"))


def test_a_trained_method_is_refused_when_it_is_open(capsys, monkeypatch, tmp_path):
    from promisam import store

    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.safetensors").touch()
    monkeypatch.setattr(store, "load", lambda *_words, **_more: Pixels(None, Config()))
    monkeypatch.setattr(Pixels, "encode", _never)
    refused(capsys, *BOX, "--scale", "2", method=tmp_path / "run", saying=("--scale", "imedsam"))


@pytest.mark.parametrize("words", [("--size", "32x32"), ("--scale", "2"), ("--contour", "c.json")])
def test_a_volume_is_refused(capsys, words):
    nibabel.save(nibabel.Nifti1Image(np.zeros((12, 9, 5), np.float32), np.eye(4)), "v.nii.gz")
    box = ("--box", "2,2,1,8,6,3")
    refused(capsys, *box, *words, image="v.nii.gz", saying=(f"{words[0]} on a volume", "slice"))


def test_a_dicom_seg_has_the_pixels_of_its_source(capsys):
    pytest.importorskip("highdicom")
    ct = Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm"
    words = ("--box", "20,30,79,69", "-o", "m.dcm")
    refused(capsys, *words, "--scale", "2", image=ct, saying=("DICOM-SEG of another size", ".nii.gz", "--scale"))
    report = segment(capsys, *words, "--size", "128x128", "--contour", "c.json", image=ct)
    assert report["size"] == [128, 128]
    assert io.read_segmentation("m.dcm").grid.matches(io.read(ct).grid)
