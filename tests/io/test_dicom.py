"""DICOM folders and files: geometry and values against pydicom and nibabel, and the faults that real series have."""

from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pydicom.data
import pytest
import SimpleITK
from pydicom.pixels import apply_rescale

from dicom_maker import AXIAL, OBLIQUE, edit, make_series
from promisam.core.errors import UnreadableFile, UnsupportedFile
from promisam.io import read

RNG = np.random.default_rng(3)
PIXELS = RNG.integers(-500, 3000, (5, 6, 8)).astype(np.int16)
TEST_FILES = Path(pydicom.data.__file__).parent / "test_files"


@pytest.mark.parametrize("orientation", [OBLIQUE, AXIAL])
def test_a_shuffled_oblique_series(tmp_path, orientation):
    make_series(tmp_path, PIXELS, orientation=orientation)
    image = read(tmp_path)
    np.testing.assert_array_equal(image.pixels[0], PIXELS.astype(int) - 1024)
    assert image.pixels.dtype == np.int16
    np.testing.assert_allclose(image.grid.spacing, (2.5, 0.7, 0.9), atol=1e-6)
    np.testing.assert_allclose(image.grid.origin, (-10, 20, 30), atol=1e-6)
    np.testing.assert_allclose(image.grid.affine[:3, 2] / 0.9, orientation[:3], atol=1e-6)
    np.testing.assert_allclose(image.grid.affine[:3, 1] / 0.7, orientation[3:], atol=1e-6)
    assert np.linalg.det(image.grid.direction) > 0


def test_slices_stored_from_the_far_end_come_in_the_same_order(tmp_path):
    make_series(tmp_path, PIXELS[::-1], depths=[10.0, 7.5, 5.0, 2.5, 0.0])
    image = read(tmp_path)
    np.testing.assert_array_equal(image.pixels[0], PIXELS.astype(int) - 1024)
    np.testing.assert_allclose(image.grid.origin, (-10, 20, 30), atol=1e-6)


def test_agrees_with_simpleitk(tmp_path):
    make_series(tmp_path, PIXELS)
    names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path))
    other = SimpleITK.ReadImage(names)
    image = read(tmp_path)
    np.testing.assert_array_equal(image.pixels[0], SimpleITK.GetArrayFromImage(other))
    np.testing.assert_allclose(image.grid.direction.ravel(), other.GetDirection(), atol=1e-5)
    np.testing.assert_allclose(image.grid.origin, other.GetOrigin(), atol=1e-5)


def test_each_slice_has_its_own_slope(tmp_path):
    paths = make_series(tmp_path, PIXELS, slopes=[0.5, 1.25, 3.0, 0.013, 7.0], intercept=0)
    expected = np.stack([apply_rescale(d.pixel_array, d) for d in map(pydicom.dcmread, paths)])
    np.testing.assert_allclose(read(tmp_path).pixels[0], expected, rtol=1e-6)


def test_what_is_no_image_is_passed_over(tmp_path):
    make_series(tmp_path, PIXELS)
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "DICOMDIR").write_bytes(b"\0" * 128 + b"not one")
    for name in ("rtplan.dcm", "test-SR.dcm", "liver_1frame.dcm", "rtdose.dcm"):
        (tmp_path / name).write_bytes((TEST_FILES / name).read_bytes())
    assert read(tmp_path).grid.shape == (5, 6, 8)


def test_two_series_are_listed_and_either_can_be_named(tmp_path):
    make_series(tmp_path, PIXELS)
    paths = make_series(tmp_path, PIXELS[:3] + 1, name="other", SeriesNumber=4, SeriesDescription="contrast")
    with pytest.raises(UnsupportedFile, match=r"2 image series.*number 3.*'made for tests', 5 images.*'contrast', 3 images"):
        read(tmp_path)
    assert read(tmp_path, series=3).grid.shape == (5, 6, 8)
    assert read(tmp_path, series=str(pydicom.dcmread(paths[0]).SeriesInstanceUID)).grid.shape == (3, 6, 8)
    with pytest.raises(UnsupportedFile, match="asked for '9'"):
        read(tmp_path, series="9")


