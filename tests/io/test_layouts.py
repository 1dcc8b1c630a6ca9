"""Every layout of a data set: which files belong together, what they are called, what is refused."""

import numpy as np
import pytest

from data_maker import blocks, grey, labels_xyz, noise, picture, text, volume
from promisam.core.errors import InvalidConfig, UnreadableFile, UnsupportedFile
from promisam.io import find_cases


def shown(dataset, folder):
    """Cases as text."""
    return [
        (case.name, *(";".join(str(p.relative_to(folder)) for p in files) for files in (case.images, case.masks)))
        for case in dataset.cases
    ]


def reasons(dataset, severity=None):
    return [f.reason for f in dataset.findings if severity in (None, f.severity)]


class TestMasksOfSeveralClasses:
    def put(self, folder, *masks):
        for stem in {mask.split("__")[0] for mask in masks}:
            picture(folder / "images" / f"{stem}.png", grey(1))
        for mask in masks:
            picture(folder / "masks" / f"{mask}.png", blocks(1))
        return find_cases(folder)

    def test_are_numbered_over_the_data_set_in_the_order_of_their_names(self, tmp_path):
        dataset = self.put(tmp_path, "a__spleen", "a__liver", "b__spleen", "b__aorta")
        assert dataset.classes == {1: "aorta", 2: "liver", 3: "spleen"}
        assert [case.values for case in dataset.cases] == [(2, 3), (1, 3)]
        assert shown(dataset, tmp_path)[0] == ("a", "images/a.png", "masks/a__liver.png;masks/a__spleen.png")

    def test_numbered_parts_are_one_class(self, tmp_path):
        dataset = self.put(tmp_path, "a__inferior_vena_cava_000", "a__inferior_vena_cava_001", "a__liver_000")
        assert dataset.classes == {1: "inferior_vena_cava", 2: "liver"}
        assert dataset.cases[0].values == (1, 1, 2)

    def test_numbered_instances_beside_a_plain_mask_are_not_used(self, tmp_path):
        picture(tmp_path / "images" / "a.png", grey(1))
        picture(tmp_path / "masks" / "a.png", blocks(255))
        picture(tmp_path / "masks" / "a__inst.png", blocks(1, 2).astype(np.uint16))
        dataset = find_cases(tmp_path)
        assert shown(dataset, tmp_path) == [("a", "images/a.png", "masks/a.png")]
        assert (dataset.classes, reasons(dataset)) == ({}, ["numbers instances; not used"])

    def test_observers_are_classes_unless_a_table_picks(self, tmp_path):
        dataset = self.put(tmp_path, "a__obs1", "a__obs2")
        assert dataset.classes == {1: "obs1", 2: "obs2"}
        picked = find_cases(text(tmp_path / "t.csv", "image,mask\nimages/a.png,masks/a__obs2.png\n"))
        assert (picked.classes, shown(picked, tmp_path)) == ({1: "obs2"}, [("a", "images/a.png", "masks/a__obs2.png")])

    def test_a_stem_with_two_underscores_is_no_class(self, tmp_path):
        for folder in ("images", "masks"):
            picture(tmp_path / folder / "scan__7.png", blocks(1))
        assert find_cases(tmp_path).classes == {}


