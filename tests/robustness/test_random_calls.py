"""A sample of `benchmarks/robustness.py`: random calls of the command line end in clean refusals or right answers."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def robustness(monkeypatch):
    monkeypatch.setitem(os.environ, "PROMISAM_CACHE", "")  # the campaign sets it; given back afterwards
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("robustness_campaign", BENCHMARKS / "robustness.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_random_calls(robustness, tmp_path):
    campaign = robustness.Campaign(tmp_path, seed=11)
    campaign.run(50)
    assert [(one.defect, one.words) for one in campaign.found] == []
    assert sum(counts.calls for counts in campaign.counts.values()) == 50
    assert sum(counts.answered for counts in campaign.counts.values()) > 5


def test_what_is_judged_a_defect(robustness, tmp_path):
    campaign = robustness.Campaign(tmp_path, seed=0)
    campaign.work.mkdir()
    judge = campaign._judge
    assert judge("segment", [], 2, "", "promisam: no\n") == ""
    assert judge("segment", [], 2, "", "promisam: no\nand more\n") == "2 lines"
    assert judge("segment", [], 2, "", "") == "a refusal without a word"
    assert judge("segment", [], 1, "", "") == "status 1"
    (campaign.work / "rest.png").write_bytes(b"x")
    assert judge("segment", [], 2, "", "promisam: no\n").startswith("left behind")
    (campaign.work / "rest.png").unlink()
    (campaign.inputs / "picture.png").write_bytes(b"x")
    assert judge("segment", [], 2, "", "promisam: no\n") == "inputs changed by a refusal"
    assert campaign.inputs.joinpath("picture.png").stat().st_size > 1  # put right for the next call
