"""Refusals of the `annotate` command, before anything is served."""

import numpy as np
import pytest
from PIL import Image as Picture

from command_line import promisam
from promisam import __version__


@pytest.fixture
def folder(tmp_path):
    Picture.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.png")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "saying"),
    [
        (["--host", "0.0.0.0"], "--token"),  # noqa: S104 - it is refused
        (["--host", "192.0.2.1", "--token", "0123456789abcdef"], "--port"),
        (["--token", "short"], "16 letters"),
        (["--token", "with spaces and / in it"], "16 letters"),
        (["--method", "litemedsan"], "litemedsam"),
        (["--port", "70000"], "65535"),
        (["--keep", "0"], "--keep"),
    ],
)
def test_what_cannot_be_served_is_refused(capsys, folder, words, saying):
    answer = promisam(capsys, "annotate", folder, "--no-browser", "--offline", *words)
    assert answer.status == 2
    assert saying in answer.err
    assert not (folder / ".promisam").exists()


def test_a_folder_without_images_is_refused(capsys, tmp_path):
    answer = promisam(capsys, "annotate", tmp_path, "--no-browser", "--offline")
    assert answer.status == 2
    assert "image" in answer.err


def test_without_the_extra_it_says_what_to_install(capsys, folder, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "uvicorn" else object())
    answer = promisam(capsys, "annotate", folder)
    assert answer.status == 2
    assert "pip install 'promisam[web]'" in answer.err


def test_the_version_is_told(capsys):
    answer = promisam(capsys, "--version")
    assert (answer.status, answer.out) == (0, f"{__version__}\n")


def test_a_method_that_weights_would_hide_is_refused(tmp_path, capsys):
    from data_maker import grey, picture

    picture(tmp_path / "a.png", grey(1))
    answer = promisam(capsys, "annotate", tmp_path, "--method", "no_such_run", "--weights", "litemedsam", "--no-browser")
    assert answer.status == 2
    assert "no_such_run" in answer.err
