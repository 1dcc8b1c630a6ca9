"""DICOM-SEG: round trips through an independent reader of the attributes, and refusals."""

import sys

import numpy as np
import pydicom
import pytest

from dicom_maker import AXIAL, OBLIQUE, edit, make_series
from promisam.core import Segmentation
from promisam.core.errors import InvalidSegmentation, MissingExtra, UnreadableFile, UnwritableOutput
from promisam.io import mask_coding, read, read_segmentation, write

pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")
PIXELS = np.random.default_rng(3).integers(-500, 3000, (5, 6, 8)).astype(np.int16)


def segmented(grid, *values, names=None):
    labels = np.zeros(grid.shape, np.uint8)
    labels[..., 1:3, 2:5] = values[0] if values else 0
    labels[..., 4, 6] = values[-1] if values else 0
    if grid.ndim == 3:
        labels[[0, 3, 4]] = 0  # empty slices at both ends
    return Segmentation(labels, grid, names or {})


@pytest.mark.parametrize("orientation", [OBLIQUE, AXIAL])
def test_round_trip_keeps_geometry_and_names(tmp_path, orientation):
    paths = make_series(tmp_path / "series", PIXELS, orientation=orientation)
    image = read(tmp_path / "series")
    given = segmented(image.grid, 3, 7, names={3: "Leber", 7: "lesion"})
    path = write(tmp_path / "seg.dcm", given, source=tmp_path / "series")
    back = read_segmentation(path)
    assert back.grid.matches(image.grid, tolerance=1e-3)
    assert mask_coding(path, given) == {3: 1, 7: 2}
    assert back.names == {1: "Leber", 2: "lesion"}
    for value, number in mask_coding(path, given).items():
        np.testing.assert_array_equal(back.labels == number, given.labels == value)
    stored, source = pydicom.dcmread(path), pydicom.dcmread(paths[0])
    assert stored.ReferencedSeriesSequence[0].SeriesInstanceUID == source.SeriesInstanceUID
    assert stored.FrameOfReferenceUID == source.FrameOfReferenceUID
    assert stored.SegmentSequence[0].SegmentAlgorithmType == "SEMIAUTOMATIC"


def test_an_empty_mask_is_a_valid_object(tmp_path):
    make_series(tmp_path / "series", PIXELS)
    image = read(tmp_path / "series")
    for names in ({}, {1: "liver"}):
        path = write(tmp_path / "seg.dcm", segmented(image.grid, names=names), source=tmp_path / "series")
        back = read_segmentation(path)
        assert back.grid.matches(image.grid)
        assert not back.labels.any()
        assert list(back.names.values()) == [names.get(1, "label 1")]


def test_a_single_slice_is_a_picture_again(tmp_path):
    path = make_series(tmp_path / "series", PIXELS)[2]
    image = read(path)
    back = read_segmentation(write(tmp_path / "seg.dcm", segmented(image.grid, 1), source=path))
    assert back.grid.matches(image.grid)
    np.testing.assert_array_equal(back.labels, segmented(image.grid, 1).labels)


def test_another_source_is_refused(tmp_path):
    make_series(tmp_path / "series", PIXELS)
    make_series(tmp_path / "other", PIXELS, step=3.0)
    given = segmented(read(tmp_path / "series").grid, 1)
    with pytest.raises(UnwritableOutput, match=r"2\.5 mm for the DICOM source .*other.* 3 mm"):
        write(tmp_path / "seg.dcm", given, source=tmp_path / "other")
    with pytest.raises(UnreadableFile, match="No such file"):
        write(tmp_path / "seg.dcm", given, source=tmp_path / "nowhere")
    assert not (tmp_path / "seg.dcm").exists()


def test_a_source_without_a_place_is_written_or_explained(tmp_path):
    path = make_series(tmp_path / "series", PIXELS)[0]
    edit(path, remove=["ImagePositionPatient", "ImageOrientationPatient"])
    try:
        write(tmp_path / "seg.dcm", segmented(read(path).grid, 1), source=path)
    except UnwritableOutput as error:
        assert "place in the patient" in str(error)  # noqa: PT017 - either outcome is right, silence is not


def test_overlapping_segments_are_refused(tmp_path):
    make_series(tmp_path / "series", PIXELS)
    image = read(tmp_path / "series")
    path = write(tmp_path / "seg.dcm", segmented(image.grid, 1, 2), source=tmp_path / "series")
    stored = pydicom.dcmread(path)
    stored.PixelData = b"\xff" * len(stored.PixelData)
    stored.save_as(path)
    with pytest.raises(InvalidSegmentation, match="overlap"):
        read_segmentation(path)


def test_a_truncated_object_is_refused(tmp_path):
    make_series(tmp_path / "series", PIXELS)
    path = write(tmp_path / "seg.dcm", segmented(read(tmp_path / "series").grid, 1), source=tmp_path / "series")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UnreadableFile, match="DICOM-SEG that is no label map"):
        read_segmentation(path)


def test_without_the_extra_the_way_to_it_is_told(tmp_path, monkeypatch):
    make_series(tmp_path / "series", PIXELS)
    given = segmented(read(tmp_path / "series").grid, 1)
    path = write(tmp_path / "seg.dcm", given, source=tmp_path / "series")
    monkeypatch.setitem(sys.modules, "highdicom", None)
    for call in (lambda: read_segmentation(path), lambda: write(path, given, source=tmp_path / "series")):
        with pytest.raises(MissingExtra, match=r"pip install 'promisam\[dicom\]'"):
            call()


def test_the_object_of_another_program(shared):
    folder = shared / "data" / "dcmqi_ct3"
    mask = read_segmentation(folder / "dicom" / "liver.dcm")
    assert mask.names == {1: "Liver"}
    assert mask.grid.matches(read(folder / "dicom").grid)
    nifti = read_segmentation(folder / "ct3" / "label.nii.gz")
    np.testing.assert_array_equal(mask.labels == 1, nifti.labels == 1)
