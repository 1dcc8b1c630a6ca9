"""Steps: averaged batches, limited gradients, precision; and where training ends."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from learning import course, ellipses, gap, steps, trained, validations, weights
from promisam.core.errors import InvalidConfig
from promisam.methods.unet import UNet
from promisam.training import loop as loop_module
from promisam.training.checkpoint import MODEL, STATE, read_into
from promisam.training.events import Precomputed, Step, Stopped, Validated
from promisam.training.loop import train
from promisam.training.recipe import Recipe

PLAIN = {"optimizer": "sgd", "learning_rate": 0.01, "clip": 0.0}


def test_two_batches_of_two_are_one_of_four():
    """Of seven cases, so that batches run over the ends of epochs."""
    four = course(training=ellipses(7), batch=4, epochs=4, **PLAIN)
    two = course(training=ellipses(7), batch=2, accumulate=2, epochs=4, **PLAIN)
    before = weights(four)
    one, other = trained(four), trained(two)
    assert [s.number for s in steps(one)] == [s.number for s in steps(other)] == list(range(1, 8))
    assert [s.loss for s in steps(one)] == pytest.approx([s.loss for s in steps(other)], abs=1e-5)
    assert gap(weights(four), before) > 1e-3
    assert gap(weights(four), weights(two)) < 1e-5


class Steep(UNet):
    """A loss so steep that every gradient is longer than the limit."""

    def loss(self, batch):
        return {name: 1e4 * value for name, value in super().loss(batch).items()}


@pytest.mark.parametrize("clip", [0.25, 0.0])
def test_gradients_are_as_long_as_the_limit(clip):
    made = course(kind=Steep, epochs=1, batch=4, clip=clip)
    network = made.method.network
    before = [p.detach().clone() for p in network.parameters()]
    plain = torch.optim.SGD(network.parameters(), 1.0)
    rate = steps(trained(made, optimizer=plain))[0].learning_rate
    moved = torch.stack([(p.detach() - b).norm() for p, b in zip(network.parameters(), before, strict=True)]).norm()
    if clip:
        assert float(moved) == pytest.approx(clip * rate, rel=1e-3)
    else:
        assert float(moved) > 100 * rate


def test_no_validation_better_for_long_ends_it(tmp_path):
    made = course(tmp_path, patience=2, epochs=9, learning_rate=1e-12)
    events = trained(made)
    assert [v.step for v in validations(events)] == [0, 2, 4]
    assert [v.best for v in validations(events)] == [True, False, False]
    assert (events[-1].reason, events[-1].step, events[-1].best_step) == ("early", 4, 0)
    state = (tmp_path / STATE).read_bytes()
    again = trained(course(tmp_path, patience=2, epochs=9, learning_rate=1e-12), resume=True)
    assert again == [events[-1]]
    assert (tmp_path / STATE).read_bytes() == state


def test_a_better_validation_starts_the_count_anew():
    made = course(patience=2, epochs=8, learning_rate=1e-12)
    shown = iter([0.1, 0.1, 0.2, 0.2, 0.3, 0.3, 0.3])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop_module, "mean_dice", lambda _: {"object": next(shown)})
        scores = [(v.score, v.best) for v in validations(trained(made))]
    assert scores == [(0.1, True), (0.1, False), (0.2, True), (0.2, False), (0.3, True), (0.3, False), (0.3, False)]


def test_the_last_weights_are_kept_where_they_are_wanted(tmp_path):
    made = course(tmp_path, choose="last", epochs=2)
    shown = iter([0.9, 0.5, 0.1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop_module, "mean_dice", lambda rows: {row: next(shown) for row in rows[0].held})
        events = trained(made)
    assert [v.best for v in validations(events)] == [True, True, True]
    assert (events[-1].reason, events[-1].best_step) == ("finished", events[-1].step)
    kept = course(tmp_path / "new")
    read_into(tmp_path / MODEL, kept.method.network)
    assert gap(weights(kept), weights(made)) == 0
    with pytest.raises(ValueError, match="choose=last"):
        Recipe(choose="last", patience=2)


@pytest.mark.parametrize("at", [0, 1, 2, 3, 4, 8, 9])
def test_left_anywhere_it_goes_on_to_the_same_end(tmp_path, at):
    """Also right after a step that is to be validated: the validation is made up for."""
    whole = course(tmp_path / "whole", validate_every=1)
    wanted = [e for e in trained(whole) if not isinstance(e, Precomputed)]
    seen = []
    part = course(tmp_path / "part")
    running = train(part)
    for event in running:
        if isinstance(event, Precomputed):
            continue
        seen.append(event)
        if len(seen) > at:
            break
    running.close()
    rest = course(tmp_path / "part")
    seen += [e for e in trained(rest, resume=True) if not isinstance(e, Precomputed)]
    assert [(type(e), getattr(e, "number", getattr(e, "step", None))) for e in seen] == [
        (type(e), getattr(e, "number", getattr(e, "step", None))) for e in wanted
    ]
    assert [e.loss for e in seen if isinstance(e, Step)] == [e.loss for e in wanted if isinstance(e, Step)]
    assert [e.score for e in seen if isinstance(e, Validated)] == [e.score for e in wanted if isinstance(e, Validated)]
    assert seen[-1] == wanted[-1]
    assert gap(weights(rest), weights(whole)) == 0


def test_a_finished_training_has_nothing_to_do(tmp_path):
    first = trained(course(tmp_path))
    assert isinstance(first[-1], Stopped)
    assert first[-1].reason == "finished"
    assert trained(course(tmp_path), resume=True) == [first[-1]]


def test_no_epochs_keep_the_untrained_weights(tmp_path):
    events = trained(course(tmp_path, epochs=0))
    assert [type(e) for e in events if not isinstance(e, Precomputed)] == [Validated, Stopped]
    assert trained(course(tmp_path, epochs=0), resume=True) == [events[-1]]


def test_bf16_learns_and_goes_on_to_the_same_weights(tmp_path):
    options = {"mixed_precision": "bf16", "epochs": 12, "batch": 4}
    whole = course(tmp_path / "whole", **options)
    events = trained(whole)
    assert steps(events)[-1].loss < 0.9 * steps(events)[0].loss
    exact = course(**{**options, "mixed_precision": "no"})
    assert steps(trained(exact))[0].loss != steps(events)[0].loss
    running = train(course(tmp_path / "part", **options))
    next(e for e in running if isinstance(e, Step) and e.number == 5)
    running.close()
    rest = course(tmp_path / "part", **options)
    trained(rest, resume=True)
    assert gap(weights(rest), weights(whole)) == 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="about machines without a GPU")
def test_fp16_on_a_cpu_is_refused_before_anything_begins(tmp_path):
    with pytest.raises(InvalidConfig, match="fp16 on a CPU"):
        trained(course(tmp_path, mixed_precision="fp16"))
    assert not list(tmp_path.iterdir())


def test_validation_cases_without_any_object_choose_nothing(tmp_path):
    """The untrained network finds something in them and the trained one less; neither says how good it is."""
    events = trained(course(tmp_path, validation=ellipses(2, 4, empty=True), patience=1))
    assert all(v.score != v.score for v in validations(events))
    assert all(v.best for v in validations(events))
    assert (events[-1].reason, events[-1].best_step) == ("finished", 6)


def test_objects_that_no_case_has_do_not_count_beside_those_that_one_has():
    mixed = [*ellipses(1, 4), *ellipses(1, 5, empty=True)]
    with_empty = validations(trained(course(validation=mixed, epochs=1)))
    assert all(v.score == pytest.approx(v.dice["object"]) for v in with_empty)
    assert all(len(v.cases) == 2 for v in with_empty)


class Blind(UNet):
    """Finds nothing anywhere."""

    def decode(self, encoded, prompts):
        found = super().decode(encoded, prompts)
        return replace(found, logits=-1 - abs(found.logits))


def test_objects_that_are_rightly_not_found_have_no_score():
    mixed = [*ellipses(1, 4), *ellipses(1, 5, empty=True)]
    for one in validations(trained(course(kind=Blind, validation=mixed, epochs=1))):
        assert [case.dice for case in one.cases] == [{"object": 0.0}, {}]
        assert one.score == 0.0


def test_empty_cases_are_learned_from():
    events = trained(course(training=[*ellipses(2), *ellipses(2, 2, empty=True)]))
    assert isinstance(events[-1], Stopped)


def test_a_single_case_validates(tmp_path):
    events = trained(course(tmp_path, validation=ellipses(1, 4)))
    assert [len(v.cases) for v in validations(events)] == [1, 1, 1, 1]


class Curious(UNet):
    """Remembers in what precision the loss sees its batch."""

    def loss(self, batch):
        assert {value.dtype for value in batch.values()} == {torch.float32}
        assert torch.is_autocast_enabled("cpu")
        return super().loss(batch)


def test_mixed_precision_halves_no_coordinate_and_no_truth():
    assert len(steps(trained(course(kind=Curious, epochs=1, mixed_precision="bf16")))) == 2
