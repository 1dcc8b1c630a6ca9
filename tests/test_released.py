"""The authors' weights as a folder that is used like a run."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image as Picture
from safetensors.torch import save_file

import tiny_sam
from command_line import promisam
from promisam import load
from promisam.core import Prompts
from promisam.core.errors import InvalidConfig, UnwritableOutput, WeightsError
from promisam.io import read
from promisam.methods.promise2d.pattern_shift import PatternShift
from promisam.store import Source, import_released
from promisam.training.checkpoint import read_header


@pytest.fixture
def released(tmp_path):
    """What a trainer of the release saves: a whole SAM that is nobody else's, and the shift beside it."""
    torch.manual_seed(3)
    shift = PatternShift(32, 4, zero=False)
    state = tiny_sam.tiny().state_dict() | {f"ips_ffn.{k}": v for k, v in shift.state_dict().items()}
    path = tmp_path / "IPS_GT.pth"
    torch.save(state, path)
    return path, shift


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "view.png"
    Picture.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)).save(path)
    return path


def answers(method, image):
    method_image = method.prepare(image)
    prompts = Prompts(image.grid).click((10, 20)).click((30, 50), False)
    return method.decode(method.encode(method_image), prompts).logits


def test_imported_weights_answer_as_the_file_says_wherever_the_folder_lies(tmp_path, released, picture):
    file, shift = released
    header = import_released("promise2d", file, tmp_path / "run", ("polyp",))
    assert header.options["mode"] == "ips"
    assert header.facts["imported"] == "IPS_GT.pth"
    shutil.move(tmp_path / "run", tmp_path / "elsewhere")
    method = load(method=tmp_path / "elsewhere", device="cpu")
    assert method.classes == ("polyp",)
    for name, value in shift.state_dict().items():
        assert torch.equal(method.network.shift.state_dict()[name], value)
    for name, value in tiny_sam.tiny().state_dict().items():
        assert torch.equal(method.sam.state_dict()[name], value)
    found = answers(method, read(picture))
    with torch.no_grad():
        method.network.shift.lin2.bias += 1
    assert not np.allclose(answers(method, read(picture)), found)  # so the shift had its part in them


def test_by_the_command_line(capsys, tmp_path, released, picture):
    file, _ = released
    run = tmp_path / "run"
    done = promisam(capsys, "import", "promise2d", str(file), "-o", str(run), "--class", "polyp")
    assert done.status == 0, done.text
    assert read_header(run / "model.safetensors").task.classes == ("polyp",)
    mask = tmp_path / "mask.png"
    words = ["segment", str(picture), "--method", str(run), "--point", "20,10", "--device", "cpu", "-o", str(mask), "--json"]
    done = promisam(capsys, *words)
    assert done.status == 0, done.text
    assert json.loads(done.out)
    assert Picture.open(mask).size == (60, 40)


def test_the_sam_is_referred_to_where_it_is_the_very_same(tmp_path, released):
    file, _ = released
    same = tmp_path / "sam.safetensors"
    save_file({k: v.contiguous() for k, v in tiny_sam.tiny().state_dict().items()}, same)
    import_released("promise2d", file, tmp_path / "run", source=Source(same, "cpu", "sam_vit_b"))
    assert not (tmp_path / "run" / "sam.safetensors").exists()
    assert load(method=tmp_path / "run", device="cpu").automatic is False
    other = tmp_path / "other.safetensors"
    save_file({k: v.contiguous() for k, v in tiny_sam.tiny(seed=1).state_dict().items()}, other)
    with pytest.raises(WeightsError, match="fingerprint"):
        import_released("promise2d", file, tmp_path / "run2", source=Source(other, "cpu", "sam_vit_b"))
    assert not (tmp_path / "run2").exists()


def test_refusals_leave_nothing_behind(tmp_path, released):
    file, _ = released
    alone = tmp_path / "sam.pth"
    torch.save(tiny_sam.tiny().state_dict(), alone)
    with pytest.raises(WeightsError, match="SAM alone"):
        import_released("promise2d", alone, tmp_path / "run")
    with pytest.raises(InvalidConfig, match="unet"):
        import_released("unet", file, tmp_path / "run")
    with pytest.raises(UnwritableOutput):
        import_released("promise2d", file, tmp_path)
    assert not (tmp_path / "run").exists()


def test_a_file_without_its_sam_and_a_truncated_one_say_so(capsys, tmp_path, released):
    file, shift = released
    alone, cut = tmp_path / "alone.pth", tmp_path / "cut.pth"
    torch.save({f"ips_ffn.{k}": v for k, v in shift.state_dict().items()}, alone)
    cut.write_bytes(file.read_bytes()[:-400])
    for path, message in (
        (alone, "a checkpoint of ProMISe-2D without its SAM"),
        (cut, "cut.pth, which is damaged or not a weight file ("),
    ):
        done = promisam(capsys, "import", "promise2d", str(path), "-o", str(tmp_path / "run"))
        assert done.status == 2
        assert message in done.text
        assert not (tmp_path / "run").exists()
