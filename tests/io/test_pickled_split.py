"""A published split.pkl: read in every protocol, and never run."""

from __future__ import annotations

import pickle
from contextlib import suppress
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_maker import labels_xyz, noise, text, volume
from promisam.core.errors import InvalidConfig, UnreadableFile, UnsupportedFile
from promisam.io import find_cases, open_examples, split_cases
from promisam.io.pickled_split import ListedCase, read_fold, read_folds

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def part(*names):
    return {name: [f"imagesTr/{name}.nii.gz", f"labelsTr/{name}.nii.gz"] for name in names}


def folds(number=5, cases=15):
    """As published: the test parts of the folds do not overlap and cover all."""
    names = [f"colon_{n:03d}" for n in range(cases)]
    found = []
    for fold in range(number):
        test = names[fold::number]
        rest = [name for name in names if name not in test]
        found.append({"train": part(*rest[2:]), "val": part(*rest[:2]), "test": part(*test)})
    return found


def put(folder, value, protocol=4):
    path = folder / "split.pkl"
    path.write_bytes(value if isinstance(value, bytes) else pickle.dumps(value, protocol))
    return path


class TestReading:
    @pytest.mark.parametrize("protocol", PROTOCOLS)
    @pytest.mark.parametrize(("number", "cases"), [(5, 15), (1, 1100)])  # the latter in batches, with long references
    def test_every_protocol_gives_what_pickle_gives(self, tmp_path, protocol, number, cases):
        value = folds(number, cases)
        found = read_folds(put(tmp_path, value, protocol))
        for fold, told in zip(found, value, strict=True):
            for name, listed in fold.parts.items():
                shown = {one.name: [str(one.image), str(one.mask)] for one in listed}
                assert shown == told[name]
                assert list(shown) == list(told[name])  # in the order of the file

    @pytest.mark.parametrize("protocol", PROTOCOLS)
    def test_odd_but_plain_values(self, tmp_path, protocol):
        """Shared lists, tuples, an empty part, long and foreign text."""
        shared = ["a b/ü影.nii.gz", "x" * 300 + "/m.nii.gz"]
        value = [{"train": {"a": shared, "b": shared}, "val": {"c": tuple(shared)}, "test": {}}]
        (fold,) = read_folds(put(tmp_path, value, protocol))
        assert [one.image for one in (*fold.train, *fold.val)] == [PurePosixPath(shared[0])] * 3
        assert fold.val[0].mask == PurePosixPath(shared[1])
        assert fold.test == ()

    def test_what_python_2_wrote(self, tmp_path):
        lines = b"(lp0\n(dp1\nS'train'\np2\n(dp3\nS'a'\n(lp4\nS'i/a.nii'\naS'm/a.nii'\nassS'val'\n(dsS'test'\n(dsa."
        assert pickle.loads(lines)[0]["train"] == {"a": ["i/a.nii", "m/a.nii"]}
        assert read_fold(put(tmp_path, lines)).train == (ListedCase("a", PurePosixPath("i/a.nii"), PurePosixPath("m/a.nii")),)

    def test_a_fold_that_is_not_there(self, tmp_path):
        path = put(tmp_path, folds(2))
        assert read_fold(path, 1) != read_fold(path)
        with pytest.raises(InvalidConfig, match="0 to 1"):
            read_fold(path, 2)


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


class Slotted:
    """Unpickled by NEWOBJ or OBJ, and by BUILD."""

    def __init__(self):
        self.a = 1


INSTRUCTIONS = {
    "GLOBAL": b"cos\nsystem\n.",
    "INST": b"(S'touch'\nios\nsystem\n.",
    "OBJ": b"(cos\nsystem\nS'touch'\no.",
    "PERSID": b"Pabc\n.",
    "BINPERSID": b"S'abc'\nQ.",
    "EXT1": b"\x82\x01.",
    "REDUCE": b"S'os'\n)R.",
    "BUILD": b"](tb.",
    "NEXT_BUFFER": b"\x80\x05\x97.",
    "BINFLOAT": b"G" + bytes(8) + b".",
    "EMPTY_SET": b"\x8f.",
}


class TestNothingIsExecuted:
    @pytest.mark.parametrize("protocol", PROTOCOLS)
    @pytest.mark.parametrize("where", [0, 1, 2])
    def test_code_in_a_split_is_refused_and_not_run(self, tmp_path, protocol, where):
        target = tmp_path / "made"
        value = folds()
        if where == 0:
            value.append(Evil(target))
        elif where == 1:
            value[4]["test"]["late"] = Evil(target)
        else:
            value[0]["train"]["early"] = [Evil(target), "labelsTr/early.nii.gz"]
        path = put(tmp_path, value, protocol)
        with pytest.raises(UnsupportedFile, match=r"GLOBAL could run code") as refused:
            read_folds(path)
        assert str(path) in str(refused.value)
        assert not target.exists()
        pickle.loads(path.read_bytes())
        assert target.exists()  # so it is dangerous indeed

    @pytest.mark.parametrize("protocol", PROTOCOLS)
    def test_objects_are_refused(self, tmp_path, protocol):
        with pytest.raises(UnsupportedFile, match="could run code"):
            read_folds(put(tmp_path, [Slotted()], protocol))

    @pytest.mark.parametrize("name", INSTRUCTIONS)
    def test_an_instruction_is_refused_by_name(self, tmp_path, name):
        with pytest.raises(UnsupportedFile, match=f"instruction {'GLOBAL' if name == 'OBJ' else name} could"):
            read_folds(put(tmp_path, INSTRUCTIONS[name]))


