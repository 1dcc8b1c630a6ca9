"""Our TinyViT SAMs against values recorded from LiteMedSAM (released and filled weights) and MobileSAM."""

from __future__ import annotations

import pytest
import torch

from parity.golden import Golden
from promisam.sam.checkpoint import read_state, sam_from_state
from promisam.sam.frame import Frame
from promisam.sam.model import Traits

MASK_LOGIT = 8.0


@pytest.fixture(scope="module", params=["litemedsam_filled", "litemedsam_released"])
def lite(request, shared):
    golden = Golden(shared / "golden", request.param)
    if request.param == "litemedsam_filled":
        state = {k: v for k, v in golden.weights().items() if "norm_head" not in k and "image_encoder.head" not in k}
    else:
        state = read_state(request.getfixturevalue("litemedsam"))
    sam = sam_from_state(state, Traits(scaling="unit"))
    return golden, sam.requires_grad_(False)


def test_litemedsam(lite):
    golden, sam = lite
    encoder, image = sam.image_encoder, golden.input("image")
    for key in (k for k in golden.meta["inputs"] if k.startswith("eps.")):
        golden.compare(key, sam.get_submodule(key.removeprefix("eps."))(golden.input(key)))
    if "attention" in golden.meta["outputs"]:
        golden.compare("attention", encoder.layers[1].blocks[0].attn(golden.input("tokens")))
    golden.compare("encoder.patch_embed", encoder.embed(image).permute(0, 3, 1, 2))
    embedding, stages = encoder.features(image, after=(0, 1, 2, 3))
    for index, tokens in enumerate(stages):
        golden.compare(f"encoder.layer{index}", tokens.flatten(1, 2))
    if "encoder.layer1_block0" in golden.meta["outputs"]:
        golden.compare("encoder.layer1_block0", encoder.layers[1].blocks[0](stages[0]).flatten(1, 2))
    golden.compare("encoder.embedding", embedding)
    _compare_prompts(golden, sam, embedding)
    golden.assert_complete()


def _compare_prompts(golden, sam, embedding):
    points = {"points_xy": golden.input("points"), "labels": golden.input("point_labels")}
    box = {"boxes_xyxy": golden.input("box")}
    mask = {"masks": (golden.input("mask_body") * 2 - 1) * MASK_LOGIT}
    cases = {"box": box, "points": points, "box_points": box | points, "mask": mask, "box_mask": box | mask}
    outputs = golden.meta["outputs"]
    for case, given in cases.items():
        sparse, dense = sam.prompt_encoder(**given)
        logits, quality = sam.decode(embedding, **given)
        found = {
            "sparse": sparse,
            "dense": dense,
            "single.logits": logits[:, :1],
            "single.iou": quality[:, :1],
            "multi.logits": logits[:, 1:],
            "multi.iou": quality[:, 1:],
            "single.original_size": Frame((300, 384), 256).restore(logits[:, :1]),
        }
        for name, value in found.items():
            if f"{case}.{name}" in outputs:
                golden.compare(f"{case}.{name}", value)
    for key in outputs:
        if key.endswith(("foreground", "mask_fraction")):
            case, kind = key.split(".")[:2]
            logits, _ = sam.decode(embedding, **cases[case])
            kept = logits[:, :1] if kind == "single" else logits[:, 1:]
            golden.compare(key, (kept > 0).float().mean((2, 3)))


def test_mobilesam(shared):
    golden = Golden(shared / "golden", "mobilesam_filled")
    state = {k: v for k, v in golden.weights(golden.keys("mobile_sam")).items() if "norm_head" not in k and ".head." not in k}
    sam = sam_from_state(state).requires_grad_(False)
    frame = Frame(tuple(golden.meta["config"]["original_size"]), 1024)
    framed = frame.pad(sam.scale(golden.input("photo")))
    golden.compare("encoder.patch_embed", sam.image_encoder.embed(framed).permute(0, 3, 1, 2))
    embedding, stages = sam.image_encoder.features(framed, after=(0, 1, 2, 3))
    for index, tokens in enumerate(stages):
        golden.compare(f"encoder.layer{index}", tokens.flatten(1, 2))
    golden.compare("encoder.embedding", embedding)
    logits, quality = sam.decode(
        embedding, golden.input("points"), golden.input("point_labels"), boxes_xyxy=golden.input("boxes")
    )
    golden.compare("full.low_res_logits", logits[:, 1:])
    golden.compare("full.iou", quality[:, 1:])
    golden.compare("full.mask_fraction", (frame.restore(logits[:, 1:]) > 0).float().mean((2, 3)))
    golden.assert_complete()


def test_training_mode_normalises_by_the_batch(shared):
    golden = Golden(shared / "golden", "litemedsam_filled")
    state = {k: v for k, v in golden.weights().items() if "norm_head" not in k and "image_encoder.head" not in k}
    stem = sam_from_state(state).image_encoder.patch_embed.seq[0]
    x = torch.randn(2, 3, 8, 8)
    folded = stem(x)
    assert torch.allclose(folded, stem.bn(stem.c(x)), atol=1e-5)
    stem.train()
    assert not torch.allclose(stem(x), folded, atol=1e-2)
