"""Which sets are found, and what is measured on them."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from data_maker import blocks, grey, labels_xyz, noise, picture, volume
from evidence.labelled_sets import some
from promisam.core.errors import InvalidConfig, PromisamError
from promisam.evidence import PROFILES, find_sets, left_out, plan

FAST, FULL = PROFILES["fast"], PROFILES["full"]


def labelled(folder, count):
    for i in range(count):
        picture(folder / "images" / f"c{i:02}.png", grey(i))
        picture(folder / "masks" / f"c{i:02}.png", blocks(1))
    return folder


def test_a_folder_that_is_a_set_is_the_set(tmp_path):
    (found,) = find_sets(labelled(tmp_path / "mine", 10), ())
    assert (found.name, found.ndim) == ("mine", 2)
    assert (len(found.train), len(found.val), len(found.test)) == (5, 2, 3)
    assert not {*found.train} & {*found.test, *found.val}


def test_subfolders_are_sets_where_they_can_be_read(tmp_path):
    labelled(tmp_path / "b", 4)
    (tmp_path / "notes").mkdir()
    for i in range(2):
        volume(tmp_path / "a" / "images" / f"v{i}.nii.gz", noise(i))
        volume(tmp_path / "a" / "masks" / f"v{i}.nii.gz", labels_xyz(1, 2))
    found = find_sets(tmp_path, ())
    assert [(one.name, one.ndim, len(one.classes)) for one in found] == [("a", 3, 2), ("b", 2, 1)]
    assert found[1].train == ()  # four cases are too few to learn from
    assert len(found[1].test) == 4
    assert [one.name for one in find_sets(tmp_path, ("b",))] == ["b"]


@pytest.mark.parametrize("wanted", [("nothere",), ("notes",)])
def test_named_sets_must_be_there(tmp_path, wanted):
    labelled(tmp_path / "b", 4)
    (tmp_path / "notes").mkdir()
    with pytest.raises(PromisamError):
        find_sets(tmp_path, wanted)


def test_nothing_labelled_is_refused(tmp_path):
    with pytest.raises(InvalidConfig, match="no labelled set"):
        find_sets(tmp_path, ())
    with pytest.raises(InvalidConfig, match="folder"):
        find_sets(tmp_path / "absent", ())


def test_fewer_cases_are_always_the_same_and_stay_in_their_parts(tmp_path):
    folder = labelled(tmp_path / "mine", 20)
    (whole,), (part,), (again,) = (find_sets(folder, (), cases) for cases in (None, 3, 3))
    assert part == again
    assert len(part.train) == len(part.test) == 3
    assert {*part.train} < {*whole.train}
    assert {*part.test} < {*whole.test}


def test_plain_sam_alone_is_asked_about_a_set_without_labels_to_learn_from():
    assert {e.contestant.key for e in plan([some("a", train=0)], FULL)} == {"sam", "click"}


def test_epochs_make_the_profile_s_steps_with_any_number_of_labels():
    entries = [e for e in plan([some("a", train=40)], FULL) if e.contestant.key == "unet"]
    assert [e.shots for e in entries] == [1, 5, 10, None]
    for entry in entries:
        count = 40 if entry.shots is None else entry.shots
        steps = math.ceil(entry.options["epochs"] * count / entry.options["batch"])  # as the training counts them
        assert steps == pytest.approx(500, rel=0.03)
        assert entry.options.get("choose") == (None if entry.shots is None else "last")
    assert [e.options["validate_every"] == e.options["epochs"] for e in entries] == [True, True, True, False]


def test_every_size_and_prompt_is_asked_of_the_whole_run_alone():
    entries = {e.name: e for e in plan([some("a")], FULL)}
    assert entries["a.imedsam.all"].sizes == (128, 256, 512, 896)
    assert entries["a.imedsam.1"].sizes == ()
    assert entries["a.ips.all"].asked == ("points:16", "points:5", "points:3", "points:1")
    assert entries["a.ips.5"].asked == ("points:16",)
    assert [e.shots for e in entries.values() if e.contestant.key == "mpa"] == [1, 5, 10]


def test_volumes_have_their_own_methods_in_cubes_that_fit():
    small, large = plan([some("s", 3, shape=(34, 52, 35)), some("l", 3, shape=(40, 200, 200))], FULL), None
    options = {(e.data.name, e.contestant.key): e.options for e in small if e.shots is None}
    assert large is None
    assert options["s", "promise3d"]["patch"] == 48
    assert options["l", "promise3d"]["patch"] == 64
    assert options["l", "unet"]["patch"] == [48, 96, 96]
    assert {e.contestant.ndim for e in small} == {3}


def test_the_fast_profile_leaves_out_what_takes_minutes_for_a_volume():
    assert "mpa" not in {e.contestant.key for e in plan([some("v", 3)], FAST)}
    assert "mpa" in {e.contestant.key for e in plan([some("v", 3)], FULL)}
    assert "mpa" in {e.contestant.key for e in plan([some("p")], FAST)}


def test_what_is_learned_is_tried_on_another_set():
    profile = replace(FULL, transfers=(("a", "b"),))
    entries = plan([some("a"), some("b", train=0)], profile)
    moved = [e for e in entries if e.tested.name == "b" and e.data.name == "a"]
    assert {e.contestant.key for e in moved} == {"unet", "ips", "apm", "imedsam", "interactive", "mpa"}
    assert all(e.run in {o.run for o in entries if o.tested.name == "a"} for e in moved)
    assert len({e.name for e in entries}) == len(entries)


def test_unknown_methods_are_refused():
    with pytest.raises(InvalidConfig, match="nnunet"):
        plan([some("a")], replace(FAST, methods=("nnunet",)))


def test_fingerprints_follow_what_figures_depend_on():
    (entry,) = (e for e in plan([some("a")], FAST) if e.name == "a.unet.all")
    moved = replace(entry, data=replace(entry.data, path=Path("elsewhere")), tested=replace(entry.tested, path=Path("else")))
    assert moved.fingerprint == entry.fingerprint
    assert replace(entry, options={**entry.options, "width": 8}).fingerprint != entry.fingerprint
    assert replace(entry, tested=replace(entry.tested, test=("u",))).fingerprint != entry.fingerprint
    changed = replace(entry, data=replace(entry.data, content={"a0": "other labels"}))
    assert changed.fingerprint != entry.fingerprint
    assert changed.lesson != entry.lesson
    asked = replace(entry, asked=("box",))
    assert asked.lesson == entry.lesson
    assert asked.fingerprint != entry.fingerprint


def test_a_set_without_test_cases_is_refused_and_torn_patients_are_told(tmp_path):
    folder = labelled(tmp_path / "mine", 12)
    rows = [f"images/c{i:02}.png,masks/c{i:02}.png,p{i % 3},{'train' if i < 8 else 'val'}" for i in range(12)]
    table = folder / "index.csv"
    table.write_text("\n".join(["image,mask,group,split", *rows]) + "\n")
    with pytest.raises(InvalidConfig, match="test case"):
        find_sets(tmp_path, ("mine",))
    rows = [f"images/c{i:02}.png,masks/c{i:02}.png,p{i % 3},{('train', 'val', 'test')[i // 4]}" for i in range(12)]
    table.write_text("\n".join(["image,mask,group,split", *rows]) + "\n")
    (found,) = find_sets(tmp_path, ("mine",))
    assert "more than one part" in found.warnings[0]


def test_what_is_left_out_is_told(tmp_path):
    labelled(tmp_path / "b", 4)
    (tmp_path / "notes").mkdir()
    told = []
    find_sets(tmp_path, (), say=told.append)
    assert len(told) == 1
    assert "notes" in told[0]


def test_frames_of_a_video_stay_together_where_their_names_tell(tmp_path):
    folder = tmp_path / "videos"
    for i in range(12):
        picture(folder / "images" / f"seq{i // 3}_{i % 3}.png", grey(i))
        picture(folder / "masks" / f"seq{i // 3}_{i % 3}.png", blocks(1))
    (alone,) = find_sets(folder, ())
    assert "no patients or sequences are known" in alone.warnings[0]
    (found,) = find_sets(folder, (), group_by=r"(seq\d+)")
    assert found.warnings == ()
    parts = [{found.groups[name] for name in part} for part in (found.train, found.val, found.test)]
    assert all(parts)
    assert len(set.union(*parts)) == sum(map(len, parts)) == 4


def test_what_was_asked_for_and_cannot_be_is_told():
    small, volumes = some("few", train=0), some("scans", 3)
    told = list(left_out([small, volumes, some("a")], replace(FULL, methods=("unet", "mpa", "ips"), shots=(5, 99))))
    assert told == [
        "unet, ips, mpa on few, whose 1 cases are too few to learn from as well",
        "ips on scans, which it does not segment (volumes)",
        "99 labels of scans, of which 20 cases are there to learn from",
        "99 labels of a, of which 20 cases are there to learn from",
    ]
    assert list(left_out([some("a")], FULL)) == []
