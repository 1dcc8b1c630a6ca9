"""The steps of SAM-MPA one by one: prompts around coarse masks, what is kept of an answer, which supports are asked."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geometries import oblique
from promisam.core import Grid, Image
from promisam.evaluation.metrics import dice
from promisam.methods.sam_mpa.asking import parts_of, prompts_for
from promisam.methods.sam_mpa.composing import coarse_mask
from promisam.methods.sam_mpa.finishing import finished
from promisam.methods.sam_mpa.location import Components
from promisam.methods.sam_mpa.propagation import most_alike, propagate
from promisam.methods.sam_mpa.sight import Sliced

ALL = frozenset({"points", "box", "mask"})
CELLS = (20, 30)
GRID = Grid.of_picture((100, 210))  # 5 and 7 pixels to a cell


def disc(shape=CELLS, middle=(9, 13), radius=5.2):
    y, x = np.indices(shape)
    return (y - middle[0]) ** 2 + (x - middle[1]) ** 2 < radius**2


def rectangle(rows, columns, shape=CELLS):
    found = np.zeros(shape, bool)
    found[slice(*rows), slice(*columns)] = True
    return found


def enlarged(part):
    return np.kron(part, np.ones((5, 7), bool)).astype(bool)


def at(mask, point):
    return mask[tuple(np.rint(point).astype(int))]


class TestPrompts:
    """As in the paper's figure, in pixels of a picture that is not square."""

    def test_a_disc_gets_one_point_on_it_and_four_off_it(self):
        prompts = prompts_for(disc(), GRID, ALL, 0.025, "disc")
        assert prompts.kinds == ALL
        assert prompts.target == "disc"
        assert prompts.labels.tolist() == [1, 0, 0, 0, 0]
        on, *off = prompts.points_zyx
        assert np.abs(on - np.argwhere(enlarged(disc())).mean(0)).max() < 1e-9
        rows, columns = np.argwhere(disc()).T
        expected = {
            ((r + 0.5) * 5 - 0.5, (c + 0.5) * 7 - 0.5) for r in (rows.min(), rows.max()) for c in (columns.min(), columns.max())
        }
        assert {tuple(one) for one in off} == expected
        assert not any(at(enlarged(disc()), one) for one in off)

    @pytest.mark.parametrize("margin", [0.025, 0.1])
    def test_the_box_is_the_tight_one_with_a_margin_of_the_longer_side(self, margin):
        part = disc()
        inside = np.argwhere(enlarged(part))
        wanted = np.array([inside.min(0) - margin * 210, inside.max(0) + margin * 210])
        box = prompts_for(part, GRID, ALL, margin).box_zyx
        assert np.abs(box - np.clip(wanted, 0, [99, 209])).max() <= 3.5  # half a cell
        assert (box[0] <= inside.min(0)).all()
        assert (box[1] >= inside.max(0)).all()

    def test_the_box_ends_at_the_border(self):
        box = prompts_for(rectangle((0, 20), (0, 30)), GRID, ALL, 0.1).box_zyx
        assert np.abs(box - [[0, 0], [99, 209]]).max() <= 0.5

    def test_the_point_on_a_crescent_is_on_it(self):
        crescent = disc(radius=8) & ~disc(middle=(9, 15), radius=7.5)
        middle = np.argwhere(crescent).mean(0)
        assert not at(crescent, middle)
        point = prompts_for(crescent, GRID, ALL, 0.025).points_zyx[0]
        assert at(enlarged(crescent), point)

    def test_corners_on_the_part_or_at_the_border_are_left_out(self):
        filled = prompts_for(rectangle((4, 12), (5, 20)), GRID, ALL, 0.025)
        assert filled.labels.tolist() == [1]
        upper = prompts_for(disc(middle=(4, 13), radius=5.2), GRID, ALL, 0.025)  # its box begins in the first row
        rows = upper.points_zyx[1:, 0]
        assert len(rows) == 2
        assert (rows > 5).all()
        triangle = np.tril(np.ones(CELLS, bool))[::-1] & rectangle((3, 15), (3, 15))
        off = prompts_for(triangle, GRID, ALL, 0.025).points_zyx[1:]
        assert 0 < len(off) < 4
        assert not any(at(enlarged(triangle), one) for one in off)

    def test_the_mask_is_the_part_on_the_picture(self):
        part = disc(middle=(6, 20))
        mask = prompts_for(part, GRID, ALL, 0.025).mask
        assert mask.shape == GRID.shape
        assert np.array_equal(mask, enlarged(part))
        uneven = prompts_for(part, Grid.of_picture((33, 71)), ALL, 0.025).mask
        centre = np.argwhere(uneven).mean(0) / (33, 71)
        assert np.abs(centre - (np.argwhere(part).mean(0) + 0.5) / CELLS).max() < 0.02

    @pytest.mark.parametrize("shape", [(100, 210), (7, 5), (20, 30), (600, 2)])
    @pytest.mark.parametrize("cell", [(0, 0), (9, 13), (19, 29)])
    def test_a_part_of_one_cell_is_asked_about(self, shape, cell):
        part = rectangle((cell[0], cell[0] + 1), (cell[1], cell[1] + 1))
        prompts = prompts_for(part, Grid.of_picture(shape), ALL, 0.0)
        assert prompts.labels[0] == 1
        assert (prompts.box_zyx[1] > prompts.box_zyx[0]).all()
        middle = (np.array(cell) + 0.5) * shape / np.array(CELLS) - 0.5
        assert np.abs(prompts.points_zyx[0] - np.clip(middle, 0, np.array(shape) - 1)).max() < 1e-9

    def test_a_picture_of_one_row_is_asked_about(self):
        prompts = prompts_for(rectangle((0, 1), (3, 7), (1, 20)), Grid.of_picture((1, 60)), ALL, 0.025)
        assert prompts.labels[0] == 1

    def test_only_what_the_weights_learned_is_given(self):
        for kinds in (frozenset({"box"}), frozenset({"points"}), frozenset({"mask", "points"})):
            assert prompts_for(disc(), GRID, kinds, 0.025).kinds == kinds


