"""What `write` makes and refuses."""

import errno
import os
import resource
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK
from PIL import Image as Pillow

from promisam.core import Grid, Segmentation
from promisam.core.errors import UnwritableOutput
from promisam.io import itk_files, mask_coding, pictures, read_segmentation, write

PICTURE = Grid.of_picture((6, 9))
VOLUME = Grid.from_itk((9, 6, 4), (0.5, 0.5, 3.0), (1.0, 2.0, 3.0), np.eye(3))


def picture(*values, names=None):
    labels = np.zeros((6, 9), np.int64)
    labels.flat[3 : 3 + len(values)] = values
    return Segmentation(labels, PICTURE, names or {})


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
@pytest.mark.parametrize(
    ("segmentation", "stored"),
    [
        (picture(1, 1), {0, 255}),
        (picture(names={1: "liver"}), {0}),
        (picture(1, names={1: "liver", 2: "spleen"}), {0, 1}),
        (picture(1, 2, 7), {0, 1, 2, 7}),
        (picture(2), {0, 2}),
    ],
)
def test_pictures_are_coded_as_documented_and_come_back(tmp_path, suffix, segmentation, stored):
    path = write(tmp_path / f"m{suffix}", segmentation)
    content = np.asarray(Pillow.open(path))
    assert content.dtype == np.uint8
    assert set(np.unique(content).tolist()) == stored
    for value, coded in mask_coding(path, segmentation).items():
        np.testing.assert_array_equal(content == coded, segmentation.labels == value)
    np.testing.assert_array_equal(read_segmentation(path).labels, segmentation.labels)


def test_many_labels_take_16_bits(tmp_path):
    for values in ((1, 300), (255,)):
        path = write(tmp_path / "m.png", picture(*values))
        assert np.asarray(Pillow.open(path)).dtype == np.uint16
        np.testing.assert_array_equal(read_segmentation(path).labels, picture(*values).labels)
    with pytest.raises(UnwritableOutput, match=r"labels up to 300.*up to 255"):
        write(tmp_path / "m.bmp", picture(1, 300))
    with pytest.raises(UnwritableOutput, match=r"up to 65535"):
        write(tmp_path / "m.png", picture(70000))


def test_the_smallest_type_is_stored(tmp_path):
    for top, kind in ((1, np.uint8), (300, np.uint16), (70000, np.uint32)):
        labels = np.zeros((4, 6, 9), np.int64)
        labels[1, 2, 3] = top
        path = write(tmp_path / "m.nrrd", Segmentation(labels, VOLUME))
        assert SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path)).dtype == kind
        np.testing.assert_array_equal(read_segmentation(path).labels, labels)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_empty_masks_are_written(tmp_path, suffix):
    back = read_segmentation(write(tmp_path / f"m{suffix}", Segmentation(np.zeros((4, 6, 9), np.uint8), VOLUME)))
    assert back.grid.matches(VOLUME)
    assert not back.labels.any()


def test_a_stack_without_scale_may_be_a_tiff(tmp_path):
    stack = Grid((4, 6, 9), np.eye(4)[:, [2, 1, 0, 3]], "px")
    labels = np.arange(216, dtype=np.uint8).reshape(4, 6, 9) % 3
    back = read_segmentation(write(tmp_path / "m.tif", Segmentation(labels, stack)))
    np.testing.assert_array_equal(back.labels, labels)
    assert back.grid == stack


@pytest.mark.parametrize("name", ["m.png", "m.tif", "m.bmp"])
def test_volumes_are_no_pictures(tmp_path, name):
    with pytest.raises(UnwritableOutput, match=r"9 x 6 x 4 samples.*\.nii\.gz"):
        write(tmp_path / name, Segmentation(np.zeros((4, 6, 9), np.uint8), VOLUME))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("m.jpg", "lossy"),
        ("m.jpeg", "lossy"),
        ("m.mhd", "two files"),
        ("m.gif", "names no known format"),
        ("m", "without a suffix"),
        ("m.gz", "names no known format"),
        ("m.dcm", "without its source images"),
    ],
)
def test_unsuitable_names_are_refused_before_anything_is_made(tmp_path, name, says):
    with pytest.raises(UnwritableOutput, match=says):
        write(tmp_path / "new" / name, picture(1))
    assert not list(tmp_path.iterdir())


def test_parents_are_made_and_folders_refused(tmp_path):
    assert write(tmp_path / "a" / "b.png", picture(1)).is_file()
    (tmp_path / "c.png").mkdir()
    with pytest.raises(UnwritableOutput, match=r"c\.png, which is a folder"):
        write(tmp_path / "c.png", picture(1))


@pytest.mark.parametrize("name", ["m.nii.gz", "m.nrrd", "m.mha", "m.png", "m.tif", "m.bmp"])
@pytest.mark.parametrize("place", ["/proc/nowhere", "file"])
def test_places_that_take_no_files(tmp_path, name, place):
    (tmp_path / "file").write_text("")
    with pytest.raises(UnwritableOutput, match=name.replace(".", r"\.")):
        write(tmp_path / place / name, picture(1))


@pytest.mark.parametrize(("name", "reader"), [("m.nii.gz", "read_nifti"), ("m.nrrd", "read_itk")])
def test_what_reads_back_differently_is_not_kept(tmp_path, monkeypatch, name, reader):
    honest = getattr(itk_files, reader)
    other_labels = lambda labels, grid: (labels * 0, grid)  # noqa: E731
    other_place = lambda labels, grid: (labels, grid.pad((0, 0), (0, 1)))  # noqa: E731
    for change in (other_labels, other_place):
        monkeypatch.setattr(itk_files, reader, lambda *a, change=change: change(*honest(*a)))
        with pytest.raises(UnwritableOutput, match="reads back differently"):
            write(tmp_path / name, picture(1))
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["m.nii.gz", "m.nrrd", "m.mha", "m.png"])
def test_ctrl_c_in_the_middle_leaves_the_old_file(tmp_path, monkeypatch, name):
    old = write(tmp_path / name, picture(1)).read_bytes()

    def interrupted(path, *rest):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(itk_files, "write_itk", interrupted)
    monkeypatch.setattr(pictures, "write_picture", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / name, picture(1, 2))
    assert (tmp_path / name).read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["m.nii.gz", "m.nii", "m.nrrd", "m.mha", "m.png", "m.tif"])
def test_a_disk_that_fills_up_leaves_nothing(tmp_path, name):
    """The operating system stops the file at 4 kB, as a full disk would; in a process of its own."""
    code = f"""
import numpy as np, resource, signal
from promisam.core import Grid, Segmentation
from promisam.core.errors import UnwritableOutput
from promisam.io import write
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
labels = np.random.default_rng(0).integers(0, 250, (300, 300)).astype(np.uint8)
write({str(tmp_path / ("whole-" + name))!r}, Segmentation(labels, Grid.of_picture(labels.shape)))
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, {resource.RLIM_INFINITY}))
try:
    write({str(tmp_path / name)!r}, Segmentation(labels, Grid.of_picture(labels.shape)))
except UnwritableOutput as error:
    print("refused:", error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"refused: the output {tmp_path / name} (" in done.stdout, done.stdout + done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["whole-" + name]


def test_a_full_disk_is_called_so(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for name in ("m.nii.gz", "m.png"):
        with pytest.raises(UnwritableOutput, match="disk full"):
            write(tmp_path / name, picture(1))
    assert not list(tmp_path.iterdir())
