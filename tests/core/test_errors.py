"""Every error that promisam raises on purpose."""

from __future__ import annotations

import inspect
import pickle

import pytest

import promisam
from promisam.core import errors

EVERY = [value for _, value in inspect.getmembers(errors, inspect.isclass) if value.__module__ == errors.__name__]


def test_they_are_all_of_one_tree():
    assert len(EVERY) > 10
    assert all(issubclass(kind, errors.PromisamError) for kind in EVERY)
    assert promisam.PromisamError is errors.PromisamError


@pytest.mark.parametrize("kind", EVERY)
def test_the_message_says_what_was_given_expected_and_to_do(kind):
    error = kind("a cat", expected="a liver", do="Scan again.")
    assert str(error) == "a cat; expected a liver. Scan again."
    assert (error.given, error.expected, error.do) == ("a cat", "a liver", "Scan again.")


@pytest.mark.parametrize("kind", EVERY)
def test_they_survive_pickling(kind):
    again = pickle.loads(pickle.dumps(kind("a cat", expected="a liver", do="Scan again.")))
    assert type(again) is kind
    assert str(again) == "a cat; expected a liver. Scan again."
    assert again.do == "Scan again."


@pytest.mark.parametrize(
    ("kind", "parent"),
    [
        (errors.GridMismatch, errors.GeometryError),
        (errors.UnsupportedFile, errors.UnreadableFile),
        (errors.DownloadFailed, errors.WeightsError),
    ],
)
def test_special_cases_are_caught_with_the_general(kind, parent):
    assert issubclass(kind, parent)


def test_every_public_name_resolves():
    assert set(promisam.__all__) == set(dir(promisam))
    for name in promisam.__all__:
        assert getattr(promisam, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Sergmenter'"):
        _ = promisam.Sergmenter
