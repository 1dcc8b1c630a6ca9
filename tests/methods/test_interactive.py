"""Interactive training: what is asked, corrected, learned and kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from promisam.core import Grid, Image, Labelled, Prompts, Segmentation, Task
from promisam.core.errors import InvalidPrompt, NotFitted
from promisam.methods.interactive import Config, Interactive
from promisam.methods.interactive.conversation import Conversation
from promisam.methods.interactive.losses import mask_loss, overlaps, quality_loss, single_or_best
from promisam.methods.interactive.samples import drawn
from promisam.sam.model import fingerprint
from promisam.training.losses import bce_dice
from tiny_sam import randomise, tiny

TASK = Task(("object",), 2, 1, (1.0, 1.0), (40, 60))


def made(**options):
    method = Interactive(tiny(prompts=frozenset(("box",)), multimask=False), Config(**options), TASK)
    randomise(method.network)
    return method


def labelled(shape=(40, 60), discs=((20, 20, 9),)):
    y, x = np.indices(shape)
    mask = np.zeros(shape, bool)
    for cy, cx, radius in discs:
        mask |= (y - cy) ** 2 + (x - cx) ** 2 < radius**2
    grid = Grid.of_picture(shape)
    pixels = (40 + 150 * mask + 9 * np.sin(x)).astype(np.uint8)[None]
    return Labelled(Image(pixels, grid), Segmentation(mask.astype(np.uint8), grid, {1: "object"}))


def batch(method, *scenes, seed=0):
    """One sample of each scene, as the engine stacks them."""
    found = []
    for number, scene in enumerate(scenes):
        sample = method.sample(method.precompute(scene, 0), torch.Generator().manual_seed(seed + number))
        assert sample is not None
        found.append(sample)
    return {name: torch.stack([one[name] for one in found]) for name in found[0]}


def talk_of(method, *scenes, **more):
    given = batch(method, *scenes, **more)
    return given, Conversation(given, method.config, method.sam.side / given["truth"].shape[-1])


TWO = labelled(discs=((12, 14, 7), (28, 44, 9)))


def test_a_click_asks_for_the_class_or_for_the_part_that_was_clicked():
    for seed in range(6):
        whole, part = (batch(made(objects=name, boxes=0), TWO, seed=seed) for name in ("class", "part"))
        cells = whole["truth"].shape[-1]
        scale = made().sam.side / cells
        x, y = ((part["points_xy"][0, 0] + 0.5) / scale).floor().long().tolist()
        assert part["truth"][0, 0, y, x] > 0.5
        assert part["truth"].sum() < 0.75 * whole["truth"].sum()
        left, right = (part["truth"][0, 0][:, half].sum() for half in (slice(0, cells // 2), slice(cells // 2, None)))
        assert min(left, right) == 0


def test_specks_are_not_asked_for_beside_larger_parts():
    shares = np.zeros((1, 30, 30), np.uint8)
    shares[0, 3:15, 4:20] = 255
    shares[0, 25, 25] = shares[0, 20, 2] = 255
    for seed in range(10):
        found = drawn(shares, Config(objects="part"), 32, 2.0, torch.Generator().manual_seed(seed))
        assert found is not None
        assert found["truth"].sum() == 12 * 16
    shares[0, 3:15] = 0
    alone = drawn(shares, Config(objects="part"), 32, 2.0, torch.Generator())
    assert alone is not None
    assert alone["truth"].sum() == 1


def test_an_image_without_objects_teaches_nothing():
    method = made()
    assert method.sample(method.precompute(labelled(discs=()), 0), torch.Generator()) is None


def test_prompts_of_a_batch_are_encoded_as_those_of_each_object_alone():
    """Boxes beside clicks, with and without a mask: as the SAM's own prompt encoder has them."""
    method = made(boxes=0.5, feedback=0.5)
    given, talk = talk_of(method, *[TWO] * 8)
    assert 0 < given["boxed"].sum() < 8
    prompts = method.network.prompt_encoder
    answers = given["truth"][:, 0] > 2  # nothing: then masks are empty and clicks lie on the object
    with torch.no_grad():
        for turn in range(3):
            sparse, dense = talk.encode(prompts)
            assert sparse.shape[1] == 2 + turn
            for i, boxed in enumerate(given["boxed"].tolist()):
                xy, labels = talk._points_xy[i : i + 1, boxed:], talk._labels[i : i + 1, boxed:]
                asked = {"boxes_xyxy": given["boxes_xyxy"][i : i + 1]} if boxed else {}
                masks = talk._masks[i : i + 1] if talk._masked[i] else None
                clicks = {"points_xy": xy, "labels": labels} if xy.shape[1] else {}
                tokens, map_ = prompts(**clicks, **asked, masks=masks)
                order = sparse[i].sort(0).values
                torch.testing.assert_close(order, tokens[0].sort(0).values)
                torch.testing.assert_close(dense[i], map_[0])
            talk.correct(answers)
            assert talk._labels[:, -1].all()
    assert 0 < talk._masked.sum() < 8


