from __future__ import annotations

import errno
import hashlib
import os
import shutil
import socket
import subprocess
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest

from promisam.core.errors import DownloadFailed, UnwritableOutput, WeightsError
from promisam.zoo import CATALOGUE, Cache, Entry, get
from promisam.zoo import download as downloading
from zoo.weights_server import Served


def files(cache: Cache) -> set[str]:
    return {f.name for f in (cache.root / "toy").iterdir()} - {".lock"}


def test_get_fetches_verifies_records_and_then_needs_no_server(cache: Cache, served: Served, toy: Entry) -> None:
    seen: list[tuple[int, int | None]] = []
    path = get("toy", cache, report=lambda have, whole: seen.append((have, whole)))
    assert path == cache.root / "toy" / "toy.bin"
    assert path.read_bytes() == served.body
    assert seen[0] == (0, toy.size)
    assert seen[-1] == (toy.size, toy.size)
    record = cache.record("toy")
    assert record
    assert (record.sha256, record.stamp.size, record.origin) == (toy.sha256, toy.size, served.url)
    assert files(cache) == {"toy.bin", "record.json"}
    assert get("toy", cache) == path
    assert len(served.ranges_asked) == 1


@pytest.mark.parametrize("length", [None, -1])  # with and without Content-Length
def test_a_cut_connection_goes_on_with_the_missing_bytes_only(
    cache: Cache, served: Served, toy: Entry, length: int | None
) -> None:
    served.cut, served.length = [100_000], length
    assert get("toy", cache).read_bytes() == served.body
    have = served.ranges_asked[1]
    assert have is not None
    assert served.ranges_asked == [None, have]
    begin = int(have.removeprefix("bytes=").removesuffix("-"))
    assert 0 < begin <= 100_000
    assert served.sent[1] == toy.size - begin


def test_an_interrupted_fetch_goes_on_in_the_next_call(cache: Cache, served: Served, toy: Entry) -> None:
    def stop(have: int, _whole: int | None) -> None:
        if have:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get("toy", cache, report=stop)
    assert files(cache) == {"toy.bin.partial", "toy.bin.partial.etag"}
    begin = (cache.root / "toy" / "toy.bin.partial").stat().st_size
    assert 0 < begin < toy.size
    assert get("toy", cache).read_bytes() == served.body
    assert served.ranges_asked[1] == f"bytes={begin}-"
    assert files(cache) == {"toy.bin", "record.json"}


def test_a_server_without_range_starts_anew(cache: Cache, served: Served, toy: Entry) -> None:
    served.ranges, served.cut = False, [100_000]
    assert get("toy", cache).read_bytes() == served.body
    assert served.sent[1] == toy.size


@pytest.mark.parametrize("after", ['"two"', 'W/"two"'])
def test_a_changed_file_on_the_server_starts_anew(cache: Cache, served: Served, toy: Entry, after: str) -> None:
    folder = cache.root / "toy"
    folder.mkdir(parents=True)
    (folder / "toy.bin.partial").write_bytes(b"x" * 1000)
    (folder / "toy.bin.partial.etag").write_text('W/"one"' if after.startswith("W") else '"one"')
    served.etag = after
    downloading.download(served.url, folder / "toy.bin.partial", size=toy.size)
    assert (folder / "toy.bin.partial").read_bytes() == served.body
    assert served.sent[-1] == toy.size


def test_a_partial_of_another_file_without_tags_is_noticed_by_its_digest(cache: Cache, served: Served, toy: Entry) -> None:
    served.etag = None
    folder = cache.root / "toy"
    folder.mkdir(parents=True)
    (folder / "toy.bin.partial").write_bytes(b"x" * 1000)
    assert get("toy", cache).read_bytes() == served.body
    assert served.ranges_asked == ["bytes=1000-", None]


@pytest.mark.parametrize("extra", [0, 5])
def test_a_partial_that_is_complete_or_too_long(cache: Cache, served: Served, toy: Entry, extra: int) -> None:
    folder = cache.root / "toy"
    folder.mkdir(parents=True)
    (folder / "toy.bin.partial").write_bytes(served.body + b"x" * extra)
    assert get("toy", cache).read_bytes() == served.body
    assert len(served.ranges_asked) == (1 if extra else 0)


def test_wrong_content_is_deleted_and_both_digests_are_told(cache: Cache, served: Served, toy: Entry) -> None:
    served.body = b"y" * toy.size
    with pytest.raises(DownloadFailed) as caught:
        get("toy", cache)
    assert str(toy.sha256) in str(caught.value)
    assert hashlib.sha256(served.body).hexdigest() in str(caught.value)
    assert files(cache) == set()


@pytest.mark.parametrize("change", [-1, 1])
def test_another_size_is_refused_before_it_is_read(cache: Cache, served: Served, toy: Entry, change: int) -> None:
    served.body = (served.body + b"z")[: toy.size + change]
    with pytest.raises(DownloadFailed, match=f"{toy.size + change} bytes are offered"):
        get("toy", cache)
    assert "toy.bin" not in files(cache)


def test_more_than_expected_is_never_written(cache: Cache, served: Served, toy: Entry) -> None:
    served.body, served.length = served.body * 2, -1
    with pytest.raises(DownloadFailed, match="more than"):
        get("toy", cache)
    assert (cache.root / "toy" / "toy.bin.partial").stat().st_size <= toy.size


def test_truncated_for_ever_gives_up_and_keeps_the_partial(cache: Cache, served: Served, toy: Entry) -> None:
    served.ranges, served.cut = False, [1000] * 99
    with pytest.raises(DownloadFailed, match="repeat: it goes on"):
        get("toy", cache)
    assert downloading.ATTEMPTS <= len(served.sent) <= downloading.ATTEMPTS + 2
    assert "toy.bin" not in files(cache)