class TestParts:
    """Parts of a mask, the heaviest first."""

    small = rectangle((2, 5), (2, 5))  # 9 cells
    large = rectangle((10, 16), (10, 20))  # 60
    speck = rectangle((18, 19), (27, 28))  # 1

    def test_weight_goes_before_size(self):
        mask = self.small | self.large | self.speck
        even = mask.astype(np.float32)
        assert [part.sum() for part in parts_of(mask, even, 9, 0.0)] == [60, 9, 1]
        sure = np.where(self.small, 1.0, 0.1).astype(np.float32)
        assert [part.sum() for part in parts_of(mask, sure, 9, 0.0)] == [9, 60, 1]

    def test_small_and_further_ones_are_dropped(self):
        mask = self.small | self.large | self.speck
        even = mask.astype(np.float32)
        assert [part.sum() for part in parts_of(mask, even, 9, 0.1)] == [60, 9]
        assert [part.sum() for part in parts_of(mask, even, 1, 0.0)] == [60]
        assert parts_of(np.zeros(CELLS, bool), even, 9, 0.0) == []


class TestFinishing:
    """What belongs to the object stays."""

    def finish(self, mask, coarse, bodies=9, smallest=0.05):
        return finished(0.9 * mask.astype(np.float32), 0.9 * coarse.astype(np.float32), bodies, smallest) > 0.5

    @pytest.mark.parametrize("smallest", [0.0, 0.05])
    def test_parts_away_from_the_coarse_mask_go(self, smallest):
        here, away = rectangle((4, 12), (4, 12)), rectangle((4, 12), (20, 27))
        found = self.finish(here | away, here, smallest=smallest)
        assert dice(found, here) > 0.9
        assert not found[away].any()

    def test_holes_are_filled(self):
        ring = disc(radius=8) & ~disc(radius=3)
        found = self.finish(ring, disc(radius=8))
        assert found[disc(radius=3)].all()
        assert dice(found, disc(radius=8)) > 0.95

    def test_the_heaviest_bodies_are_kept(self):
        one, two, three = rectangle((2, 10), (2, 10)), rectangle((12, 17), (3, 8)), rectangle((4, 10), (18, 26))
        both = self.finish(one | two | three, one | two | three, bodies=2)
        assert both[one].mean() > 0.9
        assert both[three].mean() > 0.85
        assert not both[two].any()

    def test_holes_of_volumes_are_filled_slice_by_slice(self):
        ring = np.stack([disc(radius=8) & ~disc(radius=3)] * 4)
        whole = np.stack([disc(radius=8)] * 4)
        assert self.finish(ring, whole)[1:3, disc(radius=3)].all()  # open at both ends, so closed in slices alone

    def test_nothing_stays_nothing(self):
        faint = np.full(CELLS, 0.3, np.float32)
        assert np.array_equal(finished(faint, faint, 3, 0.05), faint)


