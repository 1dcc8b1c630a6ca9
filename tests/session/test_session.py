import json
import shutil
import threading
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from geometries import oblique
from promisam.core import Segmentation
from promisam.core.errors import (
    GeometryError,
    InvalidPrompt,
    PromisamError,
    UnreadableFile,
    UnsupportedPrompt,
    UnwritableOutput,
)
from promisam.io import read, read_segmentation, write
from promisam.session import Bench, Desk, Label, Project, Session, Taken
from promisam.session.desk import SILENT
from session.fake_segmenter import RADIUS, FakeSegmenter

SHAPE = (60, 90)


def folder_of_pictures(folder, count=3):
    for number in range(count):
        Picture.fromarray(np.full((*SHAPE, 3), 40 + number, np.uint8)).save(folder / f"case_{number}.png")
    return folder


def folder_of_volumes(folder, shape=(9, 40, 30)):
    """Two bright rods across all slices."""
    _, y, x = np.indices(shape)
    values = 100 + 700 * (((y - 12) ** 2 + (x - 15) ** 2 < 49) | ((y - 28) ** 2 + (x - 15) ** 2 < 49))
    write(folder / "scan.nii.gz", Segmentation(values.astype(np.uint16), oblique(shape)))
    return folder


class Work:
    """A project, a fake method and a session."""

    def __init__(self, folder, **method):
        self.folder = folder
        self.method = FakeSegmenter(**method)
        self.project = Project.open(folder)
        self.bench = Bench(self.method, "fake")
        self.desk = Desk()
        self.session = self.another()

    def another(self):
        return Session(self.project, self.bench, self.desk)

    def reborn(self):
        """As after kill -9: nothing of the process is left, only the disk."""
        return Work(self.folder)


@pytest.fixture
def work(tmp_path):
    work = Work(folder_of_pictures(tmp_path))
    work.session.open("case_0")
    return work


def area(session):
    return int((session.labels() > 0).sum())


def test_a_click_marks_and_a_second_one_takes_away_and_both_are_undone_and_redone(work):
    session = work.session
    change = session.click((30, 40))
    first = area(session)
    assert abs(first - np.pi * RADIUS**2) < 20
    assert change.span is not None
    whole = np.zeros(SHAPE, np.uint8)
    whole[tuple(slice(a, b) for a, b in change.span)] = change.labels
    np.testing.assert_array_equal(whole, session.labels())
    session.click((30, 44), positive=False)
    assert 0 < area(session) < first
    session.undo()
    assert area(session) == first
    session.undo()
    assert area(session) == 0
    assert session.steps == (False, True)
    session.redo()
    assert area(session) == first
    session.click((10, 10))  # what was undone is gone
    assert session.steps == (True, False)
    assert area(session) > first


def test_every_change_says_exactly_what_is_to_be_painted(work):
    session, shown, chance = work.session, np.zeros(SHAPE, np.uint8), np.random.default_rng(3)
    work.project.set_labels([Label(1, "a", "#ff0000"), Label(2, "b", "#00ff00")])

    def somewhere():
        return [float(chance.uniform(3, n - 4)) for n in SHAPE]

    actions = [
        lambda: session.click(somewhere()),
        lambda: session.click(somewhere(), positive=bool(chance.integers(2))),
        lambda: session.box((10, 10), (30, 50)),
        lambda: session.brush([somewhere(), somewhere()], 3.0),
        lambda: session.brush([somewhere(), somewhere()], 4.0, erase=True),
        session.accept,
        session.clear,
        lambda: session.choose(int(chance.integers(1, 3))),
        session.undo,
        session.redo,
        session.empty,
    ]
    for _ in range(250):
        try:
            change = actions[chance.integers(len(actions))]()
        except InvalidPrompt:  # a first click off the object
            continue
        if change.span is not None:
            shown[tuple(slice(a, b) for a, b in change.span)] = change.labels
        np.testing.assert_array_equal(shown, session.labels())
    assert work.reborn().session.open("case_0") is None


