from __future__ import annotations

import errno
import hashlib
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from promisam.core.errors import InvalidConfig, UnwritableOutput, WeightsError
from promisam.zoo import CATALOGUE, Cache, Entry, get, import_file, path, resolve, verify
from zoo.weights_server import Served

MEDSAM = b"medsam" * 1000


@pytest.fixture
def local(tmp_path: Path, served: Served) -> Path:
    """The toy entry's file, somewhere in a user's folders under another name."""
    file = tmp_path / "Downloads" / "some name.PTH"
    file.parent.mkdir()
    file.write_bytes(served.body)
    return file


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    file = tmp_path / "model.safetensors"  # the name that the conversion has in the cache
    file.write_bytes(b"my own weights")
    return file


@pytest.fixture
def medsam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(CATALOGUE, "medsam_vit_b", replace(CATALOGUE["medsam_vit_b"], size=len(MEDSAM)))
    file = tmp_path / "medsam.pth"
    file.write_bytes(MEDSAM)
    return file


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("name", [None, "toy"])
def test_a_known_file_is_recognised(cache: Cache, toy: Entry, local: Path, name: str | None, served: Served) -> None:
    record = import_file(local, cache, name=name)
    assert (record.name, record.file, record.sha256, record.like) == ("toy", "toy.bin", toy.sha256, None)
    assert str(local) in record.origin
    assert local.is_file()
    assert get("toy", cache, offline=True).read_bytes() == local.read_bytes()
    assert {f.name for f in (cache.root / "toy").iterdir()} == {"toy.bin", "record.json", ".lock"}
    assert served.ranges_asked == []


def test_a_known_file_may_have_a_name_of_ones_own(cache: Cache, toy: Entry, local: Path) -> None:
    assert import_file(local, cache, name="second", like="toy").like == "toy"
    assert import_file(local, cache, name="third").like == "toy"
    assert resolve("third", cache).entry.name == "third"


def test_a_known_file_with_a_false_like_is_refused(cache: Cache, toy: Entry, local: Path) -> None:
    with pytest.raises(InvalidConfig, match="--like toy"):
        import_file(local, cache, like="litemedsam")
    with pytest.raises(InvalidConfig, match="--like toy"):
        import_file(local, cache, name="toy", like="litemedsam")


