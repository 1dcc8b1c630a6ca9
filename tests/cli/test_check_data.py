import json

import numpy as np
import pytest
from PIL import Image

from promisam.cli.main import run


@pytest.fixture
def dataset(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    values = np.random.default_rng(0).integers(0, 255, (3, 20, 30), dtype=np.uint8)
    for i in range(3):
        Image.fromarray(values[i]).save(tmp_path / "images" / f"c{i}.png")
        Image.fromarray((values[i] > 99).astype(np.uint8) * 255).save(tmp_path / "masks" / f"c{i}.png")
    return tmp_path


def call(*arguments):
    with pytest.raises(SystemExit) as left:
        run(["check-data", *map(str, arguments)])
    return left.value.code


def test_a_sound_set(dataset, capsys):
    assert call(dataset) == 0
    told = capsys.readouterr().out
    assert "note: 3 files, first" in told
    assert "3 images and 3 masks checked: 0 errors, 0 warnings, 3 notes" in told


def test_an_error_names_file_and_reason_and_ends_with_2(dataset, capsys):
    (dataset / "masks" / "c1.png").unlink()
    assert call(dataset) == 2
    assert f"error: {dataset / 'images' / 'c1.png'}: an image without a mask. Add the mask" in capsys.readouterr().out


def test_json(dataset, capsys):
    (dataset / "masks" / "c1.png").unlink()
    assert call(dataset, "--json", "--label", "2") == 2
    told = json.loads(capsys.readouterr().out)
    assert (told["images"], told["masks"], told["errors"]) == (3, 2, 1)
    assert {f["severity"] for f in told["findings"]} == {"error", "warning", "note"}
    assert "label 2 is missing" in told["findings"][0]["reason"]


def test_nothing_there(tmp_path, capsys):
    assert call(tmp_path / "none") == 2
    assert "does not exist" in capsys.readouterr().err


def test_several_labels(dataset, capsys):
    assert call(dataset, "--label", "1", "--label", "2") == 0
    told = capsys.readouterr().out
    assert "label 2 is missing" in told
    assert "label 1 is missing" not in told


def test_a_label_below_1_is_refused(dataset, capsys):
    assert call(dataset, "--label", "0") == 2
    assert "--label" in capsys.readouterr().err


def test_fix_writes_a_copy_and_ends_with_0(dataset, tmp_path_factory, capsys):
    out = tmp_path_factory.mktemp("copy")
    Image.fromarray(np.kron(np.eye(2, dtype=np.uint8), np.ones((20, 30), np.uint8))).save(dataset / "masks" / "c0.png")
    assert call(dataset, "--fix", out) == 0
    told = capsys.readouterr().out
    assert f"c0: {dataset / 'masks' / 'c0.png'}: resized from 60 x 40 to 30 x 20, nearest neighbour" in told
    assert "3 cases copied, 1 fixes, 0 duplicates dropped, 0 left out" in told
    assert call(out) == 0


def test_fix_ends_with_2_when_a_case_is_left_out(dataset, tmp_path_factory, capsys):
    out = tmp_path_factory.mktemp("copy")
    (dataset / "masks" / "c1.png").unlink()
    assert call(dataset, "--fix", out, "--json") == 2
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((out / "fixes.json").read_text())
    assert [finding["case"] for finding in told["left_out"]] == ["c1"]


def test_fix_refuses_a_folder_that_holds_something(dataset, tmp_path, capsys):
    assert call(dataset, "--fix", dataset / "images") == 2
    assert "holds something" in capsys.readouterr().err
