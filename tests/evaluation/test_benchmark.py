"""A benchmark of methods whose answers can be counted by hand."""

from __future__ import annotations

import csv
import json
import math
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from evaluation.toys import grid
from promisam.core import Example, Grid, Image, Scores, Segmentation, check_prompts
from promisam.core.errors import GeometryError, InvalidConfig, UnsupportedPrompt, UnwritableOutput
from promisam.evaluation import Protocol, benchmark, benchmark_record, dice, stopwatch, write_benchmark
from promisam.spatial.slices import SliceWise

BOX, AUTO = Protocol("box"), Protocol("auto")
PROMPTED = frozenset({"points", "box"})


class Seen:
    def __init__(self, image):
        self.grid, self.pixels = image.grid, image.pixels[0]


class Bright:
    """Marks what is bright: inside the box, around positive clicks, or anywhere; keeps a list of what it was asked."""

    ndim = 2

    def __init__(self, accepts=PROMPTED, automatic=False, classes=(), answer=None):
        self.accepts, self.automatic, self.classes, self.answer = accepts, automatic, classes, answer
        self.asked, self.encoded = [], 0

    def prepare(self, image):
        return image

    def check(self, on, prompts):
        check_prompts(self.accepts, on, prompts, "Take another.", automatic=self.automatic)

    def encode(self, image):
        self.encoded += 1
        return Seen(image)

    def decode(self, encoded, prompts):
        self.check(encoded.grid, prompts)
        self.asked.append(prompts)
        if self.answer is not None:
            found = self.answer(encoded, prompts)
        elif not prompts.kinds:
            found = np.stack([encoded.pixels == label for label in range(1, 1 + len(self.classes))])
        else:
            found = (encoded.pixels > 0) & self.near(encoded.grid.shape, prompts)
        logits = np.where(found, 1.0, -1.0).astype(np.float32)
        return Scores(logits.reshape(-1, *encoded.grid.shape), encoded.grid)

    def near(self, shape, prompts):
        index = np.indices(shape)
        near = np.zeros(shape, bool)
        if prompts.box_zyx is not None:
            low, high = (corner.reshape(-1, *[1] * len(shape)) for corner in prompts.box_zyx)
            near |= ((index >= low) & (index <= high)).all(axis=0)
        for point in prompts.points_zyx[prompts.labels == 1]:
            near |= (abs(index - point.reshape(-1, *[1] * len(shape))) <= 3).all(axis=0)
        for point in prompts.points_zyx[prompts.labels == 0]:
            near &= ~(abs(index - point.reshape(-1, *[1] * len(shape))) <= 1).all(axis=0)
        return near


def example(name, labels, pixels=None, on=None, group=""):
    """A picture whose pixels are its labels, unless told otherwise."""
    labels = np.asarray(labels, np.uint8)
    on = on or Grid.of_picture(labels.shape)
    return Example.of(name, Image((labels if pixels is None else pixels)[None], on), Segmentation(labels, on), group)


def blank(shape=(30, 41)):
    return np.zeros(shape, np.uint8)


def with_square(y, x, side, label=1, shape=(30, 41)):
    labels = blank(shape)
    labels[y : y + side, x : x + side] = label
    return labels


@pytest.fixture
def three():
    return [example(f"c{i}", with_square(3 + i, 5 + 2 * i, 8 + i)) for i in range(3)]


def one_row(result, **wanted):
    (row,) = [r for r in result.rows if all(getattr(r, name) == value for name, value in wanted.items())]
    return row


def test_a_method_that_finds_all_of_it(three):
    method = Bright()
    (row,) = benchmark(method, three, ["square"], [BOX]).rows
    assert (row.scored, row.draws, row.absent, row.nothing_found, row.name) == (3, 1, 0, 0, "square")
    assert (row.dice.mean, row.dice.sd, row.nsd[0].mean) == (1.0, None, 1.0)
    assert method.encoded == len(method.asked) == 3
    assert method.asked[1].box_zyx.tolist() == [[4, 7], [12, 15]]


