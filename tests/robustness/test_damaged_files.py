"""Damaged files of every kind: a refusal in one line or a value that is what it says, in a process of bounded memory.

`python -m robustness.hunt FAMILY FOLDER EXAMPLES SEED` looks for more.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = {"images": 250, "dicom": 150, "prompts": 150, "bombs": 1, "records": 250, "checkpoints": 150}


@pytest.mark.parametrize("family", sorted(EXAMPLES))
def test_damage_is_refused_or_read_for_what_it_is(tmp_path, family):
    paths = os.pathsep.join(str(ROOT / part) for part in ("src", "tests"))
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-m", "robustness.hunt", family, str(tmp_path), str(EXAMPLES[family])],
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    left = [path.name for path in tmp_path.iterdir() if path.name.startswith("damaged_")]
    assert done.returncode == 0, f"{left}\n{done.stdout}\n{done.stderr[-6000:]}"
    assert "'refused'" in done.stdout
    assert done.stderr == "", "something was printed beside what is raised"
