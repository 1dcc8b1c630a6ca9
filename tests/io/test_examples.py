"""From files to examples: which labels, which channels, on which grid, and when the content counts as changed."""

import numpy as np
import pytest

from data_maker import OBLIQUE, blocks, grey, labels_xyz, noise, picture, text, volume
from dicom_maker import make_series
from promisam.core.errors import GridMismatch, InvalidConfig, InvalidSegmentation, UnreadableFile, UnsupportedFile
from promisam.io import open_examples, read


def folder(path, **masks):
    """Pictures and masks: a=array, or b__liver=array."""
    for stem, labels in masks.items():
        picture(path / "images" / f"{stem.split('__')[0]}.png", grey(len(stem), labels.shape))
        picture(path / "masks" / f"{stem}.png", labels)
    return path


def loaded(found, at=0):
    return found.examples[at].load()


class TestLabels:
    def test_all_that_the_masks_hold_in_order(self, tmp_path):
        found = open_examples(folder(tmp_path, a=blocks(3), b=blocks(7, 3)))
        assert (found.labels, found.classes) == ((3, 7), ("label 3", "label 7"))
        assert [example.name for example in found.examples] == ["a", "b"]
        assert np.array_equal(loaded(found, 1).truth.labels, blocks(2, 1))
        assert loaded(found, 0).truth.names == {1: "label 3", 2: "label 7"}

    def test_those_chosen_in_the_order_given(self, tmp_path):
        found = open_examples(folder(tmp_path, a=blocks(1, 2, 3)), labels=(3, 1))
        assert (found.labels, found.classes) == ((3, 1), ("label 3", "label 1"))
        assert np.array_equal(loaded(found).truth.labels, blocks(2, 0, 1))

    def test_black_and_white_is_label_1(self, tmp_path):
        found = open_examples(folder(tmp_path, a=blocks(255)))
        assert np.array_equal(loaded(found).truth.labels, blocks(1))
        assert found.classes == ("label 1",)

    def test_classes_in_files_of_their_own(self, tmp_path):
        found = open_examples(
            folder(tmp_path, a__spleen_000=blocks(255), a__spleen_001=blocks(0, 255), a__liver=blocks(0, 0, 255))
        )
        assert found.classes == ("liver", "spleen")
        assert np.array_equal(loaded(found).truth.labels, blocks(2, 2, 1))
        only = open_examples(tmp_path, labels=(2,))
        assert (only.classes, loaded(only).truth.labels.tolist()) == (("spleen",), blocks(1, 1).tolist())

    def test_overlapping_classes_can_be_learned_one_by_one_only(self, tmp_path):
        found = open_examples(folder(tmp_path, a__obs1=blocks(255, 255), a__obs2=blocks(0, 255)))
        with pytest.raises(InvalidSegmentation, match=r"obs2 \(label 2\) overlaps obs1 \(label 1\) in 28 samples"):
            loaded(found)
        assert np.array_equal(loaded(open_examples(tmp_path, labels=(2,))).truth.labels, blocks(0, 1))

    @pytest.mark.parametrize("labels", [(4,), (1, 1)])
    def test_labels_that_are_not_there_or_twice(self, tmp_path, labels):
        with pytest.raises(InvalidConfig, match=r"1 \(label 1\), 2 \(label 2\), each once"):
            open_examples(folder(tmp_path, a=blocks(1, 2)), labels=labels)

    def test_values_that_number_objects(self, tmp_path):
        with pytest.raises(InvalidSegmentation, match="600 values up to 600"):
            open_examples(folder(tmp_path, a=np.arange(601, dtype=np.uint16)[None]))

    def test_nothing_to_learn(self, tmp_path):
        with pytest.raises(InvalidSegmentation, match="all empty"):
            open_examples(folder(tmp_path, a=blocks()))

    def test_a_label_that_the_description_does_not_name(self, tmp_path):
        volume(tmp_path / "a.nii.gz", noise(1))
        volume(tmp_path / "m.nii.gz", labels_xyz(1, 5))
        listed = {"labels": {"0": "background", "1": "cord"}, "training": [{"image": "a.nii.gz", "label": "m.nii.gz"}]}
        path = text(tmp_path / "dataset.json", listed)
        with pytest.raises(InvalidSegmentation, match=r"m\.nii\.gz with the label 5; expected .*1 \(cord\)"):
            loaded(open_examples(path))
        assert loaded(open_examples(path, labels=(1,))).truth.values == (1,)


