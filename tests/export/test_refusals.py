"""What cannot be exported, and files that cannot be used: one line that says what to do, and no file left behind."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from command_line import promisam
from promisam import export, store
from promisam.core import Grid, Prompts, Task
from promisam.core.errors import InvalidConfig, UnsupportedPrompt, UnwritableOutput, WeightsError
from promisam.export.comparing import Compared, compared
from promisam.sam.checkpoint import write_state
from promisam.training.checkpoint import MODEL, write_checkpoint
from tiny_sam import tiny


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A tiny SAM's weights that know boxes alone, in two files."""
    folder = tmp_path_factory.mktemp("exported")
    write_state(folder / "tiny.safetensors", dict(tiny("vit", 3).state_dict()))
    source = store.Source(device="cpu", like="medsam_vit_b")
    export.export(folder / "tiny.safetensors", folder / "a.onnx", sam=source)
    export.export(folder / "tiny.safetensors", folder / "small.onnx", sam=source, int8=True)
    return folder


@pytest.fixture
def image(tmp_path):
    Pillow.fromarray(np.zeros((20, 30), np.uint8)).save(tmp_path / "image.png")
    return tmp_path / "image.png"


def test_kinds_of_prompt_that_the_weights_never_learned(exported):
    method = export.load(exported / "a.onnx")
    assert method.accepts == {"box"}
    with pytest.raises(UnsupportedPrompt, match="never learned"):
        method.check(Grid.of_picture((20, 30)), Prompts(Grid.of_picture((20, 30))).click((3, 3)))


