"""A report's folder that several measured, stopped or changed."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from command_line import promisam
from data_maker import blocks, grey, picture
from evidence.labelled_sets import some
from promisam.core.errors import FolderInUse, InvalidConfig, ProcessDied, UnreadableFile
from promisam.evidence import Machine, gathered, kept, measure, measuring, plan, publish, read_tables
from promisam.evidence.answers import About, Answer, Cost, as_csv
from promisam.evidence.apart import apart
from promisam.evidence.learning import Learned
from promisam.evidence.plan import PROFILES
from promisam.runs.claim import claimed

ENTRIES = {entry.name: entry for entry in plan([some("a"), some("b")], PROFILES["full"])}
COST = Cost(1.5, 2.5, 900, 800, 40, 0.9, 2, 6, "promisam fit", "a machine", 1.0, "2026-01-02", "0.1.0", "abc")


def left(out, entry, dice=0.5, about=None):
    """As if the entry had been measured."""
    place = out / "entries" / entry.name
    place.mkdir(parents=True)
    prompt = entry.asked[0]
    answers = [Answer(prompt, prompt != "auto", 1, 0, 0, "as it is", "t", "t", "x", dice, 0.5, 1.0, 0.1, 0.2)]
    for name, kind, rows in (("about", About, [about or entry.about]), ("answers", Answer, answers), ("cost", Cost, [COST])):
        (place / f"{name}.csv").write_text(as_csv(kind, rows))
    (place / "fingerprint.txt").write_text(entry.fingerprint)
    return place


def test_everything_in_the_folder_is_told_in_one_order(tmp_path):
    for name in ("b.unet.all", "a.unet.all", "a.unet.5", "b.sam.0", "a.mpa.10", "a.unet.10"):
        left(tmp_path, ENTRIES[name])
    assert publish(tmp_path).name == "report.html"
    told = [(f.dataset, f.key, f.shots) for f in read_tables(tmp_path).summary]
    assert told == [
        ("a", "unet", "5"),
        ("a", "unet", "10"),
        ("a", "unet", "all"),
        ("a", "mpa", "10"),
        ("b", "sam", "0"),
        ("b", "unet", "all"),
    ]


@pytest.mark.parametrize("lost", ["answers.csv", "cost.csv", "about.csv", "fingerprint.txt"])
def test_what_is_not_whole_is_not_there(tmp_path, lost):
    entry = ENTRIES["a.unet.all"]
    place = left(tmp_path, entry)
    assert kept(entry, tmp_path) is not None
    (place / lost).unlink()
    assert kept(entry, tmp_path) is None
    assert gathered(tmp_path) == ()


def test_a_damaged_table_names_what_to_remove(tmp_path):
    place = left(tmp_path, ENTRIES["a.unet.all"])
    (place / "answers.csv").write_text("dice\nmuch\n")
    with pytest.raises(UnreadableFile) as caught:
        publish(tmp_path)
    assert f"Remove {place};" in caught.value.do


def test_other_test_cases_are_not_mixed_in(tmp_path):
    left(tmp_path, ENTRIES["a.unet.all"])
    other = ENTRIES["a.sam.0"]
    left(tmp_path, other, about=replace(other.about, cases="of another day"))
    with pytest.raises(InvalidConfig, match="other test cases of a"):
        publish(tmp_path)
    assert not (tmp_path / "summary.csv").exists()


def test_what_another_process_is_at_is_left_to_it(tmp_path):
    entry = ENTRIES["a.unet.all"]
    with claimed(tmp_path / "entries" / entry.name), pytest.raises(FolderInUse):
        measure(entry, tmp_path, Machine(), print)


def test_what_another_process_measured_meanwhile_is_taken(tmp_path):
    entry = ENTRIES["a.unet.all"]
    left(tmp_path, entry, dice=0.25)
    assert measure(entry, tmp_path, Machine(), print).answers[0].dice == 0.25


def test_a_training_of_other_files_is_not_taken(tmp_path, monkeypatch):
    entry = ENTRIES["a.unet.all"]
    monkeypatch.setattr(measuring, "_apart", lambda *_: pytest.fail("it must not be asked"))
    Learned(60, 0.5, 1.0, ("a0",), "another lesson").write(tmp_path / "runs" / f"{entry.run}.json")
    with pytest.raises(InvalidConfig, match="other settings, cases or files"):
        measure(entry, tmp_path, Machine(), print)
    assert gathered(tmp_path) == ()


def test_a_process_that_ends_before_it_answers_is_named(tmp_path):
    with pytest.raises(ProcessDied, match="the process for hearts, which ended with 7") as caught:
        apart(os._exit, (7,), "the process for hearts", tmp_path / "logs" / "hearts.txt", 1)
    assert "hearts.txt" in caught.value.do


def test_an_entry_whose_process_dies_does_not_stop_the_others(tmp_path, monkeypatch, capsys):
    for i in range(8):
        picture(tmp_path / "heads" / "images" / f"h{i}.png", grey(i))
        picture(tmp_path / "heads" / "masks" / f"h{i}.png", blocks(1))
    asked = []

    def died(_work, entry, *_):
        asked.append(entry.contestant.key)
        raise ProcessDied("the process", expected="an answer", do="See the log.")

    monkeypatch.setattr(measuring, "_apart", died)
    answer = promisam(capsys, "report", tmp_path / "heads", "-o", tmp_path / "out", "--methods", "sam,click")
    assert asked == ["sam", "click"]
    assert answer.status == 2
    assert answer.err == "promisam: the process; expected an answer. See the log.\n"