class TestImages:
    def listed(self, path, image, modality, label="m.nii.gz"):
        return text(path / "list.json", {"modality": modality, "training": [{"image": image, "label": label}]})

    def test_a_fourth_axis_of_named_channels(self, tmp_path):
        stored = volume(tmp_path / "a.nii.gz", noise(1, (7, 6, 5, 2)))
        volume(tmp_path / "m.nii.gz", labels_xyz(1))
        pair = loaded(open_examples(self.listed(tmp_path, "a.nii.gz", {"0": "T2", "1": "ADC"})))
        assert np.array_equal(pair.image.pixels, stored.transpose(3, 2, 1, 0))
        assert np.array_equal(pair.truth.labels, labels_xyz(1).T)
        with pytest.raises(UnsupportedFile, match="4 axes"):
            read(tmp_path / "a.nii.gz")
        assert read(tmp_path / "a.nii.gz", channels=True).channels == 2

    def test_a_fourth_axis_without_names_may_be_time(self, tmp_path):
        volume(tmp_path / "a.nii.gz", noise(1, (7, 6, 5, 2)))
        volume(tmp_path / "m.nii.gz", labels_xyz(1))
        with pytest.raises(UnsupportedFile, match="4 axes"):
            loaded(open_examples(self.listed(tmp_path, "a.nii.gz", {"0": "T2"})))

    def test_fewer_channels_than_named(self, tmp_path):
        volume(tmp_path / "a.nii.gz", noise(1, (7, 6, 5, 2)))
        volume(tmp_path / "m.nii.gz", labels_xyz(1))
        with pytest.raises(UnsupportedFile, match=r"2 channels; expected the 3 .*: x, y, z"):
            loaded(open_examples(self.listed(tmp_path, "a.nii.gz", {"0": "x", "1": "y", "2": "z"})))

    def test_a_mask_of_four_axes_is_refused(self, tmp_path):
        volume(tmp_path / "a.nii.gz", noise(1, (7, 6, 5, 2)))
        volume(tmp_path / "m.nii.gz", np.ones((7, 6, 5, 2), np.uint8))
        with pytest.raises(UnsupportedFile, match=r"m\.nii\.gz, which has 4 axes"):
            loaded(open_examples(self.listed(tmp_path, "a.nii.gz", {"0": "T2", "1": "ADC"}), labels=()))

    def test_channels_in_files_of_their_own_keep_their_order(self, tmp_path):
        first, second = volume(tmp_path / "z.nii.gz", noise(1)), volume(tmp_path / "a.nii.gz", noise(2))
        volume(tmp_path / "m.nii.gz", labels_xyz(1))
        image = loaded(open_examples(self.listed(tmp_path, ["z.nii.gz", "a.nii.gz"], {}))).image
        assert np.array_equal(image.pixels, np.stack([first.T, second.T]))

    def test_channels_on_different_grids_name_the_file(self, tmp_path):
        volume(tmp_path / "z.nii.gz", noise(1))
        moved = OBLIQUE.copy()
        moved[0, 3] += 1
        volume(tmp_path / "a.nii.gz", noise(2), moved)
        volume(tmp_path / "m.nii.gz", labels_xyz(1))
        with pytest.raises(GridMismatch, match=r"a\.nii\.gz, a channel on"):
            loaded(open_examples(self.listed(tmp_path, ["z.nii.gz", "a.nii.gz"], {})))

    def test_a_mask_elsewhere_names_the_file(self, tmp_path):
        volume(tmp_path / "images" / "a.nii.gz", noise(1))
        moved = OBLIQUE.copy()
        moved[:3, 3] += 3
        volume(tmp_path / "masks" / "a.nii.gz", labels_xyz(1), moved)
        with pytest.raises(GridMismatch, match=r"masks/a\.nii\.gz: the mask lies elsewhere"):
            loaded(open_examples(tmp_path))

    def test_a_mask_of_another_size_names_the_file(self, tmp_path):
        picture(folder(tmp_path, a=blocks(1)) / "masks" / "a.png", blocks(1, shape=(30, 20)))
        with pytest.raises(GridMismatch, match=r"masks/a\.png: the mask has 20 x 30"):
            loaded(open_examples(tmp_path))

    def test_a_dicom_folder(self, tmp_path):
        make_series(tmp_path / "images" / "p1", np.arange(5 * 6 * 8, dtype=np.int16).reshape(5, 6, 8))
        grid = read(tmp_path / "images" / "p1").grid
        affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ grid.affine[:, [2, 1, 0, 3]]
        volume(tmp_path / "masks" / "p1.nii.gz", labels_xyz(1, shape=(8, 6, 5)), affine)
        found = open_examples(tmp_path)
        assert loaded(found).truth.mask(1).sum() == 12
        before = found.examples[0].content
        first = sorted((tmp_path / "images" / "p1").iterdir())[0]
        first.write_bytes(first.read_bytes() + b"\0\0")
        assert open_examples(tmp_path).examples[0].content != before


