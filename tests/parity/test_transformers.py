"""Our SAM against Hugging Face's, with equal weights that travel through a real file."""

from __future__ import annotations

import pytest
import torch
import transformers
from safetensors.torch import save_file

from promisam.sam.architecture import infer
from promisam.sam.checkpoint import read_state, sam_from_state
from promisam.sam.names import to_hugging_face, to_meta

SIDE, GRID = 160, 10
TOLERANCE = 1e-6  # the library computes positions in single precision


def reinitialise(model, seed=0):
    """The library's own start is almost zero, where any two models agree."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            noise = torch.randn(tensor.shape, generator=generator)
            if tensor.ndim == 1:
                tensor.copy_(0.2 * noise + (1.0 if "norm" in name and name.endswith("weight") else 0.0))
            elif "rel_pos" in name:
                tensor.copy_(0.5 * noise)
            elif "embed" in name or "token" in name:
                tensor.copy_(noise if tensor.ndim < 4 else noise * tensor[0].numel() ** -0.5)
            else:
                tensor.copy_(noise * tensor[0].numel() ** -0.5 * (3 if "iou_prediction" in name else 1))
        matrix = model.shared_image_embedding.positional_embedding
        model.prompt_encoder.shared_embedding.positional_embedding.copy_(matrix)


def small_config():
    return transformers.SamConfig(
        vision_config={
            "hidden_size": 48, "output_channels": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "image_size": SIDE,
            "patch_size": 16, "window_size": 4, "global_attn_indexes": [1], "num_pos_feats": 16, "mlp_dim": 96,
        },
        prompt_encoder_config={
            "hidden_size": 32, "image_size": SIDE, "patch_size": 16, "mask_input_channels": 16, "image_embedding_size": GRID,
        },
        mask_decoder_config={
            "hidden_size": 32, "mlp_dim": 64, "num_hidden_layers": 2, "num_attention_heads": 8, "iou_head_hidden_dim": 24,
            "layer_norm_eps": 1e-5,  # Meta's; the library's default of 1e-6 is its own
        },
    )  # fmt: skip


@pytest.fixture(scope="module")
def theirs():
    config = small_config()
    # The embedding's sides follow image_size / patch_size, as in the released configurations.
    model = transformers.SamModel(config).eval().requires_grad_(False)
    reinitialise(model)
    return model.double()  # in double precision rounding cannot hide a difference


@pytest.fixture(scope="module")
def ours(theirs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hugging_face")
    theirs.save_pretrained(folder)
    return sam_from_state(read_state(folder / "model.safetensors")).requires_grad_(False).double()


@pytest.fixture(scope="module")
def images():
    return torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


POINTS = torch.tensor([[[30.0, 42.5], [100, 7], [159, 159]], [[3, 140], [80, 80], [12, 99]]], dtype=torch.float64)
LABELS = torch.tensor([[1, 0, 1], [1, 1, 0]])
BOXES = torch.tensor([[10.0, 20, 90, 60], [35, 5, 159, 150]], dtype=torch.float64)


def assert_close(one, other):
    assert one.shape == other.shape
    assert other.abs().max() > 0.3  # an answer, not the start
    assert (one - other).abs().max() <= TOLERANCE * other.abs().max()


def test_image_embeddings(theirs, ours, images):
    assert_close(ours.image_encoder(images), theirs.get_image_embeddings(images))
    assert (ours.image_encoder(images)[0] - ours.image_encoder(images)[1]).abs().max() > 0.1


CASES = {
    "points": ("points",),
    "one point": ("point",),
    "box": ("box",),
    "points and box": ("points", "box"),
    "mask": ("points", "mask"),
    "all": ("points", "box", "mask"),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("several", [True, False])
def test_masks_and_quality(theirs, ours, images, case, several):
    kinds = CASES[case]
    hf, meta = {}, {}
    if "points" in kinds or "point" in kinds:
        count = 1 if "point" in kinds else 3
        meta |= {"points_xy": POINTS[:, :count], "labels": LABELS[:, :count]}
        hf |= {"input_points": POINTS[:, None, :count], "input_labels": LABELS[:, None, :count]}
    if "box" in kinds:
        meta |= {"boxes_xyxy": BOXES}
        hf |= {"input_boxes": BOXES[:, None]}
    if "mask" in kinds:
        masks = torch.randn(2, 1, 4 * GRID, 4 * GRID, generator=torch.Generator().manual_seed(6), dtype=torch.float64) * 4
        meta |= {"masks": masks}
        hf |= {"input_masks": masks}
    expected = theirs(pixel_values=images, multimask_output=several, **hf)
    logits, quality = ours.decode(ours.image_encoder(images), **meta)
    kept = slice(1, None) if several else slice(0, 1)
    assert_close(logits[:, kept], expected.pred_masks[:, 0])
    assert_close(quality[:, kept], expected.iou_scores[:, 0])


def test_several_prompts_on_one_image(theirs, ours, images):
    expected = theirs(pixel_values=images[:1], input_boxes=BOXES[None])
    logits, quality = ours.decode(ours.image_encoder(images[:1]), boxes_xyxy=BOXES)
    assert_close(logits[:, 1:], expected.pred_masks[0])
    assert_close(quality[:, 1:], expected.iou_scores[0])


def test_our_weights_go_back_into_theirs(theirs, ours, tmp_path):
    back = to_hugging_face(ours.state_dict())
    assert set(back) >= set(theirs.state_dict()) - {"prompt_encoder.shared_embedding.positional_embedding"}
    save_file({name: value.clone() for name, value in back.items()}, tmp_path / "model.safetensors")
    small_config().save_pretrained(tmp_path)
    again = transformers.SamModel.from_pretrained(tmp_path).state_dict()
    for name, value in theirs.state_dict().items():
        assert torch.equal(again[name], value), name


def test_the_full_size_model_has_the_names_that_we_expect(shared):
    with torch.device("meta"):
        model = transformers.SamModel(transformers.SamConfig())
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    meta = to_meta({name: torch.empty(size, device="meta") for name, size in expected.items()})
    found = {name: tuple(value.shape) for name, value in to_hugging_face(meta).items()}
    assert {name: found[name] for name in expected} == expected
    shape = infer(meta).image
    assert (shape.width, shape.depth, shape.heads, shape.global_blocks) == (768, 12, 12, (2, 5, 8, 11))