class TestTable:
    def put(self, folder, header, *lines, name="t.csv"):
        return text(folder / name, "\n".join((header, *lines)) + "\n")

    @pytest.mark.parametrize(
        "header",
        [
            "image,mask,group,split,id",
            "IMG, Label ,Patient,Fold,Name",
            "image_path;seg;subject;set;case",
            "img\tmasks\tsequence\tpartition\tid",
        ],
    )
    def test_headers_in_every_spelling(self, tmp_path, header):
        between = next(c for c in ",;\t" if c in header)
        rows = (("sub/x.png", "m/x.png", "p1", "Training", "one"), ("sub/y.png", "m/y.png", "p2", "dev", "two"))
        dataset = find_cases(self.put(tmp_path, header, *(between.join(row) for row in rows)))
        assert shown(dataset, tmp_path) == [("one", "sub/x.png", "m/x.png"), ("two", "sub/y.png", "m/y.png")]
        assert [(case.group, case.split) for case in dataset.cases] == [("p1", "train"), ("p2", "val")]
        assert dataset.findings == ()

    def test_a_byte_order_mark_and_other_columns(self, tmp_path):
        dataset = find_cases(self.put(tmp_path, "\ufeffimage,mask,width,cls", "a.png,m.png,30,polyp"))
        assert (shown(dataset, tmp_path), reasons(dataset)) == ([("a", "a.png", "m.png")], ["columns not used: width, cls"])

    def test_names_without_a_column_are_stems_or_else_paths(self, tmp_path):
        lines = ("p1/image.nii.gz,p1/label.nii.gz", "p2/image.nii.gz,p2/label.nii.gz")
        dataset = find_cases(self.put(tmp_path, "image,mask", *lines))
        assert [case.name for case in dataset.cases] == ["p1/image", "p2/image"]
        assert dataset.classes == {}

    def test_several_masks_and_several_channels(self, tmp_path):
        dataset = find_cases(self.put(tmp_path, "id,image,masks", "a,t1.nii;t2.nii,organs/liver.nii;organs/spleen.nii"))
        assert shown(dataset, tmp_path) == [("a", "t1.nii;t2.nii", "organs/liver.nii;organs/spleen.nii")]
        assert dataset.classes == {1: "liver", 2: "spleen"}

    def test_folds(self, tmp_path):
        dataset = find_cases(self.put(tmp_path, "image,mask,fold", "a.png,a_m.png,0", "b.png,b_m.png,fold_3"))
        assert [case.split for case in dataset.cases] == ["fold 0", "fold 3"]

    @pytest.mark.parametrize(
        ("header", "line", "error", "message"),
        [
            ("picture,mask", "a,b", UnreadableFile, "with the columns picture, mask"),
            ("image,mask,label", "a,b,c", UnreadableFile, "columns mask and label both give the mask"),
            ("image,mask,patient,sequence", "a,b,c,d", UnreadableFile, "both give the group"),
            ("image,mask,split", "a,b,holdout", InvalidConfig, "line 2 of .*'holdout'"),
        ],
    )
    def test_what_is_refused(self, tmp_path, header, line, error, message):
        with pytest.raises(error, match=message):
            find_cases(self.put(tmp_path, header, line))

    def test_one_name_twice_names_the_lines(self, tmp_path):
        with pytest.raises(InvalidConfig, match=r"lines 2, 4 are all the case a"):
            find_cases(self.put(tmp_path, "id,image,mask", "a,x.png,m.png", "b,y.png,n.png", "a,z.png,o.png"))

    def test_no_text_and_no_lines(self, tmp_path):
        (tmp_path / "t.csv").write_bytes(b"image,mask\n\xff\xfe,x\n")
        with pytest.raises(UnreadableFile, match="UTF-8"):
            find_cases(tmp_path / "t.csv")
        with pytest.raises(UnreadableFile, match="lists no case"):
            find_cases(self.put(tmp_path, "image,mask"))

    def test_a_line_without_an_image_is_an_error(self, tmp_path):
        dataset = find_cases(self.put(tmp_path, "id,image,mask", "a,x.png,m.png", "b,,"))
        assert reasons(dataset, "error") == ["line 3 names no image"]

    def test_a_table_in_its_folder_is_found_and_another_one_is_told(self, tmp_path):
        for folder in ("images", "masks"):
            picture(tmp_path / folder / "a.png", blocks(1))
        table = self.put(tmp_path, "image,mask,group", "images/a.png,masks/a.png,p", name="other.csv")
        assert reasons(find_cases(tmp_path)) == ["a table beside the folders; not used"]
        table.rename(tmp_path / "dataset.csv")
        text(tmp_path / "classes.json", {"1": "polyp"})
        dataset = find_cases(tmp_path)
        assert (dataset.cases[0].group, dataset.classes) == ("p", {1: "polyp"})
        text(tmp_path / "dataset.json", {"training": []})
        with pytest.raises(UnreadableFile, match=r"dataset\.csv and dataset\.json"):
            find_cases(tmp_path)


