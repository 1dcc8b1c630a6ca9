"""A cache in a temporary folder, a server on this machine, and an entry that it serves."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from promisam.zoo import CATALOGUE, Cache, Entry, Url
from promisam.zoo import download as downloading
from zoo.weights_server import Served, start

BODY = random.Random(0).randbytes(300_001)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy between the tests and their server, and no waiting."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(downloading, "BACKOFF", 0.0)
    monkeypatch.setattr(downloading, "configured", dict)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def served() -> Iterator[Served]:
    served = Served(BODY)
    server = start(served)
    yield served
    server.shutdown()
    server.server_close()


@pytest.fixture
def toy(served: Served, monkeypatch: pytest.MonkeyPatch) -> Entry:
    """An entry of the catalogue whose file the server serves."""
    entry = replace(
        CATALOGUE["sam_vit_b"],
        name="toy",
        file="toy.bin",
        sha256=hashlib.sha256(BODY).hexdigest(),
        size=len(BODY),
        source=Url(served.url),
    )
    monkeypatch.setitem(CATALOGUE, "toy", entry)
    return entry
