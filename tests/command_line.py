"""The command line in this process."""

from __future__ import annotations

from dataclasses import dataclass

from promisam.cli.main import run


@dataclass(frozen=True)
class Answer:
    """How a command ended, and what it printed."""

    status: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


def promisam(capsys, *words):
    """Run a command; `capsys` is pytest's."""
    capsys.readouterr()
    try:
        run([str(word) for word in words])
        status = 0
    except SystemExit as stop:
        status = int(stop.code or 0)
    printed = capsys.readouterr()
    return Answer(status, printed.out, printed.err)
