"""The report's files: Markdown, a page that needs nothing else, pictures and tables."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from promisam.evaluation.style import CSS
from promisam.evidence.plots import plots
from promisam.evidence.sections import Section, sections
from promisam.evidence.tables import Tables, read_tables
from promisam.io import atomic_path, atomic_text

TITLE = "What every method reaches"
_NUMBERS = re.compile(r"(n/a|none|∞|all|[-+<±()\d. ]|to)+")  # a column of them is narrow and stands right
MARKDOWN, PAGE, PICTURES = "results.md", "report.html", "plots"


def render(tables: Tables, folder: Path) -> tuple[Path, ...]:
    """Write summary.csv, comparisons.csv, results.md, report.html and plots/*.png, each whole.

    Args:
        tables: the figures; nothing else goes in, so that equal tables make equal texts.
        folder: where to.

    Raises:
        UnwritableOutput: when it cannot be written.
    """
    tables.write(folder)
    written = read_tables(folder)  # with the digits of the files, so that the texts can be made again from them
    found = sections(written)
    pictures = plots(written, [one.plot for one in found if one.plot])
    for name, png in pictures.items():
        target = folder / PICTURES / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(target) as partial:
            partial.write_bytes(png)
    atomic_text(folder / MARKDOWN, markdown(found, set(pictures)))
    atomic_text(folder / PAGE, page(found, pictures))
    return folder / PAGE, folder / MARKDOWN


def markdown(found: Sequence[Section], pictures: set[str], place: str = PICTURES) -> str:
    """The report as Markdown.

    Args:
        found: its parts.
        pictures: names of those that there are.
        place: folder of the pictures, as links name it.
    """
    lines = [f"# {TITLE}", ""]
    for one in found:
        lines += [f"## {one.title}", ""]
        for text in one.text:
            lines += [text, ""]
        if one.plot in pictures:
            lines += [f"![{one.title}]({place}/{one.plot})", ""]
        if one.head:
            lines += [table(one.head, one.rows), ""]
    return "\n".join(lines)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)])


def page(found: Sequence[Section], pictures: Mapping[str, bytes]) -> str:
    """The report as one page; every text is escaped, and a policy forbids it any request."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{TITLE}</title><style>{CSS} img {{ max-width: 100%; }}</style></head><body><h1>{TITLE}</h1>",
    ]
    parts += [_section(one, pictures.get(one.plot)) for one in found]
    return "\n".join([*parts, "</body></html>\n"])


def _section(one: Section, picture: bytes | None) -> str:
    parts = [f"<section><h2>{escape(one.title)}</h2>", *(f"<p>{_inline(text)}</p>" for text in one.text)]
    if picture is not None:
        source = base64.b64encode(picture).decode()
        parts.append(f'<p><img src="data:image/png;base64,{source}" alt="{escape(one.title)}"></p>')
    if one.head:
        kinds = [
            "" if all(_NUMBERS.fullmatch(cell) for cell in column) else ' class="text"'
            for column in zip(*one.rows, strict=True)
        ]
        head = "".join(f"<th{kind}>{escape(cell)}</th>" for kind, cell in zip(kinds, one.head, strict=True))
        cells = [[f"<td{kind}>{_inline(cell)}</td>" for kind, cell in zip(kinds, row, strict=True)] for row in one.rows]
        rows = "".join(f"<tr>{''.join(row)}</tr>" for row in cells)
        parts.append(f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>')
    return "\n".join([*parts, "</section>"])


def _inline(text: str) -> str:
    """Escaped, with `code` as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))
