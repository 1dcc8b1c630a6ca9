"""A run folder belongs to one training at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from promisam.core.errors import UnwritableOutput
from promisam.runs.claim import LOCK, claimed

HOLD = """
import os, sys, time
from pathlib import Path
from promisam.runs.claim import claimed
with claimed(Path(sys.argv[1])):
    os.write(1, b"held\\n")  # in one piece, whatever Python buffers: two processes say it
    time.sleep(30)
"""


def test_a_folder_is_held_once_and_nothing_stays_behind(tmp_path):
    folder = tmp_path / "a" / "run"
    with claimed(folder):
        assert (folder / LOCK).exists()
        with pytest.raises(UnwritableOutput, match="a run that another process is at"), claimed(folder):
            pass
        assert (folder / LOCK).exists()
    assert not (tmp_path / "a").exists()
    with claimed(folder):
        (folder / "something").write_text("")
    assert [entry.name for entry in folder.iterdir()] == ["something"]


def test_a_killed_process_holds_nothing(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(UnwritableOutput), claimed(tmp_path):
            pass
        other.send_signal(signal.SIGKILL)
    assert (tmp_path / LOCK).exists()
    with claimed(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_worker_that_outlives_a_killed_training_does_not_hold_its_folder(tmp_path):
    fork = "    child = os.fork()\n    if child:\n        os.write(1, b'%d\\n' % child)\n"
    script = HOLD.replace("    os.write", fork + "    os.write")
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE) as other:
        said = sorted(other.stdout.readline() for _ in range(3))  # by the process and its worker, in any order
        worker = int(said[0])
        assert said[1:] == [b"held\n", b"held\n"]
        with pytest.raises(UnwritableOutput), claimed(tmp_path):
            pass
        other.send_signal(signal.SIGKILL)
    try:
        with claimed(tmp_path):
            pass
    finally:
        os.kill(worker, signal.SIGKILL)


def test_a_worker_that_leaves_takes_nothing_of_its_parents(tmp_path):
    fork = "    if not os.fork():\n        sys.exit()\n    status = os.wait()[1]\n    os.write(1, b'%d\\n' % status)\n"
    script = HOLD.replace("    os.write", fork + "    os.write")
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE) as other:
        assert [other.stdout.readline() for _ in range(2)] == [b"0\n", b"held\n"]
        assert (tmp_path / LOCK).exists()
        with pytest.raises(UnwritableOutput), claimed(tmp_path):
            pass
        other.send_signal(signal.SIGKILL)


def test_a_folder_that_cannot_be_made_is_refused_by_name(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UnwritableOutput, match="file/run"), claimed(tmp_path / "file" / "run"):
        pass
