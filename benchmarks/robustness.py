"""Random calls of the command line with hostile arguments: clean refusals or right answers, and nothing else.

    python benchmarks/robustness.py --calls 1000 --seed 0

Every command and option comes from the real parser. A refusal is status 2 with one line on the standard error output, after
which the working folder is as it was; an answer is status 0. Inputs stay as they are in both cases. All else is a defect:
another exception, a second line, a file left behind, a call that takes longer than half a minute, a touch of the network.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import random
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import hostile_arguments  # beside this file
import hostile_files
import rows

RESULTS = Path(__file__).with_suffix(".csv")
SECONDS = 30  # for one call
# Lines of several refusals, and results of what went well beside them, are what these commands promise.
MANY = {"info", "check-data", "predict", "weights verify", "fit", "reproduce", "benchmark", "evaluate", "select"}


@dataclass
class Counts:
    """What the table says of one command."""

    command: str
    calls: int = 0
    answered: int = 0
    refused: int = 0
    defects: int = 0
    seconds: float = 0.0
    seed: int = 0
    date: str = ""
    machine: str = ""


@dataclass
class Found:
    """A call that ended as none may."""

    words: list[str]
    defect: str
    printed: str = ""


@dataclass
class Campaign:
    """Calls in a folder of their own."""

    folder: Path
    seed: int
    counts: dict[str, Counts] = field(default_factory=dict)
    found: list[Found] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the inputs, and the commands with their options."""
        import typer

        from promisam.cli.main import app

        self.inputs, self.spare, self.work = self.folder / "in", self.folder / "spare", self.folder / "work"
        hostile_files.make(self.inputs)
        os.environ["PROMISAM_CACHE"] = str(self.folder / "cache")
        self.commands = dict(hostile_arguments.commands_of(typer.main.get_command(app)))
        self.draw = hostile_arguments.Arguments(random.Random(self.seed), self.inputs)  # noqa: S311 - no secret
        self._train()
        shutil.copytree(self.inputs, self.spare, symlinks=True, ignore=lambda _f, names: [n for n in names if n == "pipe.png"])
        self.sound = fingerprint(self.inputs)

    def _train(self) -> None:
        """A run that other commands can be given."""
        short = ["--set", "epochs=1", "--set", "side=32", "--set", "width=2", "--set", "levels=2", "--set", "batch=2"]
        words = [
            "fit",
            "unet",
            str(self.inputs / "data"),
            "-o",
            str(self.inputs / "run"),
            "--device",
            "cpu",
            "--split",
            "50,50",
            *short,
        ]
        status, out, err = call(words, seconds=120)
        assert status == 0, out + err

    def run(self, calls: int) -> None:
        """So many random calls."""
        for number in range(calls):
            name = self.draw.random.choice(sorted(self.commands))
            words = [*name.split(), *self.draw.arguments(name, self.commands[name])]
            if number % 50 == 49:
                words = [self.draw.random.choice(hostile_arguments.HOSTILE), *words[1:]]  # no command at all
            self._one(name, words)

    def _one(self, name: str, words: list[str]) -> None:
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir()
        counts = self.counts.setdefault(name, Counts(name))
        begun = time.perf_counter()
        before = Path.cwd()
        os.chdir(self.work)
        try:
            status, out, err = call(words)
        finally:
            os.chdir(before)
        counts.calls += 1
        counts.seconds += time.perf_counter() - begun
        defect = self._judge(name, words, status, out, err)
        if defect:
            counts.defects += 1
            self.found.append(Found(words, defect, err[-1500:]))
            print(f"DEFECT {defect}\n  {words!r}\n  {err[-400:]}", file=sys.stderr, flush=True)
        elif status == 0:
            counts.answered += 1
        else:
            counts.refused += 1

    def _judge(self, name: str, words: list[str], status: int | str, out: str, err: str) -> str:
        """What is wrong with how a call ended; empty if nothing."""
        left = sorted(str(path.relative_to(self.work)) for path in self.work.rglob("*"))
        changed = self._changed()
        if isinstance(status, str):
            return status
        if status not in (0, 2):
            return f"status {status}"
        lines = [line for line in err.splitlines() if line.strip()]
        if "Traceback" in err:
            return "a traceback"
        if any(".part" in path for path in left):
            return f"half-written: {left}"
        if status == 2:
            return _ill_mannered(name, lines, bool(out)) or self._traces(name, words, left, changed)
        if changed and name != "annotate" and not {"--overwrite", "--resume"} & set(words):  # the annotator keeps drafts there
            return "inputs changed"
        if name not in MANY and not all(line.startswith("promisam: warning: ") for line in lines):
            return "an answer with words on the error output"
        return self._unsound(name, words, left)

    def _traces(self, name: str, words: list[str], left: list[str], changed: bool) -> str:
        """What a refusal left."""
        if left and name not in MANY:
            return f"left behind: {left}"
        return "inputs changed by a refusal" if changed and "--resume" not in words else ""

    def _unsound(self, command: str, words: list[str], left: list[str]) -> str:
        """A written file that cannot be read."""
        from promisam.core.errors import PromisamError
        from promisam.io import read_segmentation

        asked = [word for option, word in pairwise(words) if option in ("-o", "--output")]
        masks = set(asked) if command == "segment" else set()  # other commands write other pictures
        for path in left:
            file = self.work / path
            if not file.is_file():
                continue
            if file.stat().st_size == 0:
                return f"an empty file: {path}"
            try:
                if path.endswith(".json"):
                    json.loads(file.read_text())
                elif path in hostile_arguments.OUTPUTS[:4] and path in masks:
                    read_segmentation(file)
            except (ValueError, PromisamError) as error:
                return f"an unsound file: {path} ({error})"
        return ""

    def _changed(self) -> bool:
        if fingerprint(self.inputs) == self.sound:
            return False
        shutil.rmtree(self.inputs)
        shutil.copytree(self.spare, self.inputs, symlinks=True)
        os.mkfifo(self.inputs / "pipe.png")
        return True


