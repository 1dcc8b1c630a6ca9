"""The code blocks of the documentation: found, run in a folder of example files, or at least parsed.

A block is run unless a comment `<!-- not run: reason -->` stands on the line before it. A block with a title is a file to be
written. A text block right after a block of commands is what these print, `...` standing for anything; where it begins with
`promisam: ` or `failure: `, they are refused with that message.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
LANGUAGES = {"sh", "python", "text", "json", "yaml", "html"}
_FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=indent)```[ ]*$", re.M | re.S)
_NOT_RUN = re.compile(r"<!-- not run: (?P<why>[^\n]+?) -->\s*\Z")
_TITLE = re.compile(r'title="([^"]+)"')


@dataclass(frozen=True)
class Block:
    """A fenced block, and what a text block right behind it says that it prints."""

    page: str
    line: int
    language: str
    text: str
    title: str = ""
    not_run: str = ""
    output: str = ""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[str]:
    """README and all pages that people wrote."""
    return ["README.md", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))]


def blocks(page: str) -> list[Block]:
    """All blocks of a page, in order."""
    source = (ROOT / page).read_text(encoding="utf-8")
    found: list[Block] = []
    end = 0
    for fence in _FENCE.finditer(source):
        info, indent = fence["info"].strip(), len(fence["indent"])
        text = "".join(line[indent:] for line in fence["body"].splitlines(keepends=True))
        language = info.split(maxsplit=1)[0] if info else ""
        if language == "text" and found and found[-1].language == "sh" and not source[end : fence.start()].strip():
            found[-1] = Block(**{**vars(found[-1]), "output": text})
        title, reason = _TITLE.search(info), _NOT_RUN.search(source[: fence.start()])
        line = source.count("\n", 0, fence.start()) + 1
        found.append(Block(page, line, language, text, title[1] if title else "", reason["why"] if reason else ""))
        end = fence.end()
    return found


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command of a block."""
    for line in text.replace("\\\n", " ").splitlines():
        if words := shlex.split(line, comments=True):
            yield words


class Folder:
    """Where the blocks of a page run, one after the other."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.names: dict[str, object] = {"__name__": "__main__"}

    def run(self, block: Block) -> None:
        """Run a block, and compare what it prints."""
        if block.title:
            target = self.place / block.title
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            exec(compile(block.text, str(block), "exec"), self.names)  # noqa: S102
        elif block.language == "sh":
            refused = block.output.startswith(("promisam: ", "failure: "))
            printed = ""
            for words in commands(block.text):
                status, text = self._command(words)
                printed += text
                assert status == (2 if refused else 0), f"{block}: {shlex.join(words)} ended with {status}\n{text}"
            if block.output:
                assert matches(printed, block.output), f"{block} prints\n{printed}\nand not\n{block.output}"

    def _command(self, words: list[str]) -> tuple[int, str]:
        settings = dict(word.split("=", 1) for word in words if re.match(r"[A-Z_]+=", word))
        words = words[len(settings) :]
        if words[0] == "python":
            made = subprocess.run([sys.executable, *words[1:]], capture_output=True, text=True, check=False)
            return made.returncode, made.stdout + made.stderr
        assert words[0] == "promisam", f"{shlex.join(words)}: only promisam and python are run; mark the block as not run"
        with in_environment(settings):
            return in_this_process(words)


def in_this_process(words: list[str]) -> tuple[int, str]:
    """A promisam command: its exit status, and all that it prints."""
    from promisam.cli.main import run

    printed = io.StringIO()
    typed, sys.argv = sys.argv, words
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            run(words[1:])
        status = 0
    except SystemExit as stop:
        status = int(stop.code or 0)
    finally:
        sys.argv = typed
    return status, printed.getvalue()


@contextlib.contextmanager
def in_environment(settings: dict[str, str]) -> Iterator[None]:
    """With these variables; PYTHONPATH counts at once."""
    before = {name: os.environ.get(name) for name in settings}
    paths = [str(Path(part).resolve()) for part in settings.get("PYTHONPATH", "").split(os.pathsep) if part]
    os.environ.update(settings)
    sys.path[:0] = paths
    try:
        yield
    finally:
        del sys.path[: len(paths)]
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


def matches(printed: str, shown: str) -> bool:
    """Whether a page shows what was printed: words in order, however lines are broken; `...` is anything."""
    parts = [re.escape(" ".join(part.split())) for part in shown.split("...")]
    return re.search(r"\s?.*?\s?".join(part.replace(r"\ ", r"\s+") for part in parts), " ".join(printed.split())) is not None


def check_words(words: list[str]) -> None:
    """Parse what is not run: every command, option and name must exist.

    Raises:
        Exception: what the parser, or promisam, says.
    """
    words = [word for word in words if not re.match(r"[A-Z_]+=", word)]
    if "promisam" in words or "$(which promisam)" in words:
        _parse(words[next(i for i, word in enumerate(words) if word in ("promisam", "$(which promisam)")) + 1 :])
    elif words[0] == "python" and not words[1].startswith("-"):
        script = (ROOT / words[1]).read_text(encoding="utf-8")
        for option in (word for word in words[2:] if word.startswith("--")):
            assert option in script, f"{words[1]} knows no {option}"


def _parse(words: list[str]) -> None:
    import typer

    from promisam.cli.main import app
    from promisam.cli.prompt_text import parse_box, parse_point

    command, name, context = typer.main.get_command(app), "promisam", None
    while hasattr(command, "commands"):
        context = command.make_context(name, words, parent=context)
        name, command, words = command.resolve_command(context, [*context._protected_args, *context.args])
    given = command.make_context(name, words, parent=context).params
    for text in given.get("box") or []:
        parse_box(text)
    for text in (given.get("point") or []) if name == "segment" else []:
        parse_point(text)
    if name in ("fit", "reproduce"):
        _check_options(given)


def _check_options(given: dict[str, object]) -> None:
    from promisam.store.kinds import check_names, find_method
    from promisam.training.recipe import Recipe

    method = str(given["method"])
    names = [text.split("=", 1)[0] for text in given["option"] or []]
    if not method.isupper() and ":" not in method:
        check_names([name for name in names if not name.isupper()], find_method(method)[1], Recipe)