class TestWhichCases:
    def test_groups_and_splits_of_a_table(self, tmp_path):
        folder(tmp_path, a=blocks(1), b=blocks(1))
        lines = "image,mask,group,split\nimages/a.png,masks/a.png,p1,train\nimages/b.png,masks/b.png,,\n"
        found = open_examples(text(tmp_path / "t.csv", lines))
        assert [example.group for example in found.examples] == ["p1", ""]
        assert found.splits == {"a": "train"}
        assert found.entries == (("a", "p1", "train"), ("b", "", ""))

    @pytest.mark.parametrize(("expression", "group"), [(r"p(\d+)_", "12"), (r"p\d+", "p12")])
    def test_groups_by_expression(self, tmp_path, expression, group):
        found = open_examples(folder(tmp_path, p12_s3=blocks(1)), group_by=expression)
        assert found.examples[0].group == group

    @pytest.mark.parametrize(
        ("expression", "message"), [("(", "unterminated"), (r"x(\d)", "1 of 2 names do not match, such as y")]
    )
    def test_expressions_that_do_not_work(self, tmp_path, expression, message):
        with pytest.raises(InvalidConfig, match=message):
            open_examples(folder(tmp_path, x1=blocks(1), y=blocks(1)), group_by=expression)

    def test_cases_without_image_or_mask_are_told(self, tmp_path):
        folder(tmp_path, a=blocks(1), b=blocks(1), c=blocks(1))
        (tmp_path / "images" / "a.png").unlink()
        (tmp_path / "masks" / "b.png").unlink()
        found = open_examples(tmp_path)
        assert (len(found.examples), found.left_out) == (1, ("a", "b"))

    def test_none_is_paired(self, tmp_path):
        picture(tmp_path / "a.png", grey(1))
        with pytest.raises(UnreadableFile, match="no image has a mask"):
            open_examples(tmp_path)

    def test_a_fault_of_the_data_set_is_not_passed_over(self, tmp_path):
        picture(folder(tmp_path, a=blocks(1)) / "images" / "a.bmp", grey(1))
        with pytest.raises(UnreadableFile, match="same stem"):
            open_examples(tmp_path)

    def test_a_missing_file_is_named(self, tmp_path):
        folder(tmp_path, a=blocks(1))
        with pytest.raises(UnreadableFile, match=r"gone\.png"):
            open_examples(text(tmp_path / "t.csv", "image,mask\nimages/gone.png,masks/a.png\n"))


class TestContent:
    def content(self, path, **options):
        return open_examples(path, **options).examples[0].content

    def test_is_stable_and_does_not_depend_on_the_place(self, tmp_path):
        one, other = folder(tmp_path / "x", a=blocks(1, 2)), folder(tmp_path / "y", a=blocks(1, 2))
        assert self.content(one) == self.content(one) == self.content(other)

    def test_changes_with_image_mask_and_labels(self, tmp_path):
        folder(tmp_path, a=blocks(1, 2))
        seen = [self.content(tmp_path), self.content(tmp_path, labels=(2,)), self.content(tmp_path, labels=(2, 1))]
        picture(tmp_path / "masks" / "a.png", blocks(2, 1))
        seen.append(self.content(tmp_path))
        picture(tmp_path / "images" / "a.png", grey(99))
        seen.append(self.content(tmp_path))
        assert len(set(seen)) == 5

    def test_changes_with_the_name_of_a_class(self, tmp_path):
        one, other = folder(tmp_path / "x", a__liver=blocks(1)), folder(tmp_path / "y", a__spleen=blocks(1))
        assert self.content(one) != self.content(other)

    def test_knows_the_samples_beside_a_header(self, tmp_path):
        import SimpleITK

        for kind, array in (("images", noise(1)), ("masks", labels_xyz(1))):
            (tmp_path / kind).mkdir()
            SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), str(tmp_path / kind / "a.mhd"))
            # the name of the raw file is not known to be an image: it is passed over
        before = self.content(tmp_path)
        raw = tmp_path / "images" / "a.raw"
        raw.write_bytes(raw.read_bytes()[::-1])
        assert self.content(tmp_path) != before


def test_real_sets_can_be_learned(shared):
    for name, classes in (("msd_hippocampus", 2), ("sam_med2d_demo", 24), ("cvc_clinicdb", 1)):
        found = open_examples(shared / "data" / name / "index.csv")
        assert len(found.classes) == classes
        assert loaded(found).truth.mask().any()
