"""Links that leave docs/ work on the repository's page and in the site alike: what they lead to becomes a part of the site."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
ALWAYS = ("CHANGELOG.md",)  # stands in the navigation
_LINK = re.compile(r"(?<=\]\()([^)#:\s]+)(?=[)#])")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files of the repository that pages link to."""
    waiting = [(file.src_uri, Path(file.abs_src_path or "")) for file in files.documentation_pages()]
    waiting += [(name, ROOT / name) for name in ALWAYS]
    known: set[str] = set()
    while waiting:
        uri, path = waiting.pop()
        if uri in ALWAYS and uri not in known:
            known.add(uri)
            files.append(File.generated(config, uri, abs_src_path=str(path)))
        for link in _LINK.findall(path.read_text(encoding="utf-8")) if path.suffix == ".md" else ():
            target = _in_repository(uri, link, outside=not path.is_relative_to(ROOT / "docs"))
            if not target.startswith(("docs/", "../")) and target not in known and (ROOT / target).is_file():
                known.add(target)
                if target not in ALWAYS:
                    files.append(File.generated(config, target, abs_src_path=str(ROOT / target)))
                waiting.append((target, ROOT / target))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, **_: Any) -> str:  # noqa: ANN401, ARG001
    """Let links lead to where things lie in the site."""
    uri = page.file.src_uri
    outside = not Path(page.file.abs_src_path or "").is_relative_to(ROOT / "docs")

    def moved(found: re.Match[str]) -> str:
        target = _in_repository(uri, found[1], outside=outside)
        return posixpath.relpath(target.removeprefix("docs/"), posixpath.dirname(uri) or ".")

    return _LINK.sub(moved, markdown)


def _in_repository(uri: str, link: str, *, outside: bool) -> str:
    """Where a link of a page leads to, from the repository's root."""
    here = posixpath.dirname(uri if outside else f"docs/{uri}")
    return posixpath.normpath(posixpath.join(here, link))
