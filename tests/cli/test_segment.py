"""`promisam segment` from end to end, on real weights and real images."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK
import skimage
from PIL import Image as Pillow

from dicom_maker import make_series
from promisam.cli.main import run
from promisam.io import read_segmentation

pytestmark = pytest.mark.weights
RETINA = Path(skimage.__file__).parent / "data" / "retina.jpg"
DISC = "118,540,326,762"


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path, monkeypatch, litemedsam):
    monkeypatch.chdir(tmp_path)


def call(*words, capsys):
    """Run the command; returns its status, what it printed and its complaint."""
    try:
        run([str(word) for word in words])
        status = 0
    except SystemExit as stop:
        status = stop.code or 0
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def segment(*words, capsys):
    status, out, err = call("segment", *words, "--offline", "--device", "cpu", capsys=capsys)
    assert status == 0, err
    return out


def test_a_photograph_from_a_box(capsys, tmp_path):
    out = segment(RETINA, "--box", DISC, "--label", "optic disc", "--preview", "p.png", "--json", capsys=capsys)
    report = json.loads(out)
    mask = np.asarray(Pillow.open("retina_mask.png"))
    assert mask.shape == (1411, 1411)
    assert set(np.unique(mask)) == {0, 255}
    inside = mask[540:763, 118:327] > 0
    assert np.count_nonzero(mask) == np.count_nonzero(inside)  # nothing outside the box
    assert 0.5 < inside.mean() < 0.9  # a disc fills about pi / 4 of its box
    (label,) = report["labels"]
    assert label["name"] == "optic disc"
    assert (label["value"], label["value_in_file"], label["unit"]) == (1, 255, "px")
    assert label["volume"] == np.count_nonzero(mask)
    assert 0.8 < label["predicted_quality"] <= 1
    assert report["weights"]["name"] == "promisam-click"
    assert len(report["weights"]["sha256"]) == 64
    assert report["window"] == {"low": 0.0, "high": 255.0, "how": "8-bit"}
    assert set(report["seconds"]) == {"read", "load", "encode", "decode", "write"}
    assert report["versions"]["torch"].startswith("2.")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["p.png", "retina_mask.png"]
    assert Pillow.open("p.png").size[0] >= 512


def test_several_boxes_give_several_labels_in_order(capsys):
    ct = Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm"
    words = ["--box", "70,0,110,28", "--box", "47,42,71,62", "--window", "mediastinum", "-o", "deep/er/out.nii.gz"]
    segment(ct, *words, capsys=capsys)
    labels = np.squeeze(np.asarray(nibabel.load("deep/er/out.nii.gz").dataobj)).T
    assert labels.shape == (128, 128)
    assert labels[10, 90] == 1
    assert labels[52, 59] == 2
    assert labels[100, 20] == 0


def test_the_mask_of_an_oblique_volume_lies_exactly_on_it(capsys, shared):
    source = shared / "data" / "msd_hippocampus" / "hippocampus_003" / "image.nii.gz"
    volume = nibabel.load(source)
    turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]]) @ np.diag([-1.0, 1.5, 2.5])  # oblique, flipped, anisotropic
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn, (12.5, -40.25, 7)
    nibabel.save(nibabel.Nifti1Image(np.asarray(volume.dataobj, np.int16), affine), "oblique.nii.gz")
    truth = nibabel.load(source.parent / "label.nii.gz").get_fdata() > 0
    (x0, y0, z0), (x1, y1, z1) = np.argwhere(truth).min(0), np.argwhere(truth).max(0)
    middle = (z0 + z1) // 2
    segment("oblique.nii.gz", "--box", f"{x0},{y0},{middle},{x1},{y1},{middle + 2}", capsys=capsys)
    mask = nibabel.load("oblique_mask.nii.gz")
    assert mask.shape == volume.shape
    assert np.allclose(mask.affine, nibabel.load("oblique.nii.gz").affine, atol=1e-5)
    marked = np.flatnonzero(np.asarray(mask.dataobj).any((0, 1)))
    assert marked.tolist() == [middle, middle + 1, middle + 2]


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_other_formats_keep_their_geometry(capsys, shared, suffix):
    source = SimpleITK.ReadImage(str(shared / "data" / "dcmqi_ct3" / "ct3" / "image.nii.gz"))
    SimpleITK.WriteImage(source, f"ct{suffix}")
    segment(f"ct{suffix}", "--box", "100,150,1,250,350,1", "--window", "abdomen", capsys=capsys)
    mask = SimpleITK.ReadImage(f"ct_mask{suffix}")
    assert mask.GetSize() == source.GetSize()
    assert np.allclose(mask.GetSpacing(), source.GetSpacing())
    assert np.allclose(mask.GetOrigin(), source.GetOrigin())
    assert np.allclose(mask.GetDirection(), source.GetDirection())


def test_a_dicom_series_to_a_dicom_seg_that_names_it(capsys, shared):
    folder = shared / "data" / "dcmqi_ct3" / "dicom"
    segment(folder, "--box", "60,120,0,250,380,2", "--window", "liver", "--label", "liver", "-o", "liver.dcm", capsys=capsys)
    written = pydicom.dcmread("liver.dcm")
    source = pydicom.dcmread(next(f for f in folder.iterdir() if f.name == "01.dcm"))
    assert written.Modality == "SEG"
    assert written.ReferencedSeriesSequence[0].SeriesInstanceUID == source.SeriesInstanceUID
    assert written.SegmentSequence[0].SegmentLabel == "liver"
    assert read_segmentation("liver.dcm").mask().any()


def test_one_of_several_series(capsys, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 200, (3, 40, 30)).astype(np.int16)
    make_series(tmp_path / "ct", pixels)
    others = make_series(tmp_path / "ct", pixels[:2] + 1, name="other", SeriesNumber=4)
    status, _, err = call("segment", "ct", "--box", "5,5,0,20,30,1", "--offline", capsys=capsys)
    assert status == 2
    assert "--series" in err
    segment("ct", "--series", "4", "--box", "5,5,0,20,30,1", "-o", "m.dcm", capsys=capsys)
    written = pydicom.dcmread("m.dcm")
    assert written.ReferencedSeriesSequence[0].SeriesInstanceUID == pydicom.dcmread(others[0]).SeriesInstanceUID
    assert read_segmentation("m.dcm").grid.shape == (2, 40, 30)


def test_world_and_voxel_coordinates_ask_for_the_same(capsys, shared):
    source = shared / "data" / "msd_hippocampus" / "hippocampus_003" / "image.nii.gz"
    image = SimpleITK.ReadImage(str(source))
    low, high = (8, 12, 15), (24, 40, 16)
    world = [image.TransformIndexToPhysicalPoint(corner) for corner in (low, high)]
    segment(source, "--box", ",".join(str(v) for v in (*low, *high)), "-o", "a.nii.gz", capsys=capsys)
    segment(source, "--box", ",".join(str(v) for p in world for v in p), "--world", "-o", "b.nii.gz", capsys=capsys)
    first, second = (np.asarray(nibabel.load(f).dataobj) for f in ("a.nii.gz", "b.nii.gz"))
    assert first.any()
    assert np.array_equal(first, second)


def test_prompts_from_a_file_with_names(capsys):
    objects = [{"label": "optic disc", "box": [118, 540, 326, 762]}, {"label": "macula", "box": [600, 590, 820, 810]}]
    Path("p.json").write_text(json.dumps({"objects": objects}))
    report = json.loads(segment(RETINA, "--prompts", "p.json", "-o", "m.png", "--json", capsys=capsys))
    assert [label["name"] for label in report["labels"]] == ["optic disc", "macula"]
    assert set(np.unique(np.asarray(Pillow.open("m.png")))) == {0, 1, 2}


def test_exif_orientation_shows_in_the_mask(capsys):
    picture = Pillow.open(RETINA).resize((300, 200))
    exif = picture.getexif()
    exif[274] = 6  # to be turned by 90 degrees
    picture.save("turned.jpg", exif=exif)
    segment("turned.jpg", "--box", "20,20,150,250", capsys=capsys)
    assert Pillow.open("turned_mask.png").size == (200, 300)


def test_bfloat16_is_close_to_float32(capsys):
    for precision in ("float32", "bfloat16"):
        segment(RETINA, "--box", DISC, "--precision", precision, "-o", f"{precision}.png", capsys=capsys)
    a, b = (np.asarray(Pillow.open(f"{p}.png")) > 0 for p in ("float32", "bfloat16"))
    assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.96


def test_existing_files_are_kept_unless_told_otherwise(capsys):
    shutil.copy(RETINA, "retina.jpg")
    Path("retina_mask.png").write_text("drawn by hand")
    status, _, err = call("segment", "retina.jpg", "--box", DISC, "--offline", capsys=capsys)
    assert status == 2
    assert "--overwrite" in err
    assert Path("retina_mask.png").read_text() == "drawn by hand"
    status, _, err = call("segment", "retina.jpg", "--box", DISC, "-o", "retina.jpg", "--overwrite", capsys=capsys)
    assert status == 2
    assert "is the image" in err
    segment("retina.jpg", "--box", DISC, "--overwrite", capsys=capsys)
    assert Pillow.open("retina_mask.png").size == (1411, 1411)


def test_a_click_is_answered_by_default(capsys):
    segment(RETINA, "--point", "220,650", "-o", "disc.png", capsys=capsys)
    clicked = np.asarray(Pillow.open("disc.png")) > 0
    segment(RETINA, "--box", DISC, "-o", "boxed.png", capsys=capsys)
    boxed = np.asarray(Pillow.open("boxed.png")) > 0
    assert clicked[650, 220]
    assert 0 < clicked.mean() < 0.5
    assert np.count_nonzero(clicked & boxed) > 0.5 * np.count_nonzero(boxed)


def test_a_click_is_refused_by_weights_that_know_boxes_only(capsys, tmp_path):
    status, _, err = call("segment", RETINA, "--point", "220,650", "--weights", "litemedsam", "--offline", capsys=capsys)
    assert status == 2
    assert "litemedsam never learned" in err
    assert "promisam-click" in err
    assert list(tmp_path.iterdir()) == []


def test_a_flat_coronal_box_is_followed_and_shown(capsys, shared):
    source = shared / "data" / "msd_hippocampus" / "hippocampus_003" / "image.nii.gz"
    nibabel.load(source).slicer[:, 20:31].to_filename("part.nii.gz")  # eleven coronal slices are enough to follow
    words = ("--box", "8,5,8,24,5,24", "--preview", "p.png", "-o", "m.nii.gz", "--json")
    (label,) = json.loads(segment("part.nii.gz", *words, capsys=capsys))["labels"]
    marked = np.argwhere(np.asarray(nibabel.load("m.nii.gz").dataobj))
    assert label["extent"] == [marked.min(0).tolist(), marked.max(0).tolist()]
    assert label["extent"][0][1] < 5 < label["extent"][1][1]
    assert Pillow.open("p.png").size[0] > 500


def test_a_mask_without_contrast_is_not_trusted(capsys):
    Pillow.fromarray(np.full((60, 80), 90, np.uint8)).save("flat.png")
    report = json.loads(segment("flat.png", "--box", "10,10,60,50", "--json", capsys=capsys))
    assert any("no contrast" in warning for warning in report["warnings"])


def test_a_box_too_thin_for_the_frame_is_not_trusted(capsys):
    rng = np.random.default_rng(0)
    Pillow.fromarray(rng.integers(0, 255, (40, 8000), np.uint8)).save("strip.png")
    report = json.loads(segment("strip.png", "--box", "3990,10,4005,30", "--json", capsys=capsys))
    assert any("outside the box" in warning for warning in report["warnings"])
