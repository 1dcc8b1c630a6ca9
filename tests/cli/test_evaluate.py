from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from evaluation.toys import save, square
from promisam.cli.main import run
from promisam.core import Segmentation
from promisam.io import read_segmentation, write


def promisam(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        run(["evaluate", *[str(a) for a in arguments]])
    output = capsys.readouterr()
    return int(left.value.code or 0), output.out, output.err


def rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "cases.csv").read_text(encoding="utf-8").splitlines()))


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    predictions = save(tmp_path / "pred", a_pred=square(5, 7, 10), b=square(5, 5, 10))
    return predictions, save(tmp_path / "true", a=square(5, 5, 10), b_mask=square(5, 5, 10))


def test_a_table_and_three_files(pair: tuple[Path, Path], tmp_path: Path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, _ = promisam(capsys, *pair)

    assert status == 0
    assert "Dice" in out
    assert "0.900" in out
    assert "NSD@2px" in out
    assert len(rows(tmp_path / "evaluation")) == 2


def test_json_is_the_summary(pair: tuple[Path, Path], tmp_path: Path, capsys):
    status, out, _ = promisam(capsys, *pair, "-o", tmp_path / "o", "--json", "--tolerance", 1, "--tolerance", 3)

    assert status == 0
    assert json.loads(out) == json.loads((tmp_path / "o" / "summary.json").read_text(encoding="utf-8"))
    assert {"nsd@1px", "nsd@3px"} <= json.loads(out)["overall"]["metrics"].keys()


def test_a_failure_is_named_written_and_ends_with_status_2(pair: tuple[Path, Path], tmp_path: Path, capsys):
    save(pair[0], b=square(5, 5, 10, (30, 41)))
    status, out, _ = promisam(capsys, *pair, "-o", tmp_path / "o")

    assert status == 2
    assert "41 x 30 samples" in out
    assert "40 x 30 samples" in out
    assert [r["status"] for r in rows(tmp_path / "o")] == ["ok", "geometry"]


def test_a_name_cannot_steer_the_terminal(pair: tuple[Path, Path], tmp_path: Path, capsys):
    save(pair[1], **{"c\x1b[2J[red]": square(5, 5, 10)})
    status, out, _ = promisam(capsys, *pair, "-o", tmp_path / "o")

    assert status == 2
    assert "\x1b[2J" not in out
    assert "[red]" in out


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--label", "0"], "label 0"),
        (["--tolerance", "-1"], "tolerances -1"),
        (["--images", "nowhere"], "folder of images"),
        (["--tolerance", "wide"], "--tolerance"),
    ],
)
def test_impossible_options_are_one_line_and_status_2(pair: tuple[Path, Path], tmp_path: Path, capsys, options, expected):
    status, out, err = promisam(capsys, *pair, "-o", tmp_path / "o", *options)

    assert (status, out) == (2, "")
    assert expected in err
    assert err.count("\n") == 1
    assert not (tmp_path / "o").exists()


def test_an_earlier_report_is_refused_before_the_work(pair: tuple[Path, Path], tmp_path: Path, capsys):
    promisam(capsys, *pair, "-o", tmp_path / "o")
    status, _, err = promisam(capsys, "nowhere", "nothing", "-o", tmp_path / "o")

    assert status == 2
    assert "--overwrite" in err
    assert promisam(capsys, *pair, "-o", tmp_path / "o", "--overwrite")[0] == 0


def test_real_volumes(shared: Path, tmp_path: Path, capsys):
    """Two labels, moved by one voxel, in another format; then one label in samples."""
    for folder in sorted((shared / "data" / "msd_hippocampus").glob("hippocampus_*"))[:4]:
        truth = read_segmentation(folder / "label.nii.gz")
        (tmp_path / "true").mkdir(exist_ok=True)
        (tmp_path / "images").mkdir(exist_ok=True)
        shutil.copy(folder / "label.nii.gz", tmp_path / "true" / f"{folder.name}.nii.gz")
        shutil.copy(folder / "image.nii.gz", tmp_path / "images" / f"{folder.name}_0000.nii.gz")
        moved = Segmentation(np.roll(truth.labels, 1, axis=1), truth.grid)
        write(tmp_path / "pred" / f"{folder.name}_seg.nrrd", moved)
    status, out, _ = promisam(capsys, tmp_path / "pred", tmp_path / "true", "-o", tmp_path / "o", "--json")

    assert status == 0
    record = json.loads(out)
    assert [g["label"] for g in record["labels"]] == [1, 2]
    assert 0.6 < record["overall"]["metrics"]["dice"]["mean"] < 0.98
    assert record["overall"]["metrics"]["nsd@2mm"]["mean"] > 0.95
    page = (tmp_path / "o" / "report.html").read_text(encoding="utf-8")
    assert "no image" not in page
    assert "slice " in page

    options = ("--label", 2, "--no-spacing-aware", "--tolerance", 1)
    promisam(capsys, tmp_path / "pred", tmp_path / "true", "-o", tmp_path / "p", *options)
    assert {(r["label"], r["unit"], r["hd95"]) for r in rows(tmp_path / "p")} == {("2", "px", "1.0")}


def test_real_pictures_with_normal_cases(shared: Path, tmp_path: Path, capsys):
    """Breast ultrasound, some without a lesion: neither counted as perfect nor lost."""
    masks = sorted((shared / "data" / "busi" / "masks").glob("*.png"))
    chosen = [p for p in masks if p.name.startswith("normal")][:2] + [p for p in masks if p.name.startswith("benign")][:4]
    for path in chosen:
        truth = read_segmentation(path)
        (tmp_path / "true").mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / "true" / path.name)
        write(tmp_path / "pred" / path.name, Segmentation(np.roll(truth.labels, 3, axis=0), truth.grid, {1: "lesion"}))
    images = shared / "data" / "busi" / "images"
    status, _, _ = promisam(capsys, tmp_path / "pred", tmp_path / "true", "-o", tmp_path / "o", "--images", images)

    assert status == 0
    assert [r["status"] for r in rows(tmp_path / "o")].count("both_empty") == 2
    assert "no image" not in (tmp_path / "o" / "report.html").read_text(encoding="utf-8")


def test_two_files(pair: tuple[Path, Path], tmp_path: Path, capsys):
    status, _, _ = promisam(capsys, pair[0] / "b.png", pair[1] / "a.png", "-o", tmp_path / "o")

    assert status == 0
    assert [(r["id"], r["dice"]) for r in rows(tmp_path / "o")] == [("a", "1.0")]
