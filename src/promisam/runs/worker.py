"""A process that segments its share of the images of a job: `python -m promisam.runs.worker`, which `spreading` starts.

It reads one line from its input, the job and the names of its images as JSON, and writes a line for what makes the masks, for
each image, or for what stops it. When its input ends, so has whoever started it, and it ends too.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from promisam.core.errors import PromisamError
from promisam.runs.job import Job


def as_line(job: Job, names: list[str]) -> str:
    """What a worker reads."""
    told = {name: _text(value) for name, value in asdict(job).items()}
    return json.dumps({"job": told, "names": names}) + "\n"


def from_line(line: str) -> tuple[Job, list[str]]:
    """What `as_line` wrote."""
    told = json.loads(line)
    job: dict[str, Any] = told["job"]
    prompts = job["prompts"]
    paths = {"run": Path(job["run"]), "inputs": tuple(map(Path, job["inputs"])), "out": Path(job["out"])}
    return Job(**{**job, **paths, "prompts": None if prompts is None else Path(prompts)}), told["names"]


def main() -> None:
    """Do it."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints is no answer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is heard by the one that started all
    signal.signal(signal.SIGTERM, _leave)
    job, names = from_line(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _segment(job, names, answers)
    except PromisamError as error:
        _say(answers, {"error": [error.given, error.expected, error.do]})


def _segment(job: Job, names: list[str], answers: IO[str]) -> None:
    import torch

    from promisam.runs.job import Ready

    torch.set_num_threads(1)
    ready = Ready.of(job)
    work = ready.work()
    _say(answers, {"maker": None if work.place.maker is None else asdict(work.place.maker)})
    for name in names:
        if name in ready.images:
            _say(answers, {"name": name, "row": asdict(work.row(ready.images[name]))})


def _say(answers: IO[str], told: Mapping[str, Any]) -> None:
    answers.write(json.dumps(told) + "\n")
    answers.flush()


def _leave(_number: int, _frame: object) -> None:
    raise SystemExit(143)  # so that a file that is being written is taken away again


def _end_with_parent() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


def _text(value: object) -> object:
    if isinstance(value, tuple):
        return [_text(one) for one in value]
    return str(value) if isinstance(value, Path) else value


if __name__ == "__main__":
    main()