def test_files_that_are_no_export(exported, tmp_path, image, capsys):
    whole = (exported / "a.encoder.onnx").read_bytes()
    (tmp_path / "a.decoder.onnx").write_bytes((exported / "a.decoder.onnx").read_bytes())
    for content, words in ((b"not a model", "undamaged ONNX file"), (whole[: len(whole) // 2], "undamaged ONNX file")):
        (tmp_path / "a.encoder.onnx").write_bytes(content)
        answer = promisam(capsys, "segment", image, "--box", "2,2,9,9", "--method", tmp_path / "a.onnx")
        assert answer.status == 2
        assert words in answer.err
        assert "a.encoder.onnx" in answer.err
        assert len(answer.err.splitlines()) == 1
    assert not (tmp_path / "image_mask.png").exists()
    answer = promisam(capsys, "segment", image, "--box", "2,2,9,9", "--method", tmp_path / "absent.onnx")
    assert answer.status == 2
    assert "does not exist" in answer.err


def test_an_onnx_file_of_someone_else(exported, tmp_path):
    import onnx

    for part in ("encoder", "decoder"):
        model = onnx.load(exported / f"a.{part}.onnx")
        del model.metadata_props[:]
        onnx.save(model, tmp_path / f"a.{part}.onnx")
    with pytest.raises(WeightsError, match="does not say how to use it"):
        export.load(tmp_path / "a.onnx")
    onnx.helper.set_model_props(model, {"promisam": '{"format": "99"}'})
    onnx.save(model, tmp_path / "a.encoder.onnx")
    with pytest.raises(WeightsError, match="another format"):
        export.load(tmp_path / "a.onnx")


@pytest.mark.parametrize(
    ("part", "changed", "says"),
    [
        ("encoder", {"side": "x"}, "header that cannot be read"),
        ("encoder", {"mean": [0.5, 0.5]}, "header that cannot be read"),
        ("encoder", {"side": 64}, "its graph"),
        ("encoder", {"side": 10**9}, "its graph"),
        ("decoder", {"grid": 3}, "its graph"),
        ("decoder", None, "its graph"),
    ],
)
def test_a_header_that_does_not_fit_its_graph(exported, tmp_path, part, changed, says):
    import onnx

    for one in ("encoder", "decoder"):
        model = onnx.load(exported / f"a.{one}.onnx")
        told = json.loads(model.metadata_props[0].value)
        if one == part:
            told = {**told, "role": "encoder"} if changed is None else {**told, "frame": {**told["frame"], **changed}}
            onnx.helper.set_model_props(model, {"promisam": json.dumps(told)})
        onnx.save(model, tmp_path / f"a.{one}.onnx")
    with pytest.raises(WeightsError, match=says):
        export.load(tmp_path / "a.onnx")


def unet(folder):
    folder.mkdir()
    method, header = store.create("unet", Task(("a",), 2, 1, (1.0, 1.0), (20, 31)), store.Source(device="cpu"), {"width": 2})
    write_checkpoint(folder / MODEL, method.network, header)
    return folder


def test_an_export_of_the_other_kind_takes_the_place_of_the_former(exported, tmp_path):
    for part in ("a.encoder.onnx", "a.decoder.onnx"):
        (tmp_path / part).write_bytes((exported / part).read_bytes())
    run = unet(tmp_path / "run")
    with pytest.raises(UnwritableOutput, match="already there"):
        export.export(run, tmp_path / "a.onnx")
    export.export(run, tmp_path / "a.onnx", overwrite=True)
    assert sorted(path.name for path in tmp_path.glob("*.onnx")) == ["a.onnx"]
    assert export.load(tmp_path / "a.onnx").automatic
    (tmp_path / "a.encoder.onnx").write_bytes((exported / "a.encoder.onnx").read_bytes())
    with pytest.raises(InvalidConfig, match="two exports of one name"):
        export.load(tmp_path / "a.onnx")


def test_parts_of_different_exports(exported, tmp_path):
    (tmp_path / "a.encoder.onnx").write_bytes((exported / "a.encoder.onnx").read_bytes())
    (tmp_path / "a.decoder.onnx").write_bytes((exported / "small.decoder.onnx").read_bytes())
    with pytest.raises(WeightsError, match="different exports"):
        export.load(tmp_path / "a.onnx")


def test_a_method_that_cannot_be_exported(tmp_path, exported):
    source = store.Source(exported / "tiny.safetensors", "cpu", like="sam_vit_b")
    method, header = store.create("promise2d", Task(("lesion",), 2), source, {"points": 2})
    write_checkpoint(tmp_path / MODEL, method.network, header)
    with pytest.raises(InvalidConfig, match=r"promise2d.*interactive or unet"):
        export.export(tmp_path, tmp_path / "x.onnx")
    assert [path.name for path in tmp_path.iterdir()] == [MODEL]


def test_without_onnxruntime(exported, image, capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    words = ("--like", "sam_vit_b", "-o", tmp_path / "x.onnx")
    for answer in (
        promisam(capsys, "segment", image, "--box", "2,2,9,9", "--method", exported / "a.onnx"),
        promisam(capsys, "export", exported / "tiny.safetensors", *words),
    ):
        assert answer.status == 2
        assert "pip install 'promisam[onnx]'" in answer.err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--engine", "torch"), "--engine onnx"),
        (("--device", "cuda"), "expected cpu"),
        (("--precision", "bfloat16"), "expected float32"),
        (("--weights", "litemedsam"), "holds its weights"),
    ],
)
def test_what_does_not_go_with_an_export(exported, image, capsys, words, reason):
    answer = promisam(capsys, "segment", image, "--box", "2,2,9,9", "--method", exported / "a.onnx", *words)
    assert answer.status == 2
    assert reason in answer.err


def test_the_engine_with_a_method_that_is_no_file(image, capsys):
    answer = promisam(capsys, "segment", image, "--box", "2,2,9,9", "--method", "unet", "--engine", "onnx")
    assert answer.status == 2
    assert "--engine torch" in answer.err


def test_options_that_would_do_nothing(exported, tmp_path, capsys):
    words = ("--like", "sam_vit_b", "-o", tmp_path / "x.onnx", "--weights", "litemedsam")
    answer = promisam(capsys, "export", exported / "tiny.safetensors", *words)
    assert answer.status == 2
    assert "Leave it out" in answer.err
    answer = promisam(capsys, "export", unet(tmp_path / "run"), "-o", tmp_path / "x.onnx", "--int8")
    assert answer.status == 2
    assert "as large as before" in answer.err


def test_an_output_that_is_called_otherwise(exported, tmp_path, capsys):
    answer = promisam(capsys, "export", exported / "tiny.safetensors", "-o", tmp_path / "model.bin")
    assert answer.status == 2
    assert ".onnx" in answer.err


def test_a_graph_that_answers_something_else_is_refused():
    Compared(1e-4, 1.0, 0.0, 0.1, 0.1).check("encoder", "float32")
    for difference in (0.02, float("nan")):
        with pytest.raises(WeightsError, match="differs from the network"):
            Compared(difference, 1.0, 0.0, 0.1, 0.1).check("encoder", "float32")
        with pytest.raises(WeightsError, match="expected IoU"):
            Compared(0.0, 1.0, difference, 0.1, 0.1).check("decoder", "float32")


def test_answers_that_are_no_numbers_are_refused():
    right = [lambda: (torch.ones(1, 2), torch.ones(1)), lambda: (torch.ones(1, 2), torch.ones(1))]
    for wrong in ((torch.full((1, 2), torch.nan), torch.ones(1)), (torch.ones(1, 2), torch.full((1,), torch.nan))):
        with pytest.raises(WeightsError, match="differs"):
            compared(right, [lambda wrong=wrong: wrong, right[1]]).check("decoder", "int8")
