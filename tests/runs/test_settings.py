"""Options from a file and from `--set`, and how wrong ones are refused."""

from __future__ import annotations

import pytest

from promisam.cli.settings import settings
from promisam.core.errors import InvalidConfig, UnreadableFile
from promisam.methods.promise2d import Config as PromiseConfig
from promisam.methods.unet import Config
from promisam.store import check_names, check_options, find_method
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


@pytest.mark.parametrize("typed", ["16,32,24", "16, 32, 24", "[16, 32, 24]"])
def test_several_numbers_stand_between_commas(typed):
    assert check_options(Config, settings(None, [f"patch={typed}"])).patch == (16, 32, 24)


@pytest.mark.parametrize(
    ("kind", "wrong", "said"),
    [
        (Recipe, {"epochs": -1}, "epochs = -1; expected a number of at least 0."),
        (Recipe, {"epochs": "many"}, "epochs = 'many'; expected a whole number."),
        (Recipe, {"epochs": 1.5}, "epochs = 1.5; expected a whole number."),
        (Recipe, {"learning_rate": 0}, "learning_rate = 0; expected a number above 0."),
        (Recipe, {"learning_rate": "fast"}, "expected a number."),
        (Recipe, {"learning_rate": float("nan")}, "learning_rate = nan; expected a "),
        (Recipe, {"clip": float("inf")}, "expected a finite number."),
        (Recipe, {"warmup": 1}, "expected a number below 1."),
        (Recipe, {"optimizer": "lion"}, "optimizer = 'lion'; expected one of adamw, adam, sgd."),
        (Recipe, {"epochs": True}, "epochs = True; expected a number or a word, and not true or false."),
        (Config, {"intensity": 4}, "expected a number of at most 3."),
        (Config, {"flips": "w"}, "flips = 'w'; expected one of auto, none, x, y, z, xy, xz, yz, xyz."),
        (Config, {"window": 3}, "window = 3; expected text."),
        (Config, {"patch": "16,32"}, "patch = '16,32'; expected three whole numbers such as 64,64,64."),
        (Config, {"patch": 16}, "patch = 16; expected three whole numbers such as 64,64,64."),
        (Config, {"patch": "8,8,x"}, "patch = '8,8,x'; expected three whole numbers such as 64,64,64."),
        (PromiseConfig, {"anchored": "perhaps"}, "anchored = 'perhaps'; expected true or false."),
        (PromiseConfig, {"anchored": [1]}, "expected true or false."),
        (PromiseConfig, {"mask": "best"}, "mask = 'best'; expected auto or a whole number."),
    ],
)
def test_impossible_values_are_refused_in_plain_words(kind, wrong, said):
    with pytest.raises(InvalidConfig) as refused:
        check_options(kind, wrong)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("epoch", "Did you mean epochs?"),
        ("qqq", "Check the spelling."),
        ("mode", "mode is an option of imedsam, promise2d and promise3d."),
        ("multimask", "multimask is an option of interactive and plain_sam."),
    ],
)
def test_an_unknown_name_gets_the_nearest_or_its_owner(name, said):
    with pytest.raises(InvalidConfig) as refused:
        check_names([name], Config, Recipe)
    assert refused.value.do == said
    assert f"the option {name!r}; expected one of window, side" in str(refused.value)


def test_an_option_of_training_is_told_from_those_of_a_method():
    with pytest.raises(InvalidConfig, match="epochs is an option of training"):
        check_options(Config, {"epochs": 3})


def test_a_method_far_from_all_is_not_guessed():
    with pytest.raises(InvalidConfig, match="Did you mean promise2d"):
        find_method("promise2")
    with pytest.raises(InvalidConfig, match="Check the spelling"):
        find_method("zzz")