def test_strokes_stay_through_later_answers(work):
    session = work.session
    session.click((30, 40))
    session.brush([(5, 5), (5, 20)], 2.0)
    session.brush([(30, 40)], 3.0, erase=True)
    assert session.labels()[5, 12] == 1
    assert session.labels()[30, 40] == 0
    session.click((30, 45))
    assert session.labels()[5, 12] == 1
    assert session.labels()[30, 40] == 0
    assert session.labels()[30, 45 + 3] == 1


def test_erasing_between_objects_takes_away_any_label(work):
    session = work.session
    work.project.set_labels([Label(1, "a", "#ff0000"), Label(2, "b", "#00ff00")])
    session.click((30, 40))
    session.choose(2)
    session.click((30, 60))
    session.accept()
    session.brush([(30, 30), (30, 70)], 2.0, erase=True)
    assert session.labels()[30, 40] == session.labels()[30, 60] == 0
    assert {1, 2} <= set(np.unique(session.labels()))


def test_the_method_sees_its_last_answer_again_only_when_it_is_corrected(work):
    session = work.session
    session.click((30, 40))
    session.click((30, 50), positive=False)
    session.move(1, (30, 52))
    masks = [prompts.mask for prompts in work.method.asked]
    assert masks[0] is None
    assert masks[1] is not None
    assert masks[1].sum() == area_of_disc()
    assert masks[2] is None


def area_of_disc():
    y, x = np.indices(SHAPE)
    return int(((y - 30) ** 2 + (x - 40) ** 2 < RADIUS**2).sum())


def test_points_are_moved_and_removed(work):
    session = work.session
    session.click((30, 40))
    session.click((30, 60))
    assert session.prompted.points == (((30.0, 40.0), True), ((30.0, 60.0), True))
    session.move(1, (10, 60))
    assert session.labels()[10, 60] == 1
    assert session.labels()[30, 60] == 0
    session.remove(0)
    assert session.labels()[30, 40] == 0
    session.remove(0)
    assert area(session) == 0
    with pytest.raises(InvalidPrompt, match="not there"):
        session.remove(0)


def test_a_scribble_stands_for_points_along_it(work):
    work.session.scribble([(20, x) for x in range(20, 61)])
    assert [at for at, _ in work.session.prompted.points] == [(20, 20), (20, 30), (20, 40), (20, 50), (20, 60)]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda s: s.click((-5, 3)),
        lambda s: s.click((30, 400)),
        lambda s: s.click((float("nan"), 3)),
        lambda s: s.click((30, 40), positive=False),
        lambda s: s.box((30, 40), (10, 10)),
        lambda s: s.brush([], 3.0),
        lambda s: s.brush([(3, 3)], 0.0),
        lambda s: s.brush([(float("inf"), 3)], 2.0),
        lambda s: s.choose(9),
        lambda s: s.follow(),
        lambda s: s.suggest(),
    ],
)
def test_a_bad_prompt_changes_nothing_and_ends_nothing(work, wrong):
    draft = work.folder / ".promisam/drafts/case_0.jsonl"
    with pytest.raises(PromisamError):
        wrong(work.session)
    assert work.session.steps == (False, False)
    assert not draft.exists()
    work.session.click((30, 40))
    with pytest.raises(PromisamError):
        wrong(Work(work.folder).session)
    assert area(work.session) == area_of_disc()


def test_nothing_that_was_drawn_is_lost_when_the_program_dies(work):
    work.project.set_labels([Label(1, "a", "#ff0000"), Label(2, "b", "#00ff00")])
    session = work.session
    session.click((30, 40))
    session.choose(2)
    session.box((5, 60), (20, 80))
    session.brush([(50, 10), (50, 30)], 3.0)
    session.undo()
    before, asked, steps = session.labels(), session.prompted, session.steps
    again = work.reborn().session
    again.open("case_0")
    np.testing.assert_array_equal(again.labels(), before)
    assert again.prompted == asked
    assert again.steps == steps
    assert again.drawing.label == 2
    again.redo()
    assert again.labels()[50, 20] == 2
    again.undo()
    again.undo()
    assert (again.labels() == 2).sum() == 0


