"""Volumes: against nibabel as an independent reader, and the files that must be refused."""

import gzip

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from promisam.core import Grid, Segmentation
from promisam.core.errors import InvalidImage, InvalidSegmentation, UnreadableFile, UnsupportedFile
from promisam.io import read, read_segmentation, write

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def nibabel_affine(grid: Grid) -> np.ndarray:
    """Index (x, y, z) to millimetres, RAS+."""
    return LPS_TO_RAS @ grid.affine[:, [2, 1, 0, 3]]


def rotation(angles) -> np.ndarray:
    a, b, c = angles
    rx = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    ry = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    rz = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return rz @ ry @ rx


def make_affine(angles, flips, spacing, origin) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = rotation(angles) @ np.diag(flips) @ np.diag(spacing)
    affine[:3, 3] = origin
    return affine


def save(path, array, affine=None, **forms):
    image = nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine)
    for name, (form, code) in forms.items():
        getattr(image, f"set_{name}")(form, code)
    nibabel.save(image, path)
    return path


angle = st.floats(-3.1, 3.1)
step = st.floats(0.2, 8.0)
place = st.floats(-500, 500)
geometry = st.builds(
    make_affine,
    st.tuples(angle, angle, angle),
    st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3),
    st.tuples(step, step, step),
    st.tuples(place, place, place),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(affine=geometry, suffix=st.sampled_from([".nii", ".nii.gz"]))
def test_reading_agrees_with_nibabel(tmp_path, affine, suffix):
    array = np.arange(3 * 4 * 5, dtype=np.int16).reshape(3, 4, 5) - 20
    image = read(save(tmp_path / f"a{suffix}", array, affine))
    np.testing.assert_array_equal(image.pixels[0].transpose(2, 1, 0), array)
    np.testing.assert_allclose(nibabel_affine(image.grid), affine, atol=2e-4)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    affine=geometry,
    labels=arrays(np.uint8, (2, 3, 4), elements=st.integers(0, 3)),
    suffix=st.sampled_from([".nii", ".nii.gz", ".nrrd", ".mha"]),
)
def test_a_mask_comes_back_on_its_grid(tmp_path, affine, labels, suffix):
    lps = (LPS_TO_RAS @ affine)[:, [2, 1, 0, 3]]
    given_mask = Segmentation(labels, Grid((2, 3, 4), lps))
    path = write(tmp_path / f"mask{suffix}", given_mask)
    back = read_segmentation(path)
    np.testing.assert_array_equal(back.labels, labels)
    assert back.grid.matches(given_mask.grid, tolerance=1e-3)
    if suffix.startswith(".nii"):
        seen = nibabel.load(path)
        np.testing.assert_array_equal(np.asanyarray(seen.dataobj).transpose(2, 1, 0), labels)
        np.testing.assert_allclose(seen.affine, affine, atol=2e-4)


def test_the_mask_of_a_file_has_the_very_affine_of_the_file(tmp_path):
    affine = make_affine((0.3, -0.2, 0.1), (-1, 1, 1), (0.5, 0.75, 6.5), (-91.5, 40.25, 12.0))
    source = save(tmp_path / "image.nii.gz", np.zeros((7, 9, 3), np.int16), affine)
    image = read(source)
    labels = np.zeros(image.grid.shape, np.uint8)
    labels[1, 2:5, 1:4] = 1
    path = write(tmp_path / "mask.nii.gz", Segmentation(labels, image.grid))
    a, b = nibabel.load(source), nibabel.load(path)
    assert a.shape == b.shape
    np.testing.assert_allclose(b.affine, a.affine, atol=1e-5)
    assert b.get_data_dtype() == np.uint8


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_pictures_stay_pictures(tmp_path, suffix):
    flat = Grid.from_itk((5, 4), (0.5, 0.25), (3.0, -2.0), np.array([[0.6, -0.8], [0.8, 0.6]]))
    labels = np.arange(20, dtype=np.uint8).reshape(4, 5) % 3
    back = read_segmentation(write(tmp_path / f"m{suffix}", Segmentation(labels, flat)))
    assert back.grid.matches(flat)
    np.testing.assert_array_equal(back.labels, labels)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_a_slice_in_the_patient_becomes_a_volume_of_one_slice_at_its_place(tmp_path, suffix):
    affine = (LPS_TO_RAS @ make_affine((0.3, -0.2, 0.1), (1, 1, 1), (0.5, 0.75, 1), (1, 2, 3)))[:, [2, 1, 0, 3]]
    plane = Grid((4, 5), affine)
    back = read_segmentation(write(tmp_path / f"m{suffix}", Segmentation(np.ones((4, 5), np.uint8), plane)))
    assert back.grid.shape == (1, 4, 5)
    assert back.slice(0, 0).grid.matches(plane)


def test_a_flat_nifti_keeps_its_height(tmp_path):
    affine = make_affine((0, 0, 0), (1, 1, 1), (1, 2, 1), (5, 6, 70))
    grid = read(save(tmp_path / "a.nii.gz", np.zeros((4, 5), np.int16), affine)).grid
    assert grid.shape == (5, 4)
    np.testing.assert_allclose(grid.origin, (-5, -6, 70))


