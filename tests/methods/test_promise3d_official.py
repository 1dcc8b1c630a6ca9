"""Released files of ProMISe-3D: their names in ours, their way into a run folder, refusals."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import tiny_sam
from command_line import promisam
from promisam import load
from promisam.core import Task
from promisam.core.errors import WeightsError
from promisam.methods.promise3d import Promise3d
from promisam.methods.promise3d.config import Config
from promisam.methods.promise3d.network import Network
from promisam.methods.promise3d.official import INTENSITIES, options_of, split_official
from promisam.methods.promise3d.vit import VolumeVit
from promisam.sam.checkpoint import read_state
from promisam.sam.picture import frozen
from promisam.sam.vit import VisionTransformer, VitShape
from promisam.store import Source, import_released

OPTIONS = {"mode": "official", "patch": 16, "neck": 16, "decoder": 8, "queries": 3, "prompt_mlp": 12}
THEIRS = (  # ours to theirs, written down apart from the code that is tested
    (r"encoder\.blocks\.(\d+)\.front", r"encoder_dict.blocks.\1.adapter"),
    (r"encoder\.blocks\.(\d+)\.back", r"encoder_dict.blocks.\1.adapter_back"),
    (r"encoder\.blocks\.(\d+)\.rel_pos_d", r"encoder_dict.blocks.\1.attn.rel_pos_d"),
    (r"encoder\.necks\.(\d)\.linear", r"encoder_dict.neck_3d.\1.0"),
    (r"encoder\.necks\.(\d)\.norm1", r"encoder_dict.neck_3d.\1.1"),
    (r"encoder\.necks\.(\d)\.conv", r"encoder_dict.neck_3d.\1.2"),
    (r"encoder\.necks\.(\d)\.norm2", r"encoder_dict.neck_3d.\1.3"),
    (r"encoder\.", r"encoder_dict."),
    (r"prompts\.layers\.(\d)\.queries", r"feature_dict.3.transformer.layers.\1.global_query"),
    (r"prompts\.layers\.(\d)\.image_attn", r"feature_dict.3.transformer.layers.\1.cross_attn_image_to_token"),
    (r"prompts\.", r"feature_dict.3.transformer."),
    (r"decoder\.branches\.0\.body", r"decoder_dict.mlahead.head2"),
    (r"decoder\.branches\.1\.body", r"decoder_dict.mlahead.head3"),
    (r"decoder\.branches\.2\.body", r"decoder_dict.mlahead.head4"),
    (r"decoder\.branches\.3\.body", r"decoder_dict.mlahead.head5"),
    (r"decoder\.branches\.0\.up", r"decoder_dict.mlahead.up2"),
    (r"decoder\.branches\.1\.up", r"decoder_dict.mlahead.up3"),
    (r"decoder\.branches\.2\.up", r"decoder_dict.mlahead.up4"),
    (r"decoder\.branches\.3\.up", r"decoder_dict.mlahead.up5"),
    (r"decoder\.mix", r"decoder_dict.cls_hao.0"),
    (r"decoder\.head\.2", r"decoder_dict.cls_hao.3"),
    (r"decoder\.path", r"decoder_dict.image_feature_extractor"),
)


@pytest.fixture(scope="module")
def network():
    found = Network(VolumeVit(frozen(tiny_sam.tiny()).image_encoder, Config(**OPTIONS)), Config(**OPTIONS))
    tiny_sam.randomise(found, 5)
    return found


@pytest.fixture(scope="module")
def content(network):
    """What a trainer of the release saves: three kinds of state dicts, and more."""
    state = {"encoder_dict": {}, "feature_dict": [{}, {}, {}, {}], "decoder_dict": {}}
    for name, value in network.state_dict().items():
        theirs = next((re.sub(a, b, name) for a, b in THEIRS if re.match(a, name)), None)
        if theirs is None:
            assert name == "intensity"
            continue
        part, rest = theirs.split(".", 1)
        into = state[part][3] if part == "feature_dict" else state[part]
        into[rest.removeprefix("3.")] = with_their_axes(name, value).clone()
    for name, value in tiny_sam.tiny().image_encoder.state_dict().items():
        if "norm" not in name and "neck" not in name:
            state["encoder_dict"][name] = value
    for number in range(3):
        state["encoder_dict"][f"blocks.{number}.attn.lr"] = torch.ones(())
        state["feature_dict"][number] = dict(state["feature_dict"][3])
    state["encoder_dict"]["blocks.0.attn_mask"] = torch.zeros(8, 4, 4)
    state["feature_dict"][3]["positional_encoding_gaussian_matrix"] = torch.zeros(3, 8)
    state["feature_dict"][3]["transformer.layers.0.cross_attn_token_to_image.q_proj.weight"] = torch.zeros(8, 16)
    moments = {"state": {0: {"exp_avg": torch.ones(3), "step": torch.tensor(5.0)}}, "param_groups": [{"lr": 1e-4}]}
    return {**state, "epoch": 7, "best_val_loss": np.float64(0.25), "encoder_opt": moments}


def with_their_axes(name, value):
    if name.endswith("slice_embed.weight"):
        return value[:, :, None, None]
    if name.endswith(("depth_embed", "queries")):
        return value[None]
    return value[:, :, None, None, None] if name.endswith("linear.weight") else value


@pytest.fixture
def released(tmp_path, content):
    path = tmp_path / "best.pth.tar"
    torch.save(content, path)
    return path


def flat(content):
    """As `read_state` gives it."""
    out = {}
    for part in ("encoder_dict", "decoder_dict"):
        out |= {f"{part}.{name}": value for name, value in content[part].items()}
    for number, state in enumerate(content["feature_dict"]):
        out |= {f"feature_dict.{number}.{name}": value for name, value in state.items()}
    return out


def test_a_file_of_several_state_dicts_is_read_without_running_anything(released, content):
    state = read_state(released)
    wanted = flat(content)
    assert wanted.keys() <= state.keys()
    assert all(torch.equal(state[name], value) for name, value in wanted.items())


def test_every_tensor_finds_its_place(network, released):
    sam, own = split_official(read_state(released), "lits")
    own_state = network.state_dict()
    assert own.keys() == own_state.keys()
    assert all(torch.equal(value, own_state[name]) for name, value in own.items() if name != "intensity")
    assert torch.equal(own["intensity"], INTENSITIES["lits"].tensor())
    whole = tiny_sam.tiny().state_dict()
    assert sam
    assert all(torch.equal(value, whole[name]) for name, value in sam.items())
    assert not any("norm" in name for name in sam)
    assert options_of(own) == OPTIONS


def test_names_and_shapes_of_the_real_release(shared):
    keys = json.loads((shared / "golden" / "keys" / "promise3d.json").read_text())
    state = {
        f"{part}.{name}": torch.empty(size, device="meta")
        for part, key in (
            ("encoder_dict", "encoder_dict"),
            *((f"feature_dict.{i}", "feature_dict_item") for i in range(4)),
            ("decoder_dict", "decoder_dict"),
        )
        for name, size in keys[key]["shapes"].items()
    }
    sam, own = split_official(state, "colon")
    assert options_of(own) == {k: v for k, v in Config(mode="official").model_dump().items() if k in options_of(own)}
    with torch.device("meta"):
        encoder = VisionTransformer(VitShape(1024, 768, 12, 12, (2, 5, 8, 11), 16, 14, 3072, 256))
        found = Network(VolumeVit(encoder, Config(mode="official")), Config(mode="official"))
    assert {n: v.shape for n, v in own.items()} == {n: v.shape for n, v in found.state_dict().items()}
    frozen_ones = {
        f"image_encoder.{n}": v.shape for n, v in encoder.state_dict().items() if "norm" not in n and "neck" not in n
    }
    assert {n: v.shape for n, v in sam.items()} == frozen_ones
    trained = sum(v.numel() for n, v in own.items() if n.startswith("encoder."))
    assert trained == keys["trainable_counts"]["encoder"]


def test_a_factor_of_relative_positions_is_dealt_with(content):
    state = flat(content)
    doubled = {**state, "encoder_dict.blocks.1.attn.lr": torch.tensor(2.0)}
    for plain, other in zip(*(split_official(one, "colon") for one in (state, doubled)), strict=True):
        for name, value in plain.items():
            factor = 2 if "blocks.1." in name and "rel_pos" in name else 1
            assert torch.equal(other[name], factor * value), name


def test_refusals(content):
    state = flat(content)
    with pytest.raises(WeightsError, match=r"a SAM with parts missing.*encoder_dict"):
        split_official(tiny_sam.tiny().state_dict(), "colon")
    with pytest.raises(WeightsError, match="feature_dict"):
        split_official({n: v for n, v in state.items() if not n.startswith("feature_dict")}, "colon")
    cut = {n: v for n, v in state.items() if n != "encoder_dict.blocks.1.mlp.lin1.bias"}
    with pytest.raises(WeightsError, match=r"1 tensors missing \(encoder_dict.blocks.1.mlp.lin1.bias\)"):
        split_official(cut, "colon")
    with pytest.raises(WeightsError, match=r"1 tensors too many \(decoder_dict.strange\)"):
        split_official({**state, "decoder_dict.strange": torch.zeros(2)}, "colon")


@pytest.mark.parametrize("same", [True, False])
def test_a_released_file_becomes_a_run(tmp_path, released, network, same):
    """With the rest of the SAM from the weights that it began with, and referring to these if the frozen parts are theirs."""
    path = tmp_path / "sam.safetensors"
    base = tiny_sam.tiny()
    if not same:
        with torch.no_grad():
            base.image_encoder.blocks[0].mlp.lin1.weight += 1
    save_file({k: v.contiguous() for k, v in base.state_dict().items()}, path)
    source = Source(path, "cpu", "sam_vit_b")
    if not same:
        with pytest.raises(WeightsError, match="fingerprint"):
            import_released("promise3d", released, tmp_path / "run", ("tumour",), source, "lits")
        assert not (tmp_path / "run").exists()
        return
    header = import_released("promise3d", released, tmp_path / "run", ("tumour",), source, "lits")
    assert header.options["mode"] == "official"
    assert not (tmp_path / "run" / "sam.safetensors").exists()
    method = load(method=tmp_path / "run", device="cpu")
    assert isinstance(method, Promise3d)
    assert method.classes == ("tumour",)
    found, wanted = method.network.state_dict(), network.state_dict()
    assert all(torch.equal(found[name], value) for name, value in wanted.items() if name != "intensity")
    assert torch.equal(found["intensity"], INTENSITIES["lits"].tensor())
    direct = Promise3d(tiny_sam.tiny(), Config(**OPTIONS), Task(("tumour",), 3, 1, (1.0,) * 3, (16,) * 3))
    direct.network.load_state_dict(found)
    cubes, points = torch.randn(1, 1, 16, 16, 16), torch.full((1, 1, 3), 8.0)
    with torch.no_grad():
        answers = [m.network(m._encoding, cubes, points, torch.ones(1, 1, dtype=torch.int64)) for m in (method, direct)]
    assert torch.equal(*answers)


def test_which_data_a_file_was_trained_on_is_asked_for(capsys, tmp_path, released):
    words = ["import", "promise3d", released, "-o", tmp_path / "run"]
    for more, given in (([], "alone"), (["--trained-on", "liver"], "trained on liver")):
        done = promisam(capsys, *words, *more)
        assert done.status == 2
        assert given in done.err
        assert "colon, pancreas, lits, kits" in done.err
    done = promisam(capsys, "import", "imedsam", released, "-o", tmp_path / "run", "--trained-on", "colon")
    assert done.status == 2
    assert "its file tells all" in done.err
    assert not (tmp_path / "run").exists()