def test_a_line_that_was_cut_off_costs_that_line_alone(work):
    session = work.session
    session.click((30, 40))
    kept = session.labels()
    session.click((10, 10))
    draft = work.folder / ".promisam/drafts/case_0.jsonl"
    draft.write_bytes(draft.read_bytes()[:-25])
    again = work.reborn().session
    again.open("case_0")
    np.testing.assert_array_equal(again.labels(), kept)
    again.click((50, 50))
    once_more = work.reborn().session
    once_more.open("case_0")
    np.testing.assert_array_equal(once_more.labels(), again.labels())


@pytest.mark.parametrize(
    "damage", [b'{"format":1,"shape":[4,4]}\n', b"no json\n", b'{"format":1,"shape":[60,90]}\n{"do":"draw"}\n']
)
def test_a_foreign_draft_is_refused_and_kept(work, damage):
    draft = work.folder / ".promisam/drafts/case_1.jsonl"
    draft.parent.mkdir(parents=True, exist_ok=True)
    draft.write_bytes(damage)
    with pytest.raises(UnreadableFile, match="draft"):
        work.session.open("case_1")
    assert work.session.name == "case_0"
    assert draft.read_bytes() == damage


def test_saving_writes_the_mask_on_the_images_grid_and_drops_the_draft(work):
    session = work.session
    session.click((30, 40))
    expected = session.labels()
    path = session.save()
    assert path == work.folder / "masks/case_0.png"
    np.testing.assert_array_equal(read_segmentation(path).labels, expected)
    assert not (work.folder / ".promisam/drafts/case_0.jsonl").exists()
    assert work.project.status("case_0").state == "done"
    assert work.project.next_after("case_0") == "case_1"
    again = work.reborn()
    assert again.project.status("case_0").state == "done"
    again.session.open("case_0")
    np.testing.assert_array_equal(again.session.labels(), expected)
    again.session.empty()
    again.session.save("doubt")
    assert read_segmentation(path).labels.max() == 0
    assert again.project.status("case_0").state == "doubt"


def test_a_volume_keeps_its_oblique_grid(tmp_path):
    work = Work(folder_of_volumes(tmp_path))
    session = work.session
    session.open("scan")
    session.click((4, 20, 15), plane=(0, 4))
    assert session.labels()[4, 20, 15] == 1
    assert session.labels()[3].max() == 0
    session.click((4, 20, 15), plane=(2, 15))  # the same object seen from the side
    assert session.labels()[5, 20, 15] == 1
    found = read_segmentation(session.save())
    assert found.grid.matches(read(tmp_path / "scan.nii.gz").grid)
    np.testing.assert_array_equal(found.labels, session.labels())


def test_slices_are_encoded_once_and_given_up_in_order(tmp_path):
    work = Work(folder_of_volumes(tmp_path))
    work.bench.encodings.keep = 2
    work.session.open("scan")
    work.bench.close()  # nothing ahead from here on
    work.method.encoded.clear()
    work.bench.encodings.forget()
    for index in (1, 1, 2, 1, 2, 3, 2):
        work.session.click((index, 20, 15), plane=(0, index))
    assert len(work.method.encoded) == 3
    assert len(work.bench.encodings) == 2


def test_an_object_is_followed_from_every_slice_to_halfway_to_the_next(tmp_path):
    work = Work(folder_of_volumes(tmp_path, (15, 40, 30)))
    session = work.session
    session.open("scan")
    session.click((3, 12, 15), plane=(0, 3))
    session.click((11, 28, 15), plane=(0, 11))
    before = session.labels()
    session.follow()
    labels = session.labels()
    np.testing.assert_array_equal(labels[3], before[3])
    np.testing.assert_array_equal(labels[11], before[11])
    assert labels[5, 12, 15] == 1
    assert labels[10, 28, 15] == 1
    assert labels[5, 28, 15] == 0
    assert labels[10, 12, 15] == 0
    session.undo()
    np.testing.assert_array_equal(session.labels(), before)


def test_a_method_of_volumes_sees_the_volume_and_no_picture(tmp_path):
    folder_of_volumes(folder_of_pictures(tmp_path, 1))
    work = Work(tmp_path, ndim=3)
    work.session.open("scan")
    work.session.click((4, 20, 15), plane=(0, 4))
    assert work.session.labels()[6, 20, 15] == 1
    with pytest.raises(UnsupportedPrompt, match="follow"):
        work.session.follow()
    with pytest.raises(GeometryError):
        work.session.open("case_0")
    assert work.session.name == "scan"


