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
from pathlib import Path
from typing import Any, get_args

sys.path.insert(0, str(Path(__file__).parent))
import rows  # beside this file

RESULTS = Path(__file__).with_suffix(".csv")
SECONDS = 30  # for one call
# Lines of several refusals, and results of what went well beside them, are what these commands promise.
MANY = {"info", "check-data", "predict", "weights verify", "fit", "reproduce", "benchmark", "evaluate", "select"}

HOSTILE = [
    "", " ", "-", "--", "---", "-o", "x" * 5000, "/" + "x" * 300, "ü日本語\u202e", "\x1b[31m", "a\nb", "a'b\"c", "nan", "inf",
    "-inf",
    "1e400", "-1", "0", "1e-400", "999999999999999999999", "0x10", "1,2", "../..", "../../../../etc/passwd", "~", "*",
    "$HOME", "%s%n",
    "/dev/null", "/dev/zero", "/dev/full", "/proc/self/mem", "/proc/1/x.png", "nowhere/none.png", "C:\\x", "{}", "[]",
    "null", "true",
    "\\", "a/b\\c", ".", "/", "con", "-9e9", "1_000", "0,0,0,0,0,0,0", ",,,", "=", "a=b", "\ud800", "None", "..", "..\x7f",
    "(?P<", "[",
]  # fmt: skip
PATHS = [
    "picture.png", "mask.png", "volume.nii.gz", "volume.mha", "labels.nii.gz", "series", "data", "data/images", "data/masks",
    "empty",
    "empty.png", "text.nii.gz", "cut.png", "cut.nii.gz", "deep.json", "bad.pth", "folder.png", "nothing", "pipe.png", "loop",
    "dangling.png", "tiny.safetensors", "prompts.json", "options.yaml", "split.json", "a 'b' \"c\"\nd.png", "run",
]  # fmt: skip
OUTPUTS = [
    "out.png",
    "out.nii.gz",
    "out.tif",
    "out.dcm",
    "new/deep/out.png",
    "out",
    "out.csv",
    "out.geojson",
    "out.json",
    "a b.png",
]
SENSIBLE: dict[str, list[str]] = {
    "source": ["run", "tiny.safetensors"], "option": ["epochs=1", "width=2", "batch=2", "seed=3"],
    "segment method": ["plain_sam", "plain_sam", "run"], "benchmark method": ["plain_sam"], "annotate method": ["run",
    "promisam-click"],
    "import method": ["promise2d", "promise3d", "imedsam"], "reproduce method": ["promise2d", "sam_mpa"],
    "segment label": ["a"], "evaluate images": ["data/images"],
    "jitter": ["0.1"], "seed": ["3"], "series": ["1"], "token": ["abc"], "part": ["all"], "trained_on": ["colon"],
    "picture image": ["picture.png", "data/images/p0.png"],
    "volume image": ["volume.nii.gz", "volume.mha", "series"],
    "files": ["picture.png", "volume.nii.gz", "series", "labels.nii.gz"],
    "path": ["data", "data/images"], "images": ["data/images", "data", "picture.png"], "dataset": ["data"],
    "run": ["run"], "inputs": ["data/images", "data/images/p0.png"], "predictions": ["predicted", "predicted",
    "predicted/p0.png"],
    "truth": ["data/masks", "data/masks", "mask.png"], "picture box": ["2,3,20,25", "5,5,9,9"],
    "volume box": ["2,3,1,15,14,1", "2,3,0,15,14,2"],
    "picture point": ["9,9", "3,3"], "volume point": ["9,9,1"], "prompts": ["prompts.json"], "label": ["1", "a", "2"],
    "weights": ["tiny.safetensors"],
    "like": ["sam_vit_b"], "window": ["abdomen", "40,400"], "method": ["unet", "unet", "promise2d", "plain_sam", "run"],
    "file": ["tiny.safetensors"],
    "config": ["options.yaml"], "split": ["50,25,25", "split.json"],
    "group_by": ["p\\d"], "shard": ["0/2"], "jobs": ["1"], "name": ["litemedsam", "sam_vit_b"], "names": ["litemedsam"],
    "experiment": ["polyps", "isic2018"], "data": ["data"], "tolerance": ["2"], "size": ["80x64"], "scale": ["2"],
    "clicks": ["2"],
    "draws": ["1"], "what": ["run", "tiny.safetensors"], "support": ["data"], "extend": ["out.csv"], "include": ["p0"],
    "prompt": ["box"],
}  # fmt: skip
# Never so many that a call is long; the last is sensible.
FEW = {"jobs": ["0", "-1", "1e400", "nan", "", "x", "1"], "draws": ["0", "-1", "nan", "", "1"], "clicks": ["0", "-1", "x", "2"],
       "side": ["0", "-16", "nan", "17", "80"], "k": ["0", "-1", "x", "2"], "limit": ["0", "-1", "x", "1"]}  # fmt: skip
