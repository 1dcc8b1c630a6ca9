"""What damaged files were once seen to do, each as small as it can be."""

from __future__ import annotations

import gzip
import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from PIL import Image as Pillow

from command_line import promisam
from dicom_maker import make_series
from promisam.core import Grid
from promisam.core.errors import GeometryError, PromisamError, UnreadableFile, UnsupportedFile, WeightsError
from promisam.io import find_cases, read, read_prompts, split_cases
from promisam.io.native import unheard
from promisam.runs.record import read_record
from promisam.sam.checkpoint import read_state
from promisam.training.checkpoint import read_header
from robustness.sound_files import bomb_nifti, described, volume

META = b"ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (b"NDims = 3", b"NDims = -1", "NDims"),  # SimpleITK: segmentation fault
        (b"NDims = 3", b"NDims = 99999999", "NDims"),
        (b"DimSize = 2 2 2", b"DimSize = -3 4 5", "DimSize"),
        (b"DimSize = 2 2 2", b"DimSize = nan 2 2", "DimSize"),
        (b"NDims = 3", b"NDims = 3\nElementSpacing = nan 1 1", "ElementSpacing"),
        (b"NDims = 3", b"NDims = 3\nTransformMatrix = 1 0 0", "TransformMatrix"),
        (b"MET_UCHAR", b"MET_STRING", "ElementType"),
        (b"LOCAL", b"/dev/zero", "no file"),
        (b"DimSize = 2 2 2", b"DimSize = 20000 20000 2000", "announces"),
    ],
)
def test_headers_of_metaimage(tmp_path, old, new, says):
    path = tmp_path / "a.mha"
    path.write_bytes(META + bytes(8))
    assert read(path).grid.shape == (2, 2, 2)
    path.write_bytes(META.replace(old, new) + bytes(8))
    with pytest.raises(UnreadableFile, match=says):
        read(path)


def test_libraries_print_nothing_of_their_own(tmp_path, capfd):
    path = tmp_path / "a.mha"
    path.write_bytes(META.replace(b"ElementType", b"CompressedData = True\nElementType") + b"no zlib at all")
    with pytest.raises(UnreadableFile):
        read(path)
    noise = np.random.default_rng(0).integers(0, 255, (50, 80), dtype=np.uint8)
    Pillow.fromarray(noise).save(tmp_path / "a.tif", compression="tiff_lzw")
    content = bytearray((tmp_path / "a.tif").read_bytes())
    content[1000:1020] = b"\xff" * 20
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(UnreadableFile):
        read(tmp_path / "a.tif")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("data", "sound"),
    [
        (zlib.compress(bytes(range(8))), True),
        (b"no zlib at all", False),  # SimpleITK: eight bytes of the process's own memory
        (zlib.compress(bytes(range(8)))[:-6], False),
        (zlib.compress(bytes(range(8)))[:-1] + b"x", False),
        (zlib.compress(b"abc"), False),
        (zlib.compress(bytes(9)), False),
    ],
)
def test_compressed_samples_of_metaimage(tmp_path, data, sound):
    path = tmp_path / "a.mha"
    path.write_bytes(META.replace(b"ElementType", b"CompressedData = True\nElementType") + data)
    if sound:
        assert read(path).pixels.ravel().tolist() == list(range(8))
    else:
        with pytest.raises(UnreadableFile, match="damaged"):
            read(path)


def test_nrrd_whose_gzip_is_none(tmp_path):
    path = tmp_path / "a.nrrd"
    head = b"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 2 2\nencoding: gzip\n\n"
    path.write_bytes(head + gzip.compress(bytes(range(8))))
    assert read(path).pixels.ravel().tolist() == list(range(8))
    path.write_bytes(head + b"no zlib at all")  # was read as samples
    with pytest.raises(UnreadableFile, match="gzip"):
        read(path)


def test_what_comes_after_is_heard(capfd):
    with unheard(), unheard():
        sys.__stderr__.flush()
    subprocess.run([sys.executable, "-c", "import os; os.write(2, b'heard')"], check=True)
    assert capfd.readouterr().err == "heard"


def test_a_gzip_bomb_takes_no_memory(tmp_path):
    path = tmp_path / "a.nii.gz"
    path.write_bytes(bomb_nifti((10_000, 10_000, 10_000), 0))
    with pytest.raises(UnreadableFile, match=r"announces 1000000000000"):
        read(path)


def test_more_than_the_machine_holds(tmp_path, monkeypatch):
    monkeypatch.setattr("promisam.io.room.memory", lambda: 1000)
    nibabel.save(nibabel.Nifti1Image(np.zeros((20, 20, 20), np.uint8), np.eye(4)), tmp_path / "a.nii.gz")
    with pytest.raises(UnsupportedFile, match="more than the memory of this machine"):
        read(tmp_path / "a.nii.gz")


def _nifti(path: Path, at: int, code: str, value: float) -> Path:
    nibabel.save(nibabel.Nifti1Image(volume().T, np.diag([1, 1, 2, 1.0])), path)
    content = bytearray(path.read_bytes())
    struct.pack_into(code, content, at, value)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("at", "code", "value", "says"),
    [
        (108, "<f", 0.0, "within the header"),  # the header itself was read as samples
        (108, "<f", -1.0, "within the header"),
        (280, "<f", 3e38, "affine"),
        (280, "<f", float("nan"), "no affine"),
        (280, "<f", 1e-44, "affine"),
    ],
)
def test_headers_of_nifti(tmp_path, at, code, value, says):
    with pytest.raises(UnreadableFile, match=says):
        read(_nifti(tmp_path / "a.nii", at, code, value))