def test_two_people_are_two_sessions_and_an_image_is_open_once(work):
    other = work.another()
    with pytest.raises(Taken, match="case_0"):
        other.open("case_0")
    other.open("case_1")
    other.click((20, 20))
    work.session.click((30, 40))
    assert other.labels()[30, 40] == 0
    other.open("case_0", take=True)
    assert other.labels()[30, 40] == 1
    assert work.session.name is None
    with pytest.raises(Taken, match="opened elsewhere"):
        work.session.click((3, 3))
    work.session.open("case_1")
    assert work.session.labels()[20, 20] == 1


def test_what_a_learned_method_suggests_can_be_edited(tmp_path):
    work = Work(folder_of_pictures(tmp_path), automatic=True, classes=("top", "bottom"))
    work.project.set_labels([Label(1, "top", "#ff0000"), Label(2, "bottom", "#00ff00")])
    session = work.session
    session.open("case_0")
    session.choose(2)
    session.suggest()
    points = session.prompted.points
    assert len(points) == 1
    assert points[0][0][0] > SHAPE[0] / 2
    assert session.labels()[45, 45] == 2
    session.move(0, (50, 20))
    assert session.labels()[50, 20] == 2
    assert work.method.asked[-1].target == "bottom"
    work.project.set_labels([Label(1, "top", "#ff0000"), Label(2, "bottom", "#00ff00"), Label(3, "new", "#0000ff")])
    session.choose(3)
    with pytest.raises(InvalidPrompt, match="learned: top, bottom"):
        session.suggest()


def test_masks_of_others_are_begun_with_and_kept_once_before_they_are_replaced(tmp_path):
    folder_of_pictures(tmp_path / "images" if (tmp_path / "images").mkdir() is None else tmp_path, 2)
    (tmp_path / "masks").mkdir()
    earlier = np.zeros(SHAPE, np.uint8)
    earlier[10:20, 10:20] = 255
    Picture.fromarray(earlier).save(tmp_path / "masks/case_0.png")
    before = (tmp_path / "masks/case_0.png").read_bytes()
    work = Work(tmp_path)
    assert work.project.status("case_0").state == "done"
    session = work.session
    session.open("case_0")
    assert area(session) == 100
    session.click((40, 40))
    session.save()
    assert (tmp_path / ".promisam/before/masks/case_0.png").read_bytes() == before
    assert read_segmentation(tmp_path / "masks/case_0.png").labels[15, 15] == 1
    session.click((30, 70))
    session.save()
    assert (tmp_path / ".promisam/before/masks/case_0.png").read_bytes() == before


