"""Clicks drawn inside objects of volumes, as published and more strictly."""

from __future__ import annotations

import numpy as np
import pytest

from data_maker import OBLIQUE
from promisam.core import Example, Grid, Image, Prompts, Scores, Segmentation, check_prompts
from promisam.core.errors import InvalidConfig, UnsupportedPrompt
from promisam.evaluation import PUBLISHED, STRICT, ClickProtocol, Protocol, benchmark
from promisam.spatial.slices import SliceWise

SWAP = np.diag([-1.0, -1.0, 1.0, 1.0])  # RAS to LPS
REVERSED = np.eye(4)[[2, 1, 0, 3]]  # x, y, z to z, y, x


class Balls:
    """Marks what lies within 3 mm of a click; notes what it was asked."""

    ndim = 3
    automatic = False
    classes: tuple[str, ...] = ()

    def __init__(self, accepts=frozenset({"points"}), reach=3.0):
        self.accepts, self.reach, self.asked = accepts, reach, []

    def prepare(self, image):
        return image

    def check(self, on, prompts):
        check_prompts(self.accepts, on, prompts, "Take another.", automatic=False)

    def encode(self, image):
        return image

    def decode(self, encoded, prompts):
        self.check(encoded.grid, prompts)
        self.asked.append(prompts)
        return Scores(within(encoded.grid, prompts, self.reach), encoded.grid)


class Discs(Balls):
    ndim = 2


def within(on: Grid, prompts: Prompts, reach: float) -> np.ndarray:
    places = on.to_mm(np.argwhere(np.ones(on.shape)))
    away = np.linalg.norm(places[:, None] - on.to_mm(prompts.points_zyx), axis=2).min(axis=1)
    return (reach - away).reshape(1, *on.shape).astype(np.float32)


@pytest.fixture(scope="module")
def volumes():
    """Three oblique volumes of 0.7 x 0.9 x 2.5 mm with a ball of 8 mm."""
    found = []
    for number in range(3):
        on = Grid((9, 24, 28), SWAP @ OBLIQUE @ REVERSED)
        middle = Prompts(on).click((4, 11 + number, 14 - number))
        truth = Segmentation((within(on, middle, 8.0)[0] > 0).astype(np.uint8), on, {1: "tumour"})
        found.append(Example.of(f"case {number}", Image(np.zeros((1, *on.shape), np.int16), on), truth))
    return found


def test_the_published_draw_is_the_first_of_the_strict_ones(volumes):
    method = Balls()
    one, ten = PUBLISHED.score(method, volumes, ["tumour"], draws=4).rows
    asked = len(method.asked)
    strict = STRICT.score(method, volumes, ["tumour"], draws=4)
    single, five = strict.rows
    assert asked == 3 * 2
    assert len(method.asked) - asked == 3 * 4 * 2
    assert [row.draws for row in (one, ten, single, five)] == [1, 1, 4, 4]
    assert [row.protocol.title for row in (one, ten, single, five)] == ["inside:1", "inside:10", "inside:1", "inside:5"]
    first = [t.score for t in strict.trials if t.draw == 1 and t.protocol.number == 1]
    assert one.dice.mean == pytest.approx(np.mean([score.dice for score in first]))
    assert [spread.mean for spread in one.nsd] == pytest.approx(np.mean([score.nsd for score in first], axis=0))
    assert one.dice.sd is None
    assert single.dice.sd > 0
    assert 0 < single.dice.mean < five.dice.mean <= 1
    assert five.dice.mean < ten.dice.mean
    assert strict.tolerances == (5.0, 2.0)
    assert single.nsd[1].mean < single.nsd[0].mean
    means = [np.mean([t.score.dice for t in strict.trials if t.draw == d and t.protocol.number == 1]) for d in range(1, 5)]
    assert single.dice.sd == pytest.approx(np.std(means, ddof=1))
    assert PUBLISHED.score(Balls(), volumes, ["tumour"]).rows[0].dice == one.dice
    assert PUBLISHED.score(Balls(), volumes, ["tumour"], seed=1).rows[0].dice != one.dice


def test_all_of_the_volume_counts(volumes):
    """A method that marks everything scores by the share of the object; one that marks nothing scores 0."""
    (row,) = ClickProtocol("x", (1,), 1).score(Balls(reach=1e6), volumes, ["tumour"]).rows
    shares = [2 * truth.sum() / (truth.sum() + truth.size) for truth in (one.load().truth.mask() for one in volumes)]
    assert row.dice.mean == pytest.approx(np.mean(shares))
    (row,) = ClickProtocol("x", (1,), 1).score(Balls(reach=-1), volumes, ["tumour"]).rows
    assert (row.dice.mean, [one.mean for one in row.nsd], row.nothing_found) == (0, [0, 0], 3)


def test_clicks_lie_in_the_object_and_names_alone_decide_where(volumes):
    method, other = Balls(), Balls()
    STRICT.score(method, volumes, ["tumour"], draws=2)
    STRICT.score(other, volumes[::-1], ["tumour"], draws=2)
    for prompts in method.asked:
        truth = next(one.load().truth.mask() for one in volumes if one.load().image.grid is prompts.grid)
        assert truth[tuple(np.rint(prompts.points_zyx).astype(int).T)].all()
        assert prompts.labels.all()
    asked = [sorted(one.points_zyx.tolist()[0] for one in found.asked) for found in (method, other)]
    assert asked[0] == asked[1]


def test_the_prompt_of_the_command_line():
    assert Protocol.parse("inside:5") == Protocol("inside", 5)
    assert (Protocol("inside").title, Protocol("inside", 5).title) == ("inside:1", "inside:5")
    assert Protocol("inside").sees_truth
    assert Protocol("inside").random
    for wrong in ("inside", "inside:", "inside:x", "inside:-1"):
        with pytest.raises(InvalidConfig, match=r"inside:NUMBER or auto"):
            Protocol.parse(wrong)
    with pytest.raises(InvalidConfig, match="0 clicks"):
        Protocol.parse("inside:0")


def test_what_takes_no_points_cannot_be_asked(volumes):
    with pytest.raises(UnsupportedPrompt, match="inside:1"):
        PUBLISHED.score(Balls(frozenset({"box"})), volumes, ["tumour"])


def test_a_method_of_pictures_answers_on_the_clicked_slice(volumes):
    (row,) = benchmark(SliceWise(Discs()), volumes, ["tumour"], [Protocol("inside", 2)], draws=1).rows
    assert 0 < row.dice.mean < 1
