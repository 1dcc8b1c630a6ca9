from __future__ import annotations

import socket
from dataclasses import replace

import pytest
import requests

from promisam.core.errors import DownloadFailed
from promisam.zoo import CATALOGUE, Cache, Entry, Url, get
from promisam.zoo import download as downloading
from zoo.weights_server import Served


@pytest.mark.parametrize(("status", "advice"), [(404, "moved"), (403, "denied"), (407, "HTTPS_PROXY"), (410, "does not serve")])
def test_refusals_are_final_and_say_what_to_do(cache: Cache, served: Served, toy: Entry, status: int, advice: str) -> None:
    served.status = [status]
    with pytest.raises(DownloadFailed, match=f"HTTP {status}.*{advice}.*weights import"):
        get("toy", cache)
    assert len(served.ranges_asked) == 1


@pytest.mark.parametrize("status", [503, 429, 500])
def test_passing_troubles_are_tried_again(cache: Cache, served: Served, toy: Entry, status: int) -> None:
    served.status = [status, status]
    assert get("toy", cache).read_bytes() == served.body
    assert len(served.ranges_asked) == 3


def test_retries_wait_longer_each_time(cache: Cache, served: Served, toy: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(downloading, "BACKOFF", 1.0)
    monkeypatch.setattr(downloading.time, "sleep", lambda seconds: waits.append(seconds) if seconds else None)
    served.status = [503] * 99
    with pytest.raises(DownloadFailed, match="HTTP 503"):
        get("toy", cache)
    assert waits == [1.0, 2.0, 4.0]


def test_no_server_at_all(cache: Cache, toy: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refuses
        port = taken.getsockname()[1]
        monkeypatch.setitem(CATALOGUE, "toy", replace(toy, source=Url(f"http://127.0.0.1:{port}/toy.bin")))
        with pytest.raises(DownloadFailed, match="connection refused"):
            get("toy", cache)


def test_a_proxy_that_is_not_there(cache: Cache, toy: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HTTP_PROXY", f"http://user:secret@127.0.0.1:{taken.getsockname()[1]}")
        monkeypatch.setitem(CATALOGUE, "toy", replace(toy, source=Url("http://weights.invalid/toy.bin")))
        with pytest.raises(DownloadFailed, match="proxy") as caught:
            get("toy", cache)
    assert "secret" not in str(caught.value)


def test_the_environments_proxy_is_used(cache: Cache, served: Served, toy: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", served.url.removesuffix("/toy.bin"))
    monkeypatch.setitem(CATALOGUE, "toy", replace(toy, source=Url("http://weights.invalid/toy.bin")))
    assert get("toy", cache).read_bytes() == served.body


def test_pips_proxy_is_used_where_the_environment_has_none(
    cache: Cache, served: Served, toy: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloading, "configured", lambda: {"proxy": served.url.removesuffix("/toy.bin")})
    monkeypatch.setitem(CATALOGUE, "toy", replace(toy, source=Url("http://weights.invalid/toy.bin")))
    assert get("toy", cache).read_bytes() == served.body


def test_pips_certificate_is_used_where_the_environment_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "configured", lambda: {"cert": "/some/bundle.pem"})
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    assert downloading._session("https://weights.invalid/x").verify == "/some/bundle.pem"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/other/bundle.pem")
    assert downloading._session("https://weights.invalid/x").verify is True  # requests then takes the environment's


@pytest.mark.parametrize(
    ("problem", "said"),
    [(requests.exceptions.SSLError("no"), "certificate"), (requests.exceptions.TooManyRedirects("no"), "TooManyRedirects")],
)
def test_lasting_troubles_are_not_tried_again(
    cache: Cache, toy: Entry, monkeypatch: pytest.MonkeyPatch, problem: Exception, said: str
) -> None:
    calls = []

    def fail(*_args: object, **_options: object) -> None:
        calls.append(1)
        raise problem

    monkeypatch.setattr(requests.Session, "get", fail)
    with pytest.raises(DownloadFailed, match=said):
        get("toy", cache)
    assert len(calls) == 1
