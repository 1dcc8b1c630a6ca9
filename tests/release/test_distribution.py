"""Wheel and sdist: what is in them, what they say of themselves, and that the wheel works where the checkout is not."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from safetensors.torch import save_file

import promisam
from promisam.io import read_segmentation
from tiny_sam import tiny

ROOT = Path(__file__).parents[2]
EXTRAS = ("fastapi", "uvicorn", "python_multipart", "onnx", "onnxruntime", "onnxscript", "highdicom", "dipy", "picsl_greedy")
OF_TESTS = (
    "nibabel",
    "transformers",
    "surface_distance",
    "pytest",
    "hypothesis",
    "beartype",
    "httpx",
    "playwright",
    "torchvision",
)


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def inside(distribution):
    return contents(distribution.wheel)


@pytest.fixture(scope="module")
def metadata(inside):
    (name,) = [name for name in inside if name.endswith(".dist-info/METADATA")]
    return message_from_bytes(inside[name])


def test_the_wheel_is_sound(distribution):
    command = [sys.executable, "-m", "check_wheel_contents", str(distribution.wheel)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=distribution.wheel.parent)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_needed_is_in_the_wheel(inside):
    for name in ("zoo/promisam_click.safetensors", "app/static/index.html", "app/static/page.js", "app/static/page.css"):
        assert inside[f"promisam/{name}"] == (ROOT / "src" / "promisam" / name).read_bytes()
    assert "promisam/py.typed" in inside
    assert "promisam/app/static/THIRD_PARTY.txt" in inside
    own = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src").rglob("*.py")}
    assert own <= set(inside)


def test_licences_travel_with_it(inside, metadata):
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("License-File") == ["LICENSE", "NOTICE", "THIRD_PARTY_NOTICES.md"]
    for name in metadata.get_all("License-File"):
        (found,) = [path for path in inside if path.endswith(f".dist-info/licenses/{name}")]
        assert inside[found] == (ROOT / name).read_bytes()


def test_nothing_else_is_in_the_wheel(inside):
    top = {name.partition("/")[0] for name in inside}
    assert {name for name in top if not name.endswith(".dist-info")} == {"promisam"}
    kinds = {Path(name).suffix for name in inside if name.startswith("promisam/")}
    assert kinds <= {".py", ".typed", ".safetensors", ".html", ".js", ".css", ".json", ".txt"}
    assert not [name for name in inside if "test" in Path(name).parts or "__pycache__" in name]
    assert sum(map(len, inside.values())) < 20e6


def test_the_wheel_of_the_sdist_is_the_wheel_of_the_checkout(distribution, inside):
    direct = contents(distribution.direct)
    assert {n: c for n, c in direct.items() if not n.endswith("RECORD")} == {
        n: c for n, c in inside.items() if not n.endswith("RECORD")
    }


def test_the_sdist_holds_what_a_packager_needs(distribution):
    with tarfile.open(distribution.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = {"LICENSE", "NOTICE", "THIRD_PARTY_NOTICES.md", "CITATION.cff", "CHANGELOG.md", "CONTRIBUTING.md", "README.md"}
    needed |= {"pyproject.toml", "constraints.txt", "Makefile", "Dockerfile", "tests/conftest.py", "docs/design.md"}
    needed |= {"benchmarks/results.md", "examples/torchrun.sh", "recipes/release.sh"}
    assert needed <= names
    assert not [name for name in names if "node_modules" in name or ".venv" in name or name.startswith(("shared", ".git/"))]
    heavy = {".nii", ".gz", ".dcm", ".pth", ".png", ".jpg", ".onnx"}
    assert not [name for name in names if Path(name).suffix in heavy and not name.startswith("docs/")]


def test_metadata(metadata):
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert metadata["Name"] == "promisam"
    assert metadata["Version"] == promisam.__version__
    assert metadata["Requires-Python"] == told["requires-python"]
    assert set(metadata.get_all("Provides-Extra")) == set(told["optional-dependencies"])
    required = metadata.get_all("Requires-Dist")
    assert len([one for one in required if "extra ==" not in one]) == len(told["dependencies"])
    assert not [one for one in required if one.lower().startswith("torchvision")]
    assert metadata["Description-Content-Type"] == "text/markdown"
    shown = metadata.get_payload(decode=True).decode()
    assert shown.strip() == (ROOT / "README.md").read_text(encoding="utf-8").strip()


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    Pillow.fromarray(rng.integers(0, 255, (40, 50, 3), np.uint8)).save(tmp_path / "picture.png")
    save_file({name: value.contiguous() for name, value in tiny().state_dict().items()}, tmp_path / "tiny.safetensors")
    return tmp_path


def test_the_installed_command(distribution, folder):
    told = distribution.promisam("--version", folder=folder)
    assert (told.returncode, told.stdout.strip()) == (0, promisam.__version__)
    listed = distribution.promisam("weights", "list", "--json", folder=folder)
    assert listed.returncode == 0, listed.stderr
    assert "promisam-click" in listed.stdout


def test_without_any_extra_masks_are_made(distribution, folder):
    words = (
        "segment",
        "picture.png",
        "--box",
        "5,6,30,33",
        "--weights",
        "tiny.safetensors",
        "--like",
        "sam_vit_b",
        "--offline",
    )
    done = distribution.promisam(*words, "-o", "mask.png", folder=folder, hiding=(*EXTRAS, *OF_TESTS))
    assert done.returncode == 0, done.stderr
    assert read_segmentation(folder / "mask.png").grid.shape == (40, 50)


def test_what_needs_an_extra_names_it(distribution, folder):
    done = distribution.promisam("annotate", ".", folder=folder, hiding=(*EXTRAS, *OF_TESTS))
    assert done.returncode == 2
    assert "promisam[web]" in done.stderr
    from dicom_maker import make_series

    path = make_series(folder / "series", np.random.default_rng(0).integers(0, 999, (1, 20, 24)).astype(np.int16))[0]
    words = ("segment", str(path), "--box", "3,3,15,12", "--weights", "tiny.safetensors", "--like", "sam_vit_b", "--offline")
    done = distribution.promisam(*words, "-o", "mask.dcm", folder=folder, hiding=(*EXTRAS, *OF_TESTS))
    assert done.returncode == 2
    assert "promisam[dicom]" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