class TestDamage:
    @pytest.mark.parametrize("protocol", PROTOCOLS)
    def test_a_file_that_is_cut_short(self, tmp_path, protocol):
        whole = pickle.dumps(folds(1, 2), protocol)
        for length in range(len(whole)):
            with pytest.raises(UnreadableFile, match="as a pickled split"):
                read_folds(put(tmp_path, whole[:length]))

    @settings(max_examples=150, deadline=None)
    @given(data=st.data(), protocol=st.sampled_from(list(PROTOCOLS)))
    def test_changed_bytes_are_read_or_refused(self, data, protocol, tmp_path_factory):
        whole = bytearray(pickle.dumps(folds(2, 4), protocol))
        for _ in range(data.draw(st.integers(1, 4))):
            whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
        path = put(tmp_path_factory.getbasetemp(), bytes(whole))
        with suppress(UnreadableFile):  # and nothing else
            read_folds(path)

    @pytest.mark.parametrize(
        ("value", "reason"),
        [
            ({}, "no list of folds"),
            ([], "no list of folds"),
            (7, "no list of folds"),
            ([[]], "fold 0 without exactly the parts"),
            ([folds()[0], {"train": {}, "val": {}}], "fold 1 without exactly the parts"),
            ([{"train": {}, "val": {}, "test": {}, "more": {}}], "without exactly the parts"),
            ([{"train": ["a"], "val": {}, "test": {}}], "train of fold 0, which is no dict"),
            ([{"train": {}, "val": {"a": ["x"]}, "test": {}}], "val of fold 0, where 'a' has no paths"),
            ([{"train": {}, "val": {"a": ["x", 1]}, "test": {}}], "where 'a' has no paths"),
            ([{"train": {3: ["x", "y"]}, "val": {}, "test": {}}], "where 3 has no paths"),
            ([{"train": part("a"), "val": {}, "test": part("a")}], "the case a in more than one part"),
            ([{"train": {"a": ["/etc/a", "y"]}, "val": {}, "test": {}}], "does not lie below"),
            ([{"train": {"a": ["x", "../y"]}, "val": {}, "test": {}}], "does not lie below"),
            ([{"train": {"a": ["", "y"]}, "val": {}, "test": {}}], "does not lie below"),
        ],
    )
    def test_plain_values_of_another_form(self, tmp_path, value, reason):
        with pytest.raises(UnreadableFile, match=reason):
            read_folds(put(tmp_path, value))

    def test_a_list_that_holds_itself(self, tmp_path):
        value = []
        value.append(value)
        with pytest.raises(UnreadableFile, match="fold 0 without"):
            read_folds(put(tmp_path, value))

    @pytest.mark.parametrize(
        "lines", [b"", b".", b"a.", b"]0.", b"(", b"e.", b"u.", b"g5\n.", b"}(K\x01u.", b"}]]s.", b"p0\n."]
    )
    def test_instructions_without_what_they_need(self, tmp_path, lines):
        with pytest.raises(UnreadableFile):
            read_folds(put(tmp_path, lines))

    def test_files_that_are_missing_or_far_too_large(self, tmp_path, monkeypatch):
        with pytest.raises(UnreadableFile, match="No such file"):
            read_folds(tmp_path / "split.pkl")
        monkeypatch.setattr("promisam.io.pickled_split._MOST_BYTES", 100)
        with pytest.raises(UnreadableFile, match="more than 0 MB"):
            read_folds(put(tmp_path, folds()))


class TestAsASplitAndAsADataSet:
    def cases(self, *names):
        return [(name, "", "") for name in names]

    def test_split_cases_takes_a_fold(self, tmp_path):
        value = folds(3, 9)
        path = put(tmp_path, value)
        listed = self.cases(*(f"colon_{n:03d}" for n in range(9)))
        for number in range(3):
            split = split_cases(listed, file=path, fold=number)
            assert [set(one) for one in (split.train, split.val, split.test)] == [set(v) for v in value[number].values()]
        assert split.how == f"as the file {path} says"
        with pytest.raises(InvalidConfig, match="Did you mean colon_001"):
            split_cases(self.cases("colon_001"), file=path)
        with pytest.raises(UnsupportedFile):
            split_cases(listed, file=put(tmp_path, [Slotted()]))

    def test_a_file_of_folds_is_a_data_set_with_its_first(self, tmp_path):
        value = folds(3, 6)
        for name in (f"colon_{n:03d}" for n in range(6)):
            volume(tmp_path / f"imagesTr/{name}.nii.gz", noise(1))
            volume(tmp_path / f"labelsTr/{name}.nii.gz", labels_xyz(1, 2))
        path = put(tmp_path, value)
        assert find_cases(path).layout == "the first fold of split.pkl"
        found = open_examples(path, labels=(2,))
        assert found.splits == {name: split for split, cases in value[0].items() for name in cases}
        assert found.examples[0].load().truth.values == (1,)
        (tmp_path / "labelsTr/colon_000.nii.gz").unlink()
        with pytest.raises(UnreadableFile, match="colon_000"):
            open_examples(path, labels=(2,))

    def test_other_files_are_not_taken_for_one(self, tmp_path):
        with pytest.raises(UnreadableFile, match="does not exist"):
            find_cases(tmp_path / "split.pkl")
        assert find_cases(text(tmp_path / "image.nii", "")).layout == "one image"
