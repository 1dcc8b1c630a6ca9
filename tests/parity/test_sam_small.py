"""Our SAM against values recorded from Meta's, at a small size."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from parity.golden import Golden
from promisam.sam.architecture import build, infer
from promisam.sam.attention import offsets, resize_table
from promisam.sam.checkpoint import fit
from promisam.sam.frame import Frame

CASES = {
    "points": ("points",),
    "boxes": ("boxes",),
    "points_boxes": ("points", "boxes"),
    "mask": ("mask",),
    "points_boxes_mask": ("points", "boxes", "mask"),
}


@pytest.fixture(scope="module")
def golden(shared):
    return Golden(shared / "golden", "sam_small")


@pytest.fixture(scope="module")
def sam(golden):
    weights = golden.weights()
    sam = build(infer(weights, decoder_heads=golden.meta["config"]["decoder_heads"]))
    fit(sam, weights)
    return sam.eval().requires_grad_(False)


def prompts(golden, kinds, device="cpu"):
    return {
        "points_xy": golden.input("points") if "points" in kinds else None,
        "labels": golden.input("point_labels") if "points" in kinds else None,
        "boxes_xyxy": golden.input("boxes") if "boxes" in kinds else None,
        "masks": golden.input("mask") if "mask" in kinds else None,
    }


def test_single_norms(golden, sam):
    for key in (k for k in golden.meta["inputs"] if k.startswith("eps.")):
        golden.compare(key, sam.get_submodule(key.removeprefix("eps."))(golden.input(key)))


def test_encoder_block_by_block(golden, sam):
    images = golden.input("encoder_image")
    golden.compare("encoder.tokens", sam.image_encoder.embed(images))
    embedding, tokens = sam.image_encoder.features(images, after=(0, 1, 2, 3))
    for index, value in enumerate(tokens):
        golden.compare(f"encoder.block{index}", value)
    golden.compare("encoder.embedding", embedding)
    assert torch.equal(embedding, sam.image_encoder(images))


def test_relative_table(golden):
    table = golden.input("rel_table")
    golden.compare("rel_pos.interpolated_10", offsets(resize_table(table, 19), 10))
    golden.compare("rel_pos.interpolated_10", offsets(table, 10))


@pytest.mark.parametrize("case", CASES)
def test_prompts_and_decoder(golden, sam, case):
    sparse, dense = sam.prompt_encoder(**prompts(golden, CASES[case]))
    golden.compare(f"prompt.{case}.sparse", sparse)
    if f"prompt.{case}.dense" in golden.meta["outputs"]:
        golden.compare(f"prompt.{case}.dense", dense)
    positions = sam.prompt_encoder.dense_positions()
    golden.compare("prompt.dense_pe", positions)
    tokens, features = sam.mask_decoder.attend(golden.input("embedding"), positions, sparse, dense)
    if case == "points":
        golden.compare("decoder.points.transformer_tokens", tokens)
        golden.compare("decoder.points.transformer_image", features.flatten(2).transpose(1, 2))
    logits, quality = sam.mask_decoder.masks(tokens, features)
    for name, kept in (("multi", slice(1, None)), ("single", slice(0, 1))):
        golden.compare(f"decoder.{case}.{name}.logits", logits[:, kept])
        golden.compare(f"decoder.{case}.{name}.iou", quality[:, kept])


@pytest.mark.parametrize("photo", ["a", "b"])
def test_whole_model_on_photos(golden, sam, photo):
    config = golden.meta["config"]
    frame = Frame(tuple(config[f"photo_{photo}_original"]), config["img_size"])
    image = golden.input(f"photo_{photo}")
    assert frame.resized == tuple(image.shape[-2:])
    framed = frame.pad(sam.scale(image))
    if photo == "a":
        golden.compare("preprocess.a", framed)
        given = {"points_xy": golden.input("photo_points"), "labels": golden.input("photo_point_labels")}
    else:
        given = {"boxes_xyxy": golden.input("photo_boxes"), "masks": golden.input("photo_mask")}
    logits, quality = sam.decode(sam.image_encoder(framed), **given)
    for name, kept in (("multi", slice(1, None)), ("single", slice(0, 1))):
        golden.compare(f"full.{photo}.{name}.low_res_logits", logits[:, kept])
        golden.compare(f"full.{photo}.{name}.iou", quality[:, kept])
        restored = frame.restore(logits[:, kept])
        golden.compare(f"full.{photo}.{name}.logits", restored)
        golden.compare(f"full.{photo}.{name}.mask_fraction", (restored > 0).float().mean((2, 3)))


def test_frame_sizes_and_points(golden):
    queries = golden.meta["config"]["resize_queries"]
    golden.compare("resize.shapes", [Frame((h, w), side).resized for h, w, side in queries])
    height, width = golden.meta["config"]["resize_points_image"]
    points_xy = np.asarray(golden.meta["config"]["resize_points"])
    golden.compare("resize.coords", Frame((height, width), 1024).points_xy(points_xy[:, ::-1])[0])


def test_nothing_recorded_was_left_out(golden):
    golden.assert_complete()
