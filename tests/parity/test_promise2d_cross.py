"""ProMISe-2D with the cross-attention point module against values recorded from the release."""

from __future__ import annotations

import pytest

from parity.golden import Golden
from parity.promise2d import WIDTH, Filled, compare_decoder, compare_whole
from promisam.methods.promise2d.cross_attention import sine_positions

NORMS = {"norm1": "attention_norm", "norm3": "ffn_norm"}


@pytest.fixture(scope="module")
def golden(shared):
    return Golden(shared / "golden", "promise2d_cross")


@pytest.fixture(scope="module")
def filled(golden):
    return Filled(golden, golden.meta["official_state"]["shapes"], grid=golden.meta["config"]["grid"])


@pytest.fixture(scope="module")
def features(golden):
    return [golden.input(f"block{i}") for i in (6, 9, 12)]


def test_what_the_file_is(filled):
    assert (filled.facts.mode, filled.facts.form, filled.facts.points) == ("apm+ips", "cross", 5)


def test_single_norms(golden, filled):
    for theirs, ours in NORMS.items():
        key = f"eps.apm_cross.layers.0.{theirs}"
        golden.compare(key, filled.points.layers[0].get_submodule(ours)(golden.input(key)))


def test_point_module_piece_by_piece(golden, filled, features):
    _, middle, early = filled.points.levels(features)
    golden.compare("apm.key9", middle.permute(0, 2, 3, 1))
    golden.compare("apm.key6", early.permute(0, 2, 3, 1))
    positions = sine_positions(*early.shape[2:], WIDTH)
    golden.compare("apm.position6", positions.expand(2, -1, -1))
    for layer, queries in enumerate(filled.points.queries(features)):
        golden.compare(f"apm.query_layer{layer}", queries)


def test_shift_points_decoder_and_whole(golden, filled, features):
    golden.compare("pae.shift", filled.shift(golden.input("embedding"))[:, 0])
    compare_decoder(golden, filled)
    raw = filled.points.raw(features)
    golden.compare("apm.raw", raw[:, 0])
    compare_whole(golden, filled, filled.points.slots(raw))


def test_nothing_recorded_was_left_out(golden):
    golden.assert_complete()
