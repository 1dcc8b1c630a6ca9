"""Released checkpoints of ProMISe-2D: told apart, split, and refused where they are not whole; the released loss."""

from __future__ import annotations

import json

import pytest
import torch

import tiny_sam
from promisam.core.errors import WeightsError
from promisam.methods.promise2d.official import OfficialFacts, official_loss, split_official
from promisam.methods.promise2d.pattern_shift import PatternShift
from promisam.methods.promise2d.point_modules import point_module
from promisam.sam.checkpoint import fit

FACTS = {
    "APM_resnet": OfficialFacts("apm", "resnet", 16),
    "IPS_GT_resnet": OfficialFacts("ips", None, None),
    "APM_IPS_resnet": OfficialFacts("apm+ips", "resnet", 16),
    "APM_cross": OfficialFacts("apm", "cross", 16),
    "APM_IPS_cross": OfficialFacts("apm+ips", "cross", 16),
}


@pytest.fixture(scope="module")
def keys(shared):
    return json.loads((shared / "golden/keys/promise2d.json").read_text())["variants"]


def released(keys, variant):
    """The names and shapes of a released file, around a tiny SAM."""
    extra = {name: torch.empty(shape, device="meta") for name, shape in keys[variant]["extra"].items()}
    return tiny_sam.tiny().state_dict() | extra


@pytest.mark.parametrize("variant", FACTS)
def test_every_released_variant(keys, variant):
    state = released(keys, variant)
    sam, own, facts = split_official(state)
    assert facts == FACTS[variant]
    assert sam.keys() == tiny_sam.tiny().state_dict().keys()
    with torch.device("meta"):
        parts = {"shift.": PatternShift()} if "ips" in facts.mode else {}
        if facts.form:
            parts["points."] = point_module(facts.form, (768,) * 3, facts.points)
    for prefix, module in parts.items():
        fit(module, {k.removeprefix(prefix): v for k, v in own.items() if k.startswith(prefix)})
    assert all(name.startswith(tuple(parts)) for name in own)


def test_older_names_of_the_shift(keys):
    state = released(keys, "IPS_GT_resnet")
    older = {name.replace("ips_ffn.", "ffn."): value for name, value in state.items()}
    assert split_official(older)[1].keys() == split_official(state)[1].keys()


def test_a_file_of_three_points(keys):
    state = released(keys, "APM_resnet")
    state |= {"apm_resnet.fc.weight": torch.zeros(6, 512), "apm_resnet.fc.bias": torch.zeros(6)}
    assert split_official(state)[2].points == 3


def test_counters_may_be_absent(keys):
    state = {k: v for k, v in released(keys, "APM_IPS_resnet").items() if not k.endswith("num_batches_tracked")}
    assert split_official(state)[2] == FACTS["APM_IPS_resnet"]


@pytest.mark.parametrize(
    ("variant", "name"),
    [
        ("APM_IPS_resnet", "ips_ffn.lin2.bias"),
        ("APM_IPS_resnet", "apm_feature_map.fusion_conv2.weight"),
        ("APM_IPS_resnet", "apm_resnet.layer4.2.shortcut.0.weight"),
        ("APM_IPS_resnet", "apm_resnet.fc.bias"),
        ("APM_IPS_resnet", "mask_decoder.mask_tokens.weight"),
        ("APM_IPS_resnet", "image_encoder.neck.3.bias"),
        ("APM_cross", "apm_cross.layers.1.norm3.weight"),
        ("APM_cross", "apm_cross.deconv3.conv.bias"),
        ("APM_cross", "apm_cross.query_feat.weight"),
        ("APM_cross", "apm_cross_prompt.weight"),
        ("IPS_GT_resnet", "ips_ffn.lin1.weight"),
    ],
)
def test_what_is_missing_is_named_as_in_the_file(keys, variant, name):
    state = released(keys, variant)
    del state[name]
    with pytest.raises(WeightsError, match=name.replace(".", r"\.")):
        split_official(state)


def test_what_is_too_much_is_named(keys):
    state = released(keys, "APM_resnet") | {"apm_resnet.layer9.weight": torch.zeros(1), "lora.weight": torch.zeros(1)}
    with pytest.raises(WeightsError, match=r"2 tensors too many \(apm_resnet\.layer9\.weight, lora\.weight\)"):
        split_official(state)


def test_two_networks_for_points(keys):
    with pytest.raises(WeightsError, match="two networks"):
        split_official(released(keys, "APM_resnet") | released(keys, "APM_cross"))


@pytest.mark.parametrize(("variant", "start"), [("APM_resnet", "apm"), ("IPS_GT_resnet", "ips_ffn.")])
def test_no_sam_inside(keys, variant, start):
    state = {k: v for k, v in released(keys, variant).items() if k.startswith(start)}
    with pytest.raises(WeightsError, match=rf"ProMISe-2D without its SAM, \d+ tensors such as {start}"):
        split_official(state)


def test_other_files():
    with pytest.raises(WeightsError, match="a SAM alone"):
        split_official(tiny_sam.tiny().state_dict())
    with pytest.raises(WeightsError, match="an image classifier"):
        split_official({"fc.weight": torch.zeros(2, 2)})
    with pytest.raises(WeightsError, match="an empty file"):
        split_official({})


def test_the_released_loss_is_bounded_by_its_second_sigmoid():
    sure = torch.full((1, 1, 8, 8), 50.0)
    nothing, everything = official_loss(-sure, torch.zeros_like(sure)), official_loss(sure, torch.ones_like(sure))
    assert nothing["bce"].item() == pytest.approx(0.6931, abs=1e-4)
    assert everything["bce"].item() == pytest.approx(0.3133, abs=1e-4)


def test_the_released_dice_is_cut_for_each_image():
    """An empty image would have 2: cut before the mean, it does not make up for a bad one."""
    logits = torch.full((2, 1, 16, 16), -50.0)
    truth = torch.stack([torch.zeros(1, 16, 16), torch.ones(1, 16, 16)])
    dice = official_loss(logits, truth, double_sigmoid=False)["dice"]
    assert dice.item() == pytest.approx(1 - (1 + 2 / 257) / 2, abs=1e-5)