def test_one_slice_stays_a_volume_and_a_single_time_point_is_dropped(tmp_path):
    assert read(save(tmp_path / "a.nii.gz", np.zeros((4, 5, 1), np.int16))).grid.shape == (1, 5, 4)
    assert read(save(tmp_path / "b.nii.gz", np.zeros((4, 5, 6, 1), np.int16))).grid.shape == (6, 5, 4)


def test_four_axes_are_refused_with_shape_and_way_out(tmp_path):
    with pytest.raises(UnsupportedFile, match=r"4 axes \(4 x 5 x 6 x 3 samples\).*Split"):
        read(save(tmp_path / "a.nii.gz", np.zeros((4, 5, 6, 3), np.int16)))


def test_colour_volumes_are_channels_first(tmp_path):
    colour = np.random.default_rng(0).integers(0, 255, (2, 3, 4, 3)).astype(np.uint8)
    for suffix in ("nii.gz", "mha", "nrrd"):
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(colour, isVector=True), str(tmp_path / f"c.{suffix}"))
        np.testing.assert_array_equal(read(tmp_path / f"c.{suffix}").pixels, np.moveaxis(colour, -1, 0))


def test_scaling_of_nifti_is_applied(tmp_path):
    image = nibabel.Nifti1Image(np.full((2, 3, 4), 10, np.int16), np.eye(4))
    image.header.set_slope_inter(0.5, -3)
    nibabel.save(image, tmp_path / "a.nii")
    expected = np.asanyarray(nibabel.load(tmp_path / "a.nii").dataobj)
    np.testing.assert_allclose(read(tmp_path / "a.nii").pixels[0], expected.T)


def test_metres_and_micrometres_are_millimetres_inside(tmp_path):
    for unit, factor in (("meter", 1000), ("micron", 0.001)):
        image = nibabel.Nifti1Image(np.zeros((2, 3, 4), np.int16), np.diag([1, 2, 3, 1]))
        image.header.set_xyzt_units(unit)
        nibabel.save(image, tmp_path / "a.nii")
        np.testing.assert_allclose(read(tmp_path / "a.nii").grid.spacing, np.array([3, 2, 1]) * factor)


def test_shear_is_refused(tmp_path):
    sheared = np.diag([1.0, 2.0, 3.0, 1.0])
    sheared[0, 1] = 0.5
    for forms in ({}, {"sform": (sheared, 1), "qform": (np.diag([1.0, 2.0, 3.0, 1.0]), 1)}):
        with pytest.raises(UnsupportedFile, match=r"sheared \(sform"):
            read(save(tmp_path / "a.nii.gz", np.zeros((4, 5, 6), np.int16), sheared, **forms))
    image = SimpleITK.Image(4, 5, 6, SimpleITK.sitkInt16)
    image.SetDirection((1, 0.2, 0, 0, 1, 0, 0, 0, 1))
    SimpleITK.WriteImage(image, str(tmp_path / "a.mha"))
    with pytest.raises(UnsupportedFile, match="sheared"):
        read(tmp_path / "a.mha")


def test_two_places_in_one_header_are_refused(tmp_path):
    moved = np.eye(4)
    moved[0, 3] = 10
    path = save(tmp_path / "a.nii.gz", np.zeros((4, 5, 6), np.int16), np.eye(4), sform=(moved, 4), qform=(np.eye(4), 1))
    with pytest.raises(UnsupportedFile, match=r"places it twice.*sform.*qform"):
        read(path)


def test_no_place_in_the_header_is_accepted(tmp_path):
    path = save(tmp_path / "a.nii.gz", np.zeros((4, 5, 6), np.int16), np.eye(4), sform=(None, 0), qform=(None, 0))
    assert read(path).grid.shape == (6, 5, 4)


@pytest.mark.parametrize("suffix", ["nii", "nii.gz", "nrrd", "mha"])
@pytest.mark.parametrize("part", [0.3, 0.9, 0.999])
def test_truncated_files_are_refused(tmp_path, suffix, part):
    noise = np.random.default_rng(0).normal(size=(20, 20, 20)).astype(np.float32)
    whole = tmp_path / f"a.{suffix}"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(noise), str(whole), useCompression=True)
    content = whole.read_bytes()
    whole.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(UnreadableFile, match=r"a\." + suffix):
        read(whole)


def test_a_flipped_bit_in_the_compressed_data_is_noticed(tmp_path):
    path = save(tmp_path / "a.nii.gz", np.random.default_rng(0).integers(0, 9, (20, 20, 20)).astype(np.int16))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)
    with pytest.raises(UnreadableFile, match="damaged"):
        read(path)


