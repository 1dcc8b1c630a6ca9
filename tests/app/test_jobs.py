"""Background work: what is asked of the command line, what is told while it works, and what becomes of its files."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from data_maker import blocks, grey, picture, volume
from promisam.app import job_words, job_work, start
from promisam.app.guard import Rules
from promisam.app.job_process import Process
from promisam.app.job_progress import last_row
from promisam.app.jobs import Busy, Jobs, Options, learnable, learned
from promisam.core.errors import InvalidConfig, NotFitted, PromisamError
from promisam.io import read_segmentation
from promisam.runs.predictions import Done
from promisam.runs.record import DataRecord, RunRecord
from promisam.sam.checkpoint import write_state
from promisam.session import Label, Project, Status
from session.fake_segmenter import FakeSegmenter
from tiny_sam import tiny

NAMES = ["-x", "a, b", "c", "d", "e", "f"]
WAIT = 20.0


class Fake:
    """A command that says lines, does something and ends when it may."""

    def __init__(self, words, does=None, status=0, says=(), hold=False):
        self.words, self.status, self.says = words, status, says
        self.may_end = threading.Event()
        self.stopped = False
        if does is not None:
            does(self)
        if not hold:
            self.may_end.set()

    def option(self, name):
        return next((word.partition("=")[2] for word in self.words if word.startswith(f"{name}=")), None)

    @property
    def out(self):
        return Path(self.words[self.words.index("-o") + 1])

    def lines(self):
        yield from (f"{line}\n" for line in self.says)

    def ended(self, seconds):
        return self.status if self.may_end.wait(seconds) else None

    def stop(self):
        self.stopped, self.status = True, -15
        self.may_end.set()


@pytest.fixture
def project(tmp_path):
    """Six pictures, of which `c` and `d` are done."""
    for at, name in enumerate(NAMES):
        picture(tmp_path / "images" / f"{name}.png", grey(at))
    found = Project.open(tmp_path / "images")
    for name in ("c", "d"):
        finish(found, name)
    return found


def finish(project, name, *values):
    image = project.image(name)
    project.write_mask(name, blocks(*(values or (1,)))[: image.grid.shape[0]], image.grid)
    project.set_statuses({name: Status("done", "hand")})


@pytest.fixture
def started(project):
    """Makes Jobs whose commands are fakes; `used` are the runs that were taken into use."""
    made, used = [], []

    def make(source=None, **how):
        jobs = Jobs(project, used.append, source, launch=lambda words: made.append(Fake(words, **how)) or made[-1], look=0.002)
        return jobs, made, used

    return make


def settled(jobs):
    deadline = time.monotonic() + WAIT
    while jobs.all()[-1].state == "running":
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return jobs.all()[-1]


def until(jobs, holds):
    deadline = time.monotonic() + WAIT
    while not holds(jobs.all()[-1]):
        assert time.monotonic() < deadline, jobs.all()[-1]
        time.sleep(0.002)
    return jobs.all()[-1]


def table(path):
    return {row["name"]: row for row in csv.DictReader(Path(path).read_text(encoding="utf-8").splitlines())}


def chosen(*names):
    def does(fake):
        rows = "".join(f'"{name}",x,{rank},1,0,medoid\n' for rank, name in enumerate(names, 1))
        fake.out.write_text("name,image,rank,represents,spread,why\n" + rows, encoding="utf-8")

    return does


def run_folder(folder, method="unet", labels=(1,), best=0.8125):
    data = DataRecord(str(folder), "a table", labels, "", ("object",), {"train": ("c",)}, "", (), {})
    folder.mkdir(parents=True, exist_ok=True)
    record = RunRecord((), method, {}, {}, {}, None, data, "cpu", 1, {}, None, {"best_score": best})
    record.write(folder)
    (folder / "model.safetensors").write_bytes(b"weights")


# --- select --------------------------------------------------------------------------------------------------------------


def test_chosen_images_get_their_ranks_and_keep_their_state(project, started):
    project.set_statuses({"e": Status("doubt", "model", 0.5, ("small",), 3), "f": Status(chosen=1)})
    jobs, made, _ = started(does=chosen("d", "c", "e", "-x"))
    assert jobs.start("select", k=2).state == "running"
    job = settled(jobs)
    assert (job.state, job.text) == ("done", "2 images chosen")
    assert project.status("e") == Status("doubt", "model", 0.5, ("small",), 1)
    assert project.status("-x") == Status(chosen=2)
    assert project.status("f") == Status()
    assert project.status("c") == Status("done", "hand")
    fake = made[0]
    assert fake.words[0] == "select"
    assert fake.words[fake.words.index("-k") + 1] == "4", "two that are done, and two more"
    assert set(table(fake.option("--extend"))) == {"c", "d"}
    listed = table(fake.words[-1])
    assert list(listed) == sorted(NAMES)
    assert all(Path(row["image"]).is_file() for row in listed.values())
    assert fake.words[-2] == "--"


def test_more_than_there_are_means_all_that_are_left(project, started):
    jobs, made, _ = started(does=chosen("c", "d", *(n for n in NAMES if n not in "cd")))
    jobs.start("select", k=100)
    assert settled(jobs).text == "4 images chosen"
    assert made[0].words[made[0].words.index("-k") + 1] == "6"


def test_what_could_not_be_read_is_told(project, started):
    jobs, _, _ = started(does=chosen("c", "d", "e"), status=2, says=["promisam: left out /x/f.png: damaged"])
    jobs.start("select", k=1)
    assert settled(jobs).text == "1 image chosen; 1 could not be read"


def test_a_former_choice_does_not_count_as_a_new_one(project, started):
    jobs, _, _ = started(does=chosen("c", "d", "e"))
    jobs.start("select", k=1)
    settled(jobs)
    jobs, _, _ = started(status=2, says=["promisam: no memory; expected some. Close other programs."])
    jobs.start("select", k=1)
    job = settled(jobs)
    assert (job.state, job.text) == ("failed", "no memory; expected some. Close other programs.")
    assert project.status("e").chosen == 1, "an earlier choice stays"


def test_what_is_saved_while_ranks_are_noted_stays(project, started, monkeypatch):
    looked, saving = Project.status, threading.Thread(target=finish, args=(project, "-x"))

    def status(self, name):
        found = looked(self, name)
        if name == "f" and threading.current_thread().name.startswith("job") and saving.ident is None:
            saving.start()
            saving.join(0.3)
        return found

    jobs, made, _ = started(does=chosen("c", "d", "e"), hold=True)
    jobs.start("select", k=1)
    monkeypatch.setattr(Project, "status", status)
    made[0].may_end.set()
    settled(jobs)
    monkeypatch.undo()
    saving.join()
    assert project.status("-x") == Status("done", "hand")
    assert project.status("e").chosen == 1


# --- learn ---------------------------------------------------------------------------------------------------------------


def test_a_trained_method_is_taken_into_use_when_it_is_complete(project, started):
    jobs, made, used = started(
        does=lambda fake: run_folder(fake.out), source=Options("/w.safetensors", "sam_vit_b", "cpu", True)
    )
    jobs.start("learn", method="unet")
    job = settled(jobs)
    assert (job.state, job.text) == ("done", "unet-1 learned from 2 images, validation Dice 0.81")
    run = project.own / "models" / "unet-1"
    assert used == [run]
    assert (run / "model.safetensors").is_file()
    assert learned(project) == run
    assert [entry.name for entry in run.parent.iterdir()] == ["unet-1"]
    fake = made[0]
    assert fake.words[0] == "fit"
    assert fake.words[-2:] == ["unet", str(project.own / "learn" / "dataset.csv")]
    assert {"--device=cpu", "--offline", "--split=80,20"} <= set(fake.words)
    assert not any(word.startswith(("--weights", "--like")) for word in fake.words), "it stands on no SAM"
    assert "--set=width=16" in fake.words
    assert "--set=epochs=240" in fake.words, "240 steps of one batch: two images learn"
    assert set(table(fake.words[-1])) == {"c", "d"}
    jobs.start("learn", method="unet")
    assert settled(jobs).text.startswith("unet-2")
    assert learned(project) == run.with_name("unet-2")
    jobs.start("learn", method="promise2d")
    settled(jobs)
    assert {"--weights=/w.safetensors", "--like=sam_vit_b"} <= set(made[-1].words)


def test_a_method_that_remembers_sees_the_other_images(project, started):
    jobs, made, used = started(does=lambda fake: run_folder(fake.out, "sam_mpa", best=None), status=2)
    jobs.start("learn", method="sam_mpa")
    job = settled(jobs)
    assert (job.state, job.text) == ("done", "sam_mpa-1 learned from 2 images")
    assert used == [project.own / "models" / "sam_mpa-1"]
    assert set(table(made[0].option("--images"))) == set(NAMES) - {"c", "d"}
    assert set(table(made[0].option("--support"))) == {"c", "d"}
    assert made[0].words[-2:] == ["--", "sam_mpa"]


def test_half_a_training_is_no_model(project, started):
    says = ["2 cases to train on", "promisam: warning: few", "promisam: the loss is NaN; expected numbers. Learn slower.", "x"]
    jobs, _, used = started(does=lambda fake: run_folder(fake.out), status=2, says=says)
    jobs.start("learn", method="unet")
    job = settled(jobs)
    assert (job.state, job.text) == ("failed", "the loss is NaN; expected numbers. Learn slower.")
    assert used == []
    assert learned(project) is None
    assert not (project.own / "models" / "making").exists()


def test_a_command_that_ends_well_and_leaves_nothing_failed(project, started):
    jobs, _, used = started()
    jobs.start("learn", method="unet")
    assert settled(jobs).state == "failed"
    assert used == []


def test_a_command_that_is_killed_is_told_as_such(project, started):
    jobs, _, _ = started(status=-9)
    jobs.start("learn", method="unet")
    assert "signal 9" in settled(jobs).text


def test_a_method_that_cannot_be_used_is_told(project):
    def refuse(run):
        raise InvalidConfig("weights that are gone", expected="them", do="Look.")

    jobs = Jobs(project, refuse, launch=lambda words: Fake(words, lambda fake: run_folder(fake.out)), look=0.002)
    jobs.start("learn", method="unet")
    job = settled(jobs)
    assert (job.state, job.text) == ("failed", "weights that are gone; expected them. Look.")


def test_progress_is_told_in_plain_words(project, started):
    jobs, made, _ = started(hold=True)
    jobs.start("learn", method="unet")
    until(jobs, lambda job: job.text == "reading the images")
    run = made[0].out
    run.mkdir(parents=True)
    features = project.own / "kept" / "ab"
    features.mkdir(parents=True)
    (features / "abc.safetensors").write_bytes(b"")
    until(jobs, lambda job: job.text == "looking at the images (1 encoded)")
    (run / "metrics.csv").write_text("step,epoch,loss,seconds\n11,10.5,0.4,0.1\n12,12.000,0.31234,0.1\n13,1")
    job = until(jobs, lambda job: job.done is not None)
    assert (job.done, job.of, job.text) == (12, 240, "step 12 of 240, loss 0.31")
    (run / "validation.csv").write_text("step,dice,cases,best\n10,0.81234,2,True\n")
    until(jobs, lambda job: job.text == "step 12 of 240, loss 0.31, validation Dice 0.81")
    assert job.to_json().keys() == {"id", "kind", "state", "done", "of", "text", "seconds"}
    assert json.loads(json.dumps(job.to_json()))["state"] == "running"
    made[0].may_end.set()
    settled(jobs)


def test_the_last_whole_row_counts(tmp_path):
    file = tmp_path / "m.csv"
    assert last_row(file) == {}
    file.write_text("step,loss")
    assert last_row(file) == {}
    file.write_text("step,loss\n")
    assert last_row(file) == {}
    file.write_text("step,loss\n" + "".join(f"{i},0.5\n" for i in range(2000)) + "2000,0")
    assert last_row(file) == {"step": "1999", "loss": "0.5"}


def test_learning_needs_labels_and_a_method_that_can(project, started, tmp_path):
    jobs, made, _ = started()
    for method in ("promise3d", "plain_sam", "--help", "os:system"):
        with pytest.raises(InvalidConfig, match="expected one of promise2d, sam_mpa"):
            jobs.start("learn", method=method)
    project.set_statuses({"d": Status()})
    with pytest.raises(InvalidConfig, match="1 image to learn unet"):
        jobs.start("learn", method="unet")
    project.set_statuses({"c": Status()})
    with pytest.raises(InvalidConfig, match="no image that is done"):
        jobs.start("learn", method="sam_mpa")
    assert made == []
    assert jobs.all() == []


def test_which_methods_can_learn(project, tmp_path):
    pictures = ("promise2d", "sam_mpa", "unet", "imedsam", "interactive")
    assert learnable(project) == pictures
    assert set(learnable(project, 3)) == {*pictures, "promise3d"}
    volume(tmp_path / "v" / "ct.nii.gz", np.zeros((5, 4, 3), np.float32))
    assert "promise3d" in learnable(Project.open(tmp_path / "v"))


def test_every_lesson_is_accepted(project):
    from promisam.store import check_names, check_options, find_method
    from promisam.training.recipe import Recipe

    for method in job_words.LESSONS:
        words = job_words.learn_words(project, method, 9, Path("t.csv"), Path("r"), Options(), Path("k"))
        given = dict(word.removeprefix("--set=").split("=", 1) for word in words if word.startswith("--set="))
        config = find_method(method)[1]
        check_names(given, config, Recipe)
        check_options(config, {name: value for name, value in given.items() if name in config.model_fields})
        recipe = check_options(Recipe, {name: value for name, value in given.items() if name not in config.model_fields})
        lesson = job_words.LESSONS[method]
        assert abs(recipe.epochs * 7 / recipe.batch - lesson.steps) <= 7


# --- presegment ----------------------------------------------------------------------------------------------------------


def predicted(project, *names, value=1, confidence=0.5):
    """Leaves masks and a report, as `promisam predict` does."""

    def does(fake):
        rows = []
        for name in names:
            picture(fake.out / f"{name}.png", blocks(value) * (255 if value == 1 else 1))
            rows.append(Done("i", "o", "done", mask=f"{name}.png", confidence=confidence, flags=("small",)))
        told = {"predictions": [{**asdict(row), "flags": list(row.flags)} for row in rows]}
        (fake.out / "predictions.json").write_text(json.dumps(told))

    return does


def test_what_nobody_worked_on_is_segmented(project, started):
    run_folder(project.own / "models" / "unet-1")
    (project.own / "drafts").mkdir(exist_ok=True)
    (project.own / "drafts" / "a, b.jsonl").write_text("{}\n")
    finish(project, "f")
    project.set_statuses({"f": Status("doubt", "hand"), "e": Status(chosen=4)})
    jobs, made, _ = started(does=predicted(project, "-x", "e"))
    jobs.start("presegment")
    job = settled(jobs)
    assert (job.state, job.text) == ("done", "2 images segmented")
    assert set(table(made[0].words[-1])) == {"-x", "e"}, "neither finished ones, nor drafts, nor what was saved in doubt"
    assert made[0].words[-2] == str(project.own / "models" / "unet-1")
    assert made[0].out == project.own / "presegment" / "made"
    assert project.prediction("e") == project.predictions / "e.png"
    assert not list(made[0].out.rglob("*.png"))
    assert project.status("e") == Status("doubt", "model", 0.5, ("small",), 4)
    assert project.status("f") == Status("doubt", "hand")
    assert project.status("c") == Status("done", "hand")


def test_what_is_saved_meanwhile_stays(project, started):
    run_folder(project.own / "models" / "unet-1")
    jobs, made, _ = started(does=predicted(project, "-x", "e"), hold=True)
    jobs.start("presegment")
    job = until(jobs, lambda job: job.done == 2)
    assert (job.of, job.text) == (4, "image 2 of 4")
    finish(project, "e")
    before = project.mask_files("e")[0].read_bytes()
    made[0].may_end.set()
    settled(jobs)
    assert project.status("e") == Status("done", "hand")
    assert project.mask_files("e")[0].read_bytes() == before
    assert project.status("-x").by == "model"


def test_masks_of_a_method_get_the_values_of_the_labels(project, started):
    project.set_labels([*project.labels, Label(7, "other", "#aabbcc")])
    run_folder(project.own / "models" / "unet-1", labels=(1, 7))
    jobs, _, _ = started(does=predicted(project, "e", value=2))
    jobs.start("presegment")
    settled(jobs)
    assert np.array_equal(read_segmentation(project.prediction("e")).labels, blocks(7))


def two_and_three(project):
    """A method of this project whose classes 1 and 2 are the labels 2 and 3."""
    project.set_labels([*project.labels, Label(2, "one", "#aabbcc"), Label(3, "other", "#ccbbaa")])
    run_folder(project.own / "models" / "unet-1", labels=(2, 3))


def test_masks_are_not_shown_before_they_have_the_values_of_the_labels(project, started):
    two_and_three(project)
    picture(project.predictions / "e.png", blocks(3))
    jobs, made, _ = started(does=predicted(project, "-x", "e"), hold=True)
    jobs.start("presegment")
    until(jobs, lambda job: job.done == 2)
    assert project.prediction("-x") is None
    assert np.array_equal(read_segmentation(project.prediction("e")).labels, blocks(3)), "of the former work"
    made[0].may_end.set()
    settled(jobs)
    for name in ("-x", "e"):
        assert np.array_equal(read_segmentation(project.prediction(name)).labels, blocks(2))


def test_masks_of_work_that_failed_get_their_values_once(project, started):
    two_and_three(project)
    jobs, _, _ = started(does=predicted(project, "e"), status=-9)
    jobs.start("presegment")
    assert settled(jobs).state == "failed"
    assert np.array_equal(read_segmentation(project.prediction("e")).labels, blocks(2))
    assert project.status("e") == Status("doubt", "model", 0.5, ("small",))


def test_masks_that_could_not_be_taken_at_first_get_their_values_once(project, started, monkeypatch):
    two_and_three(project)
    replace, refused = os.replace, []

    def refuse_once(source, target):
        if Path(target).parent == project.predictions and not refused:
            refused.append(target)
            raise PermissionError(13, "busy")
        replace(source, target)

    jobs, made, _ = started(does=predicted(project, "-x", "e"), hold=True)
    jobs.start("presegment")
    monkeypatch.setattr(os, "replace", refuse_once)
    made[0].may_end.set()
    assert settled(jobs).state == "failed"
    assert refused
    for name in ("-x", "e"):
        assert np.array_equal(read_segmentation(project.prediction(name)).labels, blocks(2))
        assert project.status(name).by == "model"


def test_a_damaged_mask_does_not_keep_the_others_from_being_noted(project, started):
    two_and_three(project)

    def does(fake):
        predicted(project, "-x", "e")(fake)
        (fake.out / "e.png").write_bytes(b"no picture")

    jobs, _, _ = started(does=does)
    jobs.start("presegment")
    assert settled(jobs).state == "failed"
    assert project.status("-x").by == "model"
    assert np.array_equal(read_segmentation(project.prediction("-x")).labels, blocks(2))
    assert project.prediction("e") is None
    assert project.status("e") == Status()


def test_what_is_begun_meanwhile_stays_a_draft(project, started):
    run_folder(project.own / "models" / "unet-1")
    jobs, made, _ = started(does=predicted(project, "-x", "e"), hold=True)
    jobs.start("presegment")
    (project.own / "drafts").mkdir(exist_ok=True)
    (project.own / "drafts" / "e.jsonl").write_text("{}\n")
    made[0].may_end.set()
    job = settled(jobs)
    assert (job.state, job.text) == ("done", "1 image segmented; 1 begun by hand meanwhile")
    assert project.prediction("e") is None
    assert project.status("e") == Status()
    assert project.prediction("-x") is not None


def test_what_is_saved_while_masks_are_taken_stays(project, started, monkeypatch):
    two_and_three(project)

    def read(file):
        if file.name == "e.png":
            finish(project, "-x")
        return read_segmentation(file)

    monkeypatch.setattr(job_work, "read_segmentation", read)
    jobs, _, _ = started(does=predicted(project, "-x", "e"))
    jobs.start("presegment")
    assert settled(jobs).state == "done"
    assert project.status("-x") == Status("done", "hand")
    assert project.status("e").by == "model"


def test_images_that_fail_are_counted_and_a_failure_of_all_is_one(project, started):
    run_folder(project.own / "models" / "unet-1")
    says = ["promisam: 3 images (a, b): a volume"]
    jobs, _, _ = started(does=predicted(project, "e"), status=2, says=says)
    jobs.start("presegment")
    job = settled(jobs)
    assert (job.state, job.text) == ("done", "1 image segmented; 3 failed: 3 images (a, b): a volume")
    jobs, _, _ = started(status=2, says=says)
    jobs.start("presegment")
    assert settled(jobs).state == "failed", "the mask of the former work is not one of this"


def test_what_was_made_before_a_cancellation_is_noted(project, started):
    run_folder(project.own / "models" / "unet-1")
    jobs, _, _ = started(does=predicted(project, "e"), hold=True)
    jobs.start("presegment")
    assert jobs.cancel("1").state == "cancelled"
    assert project.status("e").by == "model"
    assert project.status("-x") == Status()


def test_segmenting_needs_a_method_that_finds_objects(project, started):
    jobs, _, _ = started()
    with pytest.raises(NotFitted, match="Learn from finished images first"):
        jobs.start("presegment")
    run_folder(project.own / "models" / "interactive-1", "interactive")
    with pytest.raises(NotFitted, match="which answers clicks"):
        jobs.start("presegment")


# --- begin and end -------------------------------------------------------------------------------------------------------


def test_one_at_a_time(project, started):
    jobs, made, _ = started(hold=True)
    jobs.start("select")
    with pytest.raises(Busy, match="select, which is at work"):
        jobs.start("learn", method="unet")
    assert len(made) == len(jobs.all()) == 1
    jobs.cancel("1")
    jobs.start("learn", method="unet")
    assert [job.state for job in jobs.all()] == ["cancelled", "running"]
    jobs.close()
    assert [job.state for job in jobs.all()] == ["cancelled", "cancelled"]
    assert all(fake.stopped for fake in made)
    with pytest.raises(Busy):
        jobs.start("select")


def test_many_threads_begin_one(project, started):
    jobs, made, _ = started(hold=True)
    refused = []

    def begin():
        try:
            jobs.start("select")
        except Busy:
            refused.append(1)

    threads = [threading.Thread(target=begin) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert (len(made), len(refused)) == (1, 7)
    jobs.close()


def test_a_cancelled_training_leaves_no_model(project, started):
    jobs, _, used = started(does=lambda fake: run_folder(fake.out), hold=True)
    jobs.start("learn", method="unet")
    job = jobs.cancel("1")
    assert (job.state, job.text) == ("cancelled", "cancelled")
    assert (used, learned(project)) == ([], None)
    assert not (project.own / "models" / "making").exists()
    assert jobs.cancel("1") == job
    with pytest.raises(PromisamError, match="the work '7'"):
        jobs.cancel("7")


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("train", {}),
        ("learn", {}),
        ("learn", {"method": 3}),
        ("select", {"k": "3"}),
        ("select", {"k": True}),
        ("select", {"k": 0}),
        ("select", {"k": -4}),
        ("select", {"n": 3}),
        ("presegment", {"k": 3}),
    ],
)
def test_what_is_not_meant_is_refused(project, started, kind, options):
    jobs, made, _ = started()
    with pytest.raises(InvalidConfig):
        jobs.start(kind, **options)
    assert made == []


@pytest.mark.parametrize(
    ("given", "told"), [("./sam.pth", "sam.pth"), ("sam_vit_b", "sam_vit_b"), ("gone.pth", "gone.pth"), (None, None)]
)
def test_weights_are_found_from_the_folder_of_the_work(project, tmp_path, monkeypatch, given, told):
    (tmp_path / "sam.pth").write_bytes(b"weights")
    monkeypatch.chdir(tmp_path)
    sources = []
    monkeypatch.setattr(start, "load", lambda *_: FakeSegmenter())
    monkeypatch.setattr(start, "Jobs", lambda project, use, source: sources.append(source) or Jobs(project, use, source))
    start.build(start.Wish(project.root, weights=given, device="cpu"), Rules.of("t" * 16, "127.0.0.1", 8000))
    assert sources == [Options(str(tmp_path / told) if told == "sam.pth" else told, None, "cpu", False)]


# --- processes -----------------------------------------------------------------------------------------------------------

STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""


def gone(pid):
    """Whether a process has ended; one that nobody waited for yet has."""
    deadline = time.monotonic() + WAIT
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            if (
                Path(f"/proc/{pid}/stat").exists()
                and Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
            ):
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.02)
    return False


def test_a_group_that_does_not_listen_is_ended_by_force(tmp_path):
    process = Process([sys.executable, "-c", STUBBORN], tmp_path, grace=0.2)
    grandchild = int(next(process.lines()))
    assert process.ended(0.01) is None
    process.stop()
    assert process.ended(WAIT) == -signal.SIGKILL
    assert gone(grandchild)


def test_lines_and_status_of_a_process(tmp_path):
    code = "import sys; print('one'); print('zwei \\u00e4', file=sys.stderr); sys.exit(3)"
    process = Process([sys.executable, "-c", code], tmp_path)
    assert [line.strip() for line in process.lines()] == ["one", "zwei ä"]
    assert process.ended(WAIT) == 3
    process.stop()


SERVER = """
import sys, time
from pathlib import Path
from promisam.app.job_process import Process
process = Process([sys.executable, "-c", sys.argv[1]], Path("."))
print(next(process.lines()), flush=True)
time.sleep(60)
"""
CHILD = """
import os, signal, time
import promisam.app.job_child as child
def work(*_words, **_more):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print(os.getpid(), flush=True)
    time.sleep(60)
