"""Writes docs/cli.md from the command line's own parser.

python docs/reference/make_cli.py            # writes it
python docs/reference/make_cli.py --check    # status 1 if it is out of date
"""

from __future__ import annotations

import html
import sys
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import typer

from promisam.cli.main import app

PAGE = Path(__file__).parents[1] / "cli.md"
_KINDS = {"int": "N", "float": "X", "str": "TEXT", "Path": "PATH"}
_HEAD = """# Command line

<!-- Made by docs/reference/make_cli.py: do not edit. -->

Every command with all its options, as its own `--help` says. `promisam --version` prints the version; `--debug`, accepted
anywhere, shows the traceback of an error. Results go to standard output, remarks and progress to standard error. The exit
status is 0 when all was done, and 2 with one line that says why when something was refused.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_commands("promisam", typer.main.get_command(app))]).rstrip() + "\n"


def _commands(name: str, command: Any) -> Iterator[str]:  # noqa: ANN401 - the argument parser's own types
    children = getattr(command, "commands", {})
    if not children:
        yield from _command(name, command)
    for child, found in children.items():
        yield from _commands(f"{name} {child}", found)


def _command(name: str, command: Any) -> Iterator[str]:  # noqa: ANN401
    yield f"## {name}\n"
    given = [p for p in command.params if p.name != "help"]
    arguments = [p for p in given if p.param_type_name == "argument"]
    options = [p for p in given if p.param_type_name == "option"]
    words = [_placed(p) for p in arguments] + [f"{_flags(p)[0]} {_value(p)}" for p in options if p.required]
    yield f"`{' '.join([name, *words, *(['[OPTIONS]'] if options else [])])}`\n"
    yield "\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n")) + "\n"
    if arguments or options:
        yield "| | | default |\n|---|---|---|"
        for one in arguments:
            yield f"| {_code(_named(one))} | {_said(one)} | {'required' if one.required else ''} |"
        for one in options:
            flags = ", ".join(f"`{flag}`" for flag in _flags(one))
            value = _value(one)
            yield f"| {flags}{f' {_code(value)}' if value else ''} | {_said(one)} | {_default(one)} |"
        yield ""


def _placed(one: Any) -> str:  # noqa: ANN401
    name = f"{_named(one)}{'...' if one.nargs != 1 else ''}"
    return name if one.required else f"[{name}]"


def _named(one: Any) -> str:  # noqa: ANN401
    return str(one.metavar or one.name.upper()).strip("{}[].")


def _flags(one: Any) -> list[str]:  # noqa: ANN401
    return [*one.opts, *one.secondary_opts]


def _value(one: Any) -> str:  # noqa: ANN401
    if getattr(one, "is_flag", False):
        return ""
    if one.metavar:
        return str(one.metavar)
    choices = _choices(one)
    return "|".join(choices) if choices else _KINDS[getattr(_plain(one), "__name__", "str")]


def _choices(one: Any) -> list[str]:  # noqa: ANN401
    return [str(choice) for choice in get_args(_plain(one))] if get_origin(_plain(one)) is Literal else []


def _plain(one: Any) -> Any:  # noqa: ANN401
    """The type of one value: of `list[int] | None`, int."""
    found = one.type_descriptor.annotation
    while get_origin(found) in (list, Union, UnionType):
        found = next(part for part in get_args(found) if part is not NoneType)
    return found


def _escaped(text: str) -> str:
    """As it stands in a cell of a table."""
    return text.replace("|", r"\|")


def _code(text: str) -> str:
    """As code in a cell of a table: signs that readers of Markdown take in different ways are written as numbers."""
    safe = html.escape(text)
    for sign in "|[]":
        safe = safe.replace(sign, f"&#{ord(sign)};")
    return f"<code>{safe}</code>"


def _said(one: Any) -> str:  # noqa: ANN401
    text = _escaped(" ".join((one.help or "").split()))
    return f"{text} May be repeated." if one.multiple and "repeat" not in text else text


def _default(one: Any) -> str:  # noqa: ANN401
    if one.required:
        return "required"
    said = one.default in (None, (), []) or one.is_flag or "Default:" in (one.help or "")
    return "" if said else f"`{one.default}`"


if __name__ == "__main__":
    made = page()
    if "--check" in sys.argv:
        sys.exit(PAGE.read_text(encoding="utf-8") != made)
    PAGE.write_text(made, encoding="utf-8")