def test_classes_in_several_files_are_shown_and_not_overwritten(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    folder_of_pictures(tmp_path / "images", 1)
    for number, name in enumerate(("liver", "spleen")):
        mask = np.zeros(SHAPE, np.uint8)
        mask[10 + 20 * number : 20 + 20 * number, 10:20] = 255
        Picture.fromarray(mask).save(tmp_path / f"masks/case_0__{name}.png")
    work = Work(tmp_path)
    assert [label.name for label in work.project.labels] == ["liver", "spleen"]
    work.session.open("case_0")
    assert set(np.unique(work.session.labels())) == {0, 1, 2}
    work.session.click((50, 50))
    kept = work.session.labels()
    with pytest.raises(UnwritableOutput, match="2 files"):
        work.session.save()
    np.testing.assert_array_equal(work.session.labels(), kept)


def test_a_mask_that_cannot_be_written_loses_nothing(work):
    (work.folder / "masks").write_text("in the way")
    work.session.click((30, 40))
    with pytest.raises(UnwritableOutput):
        work.session.save()
    assert area(work.session) == area_of_disc()
    again = work.reborn().session
    again.open("case_0")
    assert area(again) == area_of_disc()


def test_links_out_of_the_folder_are_not_followed(tmp_path):
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    folder_of_pictures(outside, 1)
    folder_of_pictures(inside, 1)
    (inside / "other.png").symlink_to(outside / "case_0.png")
    with pytest.raises(UnreadableFile, match="leads out"):
        Project.open(inside)


def test_labels(work):
    project = work.project
    one = Label(1, "a", "#ff0000")
    for wrong in ([], [one, Label(1, "b", "#ff0000")], [one, Label(2, "a", "#ff0000")]):
        with pytest.raises(PromisamError):
            project.set_labels(wrong)
    for value, name, colour in ((0, "a", "#ff0000"), (256, "a", "#ff0000"), (1, " ", "#ff0000"), (1, "a", "red")):
        with pytest.raises(PromisamError):
            Label(value, name, colour)
    project.set_labels([Label(1, "a", "#ff0000"), Label(7, "b", "#00ff00")])
    work.session.choose(7)
    work.session.click((30, 40))
    with pytest.raises(PromisamError, match="Rename"):
        project.set_labels([Label(1, "a", "#ff0000")])
    assert [label.name for label in work.reborn().project.labels] == ["a", "b"]


def test_what_is_done_is_a_data_set_to_learn_from(work):
    with pytest.raises(PromisamError, match="done"):
        work.project.table(work.project.own / "learn/dataset.csv")
    for name in ("case_0", "case_2"):
        work.session.open(name)
        work.session.click((30, 40))
        work.session.save()
    table = work.project.own / "learn/dataset.csv"
    assert work.project.table(table) == 2
    from promisam.io import open_examples

    examples = open_examples(table)
    assert [example.name for example in examples.examples] == ["case_0", "case_2"]
    assert examples.classes == ("object",)
    assert examples.examples[0].load().truth.mask(1).sum() == area_of_disc()


def test_what_was_encoded_for_a_former_method_is_not_given_to_another(work):
    work.session.click((30, 40))
    other = FakeSegmenter()
    work.bench.use(other, "other")
    work.session.click((30, 50))
    assert other.encoded == [SHAPE]
    assert work.bench.name == "other"


def test_who_left_or_was_silent_for_long_gives_way(work, monkeypatch):
    other = work.another()
    work.desk.leave(work.session)
    other.open("case_0")
    with pytest.raises(Taken):
        work.session.open("case_0")
    work.session.open("case_1")
    clock = time.monotonic()
    monkeypatch.setattr("promisam.session.desk.time.monotonic", lambda: clock + SILENT + 1)
    work.desk.hear(work.session)
    with pytest.raises(Taken):
        other.open("case_1")
    work.session.open("case_0")
    assert other.name is None


def test_names_with_commas_are_learned_from(tmp_path):
    Picture.fromarray(np.full((*SHAPE, 3), 40, np.uint8)).save(tmp_path / "case, left.png")
    work = Work(tmp_path)
    work.session.open("case, left")
    work.session.click((30, 40))
    work.session.save()
    table = work.project.own / "learn/dataset.csv"
    work.project.table(table)
    from promisam.io import open_examples

    assert [example.name for example in open_examples(table).examples] == ["case, left"]


def test_an_nnunet_data_set_gets_its_masks_where_nnunet_looks_for_them(tmp_path):
    (tmp_path / "imagesTr").mkdir()
    (tmp_path / "labelsTr").mkdir()
    for name in ("case_1", "case_2"):
        folder_of_volumes(tmp_path / "imagesTr")
        (tmp_path / "imagesTr/scan.nii.gz").rename(tmp_path / f"imagesTr/{name}_0000.nii.gz")
    truth = np.zeros((9, 40, 30), np.uint8)
    truth[4, 10:20, 10:20] = 2
    write(tmp_path / "labelsTr/case_1.nii.gz", Segmentation(truth, oblique((9, 40, 30))))
    description = {
        "channel_names": {"0": "MR"},
        "labels": {"background": 0, "liver": 1, "tumour": 2},
        "numTraining": 2,
        "file_ending": ".nii.gz",
    }
    (tmp_path / "dataset.json").write_text(json.dumps(description))
    work = Work(tmp_path)
    assert {name: work.project.status(name).state for name in work.project.inputs} == {"case_1": "done", "case_2": "open"}
    assert [label.name for label in work.project.labels] == ["liver", "tumour"]
    session = work.session
    session.open("case_1")
    np.testing.assert_array_equal(session.labels(), truth)
    session.open("case_2")
    session.choose(2)
    session.click((4, 20, 15), plane=(0, 4))
    assert session.save() == tmp_path / "labelsTr/case_2.nii.gz"
    from promisam.io import open_examples

    examples = open_examples(tmp_path)
    assert [example.name for example in examples.examples] == ["case_1", "case_2"]
    assert examples.examples[1].load().truth.labels.max() == 2


def test_who_takes_an_image_over_sees_all_that_was_answered(work, monkeypatch):
    """The click of the former holder is computed while the other one opens."""
    answering, go_on = threading.Event(), threading.Event()
    decode = FakeSegmenter.decode

    def slow(self, encoded, prompts):
        answering.set()
        assert go_on.wait(10)
        return decode(self, encoded, prompts)

    monkeypatch.setattr(FakeSegmenter, "decode", slow)
    told = []

    def click():
        try:
            work.session.click((30, 40))
        except Taken:
            told.append("taken")
        else:
            told.append("drawn")

    person = threading.Thread(target=click)
    person.start()
    assert answering.wait(10)
    other = work.another()
    other.open("case_0", take=True)
    go_on.set()
    person.join(10)
    assert told == [("taken" if area(other) == 0 else "drawn")]
    assert not other.drawing.piece
    again = work.reborn().session
    again.open("case_0")
    assert area(again) == area(other)


def test_two_who_take_from_each_other_do_not_wait_for_ever(work):
    other = work.another()
    other.open("case_1")
    stop, done = time.monotonic() + 1.0, []

    def swap(session, names):
        while time.monotonic() < stop:
            for name in names:
                session.open(name, take=True)
        done.append(True)

    people = [
        threading.Thread(target=swap, args=(work.session, ("case_0", "case_1")), daemon=True),
        threading.Thread(target=swap, args=(other, ("case_1", "case_0")), daemon=True),
    ]
    for person in people:
        person.start()
    for person in people:
        person.join(20)
    assert done == [True, True]


def test_a_mask_that_another_program_wrote_meanwhile_is_kept_beside(work):
    work.session.click((30, 40))
    path = work.session.save()
    work.session.click((10, 70))
    Picture.fromarray(np.full(SHAPE, 255, np.uint8)).save(path)
    theirs = path.read_bytes()
    work.session.save()
    assert (work.folder / ".promisam/before/masks/case_0.png").read_bytes() == theirs
    work.session.click((50, 20))
    work.session.save()  # our own
    assert len(list((work.folder / ".promisam/before/masks").iterdir())) == 1
    Picture.fromarray(np.full(SHAPE, 255, np.uint8)).save(path)
    work.session.click((50, 80))
    work.session.save()
    assert len(list((work.folder / ".promisam/before/masks").iterdir())) == 2


def test_a_draft_is_drawn_over_what_it_was_begun_on(work):
    work.session.click((30, 40))
    before = work.session.labels()
    model = np.zeros(SHAPE, np.uint8)
    model[:20] = 255
    (work.folder / ".promisam/predictions").mkdir()
    Picture.fromarray(model).save(work.folder / ".promisam/predictions/case_0.png")
    Picture.fromarray(model).save(work.folder / ".promisam/predictions/case_1.png")
    again = work.reborn().session
    again.open("case_0")
    np.testing.assert_array_equal(again.labels(), before)
    again.open("case_1")
    assert area(again) == 20 * SHAPE[1]
    again.click((40, 40))
    (work.folder / ".promisam/predictions/case_1.png").unlink()
    once_more = work.reborn().session
    once_more.open("case_1")
    assert area(once_more) > 20 * SHAPE[1]
    assert once_more.revision == 1


def test_opening_one_image_forgets_nothing_of_the_others(work):
    for name in ("case_0", "case_1"):
        work.session.open(name)
        work.session.click((30, 40))
        work.session.save("doubt")
    alone = Work(work.folder / "case_2.png")
    assert list(alone.project.inputs) == ["case_2"]
    alone.session.open("case_2")
    alone.session.click((30, 40))
    alone.session.save()
    states = {name: work.reborn().project.status(name).state for name in ("case_0", "case_1", "case_2")}
    assert states == {"case_0": "doubt", "case_1": "doubt", "case_2": "done"}


@pytest.mark.parametrize("place", [".promisam", "masks", "masks/case_0.png"])
def test_masks_and_drafts_behind_links_are_refused(tmp_path, place):
    outside = tmp_path / "outside"
    outside.mkdir()
    folder = folder_of_pictures(tmp_path / "study" if (tmp_path / "study").mkdir() is None else tmp_path)
    Picture.fromarray(np.zeros(SHAPE, np.uint8)).save(outside / "case_0.png")
    if place.startswith("masks/"):
        (folder / "masks").mkdir()
        (folder / place).symlink_to(outside / "case_0.png")
    else:
        (folder / place).symlink_to(outside)
    with pytest.raises(UnreadableFile, match="leads out"):
        Project.open(folder)
    assert [p.name for p in outside.iterdir()] == ["case_0.png"]


def test_an_image_that_became_a_link_is_refused(work, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "secret.png"
    Picture.fromarray(np.zeros(SHAPE, np.uint8)).save(elsewhere)
    work.bench.close()
    work.project._images.forget()
    (work.folder / "case_2.png").unlink()
    (work.folder / "case_2.png").symlink_to(elsewhere)
    with pytest.raises(UnreadableFile, match="leads out"):
        work.project.image("case_2")


def test_a_draft_of_which_only_half_a_line_was_written_is_begun_anew(work):
    draft = work.folder / ".promisam/drafts/case_0.jsonl"
    draft.parent.mkdir(parents=True)
    draft.write_bytes(b'{"format":2,"sh')
    work.session.open("case_0")
    work.session.click((30, 40))
    again = work.reborn().session
    again.open("case_0")
    assert area(again) == area_of_disc()


def test_what_cannot_be_written_was_not_drawn(work, monkeypatch):
    work.session.click((30, 40))

    def full(_file):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("promisam.session.journal.os.fsync", full)
        with pytest.raises(UnwritableOutput, match="space"):
            work.session.click((10, 70))
    assert area(work.session) == area_of_disc()
    work.session.click((50, 20))
    kept = work.session.labels()
    again = work.reborn().session
    again.open("case_0")
    np.testing.assert_array_equal(again.labels(), kept)


def test_a_label_that_went_is_not_drawn(work):
    work.project.set_labels([Label(2, "other", "#00ff00")])
    for act in (lambda: work.session.click((30, 40)), lambda: work.session.brush([(3, 3)], 2.0)):
        with pytest.raises(InvalidPrompt, match="Choose a label"):
            act()
    work.session.choose(2)
    work.session.click((30, 40))
    assert work.session.labels().max() == 2


def test_a_long_stroke_covers_what_its_pieces_cover(work):
    path = [(30 + 20 * np.sin(t), 45 + 40 * np.cos(t)) for t in np.linspace(0, 6, 40)]
    work.session.brush(path, 2.5)
    whole = work.session.labels() > 0
    work.session.clear()
    y, x = np.indices(SHAPE)
    for a, b in pairwise(path):
        for share in np.linspace(0, 1, 60):
            near = (y - a[0] - share * (b[0] - a[0])) ** 2 + (x - a[1] - share * (b[1] - a[1])) ** 2 <= 2.4**2
            assert whole[near].all()
    assert whole.sum() < 2.8 * 2 * sum(np.hypot(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(path)) + 60


def test_a_folder_is_open_in_one_server(work):
    work.project.claim()
    with pytest.raises(PromisamError, match="another server"):
        work.reborn().project.claim()


def test_a_project_that_was_moved_goes_on(work, tmp_path_factory):
    work.session.click((30, 40))
    moved = Path(tmp_path_factory.mktemp("moved")) / "there"
    shutil.move(work.folder, moved)
    again = Work(moved).session
    again.open("case_0")
    assert area(again) == area_of_disc()


def test_a_damaged_state_is_refused_with_the_way_out(work):
    work.session.click((30, 40))
    work.session.save()
    state = work.folder / ".promisam/annotation.json"
    assert json.loads(state.read_text())["images"]["case_0"]["state"] == "done"
    state.write_text("{")
    with pytest.raises(UnreadableFile, match="Move it away"):
        Project.open(work.folder)