def test_a_method_that_finds_nothing_scores_0_and_is_counted(three):
    result = benchmark(Bright(answer=lambda seen, _: blank(seen.grid.shape)), three, ["square"], [BOX, Protocol("click", 3)])
    assert len(result.rows) == 4
    for row in result.rows:
        assert (row.dice.mean, row.nsd[0].mean, row.scored, row.nothing_found) == (0.0, 0.0, 3, 3)


def test_a_known_dice_and_surface_dice():
    """A square of 10 moved by 2 columns: 80 of 100 samples shared; at 1 px the two long sides are off, at 2 px none."""
    truth, moved = with_square(8, 10, 10), with_square(8, 12, 10)
    method = Bright(answer=lambda *_: moved)
    (row,) = benchmark(method, [example("a", truth)], ["s"], [BOX], tolerances=(1.0, 2.0)).rows
    assert row.dice.mean == pytest.approx(0.8)
    assert row.nsd[1].mean == 1
    assert 0.4 < row.nsd[0].mean < 0.8


def test_distances_are_in_millimetres():
    truth, moved = with_square(8, 10, 10), with_square(8, 12, 10)
    near, far = (
        benchmark(Bright(answer=lambda *_: moved), [example("a", truth, on=grid((30, 41), (1, x)))], ["s"], [BOX])
        for x in (0.9, 1.2)
    )
    assert near.unit == "mm"
    assert near.rows[0].nsd[0].mean == 1  # 1.8 mm away
    assert far.rows[0].nsd[0].mean < 1  # 2.4 mm away


def test_an_empty_truth_is_not_prompted_and_lifts_no_mean(three):
    method = Bright(answer=lambda *_: with_square(3, 5, 8))
    alone = benchmark(method, three, ["s"], [BOX, Protocol("click", 2)])
    asked = len(method.asked)
    more = benchmark(method, [*three, example("empty", blank())], ["s"], [BOX, Protocol("click", 2)])
    assert len(method.asked) == 2 * asked
    for before, after in zip(alone.rows, more.rows, strict=True):
        assert (after.dice, after.scored) == (before.dice, 3)
        assert (before.absent, after.absent, after.false_positives) == (0, 1, None)
    assert [t.status for t in more.trials if t.score.case == "empty"] == ["not prompted"] * 2


def test_an_automatic_answer_where_nothing_is(three):
    """One rightly empty, one false positive; neither is in the mean."""
    noisy = example("noisy", blank(), pixels=with_square(1, 1, 3))
    method = Bright(frozenset(), automatic=True, classes=("s",))
    (row,) = benchmark(method, [*three, example("empty", blank()), noisy], ["s"], [AUTO], draws=4).rows
    assert (row.scored, row.absent, row.false_positives, row.draws) == (3, 2, 1, 1)
    assert row.dice.mean == 1
    assert row.seconds.n == 5
    assert not any(prompts.kinds for prompts in method.asked)
    assert len(method.asked) == 5


def test_nothing_but_empty_truths_gives_no_number():
    (row,) = benchmark(Bright(), [example("empty", blank())], ["s"], [BOX]).rows
    assert (row.scored, row.dice.mean, row.nsd[0].mean, row.seconds.mean) == (0, None, None, None)


def classes_in(*labels):
    """Pictures with some of the labels 1 and 2."""
    found = blank()
    for label in labels:
        found |= with_square(2 + 12 * (label - 1), 6 * label, 7 + label, label)
    return found


def test_classes_are_asked_for_one_by_one_and_by_name_where_the_method_has_several():
    examples = [example("a", classes_in(1, 2)), example("b", classes_in(2))]
    method = Bright(classes=("kidney", "liver", "spleen"))
    result = benchmark(method, examples, ["liver", "spleen"], [BOX])
    assert [prompts.target for prompts in method.asked] == ["liver", "spleen", "spleen"]
    assert [(r.name, r.scored, r.absent) for r in result.rows] == [("liver", 1, 1), ("spleen", 2, 0), ("all classes", 3, 1)]
    zero_shot = Bright()
    benchmark(zero_shot, examples, ["liver", "spleen"], [BOX])
    assert {prompts.target for prompts in zero_shot.asked} == {""}