child.run_module, child.GRACE = work, 0.2
child.main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is of other systems")
def test_nothing_outlives_a_server_that_was_killed(tmp_path):
    server = subprocess.Popen([sys.executable, "-c", SERVER, CHILD], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    pid = int(server.stdout.readline())
    assert Path("/proc").exists() is False or Path(f"/proc/{pid}").exists()
    server.kill()
    server.wait()
    assert gone(pid)


def test_a_file_of_the_project_is_not_imported(project):
    (project.own).mkdir(exist_ok=True)
    (project.own / "typer.py").write_text("raise SystemExit('imported')")
    from promisam.app.job_process import launcher

    child = launcher(project.own)(["predict", "--help"])
    assert "Segment many images" in "".join(child.lines())
    assert child.ended(WAIT) == 0


# --- the real command line -----------------------------------------------------------------------------------------------


def test_from_labels_to_masks_with_the_real_command_line(tmp_path, monkeypatch):
    from promisam.store import load

    monkeypatch.setenv("PROMISAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    small = job_words.Lesson(2, 6, ("width=2", "levels=2", "side=16", "learning_rate=0.01"))
    monkeypatch.setitem(job_words.LESSONS, "unet", small)
    for at in range(6):
        drawn = blocks(*[1] * (1 + at % 3))
        picture(tmp_path / "scans" / f"p{at}.png", (grey(at) // 4 + 150 * drawn).astype(np.uint8))
    write_state(tmp_path / "tiny.safetensors", tiny().state_dict())
    project = Project.open(tmp_path / "scans")
    for at in range(3):
        project.write_mask(f"p{at}", blocks(*[1] * (1 + at % 3)), project.image(f"p{at}").grid)
        project.set_statuses({f"p{at}": Status("done", "hand")})
    used = []
    source = Options(str(tmp_path / "tiny.safetensors"), "sam_vit_b", "cpu", offline=True)
    jobs = Jobs(project, used.append, source, look=0.05)
    for kind, options in (("select", {"k": 2}), ("learn", {"method": "unet"}), ("presegment", {})):
        jobs.start(kind, **options)
        deadline = time.monotonic() + 120
        while jobs.all()[-1].state == "running" and time.monotonic() < deadline:
            time.sleep(0.05)
        assert jobs.all()[-1].state == "done", jobs.all()[-1]
    assert [job.text.split(",")[0] for job in jobs.all()] == [
        "2 images chosen",
        "unet-1 learned from 3 images",
        "3 images segmented",
    ]
    assert sorted(project.status(name).chosen or 0 for name in project.inputs) == [0, 0, 0, 0, 1, 2]
    assert load(method=used[0], device="cpu", offline=True).classes == ("object",)
    for name in ("p3", "p4", "p5"):
        assert (project.status(name).state, project.status(name).by) == ("doubt", "model")
        assert read_segmentation(project.prediction(name)).labels.shape == (20, 30)
    jobs.close()
    assert not list(project.own.rglob("making"))
