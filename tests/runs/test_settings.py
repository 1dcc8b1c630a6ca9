"""Options from a file and from `--set`, and how wrong ones are refused."""

from __future__ import annotations

import pytest

from promisam.cli.settings import settings
from promisam.core.errors import InvalidConfig, UnreadableFile
from promisam.methods.unet import Config
from promisam.store import check_options
from promisam.training.recipe import Recipe


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("epochs=40", 40),
        ("learning_rate=1e-3", "1e-3"),
        ("learning_rate=0.5", 0.5),
        ("mixed_precision=no", "no"),
        ("flips=none", "none"),
        ("flips=y", "y"),
        ("anchored=true", True),
        ("window=-600,1500", "-600,1500"),
        ("patch=[8, 16, 32]", [8, 16, 32]),
        (" name = a=b", "a=b"),
        ("odd={", "{"),
    ],
)
def test_what_is_typed(typed, meant):
    assert settings(None, [typed]) == {typed.partition("=")[0].strip(): meant}


def test_typed_options_fit_the_models():
    found = settings(None, ["mixed_precision=no", "learning_rate=1e-3"])
    assert check_options(Recipe, found).learning_rate == 0.001
    assert check_options(Config, settings(None, ["patch=[8,16,32]", "flips=y"])).patch == (8, 16, 32)


def test_typed_ones_come_over_the_file(tmp_path):
    file = tmp_path / "options.yaml"
    file.write_text("epochs: 7\nmixed_precision: no\nbatch: 3\n")
    assert settings(file, ["batch=5", "batch=6"]) == {"epochs": 7, "mixed_precision": "no", "batch": 6}


@pytest.mark.parametrize(
    "content", ["", "- epochs\n- 3\n", "just words", "a: [1, 2", "b: !!python/object:os.system {}", b"\xff"]
)
def test_files_that_are_no_options_are_refused(tmp_path, content):
    file = tmp_path / "options.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UnreadableFile, match=r"options\.yaml"):
        settings(file, [])


def test_absent_files_and_folders_are_refused(tmp_path):
    for path in (tmp_path / "absent.yaml", tmp_path):
        with pytest.raises(UnreadableFile, match=path.name):
            settings(path, [])


@pytest.mark.parametrize("typed", ["epochs", "=3", "  =3", ""])
def test_malformed_pairs_are_refused(typed):
    with pytest.raises(InvalidConfig, match="--set"):
        settings(None, [typed])


@pytest.mark.parametrize(
    "wrong",
    [{"epochs": "many"}, {"epochs": [3]}, {"epochs": None}, {"epochs": {"a": 1}}, {"epochs": True}, {"optimizer": "lion"}],
)
def test_wrong_types_are_refused_by_name(wrong):
    with pytest.raises(InvalidConfig, match=next(iter(wrong))):
        check_options(Recipe, wrong)