def test_the_mean_of_all_classes_is_over_pairs():
    examples = [example("a", classes_in(1, 2)), example("b", classes_in(2))]
    method = Bright(answer=lambda seen, prompts: (seen.pixels == 2) & bool(prompts.kinds))
    result = benchmark(method, examples, ["x", "y"], [BOX])
    assert [row.dice.mean for row in result.rows] == [0, 1, pytest.approx(2 / 3)]


def test_automatic_channels_are_matched_by_the_names_of_classes():
    examples = [example("a", classes_in(1, 2))]
    swapped = Bright(automatic=True, classes=("liver", "spleen"))
    result = benchmark(swapped, examples, ["spleen", "liver"], [AUTO])  # its first channel marks label 1, which it calls liver
    assert [row.dice.mean for row in result.rows] == [0, 0, 0]
    result = benchmark(swapped, examples, ["liver", "spleen"], [AUTO])
    assert [row.dice.mean for row in result.rows] == [1, 1, 1]
    assert len({t.seconds for t in result.trials}) == 1  # one answer for all classes


def test_a_lone_class_needs_no_equal_name(three):
    assert benchmark(Bright(automatic=True, classes=("polyp",)), three, ["label 1"], [AUTO]).rows[0].dice.mean == 1


def test_clicks_add_up_and_correct(three):
    """Each click marks 7 x 7 samples around it, so that larger squares need several."""
    examples = [example("a", with_square(3, 5, 14))]
    method = Bright()
    result = benchmark(method, examples, ["s"], [Protocol("click", 5)])
    means = [row.dice.mean for row in result.rows]
    assert [row.clicks for row in result.rows] == [1, 2, 3, 4, 5]
    assert means[0] == pytest.approx(2 * 49 / (49 + 196))
    assert all(b > a for a, b in pairwise(means))
    assert [len(prompts.points_zyx) for prompts in method.asked] == [1, 2, 3, 4, 5]
    for before, after in pairwise(method.asked):
        assert np.array_equal(after.points_zyx[:-1], before.points_zyx)
    (row,) = benchmark(method, examples, ["s"], [Protocol("click", 1)]).rows
    assert row.dice.mean == means[0]


def test_too_much_is_corrected_by_a_click_off_the_object():
    pixels = with_square(3, 5, 9)
    pixels[4:7, 14:17] = 1
    method = Bright()
    benchmark(method, [example("a", with_square(6, 8, 3), pixels=pixels)], ["s"], [Protocol("click", 2)])
    assert method.asked[1].labels.tolist() == [1, 0]


def test_a_case_without_mistakes_keeps_its_score_for_the_clicks_it_spares():
    examples = [example("small", with_square(3, 5, 5)), example("large", with_square(3, 5, 14))]
    method = Bright()
    result = benchmark(method, examples, ["s"], [Protocol("click", 3)])
    small = [t for t in result.trials if t.score.case == "small"]
    assert [(t.clicks, t.score.dice, t.seconds is None) for t in small] == [(1, 1, False), (2, 1, True), (3, 1, True)]
    assert len(method.asked) == 4
    assert [row.scored for row in result.rows] == [2, 2, 2]
    assert [row.seconds.n for row in result.rows] == [2, 1, 1]


def trials(result):
    return {(t.protocol, t.draw, t.clicks, t.score.case, t.score.label): t.score for t in result.trials}


RANDOM = (Protocol("box", jitter=0.3), Protocol("points", 5))


def several():
    return [example(f"c{i}", classes_in(*labels)) for i, labels in enumerate([(1, 2), (1,), (2,), (1, 2)])]