def test_bytes_in_several_gzip_members_are_one_file(tmp_path):
    plain = save(tmp_path / "a.nii", np.arange(60, dtype=np.int16).reshape(3, 4, 5)).read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(plain[:400]) + gzip.compress(plain[400:]))
    np.testing.assert_array_equal(read(tmp_path / "b.nii.gz").pixels, read(tmp_path / "a.nii").pixels)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.nii.gz", b"", "empty"),
        ("a.nii.gz", b"\x89PNG\r\n\x1a\n" + b"0" * 400, "a PNG by its first bytes"),
        ("a.nii", b"\x1f\x8b" + b"0" * 400, "a gzip by its first bytes"),
        ("a.nrrd", b"hello", "nothing known"),
        ("a.mha", b"hello", "NDims"),
        ("a.xyz", b"%PDF-1.4", "a PDF"),
        ("a", b"hello", "expected NIfTI"),
        ("a.nii.gz", gzip.compress(b"hello", mtime=0), "damaged"),
    ],
)
def test_files_that_are_something_else(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableFile, match=says):
        read(tmp_path / name)


def test_a_missing_file():
    with pytest.raises(UnreadableFile, match="No such file"):
        read("/nowhere/a.nii.gz")


def test_nan_is_refused_with_the_file_named(tmp_path):
    array = np.zeros((4, 5, 6), np.float32)
    array[1, 2, 3] = np.nan
    with pytest.raises(InvalidImage, match=r"a\.nii\.gz.*1 NaN"):
        read(save(tmp_path / "a.nii.gz", array))


@pytest.mark.parametrize("suffix", ["nrrd", "mha", "nii"])
def test_nan_is_refused_in_every_format(tmp_path, suffix):
    array = np.zeros((4, 5, 6), np.float32)
    array[1, 2, 3] = np.inf
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), str(tmp_path / f"a.{suffix}"))
    with pytest.raises(InvalidImage, match="1 NaN or infinite"):
        read(tmp_path / f"a.{suffix}")


@pytest.mark.parametrize(("name", "data"), [("a.mhd", "a.raw"), ("a.nhdr", "a.raw")])
def test_headers_with_data_in_a_second_file(tmp_path, name, data):
    array = np.arange(120, dtype=np.int16).reshape(4, 5, 6)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), str(tmp_path / name))
    np.testing.assert_array_equal(read(tmp_path / name).pixels[0], array)
    (tmp_path / data).write_bytes(array.tobytes()[:100])
    with pytest.raises(UnreadableFile, match="cannot be read|damaged"):  # noqa: RUF043
        read(tmp_path / name)
    (tmp_path / data).unlink()
    with pytest.raises(UnreadableFile, match="no file"):
        read(tmp_path / name)


def test_a_sibling_with_the_other_suffix_does_not_matter(tmp_path):
    for value, name in ((1, "a.nii"), (2, "a.nii.gz")):
        save(tmp_path / name, np.full((2, 3, 4), value, np.int16))
    assert read(tmp_path / "a.nii").pixels.max() == 1
    assert read(tmp_path / "a.nii.gz").pixels.min() == 2


@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("version", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_every_type_order_and_version_of_nifti(tmp_path, kind, order, version):
    array = np.arange(60).reshape(3, 4, 5).astype(kind)
    affine = make_affine((0.3, -0.2, 0.1), (-1, 1, 1), (0.5, 0.75, 6.5), (-91.5, 40.25, 12.0))
    header = version.header_class(endianness=order)
    header.set_data_dtype(kind)
    nibabel.save(version(array, affine, header), tmp_path / "a.nii.gz")
    image = read(tmp_path / "a.nii.gz")
    assert image.pixels.dtype == kind
    np.testing.assert_array_equal(image.pixels[0].T, array)
    np.testing.assert_allclose(nibabel_affine(image.grid), affine, atol=1e-5)


def test_complex_numbers_are_refused(tmp_path):
    with pytest.raises(UnsupportedFile, match="magnitudes"):
        read(save(tmp_path / "a.nii", np.zeros((3, 4, 5), np.complex64)))


def test_labels_stored_as_whole_floats_are_labels(tmp_path):
    labels = np.zeros((4, 5, 6), np.float32)
    labels[1, 2, 3] = 300
    mask = read_segmentation(save(tmp_path / "a.nii.gz", labels))
    assert mask.labels.dtype == np.uint16
    assert mask.labels[3, 2, 1] == 300
    assert not mask.names


@pytest.mark.parametrize(("value", "says"), [(0.5, "fractions"), (-1, "from -1"), (np.nan, "NaN")])
def test_other_values_are_no_labels(tmp_path, value, says):
    labels = np.zeros((4, 5, 6), np.float32)
    labels[1, 2, 3] = value
    with pytest.raises(InvalidSegmentation, match=says):
        read_segmentation(save(tmp_path / "a.nii.gz", labels))


def test_a_header_that_announces_more_than_there_is(tmp_path):
    path = tmp_path / "absurd.nii"
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4)), path)
    content = bytearray(path.read_bytes())
    content[42:48] = np.array([30000] * 3, "<i2").tobytes()
    path.write_bytes(content)
    with pytest.raises(UnreadableFile, match=r"absurd.nii.*announces"):
        read(path)