def _ill_mannered(name: str, lines: list[str], told: bool) -> str:
    """What is wrong with the words of a refusal."""
    if not lines and not (name in MANY and told):
        return "a refusal without a word"
    if name not in MANY and len(lines) != 1:
        return f"{len(lines)} lines"
    if any(len(line) > 20_000 for line in lines):
        return "an endless line"
    ours = all(line.startswith("promisam: ") for line in lines) or name in MANY
    return "" if ours else "a line that is not ours"


def fingerprint(folder: Path) -> dict[str, str]:
    """Of everything below a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            found[str(path.relative_to(folder))] = f"-> {path.readlink()}"
        else:
            content = path.read_bytes() if path.is_file() else b""
            found[str(path.relative_to(folder))] = f"{path.is_dir()} {hashlib.sha256(content).hexdigest()}"
    return found


class Late(BaseException):
    """A call that takes too long; not an Exception, so that nothing takes it for its own."""


def call(words: list[str], seconds: int = SECONDS) -> tuple[int | str, str, str]:
    """Status, or what came in place of one; and what was printed, by native code too."""
    from promisam.app import start
    from promisam.cli.main import run

    def late(_number: int, _frame: object) -> None:
        raise Late

    def refused(this: socket.socket, *given: Any) -> None:  # noqa: ANN401 - whatever connects
        if this.family != getattr(socket, "AF_UNIX", None):  # between processes of this machine
            raise RuntimeError("the network was touched")
        kept(this, *given)

    status: int | str = 0
    kept, socket.socket.connect, serve, start.serve = socket.socket.connect, refused, start.serve, lambda *_a: None
    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    with printed() as texts:
        try:
            run(words)
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else int(stop.code or 0)
        except Late:
            status = f"more than {seconds} s"
        except BaseException as error:  # whatever it is, it is what is looked for
            place = error.__traceback__
            while place is not None and place.tb_next is not None:
                place = place.tb_next
            at = "" if place is None else f"{Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}"
            status = f"{type(error).__name__} at {at}: {str(error)[:200]}"
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)
            socket.socket.connect, start.serve = kept, serve
    return status, *texts


@contextmanager
def printed() -> Iterator[list[str]]:
    """Catches what goes to the two outputs, below Python too."""
    texts: list[str] = []
    sys.stdout.flush()
    sys.stderr.flush()
    python = sys.stdout, sys.stderr
    kept = os.dup(1), os.dup(2)
    with (
        tempfile.TemporaryFile("w+", errors="backslashreplace") as out,
        tempfile.TemporaryFile("w+", errors="backslashreplace") as err,
    ):
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        sys.stdout, sys.stderr = out, err
        try:
            yield texts
        finally:
            sys.stdout, sys.stderr = python
            for number in (0, 1):
                os.dup2(kept[number], number + 1)
                os.close(kept[number])
            for file in (out, err):
                file.flush()
                file.seek(0)
                texts.append(file.buffer.read().decode(errors="replace"))


def main() -> None:
    """Run a campaign and write its table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(Path(folder), given.seed)
        campaign.run(given.calls)
    machine = f"{platform.machine()}, {os.cpu_count()} threads"
    total = Counts("all")
    for counts in campaign.counts.values():
        for name in ("calls", "answered", "refused", "defects", "seconds"):
            setattr(total, name, getattr(total, name) + getattr(counts, name))
    table = [*(campaign.counts[name] for name in sorted(campaign.counts)), total]
    written = []
    for counts in table:
        counts.seed, counts.date, counts.machine, counts.seconds = (
            given.seed,
            date.today().isoformat(),
            machine,
            round(counts.seconds, 1),
        )
        print(f"{counts.command:16} {counts.calls:5} calls {counts.answered:5} answered {counts.refused:5} refused "
              f"{counts.defects:3} defects {counts.seconds:7.1f} s")  # fmt: skip
        written.append({key: str(value) for key, value in vars(counts).items()})
    rows.write(given.results, Counts, written)
    print(dict(Counter(one.defect.split(":")[0] for one in campaign.found)))
    sys.exit(bool(campaign.found))


if __name__ == "__main__":
    main()