def test_a_slope_beyond_whole_numbers_is_refused(tmp_path):
    path = _nifti(tmp_path / "a.nii", 112, "<f", 3e38)
    with pytest.raises(PromisamError, match="infinite"):
        read(path)
    path = _nifti(tmp_path / "b.nii", 112, "<f", 1e30)  # whole, and beyond 64 bits
    assert np.isfinite(read(path).pixels).all()
    assert read(path).pixels.dtype.kind == "f"


def test_scaled_whole_numbers_take_no_more_room_than_they_need(tmp_path):
    path = tmp_path / "a.nii"
    made = nibabel.Nifti1Image(volume().T, np.eye(4))
    made.header.set_slope_inter(1, -1024)
    nibabel.save(made, path)
    stored = nibabel.load(path)
    raw = np.asarray(stored.dataobj).T
    found = read(path).pixels[0]
    assert found.dtype == np.int16
    assert np.array_equal(found, raw)


def test_spacings_beyond_the_world_are_no_grid():
    with pytest.raises(GeometryError):
        Grid((2, 2, 2), np.diag([1e200, 1, 1, 1.0]))
    with pytest.raises(GeometryError):
        Grid((2, 2, 2), np.diag([1e-200, 1, 1, 1.0]))


@pytest.mark.parametrize("value", ["abc", "nan", "0"])
def test_a_slope_of_dicom_that_is_no_number_is_not_taken_for_one(tmp_path, value, monkeypatch):
    monkeypatch.setattr(pydicom.config.settings, "_writing_validation_mode", pydicom.config.IGNORE)
    path = make_series(tmp_path / "s", volume()[:1])[0]
    content = path.read_bytes()
    at = content.index(b"(\x00S\x10DS")
    length = struct.unpack_from("<H", content, at + 6)[0]
    padded = value.ljust(length + len(value) % 2 + (4 if len(value) > length else 0)).encode()
    path.write_bytes(content[: at + 6] + struct.pack("<H", len(padded)) + padded + content[at + 8 + length :])
    with pytest.raises(UnreadableFile, match="RescaleSlope"):
        read(path)


@pytest.mark.parametrize("more", range(4))  # whole words of four bytes are swallowed as one value, others are no value
def test_a_length_of_four_gigabytes_in_a_dicom_header(tmp_path, more):
    path = make_series(tmp_path / "s", volume()[:1])[0]
    content = path.read_bytes() + b"\0" * more
    path.write_bytes(content[:132] + b"\x02\x00\x00\x00\xff\xff\xff\xfe" + content[140:])
    with pytest.raises(UnreadableFile, match=r"header cannot be read|no image \(no SOP class\)"):
        read(path)


DEEP = "[" * 100_000


def test_json_nested_deeper_than_python_goes(tmp_path):
    sound = described(tmp_path)
    for name, reading in (
        ("run.json", lambda path: read_record(path.parent)),
        ("list.json", find_cases),
        ("split.json", lambda path: split_cases([("a", "", ""), ("b", "", "")], file=path)),
    ):
        sound[name].write_text(DEEP)
        with pytest.raises(UnreadableFile, match="nested"):
            reading(sound[name])


@pytest.mark.parametrize(("field", "value"), [("classes", 5), ("content", ["a"]), ("split", {"train": [1]}), ("labels", ["1"])])
def test_a_record_whose_parts_are_of_another_kind(tmp_path, field, value):
    path = described(tmp_path)["run.json"]
    told = json.loads(path.read_text())
    told["data"][field] = value
    path.write_text(json.dumps(told))
    with pytest.raises(UnreadableFile, match="record of a run"):
        read_record(path.parent)
    path.write_text("5")
    with pytest.raises(UnreadableFile, match="record of a run"):
        read_record(path.parent)


def test_a_message_does_not_repeat_a_whole_file(tmp_path):
    path = tmp_path / "p.json"
    path.write_text(json.dumps({"coordinates": "x" * 100_000}))
    with pytest.raises(PromisamError) as caught:
        read_prompts(path, Grid.of_picture((5, 5)))
    assert len(str(caught.value)) < 1500


def test_headers_of_checkpoints(tmp_path):
    from safetensors.torch import save_file
    from torch import zeros

    sound = {"format": "1", "method": "unet", "options": {}, "task": {"classes": ["a"]}, "backbone": None, "version": "1"}
    for told in ({**sound, "task": None}, {**sound, "task": {"ndim": "two"}}, {**sound, "options": []}, [], {"format": "1"}):
        save_file({"a": zeros(1)}, tmp_path / "m.safetensors", metadata={"promisam": json.dumps(told)})
        with pytest.raises(WeightsError, match="header is damaged"):
            read_header(tmp_path / "m.safetensors")
    save_file({"a": zeros(1)}, tmp_path / "m.safetensors", metadata={"promisam": json.dumps(sound)})
    assert read_header(tmp_path / "m.safetensors").method == "unet"


@pytest.mark.parametrize("content", [b"\x80\x02.", b"\x80\x02}q\x00.", b"\x80\x02K\x05(", b"\x80\x02\x8a\xff"])
def test_pickles_cut_anywhere(tmp_path, content):
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(WeightsError):
        read_state(tmp_path / "a.pth")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(UnreadableFile, match="pipe"):
        read(tmp_path / "a.png")
    with pytest.raises(WeightsError, match="no file"):
        read_state(tmp_path / "a.png")


def test_a_link_to_itself_is_refused_in_one_line(tmp_path, capsys):
    Pillow.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    done = promisam(capsys, "segment", tmp_path / "a.png", "--box", "1,1,5,5", "-o", tmp_path / "loop.png", "--offline")
    assert done.status == 2
    assert len(done.err.strip().splitlines()) == 1
    assert "loop" in done.err
