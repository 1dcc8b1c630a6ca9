"""Reads damaged files in a process of bounded memory, and says how that ended; run by the tests in this folder.

    python -m robustness.hunt FAMILY FOLDER EXAMPLES [SEED]

Every example has to end in a refusal of promisam's own (or an OSError, which the command line prints as one line), or in a
value that is what it says: no other exception, no warning on the terminal, no process that dies, hangs or fills the memory.
The example that is being read lies in FOLDER, so that it is there when the process dies.
"""

from __future__ import annotations

import resource
import signal
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

SECONDS = 10  # for one example
MEMORY = 1 << 30  # beyond what the process held before the first example


class TooSlow(BaseException):
    """Not an Exception, so that nothing that is tested takes it for its own."""


class Tally:
    """How examples ended; defects by the place where they came up."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.ends: Counter[str] = Counter()
        self.defects: dict[str, str] = {}

    def note(self, read: Callable[[], object]) -> None:
        """Read one example."""
        signal.signal(signal.SIGALRM, _late)
        signal.alarm(SECONDS)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # a warning would be a second line on the terminal
                self.ends[_end(read)] += 1
        except BaseException as error:
            signal.alarm(0)
            frames = [f for f in traceback.extract_tb(error.__traceback__) if "promisam" in f.filename]
            where = [f"{Path(f.filename).name}:{f.lineno}" for f in frames]
            key = f"{type(error).__name__} at {where[-1] if where else '?'}"
            if key not in self.defects:
                self.defects[key] = "".join(traceback.format_exception(error)[-12:])
            self.ends["defect"] += 1
        finally:
            signal.alarm(0)


def _late(_number: int, _frame: object) -> None:
    raise TooSlow


def _end(read: Callable[[], object]) -> str:
    from promisam.core.errors import PromisamError

    try:
        read()
    except (PromisamError, OSError) as error:
        line = " ".join(str(error).split())
        assert line, "a refusal without a word"
        assert len(line) < 2000, f"a refusal of {len(line)} characters"
        return "refused"
    return "read"


def limit_memory() -> None:
    """No more than `MEMORY` beyond what is mapped now, where the system can tell."""
    if Path("/proc/self/statm").exists():
        most = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def main(family: str, folder: str, examples: str, seed: str = "") -> None:
    """Print how the examples ended; status 1 and the tracebacks where there was a defect."""
    from hypothesis import HealthCheck, Phase, settings
    from hypothesis import seed as seeded

    from robustness.families import FAMILIES

    tally = Tally()
    how = settings(
        max_examples=int(examples),
        derandomize=not seed,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    test = how(FAMILIES[family](Path(folder), tally))
    limit_memory()
    (seeded(int(seed))(test) if seed else test)()
    for key, text in tally.defects.items():
        print(f"DEFECT {key}\n{text}", file=sys.stderr)  # noqa: T201
    print(dict(tally.ends))  # noqa: T201
    sys.exit(bool(tally.defects))


if __name__ == "__main__":
    main(*sys.argv[1:])