USUAL = {
    "box": 0.6,
    "point": 0.1,
    "output": 0.5,
    "part": 0.7,
    "prompts": 0.06,
    "preview": 0.3,
    "as_json": 0.3,
    "overwrite": 0.3,
    "split": 0.4,
    "support": 0.04,
    "k": 0.8,
    "like": 0.8,
}  # fmt: skip - how often an option is given, where not rarely
WAITING = {"prompts", "config", "split", "extend"}  # text, which may come through a pipe: that is waited for, as by every tool
SHORT = {"fit": [["--set", "epochs=1"], ["--set", "side=32"], ["--set", "width=2"], ["--set", "levels=2"]]}


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

        import hostile_files
        from promisam.cli.main import app

        self.random = random.Random(self.seed)  # noqa: S311 - no secret
        self.inputs, self.spare, self.work = self.folder / "in", self.folder / "spare", self.folder / "work"
        hostile_files.make(self.inputs)
        os.environ["PROMISAM_CACHE"] = str(self.folder / "cache")
        self.commands = dict(_commands(typer.main.get_command(app)))
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
            name = self.random.choice(sorted(self.commands))
            words = [*name.split(), *self._arguments(name)]
            if number % 50 == 49:
                words = [self.random.choice(HOSTILE), *words[1:]]  # no command at all
            self._one(name, words)

    def _arguments(self, name: str) -> list[str]:
        words: list[str] = []
        self.command, self.volume = name, self.random.random() < 0.4
        self.hostility = self.random.choice([0.0, 0.08, 0.2, 0.6])
        params = self.commands[name]
        has = {param.name for param in params}
        for param in params:
            if param.param_type_name == "argument":
                if self.random.random() < 1 - self.hostility / 5:
                    words += [self._value(param) for _ in range(self.random.choice([1, 1, 2]) if param.nargs == -1 else 1)]
            elif param.name in ("help", "offline", "device", "host", "port", "browser", "version"):
                continue
            elif self.random.random() < (1 - self.hostility / 5 if param.required else USUAL.get(param.name, 0.08)):
                words += self._option(param)
        self.random.shuffle(words) if self.random.random() < 0.02 else None
        needs = name in ("segment", "select", "annotate", "reproduce") or (name == "fit" and "unet" not in words)
        if needs and "--weights" not in words and str(self.inputs / "run") not in words:
            words += ["--weights", str(self.inputs / "tiny.safetensors"), "--like", "sam_vit_b"]
        words += [word for pair in (SHORT.get(name, []) if "unet" in words else []) for word in pair]
        words += ["--offline"] if "offline" in has else []
        words += ["--device", self.random.choice(["cpu"] * 19 + ["tpu"])] if "device" in has else []
        return words

    def _option(self, param: Any) -> list[str]:  # noqa: ANN401 - the parser's own
        name = self.random.choice([*param.opts, *param.secondary_opts])
        if param.is_flag:
            return [name]
        times = self.random.choice([1, 1, 1, 2]) if param.multiple else 1
        return [word for _ in range(times) for word in (name, self._value(param))]

    def _value(self, param: Any) -> str:  # noqa: ANN401
        r, name = self.random, param.name
        hostile = r.random() < self.hostility
        if name in FEW:
            return r.choice(FEW[name] if hostile else FEW[name][-1:])
        if name in ("output", "out", "fix", "preview", "contour", "show_prompts", "keep"):
            return r.choice(HOSTILE + [str(self.inputs / p) for p in PATHS]) if hostile else self._output(name)
        kind = "volume" if self.volume else "picture"
        known = _choices(param) or next(
            (SENSIBLE[k] for k in (f"{self.command} {name}", f"{kind} {name}", name) if k in SENSIBLE), []
        )
        if not hostile and known:
            value = r.choice(known)
            return str(self.inputs / value) if (self.inputs / value).exists() else value
        paths = [p for p in PATHS if p != "pipe.png"] if name in WAITING else PATHS
        return r.choice(HOSTILE) if r.random() < 0.5 else str(self.inputs / r.choice(paths))

    def _output(self, name: str) -> str:
        endings = {"preview": (".png",), "contour": (".geojson", ".json"), "show_prompts": (".json",)}.get(
            name, ("", ".gz", ".png")
        )
        return self.random.choice([one for one in OUTPUTS if one.endswith(endings)])

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
        return self._unsound(name, left)

    def _traces(self, name: str, words: list[str], left: list[str], changed: bool) -> str:
        """What a refusal left."""
        if left and name not in MANY:
            return f"left behind: {left}"
        return "inputs changed by a refusal" if changed and "--resume" not in words else ""

    def _unsound(self, command: str, left: list[str]) -> str:
        """A written file that cannot be read."""
        from promisam.core.errors import PromisamError
        from promisam.io import read_segmentation

        for path in left:
            file = self.work / path
            if not file.is_file():
                continue
            if file.stat().st_size == 0:
                return f"an empty file: {path}"
            try:
                if path.endswith(".json"):
                    json.loads(file.read_text())
                elif path in OUTPUTS[:4] and command != "select":  # its .png is a picture
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

    def refused(*_arguments: object) -> None:
        raise RuntimeError("the network was touched")

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


def _commands(group: Any, before: str = "") -> Iterator[tuple[str, list[Any]]]:  # noqa: ANN401 - the parser's own
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", [param for param in command.params if param.name != "help"]


def _choices(param: Any) -> list[str]:  # noqa: ANN401
    """The words that an option takes; how the parser keeps them differs by its version."""
    known = getattr(getattr(param, "type", None), "choices", ())
    annotation = getattr(getattr(param, "type_descriptor", None), "annotation", None)
    return [str(one) for one in (known or get_args(annotation)) if isinstance(one, str)]


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
