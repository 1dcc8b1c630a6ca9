"""Weight files: what is read, what is refused, and what the refusal says."""

from __future__ import annotations

import json
import pickle

import pytest
import torch
from safetensors.torch import save_file

from promisam.core.errors import InvalidConfig, WeightsError
from promisam.sam.architecture import build, infer, seems
from promisam.sam.attention import resize_table
from promisam.sam.checkpoint import fit, read_state, sam_from_state, write_state
from promisam.sam.model import fingerprint
from promisam.sam.names import is_hugging_face, to_hugging_face, to_meta
from tiny_sam import randomise, shape, tiny

UNUSED = ("image_encoder.norm_head.", "image_encoder.head.")


@pytest.fixture
def state():
    return dict(tiny().state_dict())


def keys(shared, name):
    found = json.loads((shared / "golden" / "keys" / f"{name}.json").read_text())["shapes"]
    return {key: tuple(size) for key, size in found.items() if not key.startswith(UNUSED)}


def assert_equal(found, expected):
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


# Reading


@pytest.mark.parametrize("wrapper", [None, "model", "state_dict", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("legacy", [False, True])
def test_pytorch_files_bare_or_wrapped(tmp_path, state, wrapper, prefix, legacy):
    inner = {prefix + name: value for name, value in state.items()}
    whole = inner if wrapper is None else {wrapper: inner, "epoch": 3, "optimizer": {"lr": 0.1}}
    torch.save(whole, tmp_path / "a.pth", _use_new_zipfile_serialization=not legacy)
    assert_equal(read_state(tmp_path / "a.pth"), state)


def test_safetensors_written_and_read(tmp_path, state):
    state["image_encoder.pos_embed"] = state["image_encoder.pos_embed"].transpose(1, 2)  # not contiguous
    write_state(tmp_path / "deep" / "a.safetensors", state)
    assert_equal(read_state(tmp_path / "deep" / "a.safetensors"), state)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.safetensors"]


def test_safetensors_under_another_suffix(tmp_path, state):
    save_file(state, tmp_path / "a.pth")
    assert_equal(read_state(tmp_path / "a.pth"), state)


def test_hugging_face_names_are_read_as_metas(tmp_path, state):
    save_file({name: value.clone() for name, value in to_hugging_face(state).items()}, tmp_path / "a.safetensors")
    assert_equal(read_state(tmp_path / "a.safetensors"), state)


def test_parts_that_no_sam_uses_are_left_out(tmp_path, state):
    extra = {
        "pixel_mean": torch.zeros(3),
        "image_encoder.norm_head.weight": torch.ones(4),
        "image_encoder.head.bias": torch.ones(2),
    }
    biases = {"image_encoder.layers.1.blocks.0.attn.attention_bias_idxs": torch.zeros(4, 4, dtype=torch.int64)}
    torch.save({**state, **extra, **biases}, tmp_path / "a.pth")
    assert_equal(read_state(tmp_path / "a.pth"), state)


# Files that are not weights


@pytest.mark.parametrize("name", ["a.pth", "a.pt", "a.bin", "a.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.99])
def test_truncated_files_are_refused_as_damaged(tmp_path, state, name, share):
    path = tmp_path / name
    if name.endswith(".safetensors"):
        save_file(state, path)
    else:
        torch.save(state, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(WeightsError, match="damaged or not a weight file") as caught:
        read_state(path)
    assert name in caught.value.given
    assert "run code" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
@pytest.mark.parametrize(
    "content", [b"<!DOCTYPE html><html>404</html>", b"hello world\n" * 20, b"\x00" * 64, bytes(range(256))]
)
def test_other_files_are_refused_as_damaged_not_as_code(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match="damaged or not a weight file") as caught:
        read_state(tmp_path / name)
    assert "run code" not in str(caught.value)


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"absent\.pth"):
        read_state(tmp_path / "absent.pth")
    with pytest.raises(WeightsError):
        read_state(tmp_path)


class Payload:
    """An object that leaves a trace when it is opened."""

    def __init__(self, trace):
        self.trace = str(trace)

    def __reduce__(self):
        return open, (self.trace, "w")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")  # PyTorch's remark on files that it did not write
@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_code_in_a_file_does_not_run_and_is_named(tmp_path, state, form, wrapped):
    trace, path = tmp_path / "trace", tmp_path / "a.pth"
    content = {"model": state, "config": Payload(trace)} if wrapped else Payload(trace)
    if form == "pickle":
        path.write_bytes(pickle.dumps(content if not wrapped else {"config": Payload(trace)}))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(WeightsError, match="would run code when opened" if form != "pickle" else "not a weight file") as caught:
        read_state(path)
    assert not trace.exists()
    assert "a.pth" in str(caught.value)
    torch.load(path, weights_only=False) if form != "pickle" else pickle.loads(path.read_bytes())
    assert trace.exists()  # the trap works


@pytest.mark.parametrize(
    ("content", "word"), [([1, 2], "list"), (torch.zeros(3), "Tensor"), ({}, "tensor"), ({"epoch": 3}, "tensor")]
)
def test_files_without_a_state_dict_are_refused(tmp_path, content, word):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=word):
        read_state(tmp_path / "a.pth")


# Strict loading


def test_a_whole_state_loads_with_equal_values_in_evaluation_mode(state):
    sam = sam_from_state(state)
    assert_equal(dict(sam.state_dict()), state)
    assert not sam.training
    assert all(parameter.requires_grad for parameter in sam.parameters())
    assert fingerprint(sam) == fingerprint(tiny())
    assert fingerprint(sam) != fingerprint(tiny(seed=1))


def test_half_precision_weights_load_as_float32(state):
    sam = sam_from_state({name: value.half() for name, value in state.items()})
    assert {parameter.dtype for parameter in sam.parameters()} == {torch.float32}
    assert torch.equal(sam.image_encoder.neck[0].weight, state["image_encoder.neck.0.weight"].half().float())


def test_missing_unexpected_and_reshaped_tensors_are_named(state):
    del state["mask_decoder.transformer.norm_final_attn.bias"]
    state["image_encoder.stray"] = torch.zeros(2)
    state["mask_decoder.output_upscaling.0.bias"] = torch.zeros(9)
    with pytest.raises(WeightsError) as caught:
        sam_from_state(state)
    message = str(caught.value)
    assert "1 missing (mask_decoder.transformer.norm_final_attn.bias)" in message
    assert "1 unexpected (image_encoder.stray)" in message
    assert "1 of another shape (mask_decoder.output_upscaling.0.bias ([9] for [8]))" in message


def test_many_faults_are_counted_and_the_first_named(state):
    for name in [name for name in state if ".cross_attn_image_to_token." in name]:
        del state[name]
    with pytest.raises(WeightsError, match=r"16 missing \(.*, \.\.\.\)"):
        sam_from_state(state)


@pytest.mark.parametrize("name", ["image_encoder.pos_embed", "image_encoder.neck.0.weight", "mask_decoder.mask_tokens.weight"])
def test_a_missing_tensor_that_decides_sizes_is_named(state, name):
    del state[name]
    with pytest.raises(WeightsError) as caught:
        sam_from_state(state)
    assert name in caught.value.given


@pytest.mark.parametrize(
    "name", ["image_encoder.pos_embed", "image_encoder.blocks.0.attn.rel_pos_h", "prompt_encoder.no_mask_embed.weight"]
)
def test_a_sizing_tensor_of_another_rank_is_refused(state, name):
    for value in (torch.zeros(7), torch.zeros(())):
        with pytest.raises(WeightsError):
            sam_from_state({**state, name: value})


def test_a_refused_state_leaves_the_module_as_it_was(state):
    sam = tiny(seed=1)
    before = fingerprint(sam)
    with pytest.raises(WeightsError):
        fit(sam, {**state, "stray": torch.zeros(1)})
    assert fingerprint(sam) == before


# Foreign files


@pytest.mark.parametrize(
    ("names", "word"),
    [
        (["conv1.weight", "layer1.0.conv1.weight", "fc.weight"], "an image classifier"),
        (["image_encoder.trunk.pos_embed", "sam_mask_decoder.iou_token.weight", "memory_attention.norm.weight"], "SAM 2"),
        (["pos_embed", "patch_embed.proj.weight", "blocks.0.norm1.weight"], "a bare image encoder"),
        (["encoder.stages.0.0.convs.0.conv.weight", "decoder.seg_layers.0.weight"], "an nnU-Net"),
        (["inc.double_conv.0.weight", "down1.conv.weight"], "a U-Net"),
        (["text_model.embeddings.weight"], "a CLIP model"),
        (["image_encoder.blocks.0.Adapter.weight", "image_encoder.pos_embed"], "an adapted SAM"),
        (["lm.rotary"], "something else (1 tensors, the first called 'lm.rotary')"),
        ([], "an empty file"),
    ],
)
def test_foreign_weights_are_refused_with_what_they_seem_to_be(names, word):
    state = {name: torch.zeros(1, 2, 2, 2) for name in names}
    assert seems(state).startswith(word)
    with pytest.raises(WeightsError) as caught:
        sam_from_state(state)
    assert word in caught.value.given
    assert "promisam weights list" in caught.value.do


def test_a_lone_encoder_of_a_sam_is_refused(state):
    encoder = {name: value for name, value in state.items() if name.startswith("image_encoder.")}
    with pytest.raises(WeightsError, match="a SAM with parts missing"):
        sam_from_state(encoder)
    bare = {name.removeprefix("image_encoder."): value for name, value in encoder.items()}
    with pytest.raises(WeightsError, match="a bare image encoder"):
        sam_from_state(bare)


# Sizes from names and shapes


@pytest.mark.parametrize("encoder", ["vit", "tinyvit"])
def test_sizes_are_inferred_from_the_tensors(encoder):
    expected = shape(encoder)
    found = infer(tiny(encoder).state_dict())
    assert found.prompt.width == expected.prompt.width
    assert found.decoder == expected.decoder
    if encoder == "vit":
        assert found == expected
    else:
        assert found.image.widths == expected.image.widths
        assert found.image.depths == expected.image.depths
        assert found.image.windows[1:] == expected.image.windows[1:]


@pytest.mark.parametrize("name", ["sam_vit_b", "sam_vit_l", "sam_vit_h", "lite_medsam", "mobile_sam"])
def test_the_released_models_are_rebuilt_tensor_by_tensor(shared, name):
    released = keys(shared, name)
    with torch.device("meta"):
        sam = build(infer({key: torch.empty(size) for key, size in released.items()}))
    found = {key: tuple(value.shape) for key, value in sam.state_dict().items()}
    assert found == released
    assert sam.side == (256 if name == "lite_medsam" else 1024)
    assert sam.prompt_encoder.shape.grid == sam.image_encoder.grid == 64


@pytest.mark.parametrize(
    ("name", "blocks", "heads"),
    [("sam_vit_b", (2, 5, 8, 11), 12), ("sam_vit_l", (5, 11, 17, 23), 16), ("sam_vit_h", (7, 15, 23, 31), 16)],
)
def test_the_released_vits_see_globally_where_they_should(shared, name, blocks, heads):
    found = infer({key: torch.empty(size, device="meta") for key, size in keys(shared, name).items()}).image
    assert (found.global_blocks, found.heads, found.window) == (blocks, heads, 14)


def test_a_file_of_the_size_of_vit_b_loads(shared, tmp_path):
    expected = keys(shared, "sam_vit_b")
    torch.save(
        {key: torch.zeros(1).expand(size) for key, size in expected.items()}, tmp_path / "b.pth"
    )  # one zero each on disk
    sam = sam_from_state(read_state(tmp_path / "b.pth"))
    assert {key: tuple(value.shape) for key, value in sam.state_dict().items()} == expected
    assert sum(p.numel() for p in sam.parameters()) == 93_735_472


def test_names_of_meta_and_hugging_face_are_exact_inverses(shared):
    meta = {key: torch.full((1,), float(i)) for i, key in enumerate(keys(shared, "sam_vit_b"))}
    theirs = to_hugging_face(meta)
    assert is_hugging_face(theirs)
    assert not is_hugging_face(meta)
    assert len(theirs) == len(meta) + 1  # the position matrix stands twice there
    assert_equal(to_meta(theirs), meta)
    assert_equal(to_hugging_face(to_meta(theirs)), theirs)
    matrix = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
    for one in ("shared_image_embedding.positional_embedding", "prompt_encoder.shared_embedding.positional_embedding"):
        rest = {name: value for name, value in theirs.items() if name != one}
        assert torch.equal(to_meta(rest)[matrix], meta[matrix])
        assert len(to_meta(rest)) == len(meta)


# Another frame


def test_another_frame_resizes_positions_and_nothing_else(state):
    sam = sam_from_state(state, side=112)
    assert (sam.side, sam.image_encoder.grid, sam.prompt_encoder.shape.grid) == (112, 7, 7)
    found = sam.state_dict()
    changed = {name for name in state if not torch.equal(found[name], state[name])} if set(found) == set(state) else None
    assert changed == {
        "image_encoder.pos_embed", "image_encoder.blocks.1.attn.rel_pos_h", "image_encoder.blocks.1.attn.rel_pos_w",
    }  # fmt: skip
    for name in changed - {"image_encoder.pos_embed"}:
        assert torch.equal(found[name], resize_table(state[name], 13))
    logits, quality = sam.decode(sam.image_encoder(torch.zeros(1, 3, 112, 112)), boxes_xyxy=torch.tensor([[5.0, 5, 90, 60]]))
    assert logits.shape == (1, 4, 28, 28)
    assert quality.shape == (1, 4)


def test_the_frame_of_the_weights_changes_nothing(state):
    assert_equal(dict(sam_from_state(state, side=80).state_dict()), state)


@pytest.mark.parametrize("encoder", ["vit", "tinyvit"])
def test_a_tinyvit_takes_another_frame_without_touching_a_tensor(encoder):
    weights = tiny(encoder).state_dict()
    step = 16
    sam = sam_from_state(weights, side=step * 6)
    embedding = sam.image_encoder(torch.zeros(1, 3, 96, 96))
    assert embedding.shape[-2:] == (sam.image_encoder.grid,) * 2 == (sam.prompt_encoder.shape.grid,) * 2
    if encoder == "tinyvit":
        assert_equal(dict(sam.state_dict()), dict(weights))


@pytest.mark.parametrize("side", [0, -16, 8, 90, 81])
def test_frames_that_are_not_whole_patches_are_refused(state, side):
    with pytest.raises(InvalidConfig, match="a multiple of 16"):
        sam_from_state(state, side=side)


def test_random_weights_do_vary():
    sam = tiny()
    randomise(sam, 3)
    first, second = (sam.image_encoder(torch.randn(1, 3, 80, 80)) for _ in range(2))
    assert (first - second).abs().max() > 0.1


def test_a_converted_file_can_be_read_by_others(tmp_path):
    before = tmp_path / "ordinary"
    before.touch()
    write_state(tmp_path / "model.safetensors", {"a": torch.zeros(2)})
    assert (tmp_path / "model.safetensors").stat().st_mode == before.stat().st_mode


def test_global_tables_of_another_length_mean_what_meta_makes_of_them(state):
    """Meta's encoder resizes them at every call; here it happens once, and the block stays global."""
    name = "image_encoder.blocks.1.attn.rel_pos_h"
    longer = {key: resize_table(value, 15) if ".blocks.1.attn.rel_pos" in key else value for key, value in state.items()}
    assert longer[name].shape[0] == 15 != state[name].shape[0]
    sam = sam_from_state(longer)
    assert sam.image_encoder.shape.global_blocks == (1,)
    assert torch.equal(sam.state_dict()[name], resize_table(longer[name], state[name].shape[0]))


def test_tables_of_three_lengths_are_no_sam(state):
    odd = {**state, "image_encoder.blocks.0.attn.rel_pos_h": torch.zeros(17, 12)}
    with pytest.raises(WeightsError, match="span 3, 5, 9 tokens"):
        sam_from_state(odd)
