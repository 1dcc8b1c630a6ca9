"""The package as a whole: what it imports and when, and what must never be installed beside it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

import promisam


def loaded_after(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after some code."""
    report = "; import sys; print(' '.join(sorted({m.split('.')[0] for m in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code + report], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_torchvision_is_not_installed():
    assert importlib.util.find_spec("torchvision") is None


@pytest.mark.parametrize("name", promisam.__all__)
def test_public_names_resolve(name):
    assert getattr(promisam, name) is not None


def test_unknown_names_do_not():
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = promisam.no_such_name


@pytest.mark.parametrize(
    "code", ["import promisam", "import promisam.core", "import promisam.io", "import promisam.zoo", "import promisam.cli.main"]
)
def test_light_parts_do_not_import_heavy_packages(code):
    assert not loaded_after(code) & {
        "torch",
        "SimpleITK",
        "skimage",
        "scipy",
        "pydicom",
        "requests",
        "highdicom",
        "transformers",
    }


def test_running_does_not_import_transformers():
    assert "transformers" not in loaded_after("import promisam.store, promisam.evaluation")