class TestNnunet:
    def put(self, folder, missing="", **told):
        for name in ("a", "b"):
            for channel in ("0000", "0001"):
                if f"{name}_{channel}" != missing:
                    volume(folder / "imagesTr" / f"{name}_{channel}.nii.gz", noise(1))
            volume(folder / "labelsTr" / f"{name}.nii.gz", labels_xyz(1, 2))
        described = {
            "channel_names": {"0": "T1", "1": "T2"},
            "labels": {"background": 0, "tumour": 2, "oedema": 1},
            "numTraining": 2,
            "file_ending": ".nii.gz",
        }
        text(folder / "dataset.json", {**described, **told})
        return folder

    def test_channels_and_labels(self, tmp_path):
        dataset = find_cases(self.put(tmp_path))
        assert shown(dataset, tmp_path)[0] == ("a", "imagesTr/a_0000.nii.gz;imagesTr/a_0001.nii.gz", "labelsTr/a.nii.gz")
        assert (dataset.classes, dataset.channels) == ({1: "oedema", 2: "tumour"}, ("T1", "T2"))
        assert [case.split for case in dataset.cases] == ["", ""]
        assert find_cases(tmp_path / "dataset.json") == dataset

    def test_two_files_of_one_channel_are_refused(self, tmp_path):
        self.put(tmp_path, file_ending="")
        volume(tmp_path / "imagesTr" / "a_0001.nii", noise(2))
        with pytest.raises(InvalidConfig, match="a_0001"):
            find_cases(tmp_path)

    def test_the_first_version(self, tmp_path):
        self.put(tmp_path)
        told = {"modality": {"0": "T1", "1": "T2"}, "labels": {"0": "background", "1": "oedema"}}
        listed = [{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}]
        text(tmp_path / "dataset.json", {**told, "training": listed})
        dataset = find_cases(tmp_path)
        assert (dataset.classes, dataset.channels, len(dataset.cases)) == ({1: "oedema"}, ("T1", "T2"), 2)

    def test_a_missing_channel_names_case_and_channel(self, tmp_path):
        dataset = find_cases(self.put(tmp_path, missing="b_0001"))
        assert reasons(dataset) == ["case b lacks the channel 0001 (T2)"]
        assert [case.name for case in dataset.cases] == ["a"]

    def test_a_channel_too_many(self, tmp_path):
        self.put(tmp_path, channel_names={"0": "T1"})
        assert reasons(find_cases(tmp_path))[0] == "case a has the channel 0001; dataset.json names 1"

    def test_colours_in_one_file(self, tmp_path):
        picture(tmp_path / "imagesTr" / "a_0000.png", grey(1, (20, 30, 3)))
        picture(tmp_path / "labelsTr" / "a.png", blocks(1))
        told = {"channel_names": {"0": "R", "1": "G", "2": "B"}, "labels": {"background": 0, "road": 1}, "file_ending": ".png"}
        text(tmp_path / "dataset.json", told)
        assert shown(find_cases(tmp_path), tmp_path) == [("a", "imagesTr/a_0000.png", "labelsTr/a.png")]

    def test_labels_to_test_with(self, tmp_path):
        self.put(tmp_path)
        for channel in ("0000", "0001"):
            volume(tmp_path / "imagesTs" / f"c_{channel}.nii.gz", noise(2))
        assert len(find_cases(tmp_path).cases) == 2
        volume(tmp_path / "labelsTs" / "c.nii.gz", labels_xyz(1))
        assert [(case.name, case.split) for case in find_cases(tmp_path).cases] == [
            ("a", "train"),
            ("b", "train"),
            ("c", "test"),
        ]

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            ({"background": 0, "whole": [1, 2], "core": [2]}, r"'whole' is a region of the values \[1, 2\]"),
            ({"background": 0, "tumour": 1, "ignore": 2}, "value 2 is to be ignored"),
            ({"background": 0, "tumour": "one"}, "with the labels"),
            ({"background": 0, "tumour": 1, "oedema": 1}, "each name and value once"),
        ],
    )
    def test_labels_that_cannot_be_followed(self, tmp_path, labels, message):
        with pytest.raises(UnreadableFile, match=message):
            find_cases(self.put(tmp_path, labels=labels))

    def test_regions_are_a_matter_of_support_not_of_damage(self, tmp_path):
        with pytest.raises(UnsupportedFile):
            find_cases(self.put(tmp_path, labels={"all": [1, 2]}))

    def test_without_a_description(self, tmp_path):
        self.put(tmp_path)
        (tmp_path / "dataset.json").unlink()
        with pytest.raises(UnreadableFile, match=r"imagesTr/ and no dataset\.json"):
            find_cases(tmp_path)
        text(tmp_path / "dataset.json", "{")
        with pytest.raises(UnreadableFile, match="JSON in UTF-8"):
            find_cases(tmp_path)


