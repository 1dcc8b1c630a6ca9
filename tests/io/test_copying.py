"""The mended copy: what it changes, what it leaves out, and that the source stays as it was."""

import json

import numpy as np
import pytest
from PIL import Image as Pillow

from data_maker import OBLIQUE, blocks, grey, labels_xyz, noise, picture, text, volume
from dicom_maker import make_series
from promisam.core.errors import InvalidConfig, UnwritableOutput
from promisam.io import check, find_cases, fix, open_examples, read, read_segmentation


def state(folder):
    return {p.relative_to(folder): (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}


def mended(source, out, **options):
    """The report, after the checks that hold for every copy."""
    before = state(source)
    report = fix(source, out, **options)
    assert state(source) == before
    assert not [p for p in out.rglob("*") if p.name.startswith(".")]
    recorded = json.loads((out / "fixes.json").read_text())
    assert recorded["cases"] == list(report.cases)
    assert len(recorded["left_out"]) == len(report.left_out)
    if report.cases:
        assert not check(out).errors
        names = {example.name for example in open_examples(out).examples if example.load()}
        assert names == set(report.cases)
    return report


def done(report):
    return [(f.file.rsplit("/", 1)[-1], f.done) for f in (*report.fixes, *report.dropped)]


def left(report):
    return [(f.case, f.reason) for f in report.left_out]


@pytest.fixture
def source(tmp_path):
    picture(tmp_path / "in" / "images" / "a.png", grey(1))
    picture(tmp_path / "in" / "masks" / "a.png", blocks(255))
    return tmp_path / "in"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def test_a_sound_set_is_copied_byte_by_byte(source, out):
    report = mended(source, out)
    assert (report.cases, done(report), left(report)) == (("a",), [], [])
    assert (out / "images" / "a.png").read_bytes() == (source / "images" / "a.png").read_bytes()
    assert np.array_equal(np.asarray(Pillow.open(out / "masks" / "a.png")), blocks(255))
    assert (out / "dataset.csv").read_text() == "id,image,mask,group,split\na,images/a.png,masks/a.png,,\n"


@pytest.mark.parametrize("options", [{"quality": 60}, {"quality": 95}])
def test_jpeg_masks_are_cut_in_the_middle(source, out, options):
    (source / "masks" / "a.png").unlink()
    shape = (64, 90)
    picture(source / "images" / "a.png", grey(1, shape))
    truth = np.zeros(shape, np.uint8)
    truth[13:41, 17:70] = 255
    picture(source / "masks" / "a.jpg", truth, **options)
    report = mended(source, out)
    assert "cut at 128" in done(report)[0][1]
    assert np.array_equal(read_segmentation(out / "masks" / "a.png").labels, truth // 255)


def test_smooth_edges_are_cut_in_the_middle(source, out):
    picture(source / "images" / "a.png", grey(1, (64, 90)))
    soft = np.zeros((64, 90), np.uint8)
    soft[10:40, 20:60] = 255
    soft[10:40, 20] = np.linspace(3, 250, 30)
    picture(source / "masks" / "a.png", soft)
    mended(source, out)
    assert np.array_equal(read_segmentation(out / "masks" / "a.png").labels, soft >= 128)


def test_a_photograph_is_no_mask(source, out):
    (source / "masks" / "a.png").unlink()
    picture(source / "masks" / "a.jpg", grey(5))
    report = mended(source, out)
    assert report.cases == ()
    ((name, reason),) = left(report)
    assert name == "a"
    assert "values that are not labels" in reason


def test_interpolated_and_rounded_volumes(source, out):
    for name, factor in (("v", 1.0), ("w", 1.0)):
        volume(source / "images" / f"{name}.nii.gz", noise(1, (20, 16, 12)) * factor)
    soft = np.zeros((20, 16, 12), np.float32)
    soft[5:15, 4:12, 3:9] = 1
    soft[5, 4:12, 3:9] = 0.3
    soft[14, 4:12, 3:9] = 0.5
    volume(source / "masks" / "v.nii.gz", soft)
    volume(source / "images" / "w.nii.gz", noise(2, (20, 16, 12)))
    volume(source / "masks" / "w.nii.gz", (np.rint(soft) * 2 + 1e-4).astype(np.float32))
    report = mended(source, out)
    assert [what for _, what in done(report)] == [
        "values between 0 and 1 (2 of them) cut at 0.5",
        "values rounded to whole numbers",
    ]
    assert np.array_equal(read_segmentation(out / "masks" / "v.nii.gz").labels, (soft >= 0.5).T)
    assert set(np.unique(read_segmentation(out / "masks" / "w.nii.gz").labels)) == {0, 2}


@pytest.mark.parametrize(("bad", "why"), [(-1.0, "values from -1"), (0.4, "fractions"), (np.nan, "NaN")])
def test_values_that_need_a_person(source, out, bad, why):
    volume(source / "images" / "v.nii.gz", noise(1))
    volume(source / "masks" / "v.nii.gz", np.full((7, 6, 5), bad, np.float32))
    report = mended(source, out)
    assert report.cases == ("a",)
    assert left(report)[0][0] == "v"
    assert why in left(report)[0][1]


def test_nan_in_an_image_is_left_out(source, out):
    volume(source / "images" / "v.nii.gz", np.full((7, 6, 5), np.nan, np.float32))
    volume(source / "masks" / "v.nii.gz", labels_xyz(1))
    assert "210 NaN" in left(mended(source, out))[0][1]


class TestGeometry:
    def put(self, source, affine, shape=(7, 6, 5), labels=None):
        volume(source / "images" / "v.nii.gz", noise(1))
        volume(source / "masks" / "v.nii.gz", labels_xyz(1, 2, shape=shape) if labels is None else labels, affine)

    def test_less_than_half_a_sample_is_a_copy(self, source, out):
        affine = OBLIQUE.copy()
        affine[:3, 3] += 0.2
        self.put(source, affine)
        report = mended(source, out)
        assert "geometry copied" in done(report)[0][1]
        mask = read_segmentation(out / "masks" / "v.nii.gz")
        assert np.array_equal(mask.labels, labels_xyz(1, 2).T)
        assert mask.grid.matches(read(source / "images" / "v.nii.gz").grid)

    def test_another_order_of_axes_is_resampled_to_the_same_labels(self, source, out):
        flipped = OBLIQUE @ np.array([[-1.0, 0, 0, 6], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
        self.put(source, flipped, labels=labels_xyz(1, 2)[::-1].copy())
        report = mended(source, out)
        assert "resampled to its image" in done(report)[0][1]
        assert np.array_equal(read_segmentation(out / "masks" / "v.nii.gz").labels, labels_xyz(1, 2).T)

    def test_a_larger_field_of_view_is_resampled(self, source, out):
        wider = OBLIQUE @ np.array([[1.0, 0, 0, -2], [0, 1, 0, -1], [0, 0, 1, -3], [0, 0, 0, 1]])
        self.put(source, wider, labels=np.pad(labels_xyz(1, 2), ((2, 1), (1, 1), (3, 2))))
        mended(source, out)
        assert np.array_equal(read_segmentation(out / "masks" / "v.nii.gz").labels, labels_xyz(1, 2).T)

    @pytest.mark.parametrize("affine", [np.eye(4), OBLIQUE + np.array([[0, 0, 0, 60.0], [0] * 4, [0] * 4, [0] * 4])])
    def test_a_mask_that_lies_elsewhere_is_left_out(self, source, out, affine):
        self.put(source, affine)
        report = mended(source, out)
        assert report.cases == ("a",)
        assert left(report)[0][1].startswith(f"{source / 'masks' / 'v.nii.gz'}: the mask lies elsewhere")

    def test_a_mask_that_lies_half_on_its_image_is_left_out(self, source, out):
        self.put(
            source, OBLIQUE @ np.array([[1.0, 0, 0, -2], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), labels=labels_xyz(1, 1)
        )
        assert mended(source, out).cases == ("a",)

    def test_a_label_that_would_vanish_is_left_out(self, source, out):
        finer = OBLIQUE @ np.diag([0.25, 0.25, 0.25, 1.0])
        labels = np.zeros((25, 21, 17), np.uint8)
        labels[4:12, 4:12, 4:12] = 1
        labels[6, 6, 6] = 2
        self.put(source, finer, labels=labels)
        assert mended(source, out).cases == ("a",)


def test_another_size_of_one_aspect_is_resized(source, out):
    picture(source / "images" / "a.png", grey(1, (40, 60)))
    report = mended(source, out)
    assert done(report) == [("a.png", "resized from 30 x 20 to 60 x 40, nearest neighbour")]
    assert np.array_equal(read_segmentation(out / "masks" / "a.png").labels, np.kron(blocks(1), np.ones((2, 2), np.uint8)))


def test_a_turned_mask_is_left_out(source, out):
    picture(source / "masks" / "a.png", blocks(1, shape=(30, 20)))
    report = mended(source, out)
    assert (report.cases, len(report.left_out)) == ((), 1)
    assert (out / "dataset.csv").read_text() == "id,image,mask,group,split\n"


def test_opaque_alpha_is_removed_and_used_alpha_is_kept(source, out):
    colours = grey(3, (20, 30, 4))
    picture(source / "images" / "b.png", colours)
    picture(source / "masks" / "b.png", blocks(1))
    opaque = grey(4, (20, 30, 4))
    opaque[..., 3] = 255
    picture(source / "images" / "a.png", opaque)
    report = mended(source, out)
    assert done(report) == [("a.png", "a transparency channel that hides nothing removed")]
    assert np.array_equal(np.asarray(Pillow.open(out / "images" / "a.png")), opaque[..., :3])
    assert Pillow.open(out / "images" / "b.png").mode == "RGBA"


def test_sixteen_bits_stay(source, out):
    deep = np.random.default_rng(1).integers(0, 65535, (20, 30), dtype=np.uint16)
    picture(source / "images" / "a.png", deep)
    picture(source / "masks" / "a.png", (blocks(1).astype(np.uint16) * 300))
    mended(source, out)
    assert np.array_equal(read(out / "images" / "a.png").pixels[0], deep)
    assert np.array_equal(read_segmentation(out / "masks" / "a.png").labels, blocks(1).astype(np.uint16) * 300)


class TestDuplicates:
    def test_the_first_is_kept(self, source, out):
        Pillow.open(source / "images" / "a.png").save(source / "images" / "b.bmp")
        picture(source / "masks" / "b.png", blocks(255))
        report = mended(source, out)
        assert report.cases == ("a",)
        assert done(report) == [("b.bmp", "dropped: the same image and mask as a")]
        assert report.left_out == ()

    def test_with_another_mask_a_person_decides(self, source, out):
        Pillow.open(source / "images" / "a.png").save(source / "images" / "b.bmp")
        picture(source / "masks" / "b.png", blocks(0, 255))
        assert left(mended(source, out)) == [("b", "the same image as a, with another mask")]

    def test_an_image_whose_mask_is_unusable_does_not_count_as_the_first(self, source, out):
        Pillow.open(source / "images" / "a.png").save(source / "images" / "b.bmp")
        picture(source / "masks" / "b.png", blocks(255))
        (source / "masks" / "a.png").write_bytes(b"")
        assert mended(source, out).cases == ("b",)


def test_only_the_labels_asked_for(source, out):
    picture(source / "masks" / "a.png", blocks(1, 2, 3))
    report = mended(source, out, labels=(2, 3))
    assert done(report) == [("a.png", "labels made background: 1")]
    assert np.array_equal(read_segmentation(out / "masks" / "a.png").labels, blocks(0, 2, 3))


def test_classes_stay_files_of_their_own_and_parts_are_merged(source, out):
    (source / "masks" / "a.png").unlink()
    for name, labels in (("a__liver_000", blocks(255)), ("a__liver_001", blocks(0, 255)), ("a__spleen_000", blocks(0, 0, 255))):
        picture(source / "masks" / f"{name}.png", labels)
    mended(source, out)
    assert sorted(p.name for p in (out / "masks").iterdir()) == ["a__liver.png", "a__spleen.png"]
    assert find_cases(out).classes == {1: "liver", 2: "spleen"}
    assert np.array_equal(open_examples(out).examples[0].load().truth.labels, blocks(1, 1, 2))


def test_a_class_that_an_image_has_not_becomes_an_empty_mask(source, out):
    (source / "masks" / "a.png").unlink()
    picture(source / "images" / "b.png", grey(7))
    picture(source / "masks" / "a__liver.png", blocks(255))
    picture(source / "masks" / "b__spleen.png", blocks(255))
    report = mended(source, out, labels=(1,))
    assert report.cases == ("a", "b")
    assert not read_segmentation(out / "masks" / "b__liver.png").mask().any()
    assert find_cases(out).classes == {1: "liver"}


def test_a_fourth_axis_becomes_files_and_names_stay(tmp_path, out):
    stored = volume(tmp_path / "in" / "a.nii.gz", noise(1, (7, 6, 5, 2)))
    volume(tmp_path / "in" / "m.nii.gz", labels_xyz(1))
    listed = {
        "modality": {"0": "T2", "1": "ADC"},
        "labels": {"0": "background", "1": "prostate"},
        "training": [{"image": "a.nii.gz", "label": "m.nii.gz"}],
    }
    text(tmp_path / "in" / "dataset.json", listed)
    mended(tmp_path / "in", out)
    found = open_examples(out)
    assert found.classes == ("prostate",)
    assert np.array_equal(found.examples[0].load().image.pixels, stored.transpose(3, 2, 1, 0))


def test_groups_splits_and_odd_names_stay(source, tmp_path, out):
    line = "clinic/p 1__x,images/a.png,masks/a.png,p1,dev\n"
    table = text(source / "t.csv", f"id,image,mask,group,split\n{line}")
    report = fix(table, out)
    assert report.cases == ("clinic/p 1__x",)
    (case,) = find_cases(out).cases
    assert (case.name, case.group, case.split, case.values) == ("clinic/p 1__x", "p1", "val", ())
    assert case.masks[0].name == "clinic_p_1_x.png"


def test_dicom_folders_and_headers_with_samples_beside_them(tmp_path, out):
    import SimpleITK

    pixels = np.random.default_rng(0).integers(0, 99, (5, 6, 8)).astype(np.int16)
    make_series(tmp_path / "in" / "images" / "p1", pixels)
    grid = read(tmp_path / "in" / "images" / "p1").grid
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ grid.affine[:, [2, 1, 0, 3]]
    volume(tmp_path / "in" / "masks" / "p1.nii.gz", labels_xyz(1, shape=(8, 6, 5)), affine)
    for kind, array in (("images", noise(3)), ("masks", labels_xyz(1))):
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), str(tmp_path / "in" / kind / "h.mhd"))
    report = mended(tmp_path / "in", out)
    assert report.cases == ("h", "p1")
    assert np.array_equal(read(out / "images" / "p1").pixels[0], read(tmp_path / "in" / "images" / "p1").pixels[0])
    assert (out / "images" / "h" / "h.raw").is_file()


def test_unpaired_and_doubled_files_are_named(source, out):
    picture(source / "images" / "b.png", grey(8))
    picture(source / "masks" / "c.png", blocks(1))
    picture(source / "images" / "a.bmp", grey(9))
    report = mended(source, out)
    assert [reason for _, reason in left(report)] == [
        "another image has the same stem, so masks cannot tell them apart",
        "the image has no mask",
        "the mask has no image",
    ]


class TestPlaces:
    def test_a_folder_that_holds_something(self, source, out):
        text(out / "x", "")
        with pytest.raises(UnwritableOutput, match="which holds something"):
            fix(source, out)
        assert [p.name for p in out.iterdir()] == ["x"]

    @pytest.mark.parametrize("inside", ["", "copy", "images/deep"])
    def test_within_the_source(self, source, inside):
        with pytest.raises(UnwritableOutput):
            fix(source, source / inside)

    def test_nothing_to_mend(self, source, out):
        with pytest.raises(InvalidConfig, match="a folder of images"):
            fix(source / "images", out)
        assert not out.exists()