def test_a_tilted_gantry_is_refused_with_its_angle(tmp_path):
    make_series(tmp_path, PIXELS, aside=0.7)
    with pytest.raises(UnsupportedFile, match=r"gantry tilt, 15.6°"):
        read(tmp_path)


def test_a_missing_slice_is_named(tmp_path):
    make_series(tmp_path, PIXELS, orientation=AXIAL, depths=[0, 2.5, 5.0, 10.0, 12.5])
    with pytest.raises(UnsupportedFile, match=r"2\.5 mm apart but 5 mm between 35 and 40"):
        read(tmp_path)


def test_a_doubled_slice_is_named(tmp_path):
    make_series(tmp_path, PIXELS, orientation=AXIAL, depths=[0, 2.5, 5.0, 5.0, 7.5])
    with pytest.raises(UnsupportedFile, match=r"more than one slice at 35 mm"):
        read(tmp_path)


def test_a_time_series_is_refused(tmp_path):
    make_series(tmp_path, PIXELS[:4], orientation=AXIAL, depths=[0, 0, 2.5, 2.5])
    with pytest.raises(UnsupportedFile, match="time series"):
        read(tmp_path)


def test_positions_rounded_by_the_scanner_pass(tmp_path):
    make_series(tmp_path, PIXELS, orientation=AXIAL, depths=[0, 1.3, 2.5, 3.8, 5.0])
    np.testing.assert_allclose(read(tmp_path).grid.spacing[0], 1.25)


def test_mixed_orientations_sizes_and_spacings_are_refused(tmp_path):
    for number, (what, change) in enumerate(
        {
            "orientations": {"ImageOrientationPatient": list(AXIAL)},
            "pixel spacings": {"PixelSpacing": [1, 1]},
            "sizes": {"Rows": 3, "PixelData": b"\0" * 48},
        }.items()
    ):
        paths = make_series(tmp_path / str(number), PIXELS)
        edit(paths[2], **change)
        with pytest.raises(UnsupportedFile, match=f"different {what}"):
            read(tmp_path / str(number))


def test_slices_without_a_place_are_refused(tmp_path):
    for path in make_series(tmp_path, PIXELS):
        edit(path, remove=["ImagePositionPatient"])
    with pytest.raises(UnsupportedFile, match="5 of 5 images have no place"):
        read(tmp_path)


def test_multi_frame_objects_are_refused():
    with pytest.raises(UnsupportedFile, match=r"multi-frame object of 2 frames.*dcm2niix"):
        read(TEST_FILES / "SC_rgb_rle_2frame.dcm")


def test_a_single_file_is_a_picture_at_its_place(tmp_path):
    paths = make_series(tmp_path, PIXELS)
    volume, slice_3 = read(tmp_path), read(paths[3])
    assert slice_3.grid.shape == (6, 8)
    assert slice_3.grid.matches(volume.grid.slice(0, 3))
    np.testing.assert_allclose(slice_3.grid.affine[:3, 0], volume.grid.slice(0, 3).affine[:3, 0], atol=1e-6)
    np.testing.assert_array_equal(slice_3.pixels, volume.pixels[:, 3])


def test_without_a_place_spacing_decides_the_unit(tmp_path):
    (path, *_) = make_series(tmp_path, PIXELS)
    edit(path, remove=["ImagePositionPatient"])
    assert read(path).grid.unit == "mm"
    np.testing.assert_allclose(read(path).grid.spacing, (0.7, 0.9))
    edit(path, remove=["PixelSpacing"], ImagerPixelSpacing=[0.2, 0.3])
    np.testing.assert_allclose(read(path).grid.spacing, (0.2, 0.3))
    edit(path, remove=["ImagerPixelSpacing"])
    assert read(path).grid.unit == "px"


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_jp2klossless.dcm"])
def test_monochrome1_keeps_its_values(tmp_path, name):
    straight = read(TEST_FILES / name)
    (tmp_path / "m").write_bytes((TEST_FILES / name).read_bytes())
    edit(tmp_path / "m", PhotometricInterpretation="MONOCHROME1", RescaleSlope="2", RescaleIntercept="-7")
    stored = pydicom.dcmread(TEST_FILES / name).pixel_array
    np.testing.assert_array_equal(read(tmp_path / "m").pixels[0], stored.astype(int) * 2 - 7)
    assert straight.pixels.shape == (1, *stored.shape)


