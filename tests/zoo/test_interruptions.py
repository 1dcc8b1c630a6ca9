from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import pytest

from promisam.core.errors import UnwritableOutput
from promisam.zoo import Cache, Entry, get
from zoo.weights_server import Served


def files(cache: Cache) -> set[str]:
    return {f.name for f in (cache.root / "toy").iterdir()} - {".lock"}


PROGRAM = """
import sys
from dataclasses import replace
from pathlib import Path
from promisam.zoo import CATALOGUE, Cache, Url, get
import promisam.zoo.download as downloading
downloading.configured = dict
root, url, digest, size = sys.argv[1:]
CATALOGUE["toy"] = replace(
    CATALOGUE["sam_vit_b"], name="toy", file="toy.bin", sha256=digest, size=int(size), source=Url(url)
)
print(get("toy", Cache(Path(root))))
"""


def another_process(cache: Cache, served: Served, toy: Entry) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, str(cache.root), served.url, str(toy.sha256), str(toy.size)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until(condition: object) -> None:
    deadline = time.monotonic() + 30
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_two_processes_at_once_fetch_once(cache: Cache, served: Served, toy: Entry) -> None:
    served.pause = 0.1
    both = [another_process(cache, served, toy) for _ in range(2)]
    answers = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], answers
    assert [out.strip() for out, _ in answers] == [str(cache.root / "toy" / "toy.bin")] * 2
    assert len(served.ranges_asked) == 1


@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGKILL])
def test_a_killed_process_leaves_only_a_partial_and_no_lock(cache: Cache, served: Served, toy: Entry, blow: int) -> None:
    served.pause = 0.2
    process = another_process(cache, served, toy)
    partial = cache.root / "toy" / "toy.bin.partial"
    until(lambda: served.sent and served.sent[0] > 0 and partial.is_file())
    process.send_signal(blow)
    process.communicate(timeout=30)
    assert process.returncode != 0
    assert files(cache) <= {"toy.bin.partial", "toy.bin.partial.etag"}
    served.pause = 0.0
    assert get("toy", cache).read_bytes() == served.body


class FullDisk:
    """A file on a disk that has room for some bytes only."""

    def __init__(self, stream: IO[bytes], room: int, problem: int) -> None:
        self.stream, self.room, self.problem = stream, room, problem

    def __enter__(self) -> FullDisk:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()

    def write(self, data: bytes) -> None:
        if len(data) > self.room:
            raise OSError(self.problem, os.strerror(self.problem))
        self.room -= len(data)
        self.stream.write(data)


@pytest.mark.parametrize(
    ("problem", "advice"), [(errno.ENOSPC, "larger disk"), (errno.EDQUOT, "larger disk"), (errno.EROFS, "you may write")]
)
def test_full_disk(
    cache: Cache, served: Served, toy: Entry, monkeypatch: pytest.MonkeyPatch, problem: int, advice: str
) -> None:
    opened = Path.open

    def full(self: Path, mode: str = "r", *args: object, **options: object) -> object:
        stream = opened(self, mode, *args, **options)
        return FullDisk(stream, 270_000, problem) if self.suffix == ".partial" and mode in {"wb", "ab"} else stream

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        with pytest.raises(UnwritableOutput, match=advice):
            get("toy", cache)
    assert "toy.bin" not in files(cache)
    assert len(served.ranges_asked) == 1  # a full disk is no reason to ask the server again
    assert get("toy", cache).read_bytes() == served.body
    assert served.ranges_asked[1] is not None