def test_a_file_where_the_cache_should_be(tmp_path: Path, toy: Entry) -> None:
    (tmp_path / "cache").write_text("not a folder")
    with pytest.raises(UnwritableOutput, match="PROMISAM_CACHE"):
        get("toy", Cache(tmp_path / "cache"))


def test_a_read_only_cache_that_holds_the_file_serves_it(
    cache: Cache, served: Served, toy: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = cache.root / "toy"
    folder.mkdir(parents=True)
    (folder / "toy.bin").write_bytes(served.body)

    def refuse(*_args: object, **_options: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "write_text", refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)
    assert get("toy", cache) == folder / "toy.bin"
    assert served.ranges_asked == []


def test_offline_touches_no_network(cache: Cache, toy: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise AssertionError("the network was touched")

    for name in ("socket", "getaddrinfo", "create_connection", "gethostbyname"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr(subprocess, "run", refuse)
    for name in ("toy", "litemedsam", "medsam_vit_b"):
        with pytest.raises(DownloadFailed, match=f"absent.*weights import FILE --as {name}"):
            get(name, cache, offline=True)
    assert not cache.root.exists()


def test_offline_serves_what_is_there(cache: Cache, served: Served, toy: Entry) -> None:
    path = get("toy", cache)
    assert get("toy", cache, offline=True) == path


def test_manual_entries_name_their_pages(cache: Cache) -> None:
    with pytest.raises(DownloadFailed, match=r"huggingface.*weights import FILE --as medsam_vit_b"):
        get("medsam_vit_b", cache)


def test_a_damaged_file_is_noticed_and_fetched_again(cache: Cache, served: Served, toy: Entry) -> None:
    path = get("toy", cache)
    cache.converted("toy").write_bytes(b"made from the original")
    cache.keep_converted("toy")
    path.write_bytes(b"damaged")
    with pytest.raises(DownloadFailed, match="damaged"):
        get("toy", cache, offline=True)
    assert get("toy", cache).read_bytes() == served.body
    assert len(served.ranges_asked) == 2
    assert not cache.converted("toy").exists()


def test_a_damaged_record_is_written_anew(cache: Cache, served: Served, toy: Entry) -> None:
    get("toy", cache)
    (cache.root / "toy" / "record.json").write_text("{")
    get("toy", cache)
    record = cache.record("toy")
    assert record
    assert record.sha256 == toy.sha256
    assert len(served.ranges_asked) == 1


def test_a_record_of_other_content_is_corrected_and_its_conversion_forgotten(cache: Cache, served: Served, toy: Entry) -> None:
    get("toy", cache)
    cache.converted("toy").write_bytes(b"made from something else")
    record = cache.keep_converted("toy")
    cache.keep(replace(record, stamp=replace(record.stamp, sha256="0" * 64)))
    get("toy", cache)
    corrected = cache.record("toy")
    assert corrected
    assert corrected.sha256 == toy.sha256
    assert not cache.has_converted("toy")
    assert len(served.ranges_asked) == 1


def test_an_unchanged_file_is_not_hashed_again(
    cache: Cache, served: Served, toy: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = get("toy", cache)
    hashed: list[object] = []
    true = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *a: hashed.append(1) or true(*a))
    get("toy", cache)
    assert hashed == []
    os.utime(path)
    get("toy", cache)
    get("toy", cache)
    assert hashed == [1]


@pytest.mark.parametrize("name", ["toy.bin", "toy.bin.partial"])
def test_links_in_the_cache_are_replaced_and_never_written_through(
    cache: Cache, served: Served, toy: Entry, tmp_path: Path, name: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"mine")
    (cache.root / "toy").mkdir(parents=True)
    (cache.root / "toy" / name).symlink_to(elsewhere)
    path = get("toy", cache)
    assert path.read_bytes() == served.body
    assert not path.is_symlink()
    assert elsewhere.read_bytes() == b"mine"


def test_unknown_name(cache: Cache) -> None:
    with pytest.raises(WeightsError, match="Did you mean"):
        get("../../x", cache)


@pytest.mark.weights
def test_the_released_weights_can_be_fetched(litemedsam: Path, tmp_path: Path) -> None:
    assert hashlib.sha256(litemedsam.read_bytes()).hexdigest() == CATALOGUE["litemedsam"].sha256
    seeded = Cache(tmp_path)
    (tmp_path / "litemedsam").mkdir()
    shutil.copy(litemedsam, tmp_path / "litemedsam" / litemedsam.name)
    assert get("litemedsam", seeded, offline=True).parent == tmp_path / "litemedsam"


def test_weights_in_the_package_complete_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a network, as long as these are there; and again when the file in the cache is not the package's."""
    inside = resources.files("promisam.zoo") / "promisam_click.safetensors"
    known = CATALOGUE["promisam-click"]
    assert hashlib.sha256(inside.read_bytes()).hexdigest() == known.sha256
    assert len(inside.read_bytes()) == known.size <= 10_000_000
    cache = Cache(tmp_path / "cache")
    with pytest.raises(DownloadFailed, match="litemedsam is absent"):
        get("promisam-click", cache, offline=True)
    monkeypatch.setitem(CATALOGUE, "litemedsam", replace(CATALOGUE["litemedsam"], sha256=hashlib.sha256(b"base").hexdigest()))
    cache.folder("litemedsam").mkdir(parents=True)
    (cache.folder("litemedsam") / CATALOGUE["litemedsam"].file).write_bytes(b"base")
    for _ in range(2):
        file = get("promisam-click", cache, offline=True)
        assert file.read_bytes() == inside.read_bytes()
        record = cache.record("promisam-click")
        assert record is not None
        assert record.origin.startswith("promisam ")
        file.write_bytes(b"older")
