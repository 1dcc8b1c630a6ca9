from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from promisam.cli.main import run
from promisam.zoo import CATALOGUE, Cache

CONTENT = b"weights" * 100


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    monkeypatch.setenv("PROMISAM_CACHE", str(tmp_path / "cache"))
    return Cache(tmp_path / "cache")


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of the catalogue's entry `toy`."""
    entry = replace(
        CATALOGUE["sam_vit_b"], name="toy", file="toy.pth", sha256=hashlib.sha256(CONTENT).hexdigest(), size=len(CONTENT)
    )
    monkeypatch.setitem(CATALOGUE, "toy", entry)
    (tmp_path / "local.pth").write_bytes(CONTENT)
    return tmp_path / "local.pth"


def promisam(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        run([str(a) for a in arguments])
    output = capsys.readouterr()
    return int(left.value.code or 0), output.out, output.err


def test_list_shows_every_entry_on_one_line_each(cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = promisam(capsys, "weights", "list")
    assert status == 0
    for name in CATALOGUE:
        assert sum(line.startswith(f"{name} ") for line in out.splitlines()) == 1
    assert "points, box, mask" in out
    assert "2,565 MB" in out
    assert not cache.root.exists()


def test_import_list_get_path_verify(cache: Cache, toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored = str(cache.root / "toy" / "toy.pth")
    assert promisam(capsys, "weights", "import", toy) == (0, f"toy\t{stored}\n", "")
    assert promisam(capsys, "weights", "get", "toy", "--offline") == (0, f"{stored}\n", "")
    assert promisam(capsys, "weights", "path", "toy") == (0, f"{stored}\n", "")
    assert promisam(capsys, "weights", "verify") == (0, "toy: sound\n", "")
    _, out, _ = promisam(capsys, "weights", "list", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert [name for name, row in rows.items() if row["installed"]] == ["toy"]
    assert (rows["litemedsam"]["prompts"], rows["litemedsam"]["side"]) == ("box", 256)


def test_own_weights(cache: Cache, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own.bin").write_bytes(b"own")
    status, _, err = promisam(capsys, "weights", "import", tmp_path / "own.bin")
    assert status == 2
    assert "--as NAME --like NAME" in err
    status, out, _ = promisam(capsys, "weights", "import", tmp_path / "own.bin", "--as", "liver", "--like", "litemedsam")
    assert status == 0
    assert out.startswith("liver\t")
    _, out, _ = promisam(capsys, "weights", "list")
    assert "yes, like litemedsam" in out


def test_verify_fails_with_status_2_and_names_each(cache: Cache, toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    promisam(capsys, "weights", "import", toy)
    promisam(capsys, "weights", "import", toy, "--as", "second")
    (cache.root / "second" / "original.pth").write_bytes(b"damaged")
    status, out, _ = promisam(capsys, "weights", "verify")
    assert status == 2
    assert out.splitlines()[1] == "toy: sound"
    assert hashlib.sha256(b"damaged").hexdigest() in out.splitlines()[0]
    status, out, _ = promisam(capsys, "weights", "verify", "--json")
    assert status == 2
    assert [(r["name"], r["ok"]) for r in json.loads(out)] == [("second", False), ("toy", True)]
    assert promisam(capsys, "weights", "verify", "toy")[0] == 0


def test_verify_of_nothing_and_of_a_damaged_record(cache: Cache, toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = promisam(capsys, "weights", "verify")
    assert (status, out) == (0, "")
    assert "Nothing is installed" in err
    promisam(capsys, "weights", "import", toy)
    (cache.root / "toy" / "record.json").write_text("{")
    assert promisam(capsys, "weights", "verify")[0] == 2
    assert promisam(capsys, "weights", "list")[0] == 0
    assert promisam(capsys, "weights", "verify", "sam_vit_b")[0] == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("get", "sam_vit_b", "--offline"), "offline"),
        (("get", "medsam_vit_b"), "browser"),
        (("get", "sam_vit_b", "sam_vit_x"), "Did you mean sam_vit_"),
        (("path", "sam_vit_b"), "promisam weights get sam_vit_b"),
        (("path", "../../x"), "another name"),
        (("import", "none.pth"), "no file"),
    ],
)
def test_refusals_are_one_line_and_status_2(
    cache: Cache, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    status, out, err = promisam(capsys, "weights", *arguments)
    assert (status, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
    assert not cache.root.exists()


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    heavy = ("torch", "requests", "rich.table", "promisam.zoo")
    code = f"import sys, promisam.cli.weights; print([m for m in {heavy} if m in sys.modules])"
    started = time.monotonic()
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert time.monotonic() - started < 5  # generous: the machine may be busy
    assert answer.stdout.strip() == "[]"