@pytest.mark.parametrize(
    "name",
    [
        "CT_small.dcm",
        "MR_small.dcm",
        "MR_small_RLE.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_implicit.dcm",
        "MR_small_padded.dcm",
        "image_dfl.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "693_J2KI.dcm",
        "J2K_pixelrep_mismatch.dcm",
        "SC_rgb_rle_16bit.dcm",
        "SC_rgb_jpeg_dcmtk.dcm",
        "SC_ybr_full_422_uncompressed.dcm",
        "examples_rgb_color.dcm",
        "examples_overlay.dcm",
    ],
)
def test_values_agree_with_pydicom(name):
    header = pydicom.dcmread(TEST_FILES / name)
    try:
        expected = apply_rescale(header.pixel_array, header)
    except RuntimeError as error:
        pytest.skip(f"pydicom has no decoder here: {error}")
    expected = np.moveaxis(expected, -1, 0) if expected.ndim == 3 else expected[None]
    np.testing.assert_array_equal(read(TEST_FILES / name).pixels, expected)


def test_a_palette_is_shown_in_its_colours():
    shown = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(TEST_FILES / "examples_palette.dcm")))[0]
    np.testing.assert_array_equal(read(TEST_FILES / "examples_palette.dcm").pixels, np.moveaxis(shown, -1, 0))


def test_truncated_short_and_missing_pixels_are_refused(tmp_path):
    for name in ("CT_small.dcm", "MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "SC_rgb_jpeg_dcmtk.dcm"):
        content = (TEST_FILES / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) * 3 // 4])
        with pytest.raises(UnreadableFile, match=name):
            read(tmp_path / name)
    (tmp_path / "m").write_bytes((TEST_FILES / "CT_small.dcm").read_bytes())
    edit(tmp_path / "m", PixelData=b"\0" * 5000)
    with pytest.raises(UnreadableFile, match="missing, cut off or damaged"):
        read(tmp_path / "m")
    edit(tmp_path / "m", remove=["PixelData"])
    with pytest.raises(UnreadableFile, match="missing, cut off or damaged"):
        read(tmp_path / "m")


def test_folders_without_images(tmp_path):
    with pytest.raises(UnreadableFile, match="0 files"):
        read(tmp_path)
    make_series(tmp_path / "inner", PIXELS)
    with pytest.raises(UnreadableFile, match=r"one of its folders \(inner\)"):
        read(tmp_path)


def test_other_objects_are_named():
    with pytest.raises(UnsupportedFile, match="RT Plan Storage"):
        read(TEST_FILES / "rtplan.dcm")
    with pytest.raises(UnsupportedFile, match=r"Segmentation Storage.*read_segmentation"):
        read(TEST_FILES / "liver_1frame.dcm")


def test_the_real_series_is_its_nifti(shared):
    folder = shared / "data" / "dcmqi_ct3"
    image, nifti = read(folder / "dicom"), nibabel.load(folder / "ct3" / "image.nii.gz")
    affine = np.diag([-1.0, -1, 1, 1]) @ image.grid.affine[:, [2, 1, 0, 3]]
    stored = np.asanyarray(nifti.dataobj)
    at = np.linalg.inv(nifti.affine) @ affine  # index to index
    start, steps = np.rint(at[:3, 3]).astype(int), np.rint(np.diag(at)[:3]).astype(int)
    np.testing.assert_allclose(at, np.diag([*steps, 1]) + np.pad(start[:, None], ((0, 1), (3, 0))), atol=1e-3)
    turned = stored[tuple(slice(None, None, int(s)) for s in steps)]
    np.testing.assert_array_equal(image.pixels[0], turned.transpose(2, 1, 0))
    assert image.grid.matches(read(folder / "ct3" / "image.nii.gz").grid)


def test_a_slice_that_lost_its_preamble_is_not_passed_over(tmp_path):
    paths = make_series(tmp_path, PIXELS)
    paths[1].write_bytes(paths[1].read_bytes()[132:])
    with pytest.raises(UnreadableFile, match=f"1 files seem to be DICOM.*{paths[1].name}"):
        read(tmp_path)
