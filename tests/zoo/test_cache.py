from __future__ import annotations

import errno
import json
from pathlib import Path

import filelock
import pytest

from promisam.core.errors import UnwritableOutput, WeightsError
from promisam.zoo import Cache, Record, import_file, path
from promisam.zoo import cache as caching


@pytest.fixture
def kept(cache: Cache, tmp_path: Path) -> Record:
    (tmp_path / "mine.pth").write_bytes(b"weights")
    return import_file(tmp_path / "mine.pth", cache, name="mine", like="sam_vit_b")


def test_default_is_the_users_cache_or_the_chosen_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    for unset in (None, ""):
        monkeypatch.delenv("PROMISAM_CACHE", raising=False) if unset is None else monkeypatch.setenv("PROMISAM_CACHE", unset)
        assert Cache.default().root.name == "promisam"
    monkeypatch.setenv("PROMISAM_CACHE", str(tmp_path / "chosen"))
    assert Cache.default() == Cache(tmp_path / "chosen")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PROMISAM_CACHE", "~/w")
    assert Cache.default().root == tmp_path / "w"
    assert list(tmp_path.iterdir()) == []


def test_a_record_survives_the_disk(cache: Cache, kept: Record) -> None:
    assert cache.record("mine") == kept
    fields = json.loads((cache.root / "mine" / "record.json").read_text())
    assert {"sha256", "size", "mtime_ns", "origin", "date", "like", "converted"} <= set(fields)
    cache.converted("mine").write_bytes(b"converted")
    noted = cache.keep_converted("mine")
    assert noted.converted
    assert cache.record("mine") == noted


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sha256", 5),
        ("size", "7"),
        ("like", 1),
        ("file", "../../x"),
        ("file", ".."),
        ("file", ""),
        ("name", "other"),
        ("converted", 3),
    ],
)
def test_a_record_that_was_tampered_with(cache: Cache, kept: Record, field: str, value: object) -> None:
    file = cache.root / "mine" / "record.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), field: value}))
    with pytest.raises(WeightsError, match="damaged record"):
        cache.record("mine")
    assert cache.installed() == []
    assert cache.names() == ["mine"]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", "\x00"])
def test_a_record_that_is_none(cache: Cache, kept: Record, text: str) -> None:
    (cache.root / "mine" / "record.json").write_text(text)
    with pytest.raises(WeightsError, match="Delete the folder"):
        path("mine", cache)


def test_installed_overlooks_what_is_no_checkpoint(cache: Cache, kept: Record) -> None:
    assert Cache(cache.root / "none").installed() == []
    (cache.root / "stray").write_text("a file")
    (cache.root / "empty").mkdir()
    (cache.root / "Not A Name").mkdir()
    assert cache.installed() == [kept]
    (cache.root / "mine" / kept.file).unlink()
    assert cache.installed() == []


def test_conversion_is_known_by_its_digest(cache: Cache, kept: Record) -> None:
    assert not cache.has_converted("mine")
    cache.converted("mine").write_bytes(b"converted")
    assert not cache.has_converted("mine")  # made, but not noted: it may be half
    cache.keep_converted("mine")
    assert cache.has_converted("mine")
    cache.converted("mine").touch()
    assert cache.has_converted("mine")
    cache.converted("mine").write_bytes(b"damaged!!")
    assert not cache.has_converted("mine")
    cache.converted("mine").unlink()
    assert not cache.has_converted("mine")


def test_conversion_of_nothing(cache: Cache, kept: Record) -> None:
    assert not cache.has_converted("other")
    with pytest.raises(WeightsError, match="no weights 'other'"):
        cache.keep_converted("other")
    with pytest.raises(UnwritableOutput):
        cache.keep_converted("mine")


def test_a_disk_without_locks_is_named(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_args: object, **_options: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(filelock.FileLock, "acquire", none)
    with pytest.raises(UnwritableOutput, match="no locks"), cache.lock("mine"):
        pass


def test_a_record_that_cannot_be_written_leaves_the_old_one(
    cache: Cache, kept: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(UnwritableOutput, match="Permission denied"):
        cache.keep(kept)
    assert cache.record("mine") == kept
    assert {f.name for f in (cache.root / "mine").iterdir()} == {kept.file, "record.json", ".lock"}


def test_land_moves_or_says_why_not(tmp_path: Path) -> None:
    (tmp_path / "a.partial").write_bytes(b"x")
    caching.land(tmp_path / "a.partial", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"x"
    with pytest.raises(UnwritableOutput):
        caching.land(tmp_path / "a.partial", tmp_path / "a")
