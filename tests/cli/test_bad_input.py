"""Every refusal of the command line: status 2, one line that says what to do, no traceback, nothing left behind."""

from __future__ import annotations

import errno
import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from promisam.cli.main import run

pytestmark = pytest.mark.weights
BOX = ("--box", "2,3,20,30")


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path, monkeypatch, litemedsam):
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    rng = np.random.default_rng(0)
    Pillow.fromarray(rng.integers(0, 255, (48, 32, 3), np.uint8)).save("picture.png")
    nibabel.save(
        nibabel.Nifti1Image(rng.normal(size=(32, 48, 90)).astype(np.float32), np.diag([1, 1, 3, 1.0])), "volume.nii.gz"
    )


def refused(*words, capsys, saying):
    """Run, expect a refusal, and check its manners."""
    before = sorted(p for p in Path().rglob("*"))
    with pytest.raises(SystemExit) as stop:
        run([str(word) for word in words])
    printed = capsys.readouterr()
    assert stop.value.code == 2, printed
    assert printed.out == ""
    lines = printed.err.strip().splitlines()
    assert len(lines) == 1, printed.err
    assert lines[0].startswith("promisam: ")
    assert "Traceback" not in printed.err
    for part in [saying] if isinstance(saying, str) else saying:
        assert part in lines[0]
    assert sorted(p for p in Path().rglob("*")) == before
    return lines[0]


def segment(image, *words, capsys, saying):
    return refused("segment", image, *words, "--offline", capsys=capsys, saying=saying)


class Payload:
    """Something that would leave a trace if a weight file were unpickled."""

    def __reduce__(self):
        return os.system, ("touch executed",)


def save_volume(array, name="bad.nii.gz"):
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), name)
    return name


