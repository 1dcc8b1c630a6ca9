"""The documentation: it builds without a network, and what it says can be done, can be done."""

from __future__ import annotations

import hashlib
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

import promisam
from doc_blocks import LANGUAGES, ROOT, Folder, blocks, check_words, commands, pages
from promisam import zoo
from promisam.store.backbone import load_sam as real_load_sam
from tiny_sam import tiny

EVERY = [block for page in pages() for block in blocks(page)]


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The site, built with warnings as errors where nothing can be fetched."""
    folder = tmp_path_factory.mktemp("site")
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    made = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, **nowhere, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return folder


class _Fetched(HTMLParser):
    """What a browser fetches by itself when it opens a page, and the names that links can lead to."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids.add(given.get("id") or "")
        if tag != "a":
            self.fetched += [v for k in ("src", "href", "srcset", "poster", "data") if (v := given.get(k)) and tag != "a"]


def _seen(path):
    parser = _Fetched()
    parser.feed(path.read_text(encoding="utf-8"))
    return parser


def test_pages_fetch_nothing_from_elsewhere(site):
    away = {}
    for page in site.rglob("*.html"):
        found = [v for v in _seen(page).fetched if re.match(r"(https?:)?//", v)]
        assert 'class="mermaid"' not in page.read_text(encoding="utf-8"), (
            f"{page}: diagrams are drawn by a script from elsewhere"
        )
        if found:
            away[page.name] = found
    styles = [
        p for p in site.rglob("*.css") if re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", p.read_text(encoding="utf-8"))
    ]
    assert not away
    assert not styles


def test_every_public_name_has_a_place_in_the_reference(site):
    found = set()
    for page in (site / "reference").glob("*.html"):
        found |= {name.rpartition(".")[2] for name in _seen(page).ids if name.startswith("promisam.")}
    assert set(promisam.__all__) - {"__version__"} <= found


@pytest.mark.parametrize("block", EVERY, ids=str)
def test_blocks_say_what_they_are(block):
    assert block.language in LANGUAGES, f"{block}: a block is one of {', '.join(sorted(LANGUAGES))}"
    if block.language == "text":
        assert not re.match(r"\s*\$?\s*promisam [a-z]", block.text), f"{block}: commands belong into a block that is run"


@pytest.mark.parametrize("block", [b for b in EVERY if b.language == "sh" and b.not_run], ids=str)
def test_what_is_not_run_can_be_parsed(block):
    for words in commands(block.text):
        check_words(words)


def test_few_blocks_are_not_run():
    asleep = [block for block in EVERY if block.language == "python" and block.not_run]
    assert not asleep, "Python is run, or it is no example"


@pytest.fixture(scope="session")
def examples(tmp_path_factory):
    """The files that the documentation speaks of."""
    folder = tmp_path_factory.mktemp("examples") / "examples"
    runpy.run_path(str(ROOT / "docs/examples/data.py"))["make"](folder)
    return folder


@pytest.fixture(scope="session")
def remembered():
    """Pictures that LiteMedSAM has encoded; the same slice is on many pages, and a second of work."""
    return {}


# Pages whose masks mean something. All others run on a SAM of a few thousand weights: LiteMedSAM would take minutes.
REAL = {"docs/index.md", "docs/prompts.md"}  # on the released weights, which takes ten times as long


def _tiny_sam(resolved, cache, side=None):
    """In place of `load_sam`: known weights of the right kind, but tiny; files as they are."""
    from promisam.store import backbone

    known = resolved.entry
    if known.name not in zoo.CATALOGUE:
        return real_load_sam(resolved, cache, side)
    sam = tiny("tinyvit", name=resolved.name, scaling=known.scaling, prompts=known.prompts, multimask=known.multimask)
    return sam if side is None else backbone.sam_from_state(sam.state_dict(), sam.traits, side)


@pytest.fixture
def place(page, tmp_path, examples, litemedsam, remembered, monkeypatch):
    """A folder of example files to stand in, and a cache of its own beside the installed weights."""
    from promisam.sam.tinyvit import TinyVit
    from promisam.zoo.cache import Cache

    shutil.copytree(examples, tmp_path / "examples")
    (tmp_path / "cache").mkdir()
    for name in ("litemedsam", "promisam-click"):
        if (Cache.default().root / name).is_dir():
            (tmp_path / "cache" / name).symlink_to(Cache.default().root / name)
    monkeypatch.setenv("PROMISAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path / "examples")
    if page not in REAL:
        monkeypatch.setattr("promisam.store.backbone.load_sam", _tiny_sam)
    encode = TinyVit.forward

    def forward(self, images):
        if torch.is_grad_enabled():
            return encode(self, images)
        key = _digest(images, *self.neck.parameters(), *self.patch_embed.parameters())
        if key not in remembered:
            remembered[key] = encode(self, images)
        return remembered[key].clone()

    monkeypatch.setattr(TinyVit, "forward", forward)
    yield tmp_path / "examples"
    for name, module in list(sys.modules.items()):  # of pages that write a module
        if Path(getattr(module, "__file__", None) or "/").parent == tmp_path / "examples":
            del sys.modules[name]


def _digest(*tensors):
    digest = hashlib.sha256(str(torch.is_autocast_enabled("cpu")).encode())
    for tensor in tensors:
        digest.update(tensor.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()


RUN = [p for p in pages() if any((b.language in ("sh", "python") or b.title) and not b.not_run for b in blocks(p))]


@pytest.mark.weights
@pytest.mark.parametrize("page", RUN)
def test_every_block_runs(page, place):
    folder = Folder(place)
    for block in blocks(page):
        if not block.not_run:
            folder.run(block)


def test_the_page_of_commands_is_that_of_the_parser():
    made = runpy.run_path(str(ROOT / "docs/reference/make_cli.py"))["page"]()
    written = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    assert written == made, "docs/cli.md is out of date: run `python docs/reference/make_cli.py`"


def test_figures_come_from_the_script():
    shown = {
        name for page in pages() for name in re.findall(r"figures/([\w-]+\.png)", (ROOT / page).read_text(encoding="utf-8"))
    }
    script = (ROOT / "docs/figures/make.py").read_text(encoding="utf-8")
    assert shown
    assert not [name for name in shown if f'"{name}"' not in script]
    assert not [name for name in shown if not (ROOT / "docs/figures" / name).is_file()]


def test_the_optional_packages_are_named():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    home = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    assert not [name for name in extras if name not in ("docs", "test") and f"`{name}`" not in home]
