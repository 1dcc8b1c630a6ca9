"""I-MedSAM in its official mode against values recorded from the release."""

from __future__ import annotations

import pytest
import torch

from parity.golden import Golden
from promisam.adapters import amplitude
from promisam.core import Grid, Task
from promisam.methods.imedsam import Config, IMedSam
from promisam.methods.imedsam.answering import PictureField
from promisam.methods.imedsam.codes import OfficialCode
from promisam.methods.imedsam.losses import field_loss, official_loss, proper_loss, squared_dice
from promisam.methods.imedsam.official import official_field, split_official
from promisam.methods.imedsam.places import at_places
from promisam.sam.checkpoint import fit, sam_from_state
from promisam.sam.frame import Frame

HEIGHT, WIDTH = 48, 80


@pytest.fixture(scope="module")
def golden(shared):
    return Golden(shared / "golden", "imedsam")


@pytest.fixture(scope="module")
def method(golden):
    """Filled through the conversion of released tensors, as they lie in the running model."""
    rest, own, classes = split_official(golden.weights())
    sam = {name.replace(".qkv.qkv.", ".qkv."): value for name, value in rest.items()}
    whole = sam_from_state({**sam, **{n: v for n, v in own.items() if n.startswith("prompt_encoder.")}, **_upscaling(own)})
    task = Task(tuple(f"class {i}" for i in range(classes)), 2, 3, (1.0, 1.0), (HEIGHT, WIDTH))
    method = IMedSam(whole, Config(mode="official"), task)
    fit(method.network, own)
    method.network.eval().requires_grad_(False)
    return method


def _upscaling(own):
    return {n.replace("upscaling.", "mask_decoder.output_upscaling."): v for n, v in own.items() if n.startswith("upscaling.")}


@pytest.fixture(scope="module")
def asked(golden, method):
    """Embedding, image features and all inputs of the recorded image's points."""
    images = golden.input("image")
    spectrum = amplitude(images, "red")
    embedding = method._encoder.late(method._encoder.early(images), method._encoder.early(spectrum.expand(-1, 3, -1, -1)))
    canvas, _ = method._mapped(embedding, {"boxes_xyxy": golden.input("boxes")[:, 0]})
    return embedding, canvas, inputs_of(method, canvas, method._positions())


def lattice():
    y, x = torch.linspace(-1, 1, HEIGHT), torch.linspace(-1, 1, WIDTH)
    return torch.cartesian_prod(y, x)


def centres(height, width):
    axes = [(2 * torch.arange(n) + 1) / n - 1 for n in (height, width)]
    return torch.cartesian_prod(*axes)


def inputs_of(method, canvas, positions):
    codes = lattice()
    code = method.code.rows(codes[:, 0]) + method.code.columns(codes[:, 1])
    places = centres(HEIGHT, WIDTH).expand(len(canvas), -1, -1)
    parts = [at_places(canvas, places), at_places(positions.expand(len(canvas), -1, -1, -1), places)]
    return torch.cat([*parts, code.expand(len(canvas), -1, -1)], -1)


def test_single_norms(golden, method):
    adapted = method._encoder
    found = {
        "sam.image_encoder.blocks.0.norm1": adapted.encoder.blocks[0].norm1,
        "sam.image_encoder.blocks.0.freq_norm": adapted.adapters[0].frequency.norm,
        "sam.mask_decoder.output_upscaling.1": method.network.upscaling[1],
    }
    for name, norm in found.items():
        golden.compare(f"eps.{name}", norm(golden.input(f"eps.{name}")))


def test_low_rank_attention_and_frequency_adapter(golden, method):
    block, adapter = method._encoder.encoder.blocks[0], method._encoder.adapters[0]
    tokens = golden.input("lora_tokens")
    golden.compare("unit.lora_qkv", block.attn.qkv(tokens))
    golden.compare("unit.lora_gate", adapter.term.gate(tokens.mean((1, 2))))
    golden.compare("unit.lora_attention", block.attn(tokens))
    golden.compare("unit.frequency_adapter", adapter.frequency(golden.input("frequency_tokens")))


