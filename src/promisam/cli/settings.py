"""Options by name: from a YAML file and from `--set name=value`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from promisam.core.errors import InvalidConfig, UnreadableFile


def settings(file: Path | None, pairs: Sequence[str]) -> dict[str, object]:
    """Options of a file, and over them those that were typed; values are read as YAML, so that numbers are numbers.

    Raises:
        UnreadableFile: for a file that is missing or no YAML mapping.
        InvalidConfig: for a pair without `=`.
    """
    import yaml

    loader = _loader()
    found: dict[str, object] = {}
    if file is not None:
        try:
            read = yaml.load(file.read_text(encoding="utf-8"), loader)  # noqa: S506 - a safe loader
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
            found[name.strip()] = yaml.load(value, loader)  # noqa: S506 - a safe loader
        except yaml.YAMLError:
            found[name.strip()] = value
    return found


def _loader() -> Any:  # noqa: ANN401 - a class of a library without types
    """YAML 1.2's idea of yes and no: words (`mixed_precision: no`); only true and false are switches."""
    import yaml

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        pass

    switch = "tag:yaml.org,2002:bool"
    known = yaml.SafeLoader.yaml_implicit_resolvers.items()
    Loader.yaml_implicit_resolvers = {first: [one for one in found if one[0] != switch] for first, found in known}
    Loader.add_implicit_resolver(switch, re.compile("^(true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
    return Loader
