"""Who may call the server, and from which pages: what browsers write into `Host` and `Origin`."""

from __future__ import annotations

import pytest

from promisam.app.guard import Rules

TOKEN = "a-token-for-tests"  # noqa: S105


def fits(address, host):
    return Rules.of(TOKEN, *address).host_fits(host)


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "LocalHost", "::1", "0:0::1"])
def test_a_loopback_server_has_its_own_names_with_its_port(address):
    rules = Rules.of(TOKEN, address, 8000)
    assert rules.hosts == {"127.0.0.1:8000", "localhost:8000", "[::1]:8000"}
    assert rules.host_fits("LOCALHOST:8000")
    for host in (
        "",
        "127.0.0.1",
        "localhost:80",
        "localhost:8001",
        "evil.org:8000",
        "127.0.0.1.evil.org:8000",
        "::1:8000",
        "*",
    ):
        assert not rules.host_fits(host), host


@pytest.mark.parametrize(
    ("address", "host"),
    [
        (("10.0.0.5", 8000), "10.0.0.5:8000"),
        (("Scanner.Hospital.org", 8000), "scanner.hospital.org:8000"),
        (("scanner", 8000), "Scanner:8000"),
        (("fd00::1", 8000), "[fd00::1]:8000"),
        (("FD00:0:0::1", 8000), "[fd00::1]:8000"),
        (("fe80::1%eth0", 8000), "[fe80::1]:8000"),
        (("10.0.0.5", 80), "10.0.0.5"),
        (("10.0.0.5", 80), "10.0.0.5:80"),
        (("fd00::1", 80), "[fd00::1]"),
        (("127.0.0.1", 80), "localhost"),
        (("0.0.0.0", 8000), "scanner.hospital.org"),  # noqa: S104
        (("0.0.0.0", 8000), "scanner:8000"),  # noqa: S104
        (("::", 8000), "[fd00::1]:8000"),
        (("0::0", 8000), "[fd00::1]"),
    ],
)
def test_names_of_the_server(address, host):
    assert fits(address, host)


@pytest.mark.parametrize(
    ("address", "host"),
    [
        (("10.0.0.5", 8000), "10.0.0.5"),
        (("10.0.0.5", 8000), "localhost:8000"),
        (("fd00::1", 8000), "fd00::1:8000"),
        (("10.0.0.5", 80), "evil.org"),
        (("10.0.0.5", 80), "10.0.0.5:8000"),
        (("127.0.0.1", 80), "evil.org"),
    ],
)
def test_other_names(address, host):
    assert not fits(address, host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("", "localhost:8000"),
        ("http://localhost:8000", "localhost:8000"),
        ("http://localhost:8000", "LocalHost:8000"),
        ("https://scanner.hospital.org", "scanner.hospital.org"),
        ("https://scanner.hospital.org:8443", "scanner.hospital.org:8443"),
        ("http://[fd00::1]:8000", "[fd00::1]:8000"),
    ],
)
def test_pages_of_the_server(origin, host):
    assert Rules.of(TOKEN, "0.0.0.0", 8000).origin_fits(origin, host)  # noqa: S104


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "http://",
        "https://evil.org",
        "https://localhost:8000",
        "http://localhost:8001",
        "ftp://localhost:8000",
        "http://localhost:8000.evil.org",
    ],
)
def test_pages_of_others(origin):
    assert not Rules.of(TOKEN, "127.0.0.1", 8000).origin_fits(origin, "localhost:8000")


def test_the_token():
    rules = Rules.of(TOKEN, "127.0.0.1", 8000)
    assert [rules.knows(told) for told in (TOKEN, "", TOKEN[:-1], "\u00e4")] == [True, False, False, False]