def test_position_code(golden):
    code = OfficialCode()
    places = torch.cartesian_prod(torch.linspace(-1, 1, 3), torch.linspace(-1, 1, 5))
    golden.compare("unit.position_code_3x5", code.rows(places[:, 0]) + code.columns(places[:, 1]))
    golden.compare("unit.code_dims_by_epoch", torch.tensor([float(code.kept(epoch)) for epoch in range(25)]))


@pytest.mark.parametrize("number", [0, 1])
def test_coarse_and_fine_networks(golden, method, number):
    field, points = method.network.field, golden.input("points_351")
    answer = field.coarse_heads[number](field.coarse(points))
    golden.compare(f"unit.coarse_head_class{number}", answer)
    golden.compare(f"unit.fine_class{number}", field.fine_heads[number](field.fine(torch.cat([points, answer[:, 1:]], -1))))


def test_encoder(golden, method):
    images = golden.input("image")
    frame = Frame((128, 128), 128, stretch=True)
    golden.compare("encoder.input", frame.resize(images[0].numpy() * 255, antialias=False) / 255)
    spectrum = amplitude(images, "red")
    golden.compare("encoder.amplitude", spectrum)
    adapted = method._encoder
    steps = list(adapted.steps(adapted.early(images), adapted.early(spectrum.expand(-1, 3, -1, -1))))
    for i, (tokens, stream) in enumerate(steps):
        golden.compare(f"encoder.block{i}", tokens)
        golden.compare(f"encoder.frequency{i}", stream)
    golden.compare("encoder.embedding", adapted.encoder.neck(steps[-1][0]))


def test_spectra_without_the_large_zero_frequency(golden, method):
    images, adapted = golden.input("zero_mean_image"), method._encoder
    spectrum = amplitude(images, "red")
    golden.compare("zero_mean.amplitude", spectrum)
    stream = adapted.early(spectrum.expand(-1, 3, -1, -1))
    golden.compare("zero_mean.embedding", adapted.late(adapted.early(images), stream))
    steps = list(adapted.steps(adapted.early(images), stream))
    golden.compare("zero_mean.frequency_first", steps[0][1])
    golden.compare("zero_mean.frequency_last", steps[-1][1])


def test_inputs_of_points(golden, method, asked):
    golden.compare("prompt.sparse", method.network.prompt_encoder(boxes_xyxy=golden.input("boxes")[:, 0])[0])
    _, canvas, inputs = asked
    golden.compare("full.upscaled", canvas)
    golden.compare("full.point_image", inputs[0, :, :32])
    golden.compare("full.point_position", inputs[0, :, 32:288])
    golden.compare("full.point_code", inputs[0, :, 288:])


def test_whole_answers(golden, method, asked):
    field, inputs, uncertainty = method.network.field, asked[2][0], golden.input("uncertainty")
    for number, name in ((0, "full"), (1, "last_class")):
        coarse, merged, chosen = official_field(field, inputs, number, uncertainty)
        golden.compare(f"{name}.coarse", coarse.view(1, 1, HEIGHT, WIDTH))
        golden.compare(f"{name}.merged", merged.view(1, 1, HEIGHT, WIDTH))
        if number == 0:
            golden.compare("full.selected", torch.nonzero(chosen)[:, 0])
            golden.compare("full.positive_share", torch.stack([(m > 0).float().mean()[None] for m in (coarse, merged)]))
    answer = field.coarse_heads[0](field.coarse(inputs))
    golden.compare("full.coarse_head", answer)
    everywhere = field.fine_heads[0](field.fine(torch.cat([inputs, answer[:, 1:]], -1)))
    golden.compare("full.fine_everywhere", everywhere.view(1, 1, HEIGHT, WIDTH))


