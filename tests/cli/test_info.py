import json

import nibabel
import numpy as np
import pytest

from promisam.cli.main import run


@pytest.fixture
def volume(tmp_path):
    path = tmp_path / "a[bold].nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.diag([1.0, 2, 3, 1])), path)
    return path


def call(*arguments):
    with pytest.raises(SystemExit) as left:
        run(["info", *map(str, arguments)])
    return left.value.code


def test_a_table(volume, capsys):
    assert call(volume) == 0
    told = capsys.readouterr().out
    for words in ("a[bold].nii.gz", "NIfTI, volume", "3 x 4 x 5", "1 x 2 x 3 mm", "RAS", "0 to 59, int16, 1 channel"):
        assert words in told.replace("\n", ""), words


def test_json(volume, capsys):
    assert call("--json", volume) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["size"] == [3, 4, 5]
    assert told["orientation"] == "RAS"


def test_one_bad_file_does_not_stop_the_rest(volume, tmp_path, capsys):
    assert call(tmp_path / "none.png", volume) == 2
    captured = capsys.readouterr()
    assert "none.png" in captured.err
    assert captured.err.count("\n") == 1
    assert "3 x 4 x 5" in captured.out
    assert call("--json", tmp_path / "none.png", volume) == 2
    bad, good = json.loads(capsys.readouterr().out)
    assert "No such file" in bad["error"]
    assert good["size"] == [3, 4, 5]


def test_no_file_is_a_usage_error(capsys):
    assert call() == 2
    assert "files" in capsys.readouterr().err
