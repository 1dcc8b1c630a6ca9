"""Parts of a data set: no group is cut in silence, sizes fit, the same seed gives the same parts."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promisam.core.errors import InvalidConfig, UnreadableFile
from promisam.io import split_cases


def cases(*groups, split=""):
    return [(f"c{i:02d}", group, split) for i, group in enumerate(groups)]


def parts(split):
    return split.train, split.val, split.test


def text(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


class TestAtRandom:
    def test_sizes(self):
        split = split_cases(cases(*[""] * 100))
        assert [len(part) for part in parts(split)] == [70, 15, 15]
        assert split.how == "at random with seed 0, 70:15:15, no groups known"
        assert split.warnings == ()

    def test_sizes_count_cases_and_not_groups(self):
        groups = [f"g{i}" for i in range(10) for _ in range(1 + 3 * (i % 2))]
        split = split_cases(cases(*groups), (60, 20, 20))
        assert [len(part) for part in parts(split)] == [15, 5, 5]

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.sampled_from(["", "a", "b", "c", "d", "e"]), min_size=2, max_size=40), st.integers(0, 5))
    def test_every_case_once_and_no_group_cut(self, groups, seed):
        listed = cases(*groups)
        if len({group or name for name, group, _ in listed}) < 2:
            with pytest.raises(InvalidConfig, match="at least two groups"):
                split_cases(listed, seed=seed)
            return
        split = split_cases(listed, seed=seed)
        assert sorted(name for part in parts(split) for name in part) == [name for name, _, _ in listed]
        assert split.train
        assert split.val
        for group in set(groups) - {""}:
            members = {name for name, found, _ in listed if found == group}
            assert sum(bool(members & set(part)) for part in parts(split)) == 1

    def test_the_order_of_the_cases_does_not_matter_and_the_seed_does(self):
        listed = cases(*"aabbccddeeffgg")
        assert split_cases(listed) == split_cases(listed[::-1])
        assert len({parts(split_cases(listed, seed=seed)) for seed in range(8)}) > 1

    def test_two_numbers_leave_no_test(self):
        assert [len(part) for part in parts(split_cases(cases(*[""] * 10), (4, 1)))] == [8, 2, 0]
        assert split_cases(cases(*[""] * 10), (80, 20, 0)).warnings == ()

    def test_small_shares_get_a_group_as_long_as_there_are_any(self):
        assert [len(part) for part in parts(split_cases(cases(*[""] * 3), (98, 1, 1)))] == [1, 1, 1]
        two = split_cases(cases("", ""), (98, 1, 1))
        assert [len(part) for part in parts(two)] == [1, 1, 0]
        assert two.warnings == ("too few groups for a test part; it is empty",)

    def test_a_large_group_does_not_leave_val_empty(self):
        split = split_cases(cases(*["big"] * 20, "small"), (50, 25, 25))
        assert (len(split.train), len(split.val)) == (20, 1)

    @pytest.mark.parametrize("ratios", [(70,), (70, 0, 30), (0, 1), (1, 1, -1), (float("nan"), 1), (1, 1, 1, 1)])
    def test_ratios_that_are_none(self, ratios):
        with pytest.raises(InvalidConfig, match="the ratios"):
            split_cases(cases("", "", ""), ratios)

    def test_one_group_alone(self):
        with pytest.raises(InvalidConfig, match="3 cases in 1 group"):
            split_cases(cases("a", "a", "a"))


class TestAsTheDataSetSays:
    def test_all_parts(self):
        split = split_cases([("a", "", "train"), ("b", "", "val"), ("c", "", "test")])
        assert (parts(split), split.how) == ((("a",), ("b",), ("c",)), "as the data set says")

    def test_val_is_held_out_of_train_by_groups(self):
        listed = [*cases(*"aabbccdd", split="train"), ("t", "", "test")]
        split = split_cases(listed, (75, 25))
        assert (len(split.train), len(split.val), split.test) == (6, 2, ("t",))
        assert len({group for name, group, _ in listed if name in split.val}) == 1
        assert "val was held out of its train by groups, at random with seed 0, 75:25" in split.how

    def test_a_group_in_two_parts_is_a_warning(self):
        split = split_cases([("a", "p", "train"), ("b", "p", "test"), ("c", "q", "val")])
        assert split.warnings == ("the data set puts a group into more than one part, so that scores will flatter: p",)

    def test_cases_without_a_part_are_told(self):
        split = split_cases([("a", "", "train"), ("b", "", ""), ("c", "", "val")])
        assert split.warnings == ("the data set gives no part to 1 case: b",)

    def test_no_train(self):
        with pytest.raises(InvalidConfig, match="puts no case into train"):
            split_cases([("a", "", "test"), ("b", "", "test")])

    def test_folds(self):
        listed = [("a", "", "fold 0"), ("b", "", "fold 1"), ("c", "", "fold 2"), ("d", "", "test")]
        split = split_cases(listed, fold=1)
        assert (parts(split), split.how) == ((("a", "c"), ("b",), ("d",)), "as the data set, with fold 1 as val, says")
        with pytest.raises(InvalidConfig, match="fold 3 of a data set with fold 0, fold 1, fold 2"):
            split_cases(listed, fold=3)
        with pytest.raises(InvalidConfig, match="folds and a part val"):
            split_cases([*listed, ("e", "", "val")])


class TestFromAFile:
    LISTED = (("case1", "p", "test"), ("case2", "p", ""), ("case3", "q", ""))

    def test_it_goes_before_the_data_set(self, tmp_path):
        file = text(tmp_path / "s.json", {"training": ["case1"], "Val": ["case3"], "test": []})
        split = split_cases(self.LISTED, file=file)
        assert parts(split) == (("case1",), ("case3",), ())
        assert split.warnings == (f"the file {file} gives no part to 1 case: case2",)

    def test_a_table(self, tmp_path):
        file = text(tmp_path / "s.csv", "Name,Split\ncase1,train\ncase2,dev\ncase3,\n")
        assert parts(split_cases(self.LISTED, file=file)) == (("case1",), ("case2",), ())

    def test_a_list_of_folds(self, tmp_path):
        file = text(tmp_path / "s.json", [{"train": ["case1"], "val": ["case2"]}, {"train": ["case2"], "val": ["case1"]}])
        assert parts(split_cases(self.LISTED, file=file, fold=1))[:2] == (("case2",), ("case1",))
        with pytest.raises(InvalidConfig, match=r"fold 2 of .*expected 0 to 1"):
            split_cases(self.LISTED, file=file, fold=2)

    def test_a_torn_group_is_a_warning(self, tmp_path):
        file = text(tmp_path / "s.json", {"train": ["case1", "case3"], "val": ["case2"]})
        (warning,) = split_cases(self.LISTED, file=file).warnings
        assert warning.endswith("flatter: p")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ({"train": ["case1"], "val": ["casse2"]}, r"the case casse2.*Did you mean case2\?"),
            ({"train": ["case1"], "val": ["case1"]}, "names case1 more than once"),
            ({"train": ["case1"], "valdiation": ["case2"]}, r"part 'valdiation'.*Did you mean val\?"),
            ({"val": ["case2"]}, "no case into train"),
        ],
    )
    def test_what_is_refused(self, tmp_path, content, message):
        with pytest.raises(InvalidConfig, match=message):
            split_cases(self.LISTED, file=text(tmp_path / "s.json", content))

    @pytest.mark.parametrize(
        ("name", "content"), [("s.json", "{"), ("s.json", '{"train": 3}'), ("s.csv", "case,what\na,b\n"), ("none.json", None)]
    )
    def test_what_is_no_split(self, tmp_path, name, content):
        if content is not None:
            text(tmp_path / name, content)
        with pytest.raises(UnreadableFile, match="as a split"):
            split_cases(self.LISTED, file=tmp_path / name)