def test_masked_code_of_early_epochs(golden, method, asked):
    share = 0.1
    kept = int(share * 63) + 3
    inputs = asked[2][0].clone()
    inputs[:, 288 + kept :] = 0
    coarse, merged, _ = official_field(method.network.field, inputs, 0, golden.input("uncertainty"))
    golden.compare("epoch_T_0.1.coarse", coarse.view(1, 1, HEIGHT, WIDTH))
    golden.compare("epoch_T_0.1.merged", merged.view(1, 1, HEIGHT, WIDTH))


def test_several_images_compete_for_the_fine_network(golden, method):
    given = golden.input("upscaled")
    canvas = given.transpose(1, 2).unflatten(2, (32, 32))
    inputs = inputs_of(method, canvas, golden.input("dense_pe"))
    coarse, merged, _ = official_field(method.network.field, inputs.flatten(0, 1), 0, golden.input("unit_uncertainty"))
    golden.compare("unit.inr_coarse", coarse.view(2, 1, HEIGHT, WIDTH))
    golden.compare("unit.inr_merged", merged.view(2, 1, HEIGHT, WIDTH))


def test_losses(golden):
    truth = golden.input("loss_mask").flatten(1)
    both = {name: golden.input(f"loss_{name}").flatten(1) for name in ("coarse", "merged")}
    for name, logits in both.items():
        golden.compare(f"loss.{name}.dice", squared_dice(logits, truth))
        golden.compare(f"loss.{name}.official", sum(official_loss(logits, truth).values()))
        golden.compare(f"loss.{name}.official_ce", torch.zeros(()))
        golden.compare(f"loss.{name}.bce", proper_loss(logits, truth)["bce"] / 0.2)
        golden.compare(f"loss.{name}.proper", sum(proper_loss(logits, truth).values()))
    for kind in ("official", "proper"):
        found = [sum(field_loss(*both.values(), truth, e, official=kind == "official").values()) for e in range(6)]
        divisor = 1 if kind == "official" else len(truth)
        golden.compare(f"loss.schedule_{kind}", torch.stack(found) / divisor)
    leaves = {name: logits.clone().requires_grad_() for name, logits in both.items()}
    (sum(field_loss(*leaves.values(), truth, 1).values()) / len(truth)).backward()
    for name, leaf in leaves.items():
        golden.compare(f"loss.grad_{name}_epoch1", leaf.grad.view(2, 1, HEIGHT, WIDTH))


def test_a_training_call(golden, method, asked):
    """Batch statistics, the coarse ones twice."""
    state = {name: value.clone() for name, value in method.network.field.state_dict().items()}
    field = method.network.field.train()
    try:
        coarse, merged, _ = official_field(field, asked[2][0], 0, golden.input("uncertainty"), dropout=0.0)
        golden.compare("train_no_dropout.coarse", coarse.view(1, 1, HEIGHT, WIDTH))
        golden.compare("train_no_dropout.merged", merged.view(1, 1, HEIGHT, WIDTH))
        golden.compare("train_no_dropout.coarse_running_mean", field.coarse[1].running_mean)
        golden.compare("train_no_dropout.fine_running_var", field.fine[1].running_var)
    finally:
        field.load_state_dict(state)
        field.eval()


def test_the_fast_answer_is_the_released_one(golden, method, asked):
    """Rows after rows through folded networks, against the recorded coarse answer; and the fine one at arbitrary places."""
    _, canvas, _ = asked
    grid = Grid.of_picture((HEIGHT, WIDTH))
    frame = Frame((HEIGHT, WIDTH), 128, stretch=True)
    own = PictureField(grid, frame, method.network.field, 0, canvas[0], method._positions()[0], method.code, None, None, 500)
    object.__setattr__(method.network.field, "share", 0.0)
    try:
        golden.compare("full.coarse", torch.from_numpy(own.on(grid).logits)[None])
    finally:
        method.network.field.share = 0.125


def test_nothing_recorded_was_left_out(golden):
    golden.assert_complete()