def test_a_catalogue_name_with_a_wrong_digest_is_refused_with_both(cache: Cache, toy: Entry, mine: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        import_file(mine, cache, name="toy")
    assert str(toy.sha256) in str(caught.value)
    assert digest(mine.read_bytes()) in str(caught.value)
    assert not (cache.root / "toy").exists()


def test_an_unknown_file_needs_a_name_and_what_it_is_like(cache: Cache, mine: Path) -> None:
    for name, like in ((None, None), ("mine", None), (None, "sam_vit_b")):
        with pytest.raises(WeightsError, match="--as NAME --like NAME"):
            import_file(mine, cache, name=name, like=like)
    with pytest.raises(WeightsError, match="Did you mean sam_vit_b"):
        import_file(mine, cache, name="mine", like="samvitb")
    record = import_file(mine, cache, name="mine", like="mobile_sam")
    assert (record.name, record.file, record.like) == ("mine", "original.safetensors", "mobile_sam")
    assert cache.converted("mine") != cache.root / "mine" / record.file
    assert [r.name for r in cache.installed()] == ["mine"]


@pytest.mark.parametrize(
    "name", ["../../x", "..", ".", "", "a/b", "/abs", "a\\b", "Mine", ".hidden", "-x", "a" * 65, "a\n", "é"]
)
def test_names_that_could_lead_elsewhere_are_refused(cache: Cache, mine: Path, name: str) -> None:
    with pytest.raises(InvalidConfig, match="another name"):
        import_file(mine, cache, name=name, like="sam_vit_b")
    for question in (cache.folder, cache.converted, cache.record):
        with pytest.raises(InvalidConfig):
            question(name)
    assert not cache.root.exists()


def test_medsam_is_recorded_first_and_verified_afterwards(cache: Cache, medsam: Path, tmp_path: Path) -> None:
    record = import_file(medsam, cache, name="medsam_vit_b")
    assert (record.file, record.sha256, record.like) == ("medsam_vit_b.pth", digest(MEDSAM), None)
    file = get("medsam_vit_b", cache)
    assert resolve("medsam_vit_b", cache).sha256 == digest(MEDSAM)
    other = tmp_path / "other.pth"
    other.write_bytes(MEDSAM[::-1])
    with pytest.raises(WeightsError) as caught:
        import_file(other, cache, name="medsam_vit_b")
    assert digest(MEDSAM) in str(caught.value)
    assert digest(MEDSAM[::-1]) in str(caught.value)
    assert file.read_bytes() == MEDSAM
    file.write_bytes(MEDSAM[::-1])
    with pytest.raises(WeightsError, match="damaged"):
        get("medsam_vit_b", cache)
    with pytest.raises(WeightsError, match=digest(MEDSAM)):
        path("medsam_vit_b", cache)
    import_file(medsam, cache, name="medsam_vit_b")
    assert get("medsam_vit_b", cache).read_bytes() == MEDSAM


def test_medsam_that_is_something_else(cache: Cache, toy: Entry, local: Path, mine: Path) -> None:
    with pytest.raises(WeightsError, match="It is toy"):
        import_file(local, cache, name="medsam_vit_b")
    with pytest.raises(WeightsError, match="14 bytes; expected about 375000000"):
        import_file(mine, cache, name="medsam_vit_b")


def test_a_file_put_into_the_folder_without_a_record_is_not_trusted(cache: Cache, medsam: Path) -> None:
    folder = cache.root / "medsam_vit_b"
    folder.mkdir(parents=True)
    shutil.copy(medsam, folder / "medsam_vit_b.pth")
    with pytest.raises(WeightsError):
        get("medsam_vit_b", cache)
    record = import_file(folder / "medsam_vit_b.pth", cache, name="medsam_vit_b")  # in place
    assert record.sha256 == digest(MEDSAM)


def test_a_name_in_use_is_not_given_to_another_file(cache: Cache, mine: Path) -> None:
    import_file(mine, cache, name="mine", like="sam_vit_b")
    import_file(mine, cache, name="mine", like="sam_vit_b")  # again is no harm
    mine.write_bytes(b"another training")
    with pytest.raises(WeightsError, match="another name with --as"):
        import_file(mine, cache, name="mine", like="sam_vit_b")


def test_what_is_no_file(cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    for given in (tmp_path, tmp_path / "none.pth", tmp_path / "dangling"):
        with pytest.raises(WeightsError, match="Check the path"):
            import_file(given, cache)


def test_a_file_that_may_not_be_read(cache: Cache, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(hashlib, "file_digest", refuse)
    with pytest.raises(WeightsError, match="Permission denied"):
        import_file(mine, cache)


def test_a_link_is_followed_and_a_copy_is_kept(cache: Cache, toy: Entry, local: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(local)
    import_file(tmp_path / "link", cache)
    kept = path("toy", cache)
    assert not kept.is_symlink()
    local.unlink()
    assert digest(kept.read_bytes()) == toy.sha256


def test_a_link_in_the_cache_is_replaced_not_followed(cache: Cache, mine: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (cache.root / "mine").mkdir(parents=True)
    (cache.root / "mine" / "original.safetensors").symlink_to(victim)
    import_file(mine, cache, name="mine", like="sam_vit_b")
    assert victim.read_bytes() == b"precious"
    assert path("mine", cache).read_bytes() == b"my own weights"


def test_a_full_disk_leaves_nothing(cache: Cache, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes()[:5])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(UnwritableOutput, match="larger disk"):
        import_file(mine, cache, name="mine", like="sam_vit_b")
    assert {f.name for f in (cache.root / "mine").iterdir()} == {".lock"}
    assert cache.installed() == []


def test_a_file_that_grows_meanwhile_is_refused(cache: Cache, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def grown(_source: Path, target: Path) -> None:
        target.write_bytes(b"my own weights and more")

    monkeypatch.setattr(shutil, "copyfile", grown)
    with pytest.raises(WeightsError, match="changed while"):
        import_file(mine, cache, name="mine", like="sam_vit_b")
    assert {f.name for f in (cache.root / "mine").iterdir()} == {".lock"}


def test_resolve_a_name_of_the_catalogue(cache: Cache, served: Served, toy: Entry) -> None:
    found = resolve("toy", cache)
    assert (found.path, found.sha256, found.entry, found.name) == (cache.root / "toy" / "toy.bin", toy.sha256, toy, "toy")
    assert resolve("toy", cache, like="toy") == found
    with pytest.raises(InvalidConfig, match="--like toy"):
        resolve("toy", cache, like="litemedsam")


def test_resolve_an_imported_name(cache: Cache, mine: Path) -> None:
    import_file(mine, cache, name="mine", like="litemedsam")
    found = resolve("mine", cache, offline=True)
    assert (found.name, found.sha256) == ("mine", digest(b"my own weights"))
    assert found.entry == replace(
        CATALOGUE["litemedsam"],
        name="mine",
        file="original.safetensors",
        sha256=found.sha256,
        size=14,
        source=found.entry.source,
        note=found.entry.note,
    )
    with pytest.raises(InvalidConfig, match="--like litemedsam"):
        resolve("mine", cache, like="sam_vit_b")
    found.path.write_bytes(b"somebody's weights")
    with pytest.raises(WeightsError, match=found.sha256):
        resolve("mine", cache)


def test_resolve_a_path(cache: Cache, toy: Entry, local: Path, mine: Path) -> None:
    known = resolve(local, cache)
    assert (known.path, known.entry, known.name) == (local, toy, "toy")
    assert resolve(str(local), cache) == known
    with pytest.raises(InvalidConfig, match="--like toy"):
        resolve(local, cache, like="sam_vit_l")
    with pytest.raises(WeightsError, match="--like NAME"):
        resolve(mine, cache)
    own = resolve(mine, cache, like="sam_vit_l")
    assert (own.name, own.entry.family, own.entry.sha256) == ("model", "vit_l", own.sha256)
    assert not cache.root.exists()


def test_resolve_what_is_nothing(cache: Cache, mine: Path) -> None:
    import_file(mine, cache, name="my-liver", like="sam_vit_b")
    with pytest.raises(WeightsError, match="Did you mean my-liver"):
        resolve("my_livr", cache)
    for text in ("no/such/file", "none.pth"):
        with pytest.raises(WeightsError, match="is no file"):
            resolve(text, cache)


def test_verify_reads_everything_again(cache: Cache, mine: Path) -> None:
    import_file(mine, cache, name="mine", like="sam_vit_b")
    file = path("mine", cache)
    before = file.stat()
    assert verify("mine", cache).sha256 == digest(b"my own weights")
    file.write_bytes(b"my OWN weights")  # same size, and below the same time: the stamp cannot see it
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path("mine", cache) == file
    with pytest.raises(WeightsError) as caught:
        verify("mine", cache)
    assert digest(b"my own weights") in str(caught.value)
    assert digest(b"my OWN weights") in str(caught.value)


def test_verify_checks_a_catalogue_file_against_the_published_digest(
    cache: Cache, served: Served, toy: Entry, mine: Path
) -> None:
    file = get("toy", cache)
    record = cache.record("toy")
    assert record
    file.write_bytes(b"other")
    cache.keep(replace(record, stamp=replace(record.stamp, sha256=digest(b"other"))))
    with pytest.raises(WeightsError, match=str(toy.sha256)):
        verify("toy", cache)


def test_verify_checks_the_conversion_too(cache: Cache, mine: Path) -> None:
    import_file(mine, cache, name="mine", like="sam_vit_b")
    cache.converted("mine").write_bytes(b"converted")
    cache.keep_converted("mine")
    verify("mine", cache)
    cache.converted("mine").write_bytes(b"damaged")
    with pytest.raises(WeightsError, match=r"model\.safetensors.*made again"):
        verify("mine", cache)


def test_what_is_not_installed(cache: Cache) -> None:
    for question in (verify, path):
        with pytest.raises(WeightsError, match="weights get sam_vit_b"):
            question("sam_vit_b", cache)
        with pytest.raises(WeightsError, match="Did you mean sam_vit_b"):
            question("sam_vitb", cache)