def test_truncated_images(capsys):
    for name in ("picture.png", "volume.nii.gz"):
        whole = Path(name).read_bytes()
        Path(f"cut_{name}").write_bytes(whole[: len(whole) // 2])
        segment(f"cut_{name}", *BOX, capsys=capsys, saying=f"cut_{name}")


def test_not_an_image(capsys):
    for name in ("notes.png", "notes.nii.gz", "notes.dcm", "notes.txt", "empty.png"):
        Path(name).write_text("" if name == "empty.png" else "only text, quite long " * 50)
        segment(name, *BOX, capsys=capsys, saying=name)


def test_missing_path_and_folder_without_images(capsys):
    segment("nowhere.png", *BOX, capsys=capsys, saying="nowhere.png")
    Path("bare").mkdir()
    segment("bare", *BOX, capsys=capsys, saying="bare")


def test_wrong_suffix(capsys):
    Path("picture.png").rename("disguised.nii.gz")
    segment("disguised.nii.gz", *BOX, capsys=capsys, saying="PNG")


def test_a_time_series(capsys):
    name = save_volume(np.zeros((8, 9, 3, 4), np.int16))
    segment(name, *BOX, capsys=capsys, saying=("4", "8"))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_numbers(capsys, value):
    array = np.ones((32, 48, 5), np.float32)
    array[3, 4, 2] = value
    segment(save_volume(array), "--box", "2,3,1,20,30,1", capsys=capsys, saying="NaN or infinite")


def test_zero_size(capsys):
    segment(save_volume(np.zeros((0, 48, 5), np.float32)), "--box", "2,3,1,20,30,1", capsys=capsys, saying="bad.nii.gz")


@pytest.mark.parametrize(
    ("words", "saying"),
    [
        (("--box", "2,3,40,30"), ("40,30", "x 0 to 31")),
        (("--box", "20,30,2,3"), "inverted"),
        (("--box", "5,5,5,9"), "empty"),
        (("--box", "2,3,x,30"), "4 numbers"),
        (("--box", "2,3,30"), "4 numbers"),
        (("--box", "2,3,1,20,30,2"), "coordinates"),
        (("--box", "2,3,nan,30"), "finite"),
        (("--point", "99,3"), "99,3"),
        (("--point", "a,3"), "x,y"),
        ((), "no prompt"),
        (("--box", "2,3,20,30", "--box", "2,3,9,9", "--point", "5,5"), "beside 2 boxes"),
        (("--box", "2,3,20,30", "--label", "a", "--label", "b"), "2 names"),
        ((*BOX, "--world"), "world"),
        ((*BOX, "--window", "lungs"), "lung"),
        ((*BOX, "--window", "40,-5"), "width"),
        ((*BOX, "--device", "tpu"), "tpu"),
        ((*BOX, "--precision", "float8"), "float8"),
        ((*BOX, "--method", "plain_sma"), "plain_sam"),
        ((*BOX, "--method", "no.such:Thing"), "no.such"),
        ((*BOX, "--weights", "litemedsma"), "litemedsam"),
        ((*BOX, "--weights", "missing.pth"), "missing.pth"),
        ((*BOX, "-o", "mask.jpg"), "lossy"),
        ((*BOX, "-o", "."), "folder"),
        ((*BOX, "--label", " "), "label"),
        ((*BOX, "--window", "1e308,1.7e308"), "window"),
        ((*BOX, "-o", "mask.xyz"), ".xyz"),
        ((*BOX, "-o", "mask"), "suffix"),
        ((*BOX, "--preview", "p.gif"), "p.gif"),
        ((*BOX, "--nonsense"), "nonsense"),
        ((*BOX, "-o", "m.png", "--preview", "m.png"), "two files"),
        ((*BOX, "--preview", "picture.png/p.png"), "p.png"),
        ((*BOX, "-o", "m.dcm"), "DICOM"),
        ((*BOX, "--series", "4"), "series"),
    ],
)
def test_prompts_and_options(capsys, words, saying):
    segment("picture.png", *words, capsys=capsys, saying=saying)


def test_a_click_in_a_volume_is_refused_before_any_work(capsys):
    boxes_only = ("--weights", "litemedsam")
    segment("volume.nii.gz", "--point", "5,6,40", *boxes_only, capsys=capsys, saying=("never learned", "promisam-click"))
    words = ("--box", "2,3,40,20,30,40", "--point", "5,6,60")
    segment("volume.nii.gz", *words, *boxes_only, capsys=capsys, saying="never learned")


def test_a_volume_mask_into_a_picture(capsys):
    segment("volume.nii.gz", "--box", "2,3,1,20,30,2", "-o", "mask.png", capsys=capsys, saying="volume")


@pytest.mark.parametrize(
    ("content", "saying"),
    [
        ("no json", "prompts.json"),
        ({"objects": [{"boxx": [1, 2, 3, 4]}]}, "box"),
        ({"objects": [{"box": [1, "two", 3, 4]}]}, "two"),
        ({"objects": []}, "object"),
        ('{"objects": [{"box": [1, 2, 3, 4], "box": [5, 6, 7, 8]}]}', "twice"),
        ({"objects": [{"mask": "other.png"}]}, "grid"),
        ({"objects": [{"mask": "two.png"}]}, "labels 1, 3"),
        ({"objects": [{"mask": "a\0b"}]}, "mask"),
        ({"objects": [{"label": "a\ud800", "box": [1, 2, 3, 4]}]}, "label"),
        ({"objects": [{"box": [10**400, 2, 3, 4]}]}, "too large"),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_prompt_files(capsys, content, saying):
    Pillow.fromarray(np.full((20, 20), 255, np.uint8)).save("other.png")
    Pillow.fromarray(np.arange(48 * 32, dtype=np.uint8).reshape(48, 32) % 2 * 2 + 1).save("two.png")
    Path("prompts.json").write_text(content if isinstance(content, str) else json.dumps(content))
    segment("picture.png", "--prompts", "prompts.json", capsys=capsys, saying=saying)


def test_weight_files(capsys, litemedsam):
    whole = litemedsam.read_bytes()
    Path("cut.pth").write_bytes(whole[: len(whole) // 3])
    Path("text.pth").write_text("not weights")
    torch.save({"fc.weight": torch.zeros(3, 4)}, "foreign.pth")
    state = torch.load(litemedsam, weights_only=True)
    torch.save({k: v for k, v in state.items() if not k.startswith("mask_decoder.iou_token")}, "partial.pth")
    for name, saying in (("cut", "damaged"), ("text", "damaged"), ("foreign", "classifier"), ("partial", "iou_token")):
        segment("picture.png", *BOX, "--weights", f"{name}.pth", "--like", "litemedsam", capsys=capsys, saying=saying)
    segment("picture.png", *BOX, "--weights", "foreign.pth", capsys=capsys, saying=("--like", "SHA-256"))
    torch.save({k: v + 0 for k, v in state.items()}, "own.pth")
    words = ["--weights", "own.pth", "--like", "sam_vit_b"]
    segment("picture.png", *BOX, *words, capsys=capsys, saying=("tinyvit", "256", "vit_b"))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_weight_file_that_carries_code_does_not_run_it(capsys, zipped):
    if zipped:
        torch.save({"image_encoder.pos_embed": Payload()}, "evil.pth")
    else:
        Path("evil.pth").write_bytes(pickle.dumps(Payload()))
    segment("picture.png", *BOX, "--weights", "evil.pth", "--like", "sam_vit_b", capsys=capsys, saying="evil.pth")
    assert not Path("executed").exists()


def test_output_folder_that_cannot_be_written(capsys):
    Path("file").write_text("in the way")
    segment("picture.png", *BOX, "-o", "file/mask.png", capsys=capsys, saying="file/mask.png")
    if Path("/proc/self").exists():
        segment("picture.png", *BOX, "-o", "/proc/mask.png", capsys=capsys, saying="/proc/mask.png")


def test_full_disk(capsys, monkeypatch):
    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    segment("picture.png", *BOX, capsys=capsys, saying="full")


TELLING = """
import sys
from promisam.cli.main import run
from promisam.methods.plain_sam import PlainSam
encode = PlainSam.encode
def telling(self, image):
    print("encoding", flush=True)
    return encode(self, image)
PlainSam.encode = telling
run(sys.argv[1:])
"""


def test_interrupt_in_the_middle(litemedsam):
    command = [sys.executable, "-c", TELLING, "segment", "volume.nii.gz", "--box", "2,3,0,20,30,89", "--offline"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "encoding\n"  # the first of ninety slices
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert err.strip().splitlines() == ["promisam: interrupted; no file was left half-written"]
    assert sorted(p.name for p in Path().iterdir()) == ["picture.png", "volume.nii.gz"]


def test_debug_shows_the_traceback(capsys):
    with pytest.raises(Exception, match="off the image"):
        run(["segment", "picture.png", "--box", "2,3,99,30", "--offline", "--debug"])
