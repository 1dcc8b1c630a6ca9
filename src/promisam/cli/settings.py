"""Options by name: from a YAML file and from `--set name=value`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from promisam.core.errors import InvalidConfig, UnreadableFile


def settings(file: Path | None, pairs: Sequence[str]) -> dict[str, object]:
    """Options of a file, and over them those that were typed; values are read as YAML, so that numbers are numbers.

    Raises:
        UnreadableFile: for a file that is missing or no YAML mapping.
        InvalidConfig: for a pair without `=`.
    """
    import yaml

    found: dict[str, object] = {}
    if file is not None:
        try:
            read = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            reason = " ".join(str(error).split())[:160]
            raise UnreadableFile(f"{file} ({reason})", expected="a YAML file of options", do="Correct it.") from None
        if not isinstance(read, dict):
            raise UnreadableFile(f"{file} without options", expected="lines such as epochs: 40", do="Correct it.")
        found.update({str(name): value for name, value in read.items()})
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise InvalidConfig(f"--set {pair}", expected="name=value", do="Write, for example, --set epochs=40.")
        try:
            found[name.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            found[name.strip()] = value
    return found
