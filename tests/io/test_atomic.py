import errno
import os
from pathlib import Path

import pytest

from promisam.core.errors import UnwritableOutput
from promisam.io.atomic import atomic_path, atomic_text, full_suffix


def test_parents_are_created_and_nothing_else_is_left(tmp_path):
    target = tmp_path / "a" / "b" / "x.nii.gz"
    with atomic_path(target) as temporary:
        assert temporary.name.endswith(".nii.gz")
        assert temporary.parent == target.parent
        temporary.write_bytes(b"whole")
        assert not target.exists()
    assert target.read_bytes() == b"whole"
    assert list(target.parent.iterdir()) == [target]


def test_whoever_reads_the_old_file_is_not_disturbed(tmp_path):
    target = atomic_text(tmp_path / "x.txt", "old")
    with target.open() as reader:
        atomic_text(target, "new")
        assert reader.read() == "old"
    assert target.read_text() == "new"


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, RuntimeError, SystemExit])
def test_an_interruption_leaves_the_old_file_and_no_other(tmp_path, interruption):
    target = atomic_text(tmp_path / "x.txt", "old")

    def write_half():
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise interruption

    with pytest.raises(interruption):
        write_half()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UnwritableOutput, match=r"x\.txt \(disk full\)"):
        atomic_text(tmp_path / "x.txt", "text")
    assert not list(tmp_path.iterdir())


def test_a_read_only_folder_is_named(tmp_path, monkeypatch):
    def read_only(self, *args, **kwargs):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "write_text", read_only)
    with pytest.raises(UnwritableOutput, match=r"x\.txt \(Read-only file system\)"):
        atomic_text(tmp_path / "x.txt", "text")


@pytest.mark.parametrize("path", ["/proc/x.txt", "/proc/new/x.txt", "/sys/x.txt"])
def test_places_that_take_no_files(path):
    with pytest.raises(UnwritableOutput, match=path):
        atomic_text(path, "text")


def test_a_file_in_place_of_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UnwritableOutput, match=r"x\.txt"):
        atomic_text(tmp_path / "file" / "x.txt", "text")


@pytest.mark.parametrize("special", [".", "/dev/null"])
def test_folders_and_devices_are_never_replaced(special):
    with pytest.raises(UnwritableOutput, match=r"folder|device"):
        atomic_text(special, "text")
    assert not Path(special).is_file()


def test_a_link_is_followed(tmp_path):
    real = atomic_text(tmp_path / "real.txt", "old")
    (tmp_path / "link.txt").symlink_to(real)
    atomic_text(tmp_path / "link.txt", "new")
    assert real.read_text() == "new"
    assert (tmp_path / "link.txt").is_symlink()


@pytest.mark.parametrize(
    ("name", "suffix"), [("a.1.nii.gz", ".nii.gz"), ("A.NII.GZ", ".nii.gz"), ("a.b.png", ".png"), ("a", "")]
)
def test_full_suffix(name, suffix):
    assert full_suffix(name) == suffix
