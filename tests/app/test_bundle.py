"""The page that is shipped is the one whose sources lie here."""

import hashlib
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "src/promisam/app/static"


def test_the_bundle_was_built_from_these_sources():
    web = ROOT / "web"
    files = [*(p for p in (web / "src").rglob("*") if p.is_file()), web / "package-lock.json"]
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.relative_to(web).as_posix()):
        digest.update(file.relative_to(web).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    assert json.loads((STATIC / "build.json").read_text()) == {"sources": digest.hexdigest()}, "run `make page`"


@pytest.mark.parametrize("file", ["index.html", "page.css"])
def test_the_page_takes_nothing_from_elsewhere(file):
    text = (STATIC / file).read_text(encoding="utf-8")
    assert not re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?(?:https?:)?//", text)
    assert "<script>" not in text


def test_what_is_bundled_is_named_with_its_licence():
    text = (STATIC / "THIRD_PARTY.txt").read_text(encoding="utf-8")
    assert "@niivue/niivue" in text
    assert "BSD" in text


def test_the_lock_file_names_no_other_registry():
    text = (ROOT / "web/package-lock.json").read_text(encoding="utf-8")
    assert set(re.findall(r'"resolved": "(https?://[^/]+)', text)) <= {"https://registry.npmjs.org"}
