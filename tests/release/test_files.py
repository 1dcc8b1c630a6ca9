"""The files beside the code that a release carries: citation, container, examples."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image as Pillow

import promisam
from learning import course, trained

ROOT = Path(__file__).parents[2]


def test_the_licence_is_whole():
    text = (ROOT / "LICENSE").read_bytes()
    assert hashlib.md5(text, usedforsecurity=False).hexdigest() == "3b83ef96387f14655fc854ddc3c6bd57"  # as apache.org has it


def test_the_citation():
    told = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors", "version", "license", "type", "references"} <= set(told)
    assert told["cff-version"] == "1.2.0"
    assert str(told["version"]) == promisam.__version__
    assert told["license"] == "Apache-2.0"
    known = {value["value"] for one in told["references"] for value in one.get("identifiers", ())}
    assert known == {f"arXiv:{n}" for n in ("2304.02643", "2310.19721", "2403.04164", "2311.17081", "2411.17363")}
    for one in told["references"]:
        assert one["type"] in ("article", "conference-paper")
        assert one["title"]
        assert one["year"] >= 2023
        assert all({"family-names", "given-names"} <= set(author) for author in one["authors"])
        assert ("doi" in one) != ("identifiers" in one)


def instructions(text: str) -> list[tuple[str, str]]:
    whole = re.sub(r"\\\n", " ", "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#")))
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in whole.splitlines() if line.strip()]


def test_the_container_file():
    found = instructions((ROOT / "Dockerfile").read_text())
    kinds = {"ARG", "FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "VOLUME", "ENTRYPOINT", "CMD"}
    assert {kind for kind, _ in found} <= kinds
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    for kind, words in found:
        if kind == "COPY" and "--from" not in words:
            for name in words.split()[:-1]:
                assert (ROOT / name).exists(), name
                assert f"!{name}" in ignored, f"{name} does not reach the builder"
    order = [kind for kind, _ in found]
    last = len(order) - 1 - order[::-1].index("FROM")
    assert dict(found[last:])["USER"] not in ("root", "0")
    assert dict(found[last:])["ENTRYPOINT"] == '["promisam"]'
    assert ("VOLUME", "/cache") in found
    assert "PROMISAM_CACHE=/cache" in dict(found[last:])["ENV"]
    torch = next(line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("torch=="))
    assert ("ARG", f'TORCH="{torch}"') in found
    pyproject = (ROOT / "pyproject.toml").read_text()
    extras = next(words for kind, words in found if kind == "ARG" and words.startswith("EXTRAS"))
    assert all(f"\n{extra} = [" in pyproject for extra in shlex.split(extras.partition("=")[2])[0].split(","))


@pytest.mark.parametrize("name", ["examples/torchrun.sh", "examples/slurm_array.sh", "recipes/release.sh"])
def test_scripts_parse(name):
    subprocess.run(["bash", "-n", str(ROOT / name)], check=True)
    assert os.access(ROOT / name, os.X_OK)


def script(name, *words, folder, **env):
    paths = str(Path(promisam.__file__).parents[1])
    whole = {
        **os.environ,
        "PYTHON": sys.executable,
        "PYTHONPATH": paths,
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
        **env,
    }
    return subprocess.run(
        ["bash", str(ROOT / "examples" / name), *words],
        cwd=folder,
        env=whole,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


@pytest.mark.parametrize("name", ["torchrun.sh", "slurm_array.sh"])
def test_scripts_say_how_they_are_used(tmp_path, name):
    done = script(name, folder=tmp_path)
    assert done.returncode == 2
    assert "usage:" in done.stderr


def pictures(folder: Path, number: int) -> Path:
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    y, x = np.indices((32, 40))
    for i in range(number):
        inside = (y - 14 - i) ** 2 + (x - 20) ** 2 < 80
        Pillow.fromarray((60 + 100 * inside).astype(np.uint8)).save(folder / "images" / f"p{i}.png")
        Pillow.fromarray((inside * 255).astype(np.uint8)).save(folder / "masks" / f"p{i}.png")
    return folder


def test_a_job_of_an_array_makes_its_share(tmp_path):
    trained(course(tmp_path / "run", epochs=1))
    pictures(tmp_path / "data", 3)
    told = {"SLURM_ARRAY_TASK_ID": "5", "SLURM_ARRAY_TASK_MIN": "4", "SLURM_ARRAY_TASK_COUNT": "2"}  # sbatch --array=4-5
    done = script("slurm_array.sh", "run", "data/images", "out", "--device", "cpu", folder=tmp_path, **told)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["p1.png", "predictions_1_of_2.json"]


def test_two_processes_train_together(tmp_path):
    pictures(tmp_path / "data", 4)
    short = [word for one in ("epochs=1", "side=32", "width=2", "levels=2", "batch=1") for word in ("--set", one)]
    done = script(
        "torchrun.sh", "2", "unet", "data", "-o", "run", "--split", "50,50", "--device", "cpu", *short, folder=tmp_path
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert '"processes": 2' in (tmp_path / "run" / "run.json").read_text()
    assert (tmp_path / "run" / "model.safetensors").is_file()
