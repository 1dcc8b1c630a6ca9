"""Figures from answers that are known: means, intervals, paired tests, and the texts made of them."""

from __future__ import annotations

from dataclasses import replace
from math import inf, isnan, nan
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import wilcoxon

from promisam.core.errors import UnreadableFile
from promisam.evidence import Entry, LabelledSet, Measured, Tables, read_tables, render, tables_of
from promisam.evidence.answers import Answer, Cost
from promisam.evidence.contestants import CONTESTANTS

GROUPS = {f"c{i}": f"p{i // 2}" for i in range(6)}  # two cases of each of three patients
SET = LabelledSet("heads", Path("x"), 2, ("head",), ("a", "b"), ("v",), tuple(GROUPS), GROUPS, shapes=((9, 9),))
AGAIN = ("heads", "head")
COST = Cost(1.5, 2.5, 900, 800, 40, 0.9, 2, 6, "promisam fit", "a machine, 1 thread", 1.25, "2026-01-02", "0.1.0", "abc")
SAM, CLICK, UNET, IPS = (
    next(c for c in CONTESTANTS if c.key == key and c.ndim == 2) for key in ("sam", "click", "unet", "ips")
)


def answer(case, dice, *, prompt="auto", draw=1, clicks=0, size=0, how="as it is", group=""):
    truth = prompt != "auto"
    return Answer(prompt, truth, draw, clicks, size, how, case, group or GROUPS[case], "head", dice, 0.5, inf, 0.25, 1.5)


def entry(contestant, shots=None, tested=SET):
    return Entry(contestant, SET, tested, shots, asked=contestant.asked)


def measured(contestant, dices, shots=None, **more):
    return Measured(entry(contestant, shots).about, tuple(answer(f"c{i}", d, **more) for i, d in enumerate(dices)), COST)


def test_draws_are_averaged_before_cases_and_their_spread_is_that_of_means():
    first = [answer(f"c{i}", d, prompt="points:16", draw=1) for i, d in enumerate([0.2, 0.4, 0.6, 0.8, 1.0, 0.0])]
    second = [answer(f"c{i}", d, prompt="points:16", draw=2) for i, d in enumerate([0.4, 0.6, 0.8, 1.0, 1.0, 0.2])]
    (figure,) = tables_of([Measured(entry(IPS).about, (*first, *second), COST)]).summary
    assert figure.dice == pytest.approx(np.mean([0.3, 0.5, 0.7, 0.9, 1.0, 0.1]))
    assert figure.dice_sd == pytest.approx(np.std([0.5, 4 / 6], ddof=1))
    assert figure.lowest == pytest.approx(0.1)
    assert (figure.cases, figure.groups, figure.draws, figure.from_truth) == (6, 3, 2, True)
    assert figure.hd95 == inf
    assert figure.seconds == 0.25


def test_intervals_resample_patients_and_not_cases():
    """Patients are at 0, 0.5 and 1 throughout: cases would give a narrower interval."""
    (figure,) = tables_of([measured(UNET, [0.0, 0.0, 0.5, 0.5, 1.0, 1.0])]).summary
    assert figure.low == pytest.approx(0.0)
    assert figure.high == pytest.approx(1.0)
    assert isnan(figure.dice_sd)


def test_clicks_and_sizes_are_lines_of_their_own():
    answers = [answer(f"c{i}", 0.1 * n, prompt="click", clicks=n) for i in range(6) for n in (1, 2)]
    answers += [answer("c0", 0.7, prompt="box", size=128, how=how) for how in ("field", "mask of 256, linear")]
    found = tables_of([Measured(entry(CLICK, 0).about, tuple(answers), COST)]).summary
    assert [(f.prompt, f.clicks, f.size, f.how) for f in found] == [
        ("click", 1, 0, "as it is"),
        ("click", 2, 0, "as it is"),
        ("box", 0, 128, "field"),
        ("box", 0, 128, "mask of 256, linear"),
    ]


def test_comparisons_pair_cases_and_resample_patients():
    ours, theirs = [0.9, 0.8, 0.7, 0.9, 0.6, 0.9], [0.5, 0.8, 0.6, 0.7, 0.7, 0.6]
    tables = tables_of([measured(SAM, theirs, 0, prompt="box"), measured(UNET, ours)])
    (pair,) = tables.comparisons
    by_patient = np.subtract(ours, theirs).reshape(3, 2).mean(1)
    assert pair.difference == pytest.approx(np.mean(np.subtract(ours, theirs)))
    assert pair.low == pytest.approx(by_patient.min())
    assert pair.high == pytest.approx(by_patient.max())
    assert isnan(pair.p)  # of three patients no test can say anything
    assert (pair.method, pair.from_truth, pair.other, pair.other_from_truth) == (UNET.title, False, SAM.title, True)
    assert (pair.cases, pair.groups) == (6, 3)


def patients(contestant, values, shots=None, *, each=2, **more):
    """Two cases of each of so many patients as there are values."""
    found = tuple(answer("c0", v + 0.01 * k, group=f"p{i}", **more) for i, v in enumerate(values) for k in range(each))
    told = tuple(replace(a, case=f"x{number}") for number, a in enumerate(found))
    return Measured(entry(contestant, shots).about, told, COST)


