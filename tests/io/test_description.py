import json

import nibabel
import numpy as np
import pytest
from PIL import Image as Pillow

from dicom_maker import AXIAL, edit, make_series
from promisam.core.errors import UnreadableFile
from promisam.io import describe

PIXELS = np.random.default_rng(3).integers(-500, 3000, (5, 6, 8)).astype(np.int16)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "LAS", "PIR", "SRP", "ALI"])
def test_orientation_is_nibabels(tmp_path, codes):
    from nibabel import orientations

    turn = orientations.inv_ornt_aff(orientations.axcodes2ornt(codes), (4, 5, 6))
    tilt = np.eye(4)
    tilt[:2, :2] = [[0.98, -0.199], [0.199, 0.98]]
    image = nibabel.Nifti1Image(np.zeros((4, 5, 6), np.int16), tilt @ np.linalg.inv(turn) @ np.diag([1, 2, 3, 1]))
    nibabel.save(image, tmp_path / "a.nii.gz")
    seen = describe(tmp_path / "a.nii.gz")
    assert seen.orientation == "".join(nibabel.aff2axcodes(image.affine))
    assert (seen.format, seen.kind, seen.size, seen.unit, seen.channels) == ("NIfTI", "volume", (4, 5, 6), "mm", 1)
    np.testing.assert_allclose(seen.spacing, image.header.get_zooms(), atol=1e-3)


def test_a_dicom_series_without_a_word_about_the_patient(tmp_path):
    make_series(tmp_path, PIXELS, orientation=AXIAL, PatientComments="secret", ImageComments="secret")
    seen = describe(tmp_path)
    assert seen.kind == "DICOM series of 5 CT slices"
    assert (seen.size, seen.spacing, seen.orientation) == ((8, 6, 5), (0.9, 0.7, 2.5), "LPS")
    assert (seen.low, seen.high) == (PIXELS.min() - 1024, PIXELS.max() - 1024)
    told = json.dumps(seen.as_dict()).lower().replace(str(tmp_path).lower(), "")
    assert "secret" not in told
    single = next(tmp_path.iterdir())
    assert describe(single).kind == "DICOM picture (CT)"
    assert describe(edit(single, PhotometricInterpretation="MONOCHROME1")).notes[0].startswith("MONOCHROME1")


def test_pictures(tmp_path):
    half = np.full((6, 9, 4), 128, np.uint8)
    Pillow.fromarray(half).save(tmp_path / "a.png")
    seen = describe(tmp_path / "a.png")
    assert (seen.format, seen.kind, seen.size, seen.unit, seen.orientation) == ("PNG", "picture", (9, 6), "px", "")
    assert seen.notes == ("stored as RGBA", "transparent parts composited on black")
    assert (seen.low, seen.high, seen.channels, seen.origin) == (64, 64, 3, ())


def test_segments_are_named(shared):
    pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")
    seen = describe(shared / "data" / "dcmqi_ct3" / "dicom" / "liver.dcm")
    assert seen.kind == "DICOM-SEG"
    assert seen.notes == ("segment 1: Liver",)


def test_every_real_volume_is_described_as_nibabel_sees_it(shared):
    for path in sorted((shared / "data").glob("*/*/*.nii.gz"))[::6]:
        image, seen = nibabel.load(path), describe(path)
        assert seen.size == image.shape, path
        assert seen.orientation == "".join(nibabel.aff2axcodes(image.affine)), path


def test_errors_are_those_of_reading(tmp_path):
    with pytest.raises(UnreadableFile):
        describe(tmp_path / "none.png")