class TestPropagation:
    """Which supports are asked, and how they vote."""

    supports = torch.tensor([[1.0, 0.1, 0.0], [0.9, 0.2, 0.1], [-1.0, 0.3, 0.0], [0.0, -1.0, 0.2]])

    def test_the_most_alike_come_first(self):
        mean = self.supports.mean(0)
        for number in range(4):
            assert most_alike(self.supports[number], self.supports, mean, 2)[0] == number

    def test_one_is_left_out(self):
        mean = self.supports.mean(0)
        for number in range(4):
            chosen = most_alike(self.supports[number], self.supports, mean, 9, without=number).tolist()
            assert sorted(chosen) == [n for n in range(4) if n != number]
        assert most_alike(self.supports[0], self.supports, mean, 1, without=0).tolist() == [1]

    def test_what_all_have_in_common_does_not_count(self):
        common = torch.tensor([50.0, 50.0, 50.0])
        shifted = most_alike(self.supports[1] + common, self.supports + common, self.supports.mean(0) + common, 4)
        assert torch.equal(shifted, most_alike(self.supports[1], self.supports, self.supports.mean(0), 4))

    def test_the_more_alike_image_decides(self):
        fixed = torch.from_numpy(disc((32, 32), (16, 16), 8).astype(np.float32))
        other = torch.from_numpy(rectangle((2, 30), (13, 16), (32, 32)).astype(np.float32))
        found = propagate(fixed, torch.stack([fixed, other]), torch.stack([fixed, 1 - fixed])[:, None], "ffd", 20.0)
        assert found.similarity > 0.98
        assert ((found.shares[0] > 0.5) == (fixed > 0.5)).float().mean() > 0.95
        assert found.agreement < 0.5

    def test_poorly_registered_masks_count_less(self):
        votes, location = np.ones((1, 1, 4, 4), np.float32), np.zeros((1, 1, 4, 4), np.float32)

        def share(similarity):
            return coarse_mask(votes, location, 0.8, 0.9, {"similarity": similarity}).probability.mean()

        assert share(0.9) == share(1.0) == pytest.approx(0.8)
        assert share(0.675) == pytest.approx(0.4)
        assert share(0.45) == share(-0.2) == 0


class TestSliced:
    """A volume falls into pictures across its coarsest axis, and comes together again."""

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_there_and_back(self, axis):
        spacing = [0.7, 0.9, 1.1]
        spacing[axis] = 4.0
        grid = oblique((4, 5, 6), spacing=spacing[::-1])
        sliced = Sliced.of(grid)
        values = np.arange(120).reshape(4, 5, 6)
        stacked = sliced.stacked(values)
        assert sliced.axis == axis
        assert sliced.count == len(stacked) == grid.shape[axis]
        assert np.array_equal(sliced.restored(stacked), values)
        assert sliced.spacing[0] == pytest.approx(4.0)
        assert sliced.spacing[1:] == pytest.approx([s for a, s in enumerate(spacing) if a != axis])
        for index in range(sliced.count):
            picture = sliced.picture(Image(values[None].astype(np.float32), grid), index)
            assert np.array_equal(picture.pixels[0], stacked[index])
            assert picture.grid.matches(grid.slice(axis, index))

    def test_a_picture_is_one_slice(self):
        sliced = Sliced.of(Grid.of_picture((4, 6)))
        values = np.arange(24).reshape(4, 6)
        assert sliced.count == 1
        assert np.array_equal(sliced.restored(sliced.stacked(values)), values)


def test_components_that_few_places_do_not_show_are_not_blown_up():
    places = torch.randn(2000, 40, generator=torch.Generator().manual_seed(0))
    spread = Components.of(places)(places.T.reshape(40, 50, 40)).std(0)
    assert (spread[:40] - 1).abs().max() < 0.01
    few = Components.of(places[:30])  # fewer than features
    assert few(places.T.reshape(40, 50, 40)).std(0).max() < 30
