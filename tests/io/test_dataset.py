"""The check of data sets: each mistake is found, named and placed; a sound set has no error."""

import nibabel
import numpy as np
import pytest
from PIL import Image as Pillow

from dicom_maker import make_series
from promisam.core import Segmentation
from promisam.core.errors import InvalidConfig, UnreadableFile
from promisam.io import check, find_cases, read, write

RNG = np.random.default_rng(9)


def image(path, shape=(20, 30), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(RNG.integers(0, 256, shape, dtype=np.uint8)).save(path, **options)


def mask(path, *values, shape=(20, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = np.zeros(shape, np.uint8)
    labels.flat[5 : 5 + len(values)] = values
    Pillow.fromarray(labels).save(path)


def volume(path, array, affine=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine), path)


def found(report, severity=None):
    return [(f.file.rsplit("/", 1)[-1], f.reason) for f in report.findings if severity in (None, f.severity)]


@pytest.mark.parametrize(
    ("images", "masks"), [("images", "masks"), ("imgs", "labels"), ("image", "gt"), ("Images", "annotations")]
)
def test_a_sound_set_in_every_spelling(tmp_path, images, masks):
    for i, ending in enumerate(["", "_mask", "_segmentation", "_label", "_gt"]):
        image(tmp_path / images / f"case{i}.png")
        mask(tmp_path / masks / f"case{i}{ending}.png", 1)
    report = check(tmp_path)
    assert (report.images, report.masks, report.findings) == (5, 5, ())
    assert report.layout == f"{images}/ and {masks}/"


def test_pairs_that_are_none(tmp_path):
    for name in ("a", "b"):
        image(tmp_path / "images" / f"{name}.png")
    for name in ("b", "c"):
        mask(tmp_path / "masks" / f"{name}.png", 1)
    assert found(check(tmp_path)) == [("a.png", "an image without a mask"), ("c.png", "a mask without an image")]


def test_unreadable_files(tmp_path):
    image(tmp_path / "images" / "a.png")
    mask(tmp_path / "masks" / "a.png", 1)
    (tmp_path / "images" / "a.png").write_text("hello")
    (tmp_path / "masks" / "a.png").write_bytes(b"")
    report = check(tmp_path)
    (first, one), (second, two) = found(report, "error")
    assert (first, second) == ("a.png", "a.png")
    assert one.startswith("which is nothing known")
    assert "0 bytes" in two
    assert report.errors == 2


def test_sizes_and_places_that_disagree_are_both_stated(tmp_path):
    image(tmp_path / "images" / "a.png")
    mask(tmp_path / "masks" / "a.png", 1, shape=(30, 20))
    ((_, reason),) = found(check(tmp_path), "error")
    assert "20 x 30 samples" in reason
    assert "30 x 20 samples" in reason
    moved = np.eye(4)
    moved[0, 3] = 7
    volume(tmp_path / "v" / "images" / "a.nii.gz", RNG.normal(size=(3, 4, 5)).astype(np.float32))
    volume(tmp_path / "v" / "masks" / "a.nii.gz", np.ones((3, 4, 5), np.uint8), moved)
    ((_, reason),) = found(check(tmp_path / "v"), "error")
    assert "at -7, 0, 0" in reason
    assert "at -0, 0, 0" in reason or "at 0, 0, 0" in reason


def test_values_that_are_no_labels(tmp_path):
    image(tmp_path / "images" / "a.png")
    block = np.zeros((64, 64), np.uint8)
    block[13:41, 17:50] = 255
    (tmp_path / "masks").mkdir()
    Pillow.fromarray(block).save(tmp_path / "masks" / "a.jpg")
    volume(tmp_path / "images" / "b.nii.gz", np.zeros((3, 4, 5), np.float32) + np.arange(5, dtype=np.float32))
    volume(tmp_path / "masks" / "b.nii.gz", np.full((3, 4, 5), 0.4, np.float32))
    errors = dict(found(check(tmp_path), "error"))
    assert "smears" in errors["a.jpg"]
    assert "fractions" in errors["b.nii.gz"]


def test_nan_is_named(tmp_path):
    volume(tmp_path / "a.nii.gz", np.full((3, 4, 5), np.nan, np.float32))
    ((name, reason),) = found(check(tmp_path), "error")
    assert (name, "60 NaN" in reason) == ("a.nii.gz", True)


def test_empty_and_many_labels_and_the_label_meant(tmp_path):
    for name, values in (("a", ()), ("b", (1, 2, 3)), ("c", (2,))):
        image(tmp_path / "images" / f"{name}.png")
        mask(tmp_path / "masks" / f"{name}.png", *values)
    report = check(tmp_path)
    assert found(report, "warning") == [("a.png", "the mask is empty")]
    assert found(report, "note") == [("b.png", "3 labels: 1, 2, 3")]
    assert found(check(tmp_path, labels=(1,)), "warning") == [
        ("a.png", "label 1 is missing; labels held: none"),
        ("c.png", "label 1 is missing; labels held: 2"),
    ]


def test_notes_on_coding_alpha_and_depth(tmp_path):
    image(tmp_path / "images" / "a.png", (20, 30, 4))
    mask(tmp_path / "masks" / "a.png", 255)
    Pillow.fromarray(RNG.integers(0, 65535, (20, 30), dtype=np.uint16)).save(tmp_path / "images" / "b.png")
    mask(tmp_path / "masks" / "b.png", 1)
    notes = found(check(tmp_path), "note")
    assert notes == [
        ("a.png", "an alpha channel, used: composited on black"),
        ("a.png", "coded 0 and 255"),
        ("b.png", "uint16 values"),
    ]


def test_the_same_image_twice(tmp_path):
    image(tmp_path / "a.png")
    Pillow.open(tmp_path / "a.png").save(tmp_path / "b.bmp")
    ((name, reason),) = found(check(tmp_path), "warning")
    assert name == "b.bmp"
    assert reason.endswith("a.png")


def test_several_masks_of_one_image_and_other_files(tmp_path):
    image(tmp_path / "images" / "a.png")
    mask(tmp_path / "masks" / "a__liver.png", 1, 0)
    mask(tmp_path / "masks" / "a__spleen.png", 0, 1)
    (tmp_path / "masks" / "notes.txt").write_text("x")
    (tmp_path / "masks" / ".DS_Store").write_text("x")
    report = check(tmp_path)
    assert report.masks == 2
    assert found(report) == [("notes.txt", "neither image nor mask; passed over")]


def test_dicom_folders_as_images(tmp_path):
    pixels = RNG.integers(0, 99, (5, 6, 8)).astype(np.int16)
    make_series(tmp_path / "images" / "p1", pixels)
    volume(tmp_path / "masks" / "p1.nii.gz", np.ones((8, 6, 5), np.uint8))
    ((name, reason),) = found(check(tmp_path), "error")
    assert name == "p1.nii.gz"
    assert reason.startswith("the mask lies elsewhere")
    assert check(tmp_path / "images" / "p1").layout == "a DICOM folder"


def test_the_mask_of_a_dicom_slice_may_be_a_volume_of_one_slice(tmp_path):
    pixels = RNG.integers(0, 99, (2, 6, 8)).astype(np.int16)
    first, second = make_series(tmp_path / "images", pixels)
    grid = read(first).grid
    second.unlink()
    first.rename(tmp_path / "images" / "a.dcm")
    write(tmp_path / "masks" / "a.nii.gz", Segmentation(np.ones((6, 8), np.uint8), grid))
    assert check(tmp_path).findings == ()


def test_single_files_and_folders(tmp_path):
    image(tmp_path / "a.png")
    mask(tmp_path / "a_mask.png")
    mask(tmp_path / "masks" / "x.png")
    assert check(tmp_path / "a.png").layout == "one image"
    assert found(check(tmp_path / "a_mask.png")) == [("a_mask.png", "the mask is empty")]
    assert check(tmp_path / "masks" / "x.png").layout == "one mask"
    assert check(tmp_path / "masks").layout == "a folder of masks"
    assert check(tmp_path).layout == "a folder of images"


def test_nothing_there(tmp_path):
    with pytest.raises(UnreadableFile, match="no image was found"):
        check(tmp_path)
    with pytest.raises(UnreadableFile, match="does not exist"):
        check(tmp_path / "none")


def test_real_sets_hold_no_errors(shared):
    for name in ("busi", "hc18"):
        report = check(shared / "data" / name)
        assert report.images > 20
        assert not report.errors, found(report, "error")


def test_two_images_of_one_stem_are_an_error(tmp_path):
    for folder, name in (("images", "a.png"), ("images", "a.bmp"), ("masks", "a.png")):
        (tmp_path / folder).mkdir(exist_ok=True)
        Pillow.fromarray(np.eye(20, dtype=np.uint8) * 255).save(tmp_path / folder / name)
    found = [f for f in check(tmp_path).findings if f.severity == "error"]
    assert len(found) == 1
    assert "same stem" in found[0].reason


def test_one_class_by_name_among_plain_masks_is_told(tmp_path):
    for name, ending in (("a", ""), ("b", "__liver")):
        image(tmp_path / "images" / f"{name}.png")
        mask(tmp_path / "masks" / f"{name}{ending}.png", 1)
    assert found(check(tmp_path)) == [("a.png", "its name gives no class, others' names give liver")]


def test_a_plain_mask_among_several_classes_is_an_error_and_its_image_is_not_called_unpaired(tmp_path):
    for name, ending in (("a", ""), ("b", "__liver"), ("b", "__spleen")):
        image(tmp_path / "images" / f"{name}.png")
        mask(tmp_path / "masks" / f"{name}{ending}.png", int(ending != "__spleen"), int(ending == "__spleen"))
    ((file, reason),) = found(check(tmp_path))
    assert (file, reason[:24]) == ("a.png", "its name gives no class,")
    assert "liver, spleen" in reason


def test_classes_that_overlap_are_an_error_unless_one_is_chosen(tmp_path):
    image(tmp_path / "images" / "a.png")
    for ending in ("__obs1", "__obs2"):
        mask(tmp_path / "masks" / f"a{ending}.png", 1, 1)
    ((file, reason),) = found(check(tmp_path))
    assert file == "a__obs2.png"
    assert "obs2 (label 2) overlaps obs1 (label 1) in 2 samples" in reason
    assert check(tmp_path, labels=(1,)).findings == ()


def test_a_class_drawn_with_two_values_names_file_and_label(tmp_path):
    image(tmp_path / "images" / "a.png")
    mask(tmp_path / "masks" / "a__liver.png", 0, 0)
    mask(tmp_path / "masks" / "a__spleen.png", 3, 7)
    first, second = check(tmp_path).findings
    assert (first.severity, first.label, first.reason) == ("warning", 1, "the mask is empty")
    assert (second.severity, second.label, second.reason) == ("error", 2, "draws spleen with 2 values: 3, 7")


def test_labels_that_an_image_has_not(tmp_path):
    for name, values in (("a", (1, 2)), ("b", (2, 3))):
        image(tmp_path / "images" / f"{name}.png")
        mask(tmp_path / "masks" / f"{name}.png", *values)
    findings = check(tmp_path, labels=(1, 3)).findings
    assert [(f.file[-5:], f.label, f.reason) for f in findings] == [
        ("a.png", 3, "label 3 is missing; labels held: 1, 2"),
        ("b.png", 1, "label 1 is missing; labels held: 2, 3"),
    ]


def table(path, *lines):
    path.write_text("\n".join(("id,image,mask,group,split", *lines)) + "\n")
    return path


@pytest.mark.parametrize(
    ("first", "second", "severity"),
    [
        ("p1,train", "p1,test", "error"),
        ("p1,train", "p2,train", "error"),
        ("p1,", "p2,", "error"),
        ("p1,train", "p1,train", "warning"),
        (",", ",", "warning"),
    ],
)
def test_one_image_in_two_parts_or_groups_is_a_leak(tmp_path, first, second, severity):
    image(tmp_path / "a.png")
    Pillow.open(tmp_path / "a.png").save(tmp_path / "b.png", compress_level=1)
    mask(tmp_path / "m.png", 1)
    report = check(table(tmp_path / "t.csv", f"a,a.png,m.png,{first}", f"b,b.png,m.png,{second}"))
    ((file, reason),) = found(report, severity)
    assert file == "b.png"
    assert reason.startswith("a leak" if severity == "error" else "the same content")


def test_labels_without_a_name(tmp_path):
    volume(tmp_path / "images" / "a.nii.gz", RNG.normal(size=(3, 4, 5)).astype(np.float32))
    volume(tmp_path / "a_label.nii.gz", np.arange(60, dtype=np.uint8).reshape(3, 4, 5) % 3)
    listed = '{"labels": {"background": 0, "liver": 1}, "training": [{"image": "images/a.nii.gz", "label": "a_label.nii.gz"}]}'
    (tmp_path / "dataset.json").write_text(listed)
    (finding,) = check(tmp_path).findings
    assert (finding.severity, finding.label, finding.reason) == ("error", 2, "label 2 has no name in the data set")
    assert check(tmp_path, labels=(1,)).findings == ()
    with pytest.raises(InvalidConfig, match=r"labels 2 .*some of 1 \(liver\)"):
        check(tmp_path, labels=(2,))


def test_what_can_be_put_right_is_proposed(tmp_path):
    image(tmp_path / "images" / "a.png", (40, 60))
    mask(tmp_path / "masks" / "a.png", 1, 1, 1, shape=(20, 30))
    image(tmp_path / "images" / "b.png", (64, 64))
    block = np.zeros((64, 64), np.uint8)
    block[13:41, 17:50] = 255
    Pillow.fromarray(block).save(tmp_path / "masks" / "b.jpg")
    resized, cut = check(tmp_path).findings
    assert resized.do == "--fix can do this: resized from 30 x 20 to 60 x 40, nearest neighbour."
    assert "values that are not labels: 0..255 with" in cut.reason
    assert "cut at 128" in cut.do


def test_progress_is_told(tmp_path):
    for name in "ab":
        image(tmp_path / f"{name}.png")
    told = []
    check(tmp_path, progress=lambda done, of: told.append((done, of)))
    assert told == [(0, 2), (1, 2), (2, 2)]


def test_every_table_of_the_shared_data_is_read(shared):
    tables = sorted((shared / "data").glob("*/index.csv"))
    assert len(tables) > 15
    for found_table in tables:
        dataset = find_cases(found_table)
        assert all(case.paired for case in dataset.cases), found_table
        assert all(f.severity == "note" for f in dataset.findings), found_table