def test_equal_seeds_give_equal_prompts_whatever_the_order_and_the_company():
    first = trials(benchmark(Bright(), several(), ["x", "y"], RANDOM, draws=3, seed=4))
    assert trials(benchmark(Bright(), several()[::-1], ["x", "y"], RANDOM[::-1], draws=3, seed=4)) == first
    fewer = trials(benchmark(Bright(), several()[2:], ["x", "y"], RANDOM[:1], draws=2, seed=4))
    assert fewer == {key: first[key] for key in fewer}
    assert trials(benchmark(Bright(), several(), ["x", "y"], RANDOM, draws=3, seed=5)) != first


def test_draws_and_cases_and_classes_differ():
    method = Bright()
    benchmark(method, [example(f"c{i}", classes_in(1)) for i in range(2)], ["x"], [Protocol("points", 5)], draws=3)
    assert len({prompts.points_zyx.tobytes() for prompts in method.asked}) == 6


def test_the_sides_of_boxes_move_differently_for_every_draw_case_and_class():
    two = with_square(3, 4, 9) + with_square(15, 20, 9, label=2)
    method = Bright()
    benchmark(method, [example("a", two), example("b", two)], ["x", "y"], RANDOM[:1], draws=2)
    tight = {1: np.array([[3, 4], [11, 12]]), 2: np.array([[15, 20], [23, 28]])}
    moved = [p.box_zyx - tight[1 if p.box_zyx[0, 0] < 10 else 2] for p in method.asked]
    assert len({tuple(np.round(m, 6).ravel()) for m in moved}) == len(moved) == 8


def test_mean_and_sd_are_over_draws():
    result = benchmark(Bright(), several(), ["x", "y"], RANDOM, draws=4)
    row = one_row(result, protocol=RANDOM[0], label=None)
    means = [
        np.mean([t.score.dice for t in result.trials if (t.protocol, t.draw, t.status) == (RANDOM[0], draw, "scored")])
        for draw in range(1, 5)
    ]
    assert (row.draws, row.scored, row.absent) == (4, 6, 2)
    assert len(set(means)) == 4
    assert row.dice.mean == pytest.approx(np.mean(means))
    assert row.dice.sd == pytest.approx(np.std(means, ddof=1))
    assert row.dice.low < row.dice.mean < row.dice.high
    assert row.seconds.n == 24


