from __future__ import annotations

from pathlib import Path

import pytest

from promisam.core.errors import InvalidConfig, UnreadableFile
from promisam.evaluation.pairing import Pairing, case_name, find_images, find_pairs, stem


def folders(tmp_path: Path, predictions: list[str], truth: list[str]) -> tuple[Path, Path]:
    for folder, names in (("pred", predictions), ("true", truth)):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).touch()
    return tmp_path / "pred", tmp_path / "true"


def named(pairing: Pairing) -> dict[str, tuple[str | None, str]]:
    return {p.case: (p.prediction.name if p.prediction else None, p.truth.name) for p in pairing.pairs}


@pytest.mark.parametrize(
    ("file", "case"),
    [
        ("a.nii.gz", "a"), ("a.b.NII.GZ", "a.b"), ("a.seg.nrrd", "a"), ("a_seg.nrrd", "a"), ("a_mask.png", "a"),
        ("a_segmentation.mha", "a"), ("a_label.nii", "a"), ("a_pred.tif", "a"), ("a_seg_pred.png", "a"), ("A_MASK.png", "A"),
        ("mask.png", "mask"), ("_mask.png", "_mask"), ("masked.png", "masked"), ("a_maskless.png", "a_maskless"),
    ],
)  # fmt: skip
def test_case_names(file: str, case: str):
    assert case_name(Path(file)) == case


def test_stem_keeps_a_file_that_is_all_suffix():
    assert stem(Path(".png")) == ".png"


def test_pairs_across_formats_and_endings(tmp_path: Path):
    found = find_pairs(*folders(tmp_path, ["a_pred.png", "b.nii.gz", "c.nrrd"], ["a.tif", "b_seg.mha", "c_label.nii.gz"]))

    assert named(found) == {
        "a": ("a_pred.png", "a.tif"), "b": ("b.nii.gz", "b_seg.mha"), "c": ("c.nrrd", "c_label.nii.gz"),
    }  # fmt: skip
    assert found.unexpected == ()


def test_missing_and_unexpected(tmp_path: Path):
    found = find_pairs(*folders(tmp_path, ["a.png", "x.png"], ["a.png", "b.png"]))

    assert named(found) == {"a": ("a.png", "a.png"), "b": (None, "b.png")}
    assert [p.name for p in found.unexpected] == ["x.png"]


def test_other_and_hidden_files_are_passed_over(tmp_path: Path):
    found = find_pairs(*folders(tmp_path, ["a.png", "run.json"], ["a.png", ".a.png", "README.md", "Thumbs.db"]))

    assert named(found) == {"a": ("a.png", "a.png")}
    assert found.unexpected == ()


@pytest.mark.parametrize(
    ("predictions", "truth"),
    [
        (["a.png", "a.nii.gz"], ["a.png"]),
        (["a.png", "a_mask.png"], ["a.png"]),
        (["a.png"], ["a.png", "a_seg.png"]),
        ([], ["a.png", "a.tif"]),
    ],
)
def test_ambiguous_files_are_refused(tmp_path: Path, predictions: list[str], truth: list[str]):
    with pytest.raises(InvalidConfig, match="several files for case 'a'") as caught:
        find_pairs(*folders(tmp_path, predictions, truth))
    assert all(name in str(caught.value) for name in (*predictions, *truth))


def test_full_names_that_agree_one_to_one_are_not_ambiguous(tmp_path: Path):
    found = find_pairs(*folders(tmp_path, ["a.png", "a_seg.nrrd"], ["a.tif", "a_seg.png"]))

    assert named(found) == {"a": ("a.png", "a.tif"), "a_seg": ("a_seg.nrrd", "a_seg.png")}


def test_two_files_need_no_common_name(tmp_path: Path):
    predictions, truth = folders(tmp_path, ["answer.png"], ["expert_mask.nii.gz"])
    found = find_pairs(predictions / "answer.png", truth / "expert_mask.nii.gz")

    assert named(found) == {"expert": ("answer.png", "expert_mask.nii.gz")}


def test_impossible_arguments(tmp_path: Path):
    predictions, truth = folders(tmp_path, ["a.png"], ["a.png"])
    (tmp_path / "none").mkdir()

    with pytest.raises(InvalidConfig, match="a file and a folder"):
        find_pairs(predictions / "a.png", truth)
    with pytest.raises(InvalidConfig, match="as predictions and as truth"):
        find_pairs(truth, truth)
    with pytest.raises(UnreadableFile, match="does not exist"):
        find_pairs(predictions, tmp_path / "nowhere")
    with pytest.raises(UnreadableFile, match="holds no segmentation"):
        find_pairs(predictions, tmp_path / "none")


def test_an_empty_folder_of_predictions_misses_every_case(tmp_path: Path):
    assert named(find_pairs(*folders(tmp_path, [], ["a.png"]))) == {"a": (None, "a.png")}


def test_images_by_case_with_the_channel_number_of_nnunet(tmp_path: Path):
    for name in ("a_0000.nii.gz", "b.jpg", "c.png", "c.jpg"):
        (tmp_path / name).touch()

    assert {k: v.name for k, v in find_images(tmp_path, ["a", "b", "c", "d"]).items()} == {"a": "a_0000.nii.gz", "b": "b.jpg"}