class TestListing:
    def test_the_decathlon(self, tmp_path):
        volume(tmp_path / "imagesTr" / "h_1.nii.gz", noise(1))
        listed = {
            "modality": {"0": "MRI"},
            "labels": {"0": "background", "1": "Anterior", "2": "Posterior"},
            "training": [{"image": "./imagesTr/h_1.nii.gz", "label": "./labelsTr/h_1.nii.gz"}],
            "test": ["./imagesTs/h_2.nii.gz"],
        }
        text(tmp_path / "dataset.json", listed)
        dataset = find_cases(tmp_path)
        assert shown(dataset, tmp_path) == [("h_1", "imagesTr/h_1.nii.gz", "labelsTr/h_1.nii.gz")]
        assert (dataset.classes, dataset.channels) == ({1: "Anterior", 2: "Posterior"}, ("MRI",))
        assert dataset.cases[0].split == ""
        assert reasons(dataset) == ["1 images to test, without labels; passed over"]

    def test_a_datalist_with_its_parts(self, tmp_path):
        listed = {
            "training": [{"image": ["a1.nii", "a2.nii"], "label": "la.nii"}],
            "validation": [{"image": "b.nii", "label": "lb.nii"}],
            "testing": [{"image": "c.nii", "label": "lc.nii"}, {"image": "d.nii"}],
        }
        dataset = find_cases(text(tmp_path / "list.json", listed))
        assert [(case.name, case.split, len(case.images)) for case in dataset.cases] == [
            ("a1", "train", 2),
            ("b", "val", 1),
            ("c", "test", 1),
        ]

    def test_folds(self, tmp_path):
        listed = {"training": [{"image": f"{i}.nii", "label": f"l{i}.nii", "fold": i % 2} for i in range(3)]}
        dataset = find_cases(text(tmp_path / "list.json", listed))
        assert [case.split for case in dataset.cases] == ["fold 0", "fold 1", "fold 0"]

    def test_equal_stems_are_told_apart_by_their_folders(self, tmp_path):
        listed = {"training": [{"image": f"{p}/t1.nii", "label": f"{p}/seg.nii"} for p in ("p1", "p2")]}
        dataset = find_cases(text(tmp_path / "list.json", listed))
        assert [case.name for case in dataset.cases] == ["p1/t1.nii", "p2/t1.nii"]
        listed["training"].append(listed["training"][0])
        with pytest.raises(InvalidConfig, match=r"lists p1/t1\.nii more than once"):
            find_cases(text(tmp_path / "list.json", listed))

    @pytest.mark.parametrize(
        ("told", "message"),
        [
            ({"cases": []}, "without the list training"),
            ([1], "holds no object"),
            ({"training": [{"picture": "a"}]}, "entry 1 of training"),
            ({"training": [{"image": "a.nii", "label": ["x", "y"]}]}, "entry 1 of training"),
            ({"training": [], "modality": {"1": "T1"}}, "numbers from 0"),
        ],
    )
    def test_what_is_refused(self, tmp_path, told, message):
        with pytest.raises(UnreadableFile, match=message):
            find_cases(text(tmp_path / "list.json", told))

    def test_a_foreign_description_does_not_hide_the_folders(self, tmp_path):
        for folder in ("images", "masks"):
            picture(tmp_path / folder / "a.png", blocks(1))
        text(tmp_path / "dataset.json", {"author": "x"})
        assert find_cases(tmp_path).layout == "images/ and masks/"