def test_patients_are_tested_and_not_cases():
    ours, theirs = [0.9, 0.8, 0.7, 0.9, 0.65, 0.9, 0.3], [0.5, 0.75, 0.6, 0.7, 0.7, 0.6, 0.6]
    (pair,) = tables_of([patients(SAM, theirs, 0, prompt="box"), patients(UNET, ours)]).comparisons
    assert (pair.cases, pair.groups) == (14, 7)
    assert pair.p == pytest.approx(wilcoxon(np.subtract(ours, theirs)).pvalue)


def test_equal_answers_have_no_p_and_holm_goes_over_the_others():
    same = [0.5] * 6
    better = [0.6, 0.71, 0.82, 0.63, 0.74, 0.85]
    tables = tables_of([patients(SAM, same, 0, prompt="box"), patients(UNET, same), patients(IPS, better, prompt="points:16")])
    unet, *ips = tables.comparisons
    assert unet.key == "unet"
    assert isnan(unet.p)
    assert isnan(unet.p_holm)
    assert [pair.other_key for pair in ips] == ["sam", "unet"]
    assert [pair.p_holm for pair in ips] == [pytest.approx(min(1.0, 2 * pair.p)) for pair in ips]


def test_few_labels_stand_beside_a_network_of_as_many():
    few = [measured(UNET, [0.3] * 6, 1), measured(UNET, [0.6] * 6), measured(IPS, [0.5] * 6, 1), measured(IPS, [0.9] * 6)]
    found = [(p.shots, p.other_shots, round(p.difference, 3)) for p in tables_of(few).comparisons]
    assert found == [("1", "1", 0.2), ("all", "all", 0.3)]


def test_a_network_of_another_set_is_no_reference():
    other = replace(SET, name="other")
    there = Measured(Entry(UNET, other, other, 1).about, tuple(answer(f"c{i}", 0.1) for i in range(6)), COST)
    found = tables_of([there, measured(UNET, [0.6] * 6), measured(IPS, [0.5] * 6, 1)]).comparisons
    assert [(p.shots, p.other_shots, round(p.difference, 3)) for p in found] == [("1", "all", -0.1)]


def test_a_set_that_is_only_tested_on_is_compared_with_what_learned_nothing_there():
    there = replace(SET, name="other", train=(), val=())
    answers = tuple(answer(f"c{i}", 0.8, prompt="box") for i in range(6))
    plain = Measured(Entry(SAM, there, there, 0, asked=("box",)).about, answers, COST)
    moved = Measured(entry(UNET, None, there).about, tuple(answer(f"c{i}", 0.3) for i in range(6)), COST)
    (pair,) = tables_of([plain, moved]).comparisons
    assert (pair.dataset, pair.difference) == ("heads → other", pytest.approx(-0.5))


def test_tables_survive_their_files_and_make_the_same_texts(tmp_path):
    found = tables_of(
        [
            measured(SAM, [0.7] * 6, 0, prompt="box"),
            measured(UNET, [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]),
            measured(UNET, [0.1] * 6, 1),
        ]
    )
    render(found, tmp_path / "a")
    again = read_tables(tmp_path / "a")
    assert isinstance(again, Tables)
    render(again, tmp_path / "b")
    for name in ("results.md", "report.html", "summary.csv", "comparisons.csv", "plots/methods.png", "plots/shots.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_the_texts_mark_truth_and_say_where_and_when(tmp_path):
    render(tables_of([measured(SAM, [0.7] * 6, 0, prompt="box"), measured(UNET, [0.5] * 6)]), tmp_path)
    text = (tmp_path / "results.md").read_text()
    assert "| heads | plain SAM (LiteMedSAM) | none | box† | 0.700 |" in text
    assert "| heads | U-Net | all (2) | none | 0.500 |" in text
    assert "a machine, 1 thread; 2026-01-02; promisam 0.1.0, commit abc" in text
    assert "Load of the machine, this work included: 1.2 to 1.2" in text
    assert "promisam reproduce promise2d polyps" in text
    assert "Few labels" not in text  # nothing was measured


def test_the_page_needs_nothing_else_and_escapes_names(tmp_path):
    odd = replace(SET, name="<script>alert(1)</script>")
    cases = tuple(answer(f"c{i}", 0.5) for i in range(6))
    render(tables_of([Measured(Entry(UNET, odd, odd, None, asked=("auto",)).about, cases, COST)]), tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "http" not in page.replace("http-equiv", "")
    assert "data:image/png;base64," in page


def test_a_folder_without_tables_is_refused(tmp_path):
    with pytest.raises(UnreadableFile, match="report"):
        read_tables(tmp_path)


def test_nothing_of_a_figure_is_invented_for_what_was_not_measured():
    (figure,) = tables_of([Measured(entry(UNET).about, (answer("c0", 0.5),), replace(COST, best_validation=nan))]).summary
    assert isnan(figure.low)
    assert isnan(figure.best_validation)


def test_weights_that_have_seen_cases_of_the_set_are_marked(tmp_path):
    known = replace(SET, name="hc18")
    answers = tuple(answer(f"c{i}", 0.8, prompt="click", clicks=1) for i in range(6))
    boxes = tuple(answer(f"c{i}", 0.7, prompt="box") for i in range(6))
    told = [
        Measured(Entry(one, known, known, 0, asked=one.asked).about, found, COST)
        for one, found in ((SAM, boxes), (CLICK, answers))
    ]
    render(tables_of(told), tmp_path)
    text = (tmp_path / "results.md").read_text()
    assert "plain SAM (promisam-click) ‡ | none | 1 click†" in text
    assert "plain SAM (LiteMedSAM) ‡" not in text
    assert "‡ The weights" in text
