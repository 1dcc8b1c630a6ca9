"""The distribution, built once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OFFLINE = {"PIP_NO_INDEX": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


@dataclass(frozen=True)
class Distribution:
    """Where the two files are, and the wheel unpacked as an installation would."""

    wheel: Path
    sdist: Path
    direct: Path
    installed: Path

    def promisam(self, *words: str, folder: Path, hiding: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """The command of the wheel in a process that sees this environment's other packages, but those that are hidden."""
        start = (
            "import sys\n"
            f"sys.path.insert(0, {str(self.installed)!r})\n"
            f"hidden = {hiding!r}\n"
            "class Hidden:\n"
            "    def find_spec(self, name, path=None, target=None):\n"
            "        if name.partition('.')[0] in hidden:\n"
            "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
            "sys.meta_path.insert(0, Hidden())\n"
            "import importlib.util\n"
            "found = importlib.util.find_spec\n"
            "importlib.util.find_spec = lambda name, package=None: None if name in hidden else found(name, package)\n"
            "import promisam\n"
            f"assert promisam.__file__.startswith({str(self.installed)!r}), promisam.__file__\n"
            "from promisam.cli.main import run\n"
            "run(sys.argv[1:])\n"
        )
        return subprocess.run(
            [sys.executable, "-I", "-c", start, *words],
            cwd=folder,
            env={**os.environ, **OFFLINE, "PROMISAM_CACHE": str(folder / "cache")},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


def _built(source: Path, out: Path, *what: str) -> list[Path]:
    command = [sys.executable, "-m", "build", "--no-isolation", *what, "--outdir", str(out), str(source)]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, env={**env, **OFFLINE}, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return sorted(out.iterdir())


@pytest.fixture(scope="session")
def distribution(tmp_path_factory) -> Distribution:
    """Wheel and sdist of a copy of the checkout, the wheel once from the sdist and once directly."""
    folder = tmp_path_factory.mktemp("distribution")
    away = shutil.ignore_patterns(
        ".git", ".venv", "node_modules", "__pycache__", "build", "dist", "*.egg-info", ".*_cache", "web"
    )
    shutil.copytree(ROOT, folder / "source", ignore=away)
    sdist, wheel = sorted(_built(folder / "source", folder / "dist"), key=lambda path: path.suffix)
    (direct,) = _built(folder / "source", folder / "direct", "--wheel")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "installed")
    return Distribution(wheel, sdist, direct, folder / "installed")