def test_corrections_lie_on_mistakes_of_the_right_kind_and_never_on_the_padding():
    method = made(boxes=0)
    given, talk = talk_of(method, *[labelled()] * 12)
    truth = given["truth"][:, 0] > 0.5
    answers = torch.zeros_like(truth)
    answers[:, :, truth.shape[-1] // 2 :] = True  # the half without the object, and what lies below the picture
    scale = method.sam.side / truth.shape[-1]
    for _ in range(3):
        talk.correct(answers)
    places = ((talk._points_xy[:, 1:] + 0.5) / scale).floor().long()
    height = int(given["extent"][0, 0])
    assert height < truth.shape[-2]
    for i in range(12):
        for (x, y), label in zip(places[i].tolist(), talk._labels[i, 1:].tolist(), strict=True):
            assert truth[i, y, x] == bool(label)
            assert answers[i, y, x] != truth[i, y, x]
            assert y < height
    assert len(set(talk._labels[:, 1:].flatten().tolist())) == 2
    right = torch.where(truth, 1, 0).bool()
    talk.correct(right)  # no mistake: on the object
    assert talk._labels[:, -1].all()


def test_losses_are_those_of_each_object_alone():
    method = made(boxes=0.5, rounds=2)
    together = batch(method, TWO, labelled(), labelled(discs=((8, 40, 6),)), labelled(discs=((20, 30, 14),)))
    assert 0 < together["boxed"].sum() < 4
    alone = [method.loss({name: value[i : i + 1] for name, value in together.items()}) for i in range(4)]
    for name, value in method.loss(together).items():
        answers = [2 if boxed else 3 for boxed in together["boxed"]]  # a box is answered as before
        assert value.item() == pytest.approx(np.average([one[name].item() for one in alone], weights=answers), rel=1e-4), name


def test_the_best_of_three_masks_learns_from_an_ambiguous_click():
    losses = torch.tensor([[4.0, 3.0, 1.0, 2.0], [4.0, 3.0, 1.0, 2.0]])
    assert single_or_best(losses, torch.tensor([True, False])).tolist() == [2.5, 4.0]
    assert single_or_best(losses[:, :1], torch.tensor([True, False])).tolist() == [4.0, 4.0]
    error = quality_loss(torch.tensor([[0.5, 1.0, 0.0]]), torch.tensor([[0.0, 1.0, 1.0]]), torch.tensor([True]))
    assert error.item() == pytest.approx(1.25 / 3)
    assert quality_loss(torch.zeros(1, 3), torch.full((1, 3), 0.5), torch.tensor([False])).item() == pytest.approx(0.25)


def test_mask_losses_have_the_means_of_the_usual_ones():
    generator = torch.Generator().manual_seed(0)
    logits, truth = torch.randn(3, 2, 9, 7, generator=generator), torch.rand(3, 1, 9, 7, generator=generator)
    entropy, dice = mask_loss(logits, truth)
    usual = bce_dice(logits, truth.expand_as(logits))
    assert entropy.mean().item() == pytest.approx(usual["bce"].item())
    assert dice.mean().item() == pytest.approx(usual["dice"].item())
    assert overlaps(torch.full((1, 1, 4, 4), -1.0), torch.zeros(1, 1, 4, 4)).item() == 1
    assert overlaps(torch.full((1, 1, 4, 4), 1.0), torch.ones(1, 1, 4, 4) * (torch.arange(4) < 1)).item() == 0.25


@pytest.mark.parametrize("trained", ["points", "tokens", "all"])
def test_what_is_trained_moves_and_nothing_else(trained):
    method = made(trained=trained, boxes=0.5)
    before = {name: value.clone() for name, value in method.network.state_dict().items()}
    sam = fingerprint(method.sam)
    steps = torch.optim.SGD([p for p in method.network.parameters() if p.requires_grad], 0.1)
    for seed in range(3):
        sum(method.loss(batch(method, *[TWO] * 4, seed=10 * seed)).values()).backward()
    steps.step()
    moved = {name for name, value in method.network.state_dict().items() if not torch.equal(value, before[name])}
    heads = ("iou_token", "mask_tokens", "output_hypernetworks_mlps", "iou_prediction_head")
    points = ("prompt_encoder.point_embeddings.0", "prompt_encoder.point_embeddings.1", "prompt_encoder.not_a_point_embed")
    allowed = {"points": points, "tokens": (*points, *(f"mask_decoder.{head}" for head in heads)), "all": ("",)}[trained]
    assert all(name.startswith(allowed) for name in moved)
    assert all(any(name.startswith(part) for name in moved) for part in allowed)
    if trained == "all":
        assert any("mask_downscaling" in name for name in moved)
        assert any("transformer" in name for name in moved)
    assert fingerprint(method.sam) == sam


def test_what_it_learned_is_what_it_answers():
    method = made(quality=0.0, boxes=0.0)
    scenes = batch(method, TWO, labelled())
    asked, encoded = Prompts(TWO.image.grid).click((12.0, 14.0)), method.encode(TWO.image)
    before = sum(method.loss(scenes).values()).item(), method.decode(encoded, asked).logits
    steps = torch.optim.AdamW(method.network.parameters(), 3e-3)
    for _ in range(30):
        steps.zero_grad()
        sum(method.loss(scenes).values()).backward()
        steps.step()
    assert sum(method.loss(scenes).values()).item() < 0.9 * before[0]
    assert np.abs(method.decode(encoded, asked).logits - before[1]).max() > 0.1


def test_masks_that_were_never_trained_begin_as_the_single_one():
    dead = made_fresh(multimask=False, box_answers="learned")
    image = TWO.image
    encoded = dead.encode(image)
    asked = Prompts(image.grid).with_box((5.0, 5.0), (30.0, 50.0))
    with torch.no_grad():
        logits, quality = dead.adapted.decode(encoded.embedding, boxes_xyxy=encoded.frame.box_xyxy(asked.box_zyx))
    spread = logits[0].std()
    assert (logits[0, 1:] - logits[0, :1]).abs().mean() < spread
    assert not torch.equal(logits[0, 1], logits[0, 2])
    assert (quality[0, 1:] - quality[0, :1]).abs().max() < 1e-5
    kept = made_fresh(multimask=True)
    assert torch.equal(kept.network.mask_decoder.mask_tokens.weight, kept.sam.mask_decoder.mask_tokens.weight)


def made_fresh(multimask, **options):
    return Interactive(tiny(prompts=frozenset(("box",)), multimask=multimask), Config(**options), TASK)


def test_a_box_alone_is_answered_as_before_until_it_is_corrected():
    method = made(boxes=0.5, rounds=1)
    randomise(method.network, 5)
    encoded, asked = method.encode(TWO.image), Prompts(TWO.image.grid).with_box((5.0, 5.0), (30.0, 50.0))
    with torch.no_grad():
        before, quality = method.sam.decode(encoded.embedding, boxes_xyxy=encoded.frame.box_xyxy(asked.box_zyx))
    kept = method.decode(encoded, asked)
    torch.testing.assert_close(torch.from_numpy(kept.logits), encoded.frame.restore(before[:, :1])[0])
    assert kept.quality == pytest.approx((quality[0, 0].item(),))
    always = made(boxes=0.5, rounds=1, multimask="always")
    assert np.array_equal(always.decode(encoded, asked).logits, kept.logits)  # it has one mask
    learned = made(box_answers="learned")
    learned.network.load_state_dict(method.network.state_dict())
    assert np.abs(learned.decode(encoded, asked).logits - kept.logits).max() > 0.1
    for more in (asked.click((12.0, 14.0)), asked.with_mask(TWO.truth.mask(1))):
        assert np.array_equal(learned.decode(encoded, more).logits, method.decode(encoded, more).logits)


def test_boxes_that_are_answered_as_before_teach_by_their_corrections_alone():
    method = made(boxes=1.0, rounds=1)
    scenes = batch(method, TWO, labelled())
    assert scenes["boxed"].all()
    before = {name: value.item() for name, value in method.loss(scenes).items()}
    points = method.network.prompt_encoder.point_embeddings
    with torch.no_grad():
        points[2].weight += 3  # what the lower corner means
        points[3].weight += 3
    moved = {name: value.item() for name, value in method.loss(scenes).items()}
    assert moved["bce"] != before["bce"]
    assert not batch(made(boxes=1.0, rounds=0), TWO)["boxed"].any()  # nothing could be learned
    assert batch(made(boxes=1.0, rounds=0, box_answers="learned"), TWO)["boxed"].all()


def test_going_on_from_weights_that_keep_boxes_keeps_the_same():
    first = made()
    randomise(first.network, 3)
    second = Interactive(first.adapted, Config(objects="part"), TASK)
    encoded, asked = first.encode(TWO.image), Prompts(TWO.image.grid).with_box((5.0, 5.0), (30.0, 50.0))
    randomise(second.network, 4)
    assert np.array_equal(second.decode(encoded, asked).logits, first.decode(encoded, asked).logits)


def test_refusals():
    grid = TWO.image.grid
    with pytest.raises(NotFitted, match="fit interactive"):
        Interactive(tiny(), Config()).encode(TWO.image)
    with pytest.raises(InvalidPrompt, match="no prompt"):
        made().check(grid, Prompts(grid))
