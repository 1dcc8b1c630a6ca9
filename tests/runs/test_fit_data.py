"""What is learned from: volumes slice by slice, several classes, chosen labels; and the masks that come of it."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image as Pillow
from safetensors.torch import save_file

import promisam as ps
from data_maker import OBLIQUE, text
from promisam.cli.main import run
from tiny_sam import tiny

SHORT = ["epochs=1", "batch=2", "validate_every=1", "preview_every=0", "variants=1", "points=3", "form=light"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Volumes with labels 1 and 4 on some slices, pictures with the same, and a tiny SAM."""
    folder = tmp_path_factory.mktemp("data")
    save_file({name: value.contiguous() for name, value in tiny().state_dict().items()}, folder / "tiny.safetensors")
    for i in range(4):
        x, y, z = np.indices((31, 20 + i, 5))
        one, four = (abs(x - 9) < 5) & (abs(y - 9) < 6), (abs(x - 22) < 5) & (abs(y - 10 - i) < 5)
        labels = np.where(one, 1, np.where(four, 4, 0)) * np.isin(z, (1, 3))
        pixels = 30 + 5 * x + 80 * one - 60 * four + 3 * z
        for part, array, kind in (("images", pixels, np.int16), ("masks", labels, np.uint8)):
            for layout in ("volumes", "pictures"):
                (folder / layout / part).mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(array.astype(kind), OBLIQUE), folder / "volumes" / part / f"v{i}.nii.gz")
            flat = array[:, :, 1].T.astype(np.uint8)
            Pillow.fromarray(flat).save(folder / "pictures" / part / f"p{i}.png")
    for layout, prefix in (("volumes", "v"), ("pictures", "p")):
        split = {"train": [f"{prefix}0", f"{prefix}1"], "val": [f"{prefix}2", f"{prefix}3"]}
        text(folder / f"{layout}.json", split)
    return folder