def test_what_has_no_chance_in_it_is_run_once(three):
    method = Bright(automatic=True, classes=("s",))
    fixed = [BOX, Protocol("click", 2), AUTO]
    result = benchmark(method, three, ["s"], [*fixed, *RANDOM], draws=6)
    assert [row.draws for row in result.rows] == [1, 1, 1, 1, 6, 6]
    assert all(row.dice.sd is None for row in result.rows[:4])
    assert all(row.dice.sd is not None for row in result.rows[4:])
    assert method.encoded == 3


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still unless it is set."""
    made = SimpleNamespace(now=0.0)
    monkeypatch.setattr(stopwatch, "time", SimpleNamespace(perf_counter=lambda: made.now))
    return made


class Slow(Bright):
    """Takes 10 seconds to prepare, 100 to encode and 1 to answer."""

    def __init__(self, clock, **words):
        super().__init__(**words)
        self.clock = clock

    def prepare(self, image):
        self.clock.now += 10
        return image

    def encode(self, image):
        self.clock.now += 100
        return super().encode(image)

    def decode(self, encoded, prompts):
        self.clock.now += 1
        return super().decode(encoded, prompts)


def test_encoding_and_answering_are_timed_apart(three, clock):
    result = benchmark(Slow(clock), three, ["s"], [BOX, Protocol("click", 2)])
    assert (result.encode_seconds.n, result.encode_seconds.mean, result.encode_seconds.median) == (3, 110, 110)
    assert [(row.seconds.mean, row.seconds.median) for row in result.rows] == [(1, 1)] * 3


def test_the_device_is_waited_for_within_the_time_of_each_step(three, clock):
    def settle():
        clock.now += 1000

    result = benchmark(Slow(clock), three, ["s"], [BOX], settle=settle)
    assert (result.encode_seconds.mean, result.rows[0].seconds.mean) == (1110, 1001)


def volume(name="v"):
    labels = np.zeros((7, 24, 30), np.uint8)
    labels[2:6, 6:18, 8:20] = 1
    return example(name, labels, on=grid(labels.shape, (4, 1, 1)))


def test_slices_encoded_in_the_midst_of_an_answer_count_as_encoding(clock):
    method = Slow(clock)
    result = benchmark(SliceWise(method), [volume()], ["s"], [BOX, Protocol("box", jitter=0.01)], draws=1)
    assert method.encoded == 4
    assert result.encoding[0].seconds == 2 * 10 + 4 * 100  # prepared, and offered as prepared; each slice of the box once
    assert [row.seconds.mean for row in result.rows] == [4, 4]
    assert result.rows[0].dice.mean == 1


def test_in_volumes_points_stay_where_a_method_of_pictures_hears_them():
    result = benchmark(SliceWise(Bright()), [volume()], ["s"], [Protocol("points", 6), Protocol("click", 3)], draws=3)
    assert all(row.scored == 1 for row in result.rows)
    assert one_row(result, clicks=3).dice.mean >= one_row(result, clicks=1).dice.mean > 0


def test_in_volumes_a_correction_that_would_go_unheard_gives_way_to_the_next():
    """Too much on one slice, too little on another; clicks off the object count only beside one on it."""
    labels = np.zeros((9, 24, 30), np.uint8)
    labels[3:7, 8:16, 8:16] = 1
    pixels = labels.copy()
    pixels[3, 8:16, 16:26] = 1
    pixels[6, 8:10, 8:16] = 0
    method = Bright(answer=lambda seen, _: seen.pixels > 0)
    case = example("v", labels, pixels=pixels, on=grid(labels.shape, (4, 1, 1)))
    result = benchmark(SliceWise(method), [case], ["s"], [Protocol("click", 3)])
    asked = [prompts for prompts in method.asked if "points" in prompts.kinds]
    assert {int(label) for prompts in asked for label in prompts.labels} == {1}
    assert [t.seconds is None for t in result.trials] == [False, False, False]


@pytest.mark.parametrize(
    ("words", "error", "saying"),
    [
        ({"protocols": []}, InvalidConfig, "0 prompts"),
        ({"protocols": [BOX, BOX]}, InvalidConfig, "2 prompts of 1 kinds"),
        ({"examples": []}, InvalidConfig, "0 cases"),
        ({"draws": 0}, InvalidConfig, "0 draws"),
        ({"tolerances": (-1.0,)}, InvalidConfig, "tolerances"),
        ({"classes": ["s", "s"]}, InvalidConfig, "different names"),
        ({"classes": []}, InvalidConfig, "different names"),
        ({"protocols": [AUTO]}, UnsupportedPrompt, "box, points"),
        ({"method": Bright(frozenset({"box"})), "protocols": [Protocol("click")]}, UnsupportedPrompt, "takes: box"),
        ({"method": Bright(frozenset(), automatic=True, classes=("s",))}, UnsupportedPrompt, "nothing at all"),
        ({"method": Bright(classes=("t", "u"))}, InvalidConfig, "t, u"),
        ({"method": SliceWise(Bright())}, GeometryError, "2 axes for a method of 3"),
    ],
)
def test_impossible_requests(three, words, error, saying):
    asked = {"method": Bright(), "examples": three, "classes": ["s"], "protocols": [BOX], **words}
    with pytest.raises(error, match=saying):
        benchmark(**asked)


def test_a_method_of_pictures_is_refused_on_volumes_before_it_encodes_one():
    method = Bright()
    with pytest.raises(GeometryError, match="3 axes for a method of 2"):
        benchmark(method, [volume()], ["s"], [BOX])
    assert method.encoded == 0


def test_two_cases_of_one_name_and_two_units_are_refused(three):
    with pytest.raises(InvalidConfig, match="2 cases of 1 names"):
        benchmark(Bright(), [three[0], three[0]], ["s"], [BOX])
    other = example("mm", with_square(3, 5, 9), on=grid((30, 41), (1, 1)))
    with pytest.raises(InvalidConfig, match="one kind"):
        benchmark(Bright(), [three[0], other], ["s"], [BOX])


@pytest.mark.parametrize(
    ("text", "protocol", "title"),
    [
        ("box", Protocol("box", jitter=0.2), "box ±20 %"),
        ("click", Protocol("click", 7), "click"),
        ("points:16", Protocol("points", 16), "points:16"),
        ("auto", AUTO, "auto"),
    ],
)
def test_prompts_by_name(text, protocol, title):
    assert Protocol.parse(text, clicks=7, jitter=0.2) == protocol
    assert protocol.title == title


@pytest.mark.parametrize("text", ["boxes", "points", "points:", "points:x", "points:0", "box:3", "click:2", "auto:1", ""])
def test_prompts_that_are_none(text):
    with pytest.raises(InvalidConfig):
        Protocol.parse(text)
    with pytest.raises(InvalidConfig, match="jitter"):
        Protocol("box", jitter=0.7)


def test_progress(three):
    seen = []
    benchmark(Bright(), three, ["s"], [BOX], report=lambda *told: seen.append(told))
    assert seen == [(1, 3, "c0"), (2, 3, "c1"), (3, 3, "c2")]


def test_the_record_and_the_table_of_answers(tmp_path, three):
    method = Bright(automatic=True, classes=("s",))
    examples = [*three, example("empty", blank()), example("noisy", blank(), pixels=with_square(1, 1, 3))]
    result = benchmark(method, examples, ["s"], [AUTO, RANDOM[1]], draws=2, tolerances=(1.0, 2.5))
    files = write_benchmark(result, tmp_path / "new" / "out", {"method": "bright"})
    record = json.loads(files[0].read_text(encoding="utf-8"))
    assert record == json.loads(json.dumps(benchmark_record(result, {"method": "bright"})))
    assert record["source"] == {"method": "bright"}
    assert record["cases"] == ["c0", "c1", "c2", "empty", "noisy"]
    auto, points = record["rows"]
    assert (auto["prompt_from_truth"], points["prompt_from_truth"]) == (False, True)
    assert "No ground truth was used" in auto["note"]
    assert "made from the true segmentation" in points["note"]
    assert set(points) >= {"nsd@1px", "nsd@2.5px"}
    assert (auto["false_positives"], points["false_positives"], points["absent"]) == (1, None, 2)

    rows = list(csv.DictReader(files[1].read_text(encoding="utf-8").splitlines()))
    assert len(rows) == len(result.trials) == 5 + 2 * 5
    by_status = {row["status"]: row for row in rows}
    assert set(by_status) == {"scored", "both empty", "false positive", "not prompted"}
    assert (by_status["not prompted"]["dice"], by_status["not prompted"]["seconds"]) == ("", "")
    assert by_status["not prompted"]["volume_prediction"] == ""
    assert by_status["both empty"]["dice"] == ""
    assert math.isinf(float(by_status["false positive"]["hd95"]))
    scored = [row for row in rows if row["prompt"] == "points:5" and row["status"] == "scored"]
    assert np.mean([float(row["dice"]) for row in scored]) == pytest.approx(points["dice"]["mean"])


def test_an_earlier_benchmark_is_kept(tmp_path, three):
    result = benchmark(Bright(), three, ["s"], [BOX])
    (first, _) = write_benchmark(result, tmp_path)
    first.write_text("kept")
    with pytest.raises(UnwritableOutput, match="--overwrite"):
        write_benchmark(result, tmp_path)
    assert first.read_text() == "kept"
    write_benchmark(result, tmp_path, overwrite=True)
    assert first.read_text() != "kept"
    with pytest.raises(UnwritableOutput, match="is a file"):
        write_benchmark(result, first)


def test_dice_of_a_case_is_that_of_its_masks():
    truth, marked = with_square(3, 5, 9), with_square(5, 8, 11)
    (trial,) = benchmark(Bright(answer=lambda *_: marked), [example("a", truth)], ["s"], [BOX]).trials
    assert trial.score.dice == dice(marked > 0, truth > 0)
    assert (trial.score.case, trial.score.label, trial.score.name) == ("a", 1, "s")