@pytest.fixture
def here(place, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.setenv("PROMISAM_CACHE", str(place / "cache"))
    return place


def command(typed, status=0):
    with pytest.raises(SystemExit) as end:
        run(typed)
    assert end.value.code == status


def fit(data, out, *more, method="promise2d", **options):
    own = SHORT if method == "promise2d" else [*SHORT[:4], "side=16", "width=2", "levels=2"]
    options = [*own, *(f"{name}={value}" for name, value in options.items())]
    typed = [part for option in options for part in ("--set", option)]
    sam = ["--weights", "tiny.safetensors", "--like", "sam_vit_b"] if method == "promise2d" else []
    command(["fit", method, data, "-o", out, *sam, "--split", f"{data}.json", *typed, *more])
    return json.loads(Path(out, "run.json").read_text())


def segment(image, trained, mask, *more):
    command(["segment", image, "--method", trained, "-o", mask, *more])
    return ps.read_segmentation(mask)


def test_volumes_teach_a_method_of_pictures_and_are_segmented_on_their_grid(here):
    record = fit("volumes", "v_apm", mode="apm", precision="float32")
    assert record["task"]["ndim"] == 2
    assert record["task"]["shape"] == [31, 20] or record["task"]["shape"] == [20, 31]
    assert record["data"]["split"]["train"] == ["v0", "v1"]
    image = ps.read("volumes/images/v2.nii.gz")
    mask = segment("volumes/images/v2.nii.gz", "v_apm", "v2.nii.gz")
    assert mask.grid.matches(image.grid)
    stored = nibabel.load("v2.nii.gz")
    assert stored.shape == (31, 22, 5)
    assert np.allclose(stored.affine, OBLIQUE, atol=1e-4)
    assert set(np.unique(stored.get_fdata())) <= {0, 1, 2}
    rows = Path("v_apm/validation.csv").read_text().splitlines()
    assert rows[1].split(",")[2] == "8"  # two labelled slices of each of two volumes, and as many without a label


def test_a_validation_part_of_volumes_without_labels_chooses_nothing(here, capsys):
    empty = here / "hollow"
    for part in ("images", "masks"):
        (empty / part).mkdir(parents=True)
        for name in ("v0", "v1", "v2"):
            kept = nibabel.load(f"volumes/{part}/{name}.nii.gz")
            array = np.asarray(kept.dataobj) * (0 if part == "masks" and name == "v2" else 1)
            nibabel.save(nibabel.Nifti1Image(array, kept.affine), empty / part / f"{name}.nii.gz")
    text(here / "hollow.json", {"train": ["v0", "v1"], "val": ["v2"]})
    fit("hollow", "v_hollow", mode="ips")
    assert "the last weights are kept, since no validation case has anything to find" in capsys.readouterr().out


def test_pictures_are_what_a_unet_of_volumes_is_not(here):
    record = fit("volumes", "v_unet", method="unet", patch="[8,8,8]", levels=2)
    assert record["task"]["ndim"] == 3
    mask = segment("volumes/images/v2.nii.gz", "v_unet", "unet.nii.gz")
    assert mask.grid.matches(ps.read("volumes/images/v2.nii.gz").grid)


def test_a_method_that_is_asked_learns_two_classes_and_answers_the_one_that_is_meant(here):
    record = fit("pictures", "ips", mode="ips", start="random")
    assert record["task"]["classes"] == ["label 1", "label 4"]
    rows = Path("ips/validation.csv").read_text().splitlines()
    assert rows[0] == "step,dice,cases,best,seconds,dice label 1,dice label 4"
    both = {"objects": [{"label": "label 4", "points": [{"at": [22, 11]}]}, {"label": "label 1", "points": [{"at": [9, 9]}]}]}
    text(here / "both.json", both)
    found = segment("pictures/images/p2.png", "ips", "both.png", "--prompts", "both.json")
    assert found.grid.shape == (22, 31)
    one = segment("pictures/images/p2.png", "ips", "one.png", "--point", "9,9", "--label", "label 1")
    four = segment("pictures/images/p2.png", "ips", "four.png", "--point", "9,9", "--label", "label 4")
    assert not np.array_equal(one.labels > 0, four.labels > 0)  # the same click, another class


@pytest.mark.parametrize("typed", [[], ["--label", "lung"]], ids=["no class", "another class"])
def test_prompts_that_mean_no_class_are_refused(here, capsys, typed):
    if not Path("ips").exists():
        fit("pictures", "ips", mode="ips", start="random")
    command(["segment", "pictures/images/p2.png", "--method", "ips", "-o", "refused.png", "--point", "9,9", *typed], 2)
    assert "label 1, label 4" in capsys.readouterr().err


def test_a_method_that_asks_nobody_finds_both_classes_and_still_takes_prompts(here):
    fit("pictures", "apm", mode="apm", anchored="true")
    found = segment("pictures/images/p2.png", "apm", "auto.png", "--show-prompts", "points.json")
    assert set(np.unique(found.labels)) <= {0, 1, 2}
    shown = json.loads(Path("points.json").read_text())["objects"]
    assert [one["label"] for one in shown] == ["label 1", "label 4"]
    segment("pictures/images/p2.png", "apm", "aimed.png", "--point", "22,11", "--label", "label 4")


@pytest.mark.parametrize(
    ("typed", "labels", "classes"),
    [(["4"], [4], ["label 4"]), (["4", "1"], [4, 1], ["label 4", "label 1"]), ([], [1, 4], ["label 1", "label 4"])],
)
def test_chosen_labels_are_learned_and_recorded(here, typed, labels, classes):
    trained = "unet" + "".join(typed)
    record = fit("pictures", trained, *(part for label in typed for part in ("--label", label)), method="unet")
    assert record["data"]["labels"] == labels
    assert record["data"]["classes"] == record["task"]["classes"] == classes
    content = record["data"]["content"]
    assert len(set(content.values())) == 4
    assert segment("pictures/images/p2.png", trained, f"{trained}.png").grid.shape == (22, 31)
