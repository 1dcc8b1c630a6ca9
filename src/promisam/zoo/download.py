"""Download a file over HTTP, going on where an earlier attempt stopped.

What arrives is not trusted here: the caller checks its digest.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promisam.core.errors import DownloadFailed
from promisam.zoo.cache import storing
from promisam.zoo.package_index import configured

if TYPE_CHECKING:
    import requests

Report = Callable[[int, int | None], None]

TIMEOUT = (10.0, 60.0)  # seconds to connect, seconds without a byte
ATTEMPTS = 4  # in a row that bring nothing new
BACKOFF = 1.0  # seconds before the second attempt; doubles
CHUNK = 1 << 15  # what a cut connection loses at most

_BY_HAND = "Or fetch it elsewhere and `promisam weights import FILE`."
_RETRIABLE = {408, 425, 429}  # timed out, too early, too many


class _Interrupted(Exception):
    """An attempt that failed in a way that the next one may not."""


def download(url: str, partial: Path, *, size: int, report: Report | None = None) -> None:
    """Complete the partial file until it has the expected number of bytes.

    Args:
        url: where the file is served. The environment's proxies and certificates apply, or else those configured for pip.
        partial: where the bytes go; what is there already is kept if the server can go on from it and its file is the same.
        size: bytes of the whole file.
        report: called with the bytes present and the bytes expected.

    Raises:
        DownloadFailed: when the server refuses, offers another size, or cannot be reached in a few attempts.
        UnwritableOutput: if the disk refuses.
    """
    if _length(partial) > size:
        discard(partial)
    best, fruitless = _length(partial), 0
    with _session(url) as session:
        while _length(partial) != size:
            problem = _attempt(session, url, partial, size, report or _silent)
            if problem is None:
                continue
            progressed, best = _length(partial) > best, max(best, _length(partial))
            fruitless = 0 if progressed else fruitless + 1
            if fruitless == ATTEMPTS:
                raise DownloadFailed(
                    f"{url} could not be fetched ({problem})",
                    expected=f"{size} bytes, has {_length(partial)}",
                    do=f"Check the connection and HTTPS_PROXY, then repeat: it goes on where it stopped. {_BY_HAND}",
                )
            time.sleep(BACKOFF * 2 ** max(fruitless - 1, 0))


def discard(partial: Path) -> None:
    """Delete a partial file and what was noted about it."""
    with storing(partial):
        partial.unlink(missing_ok=True)
        _tag_file(partial).unlink(missing_ok=True)


def finished(partial: Path) -> None:
    """Forget what was noted about a partial file that is complete."""
    with storing(partial):
        _tag_file(partial).unlink(missing_ok=True)


def _attempt(session: requests.Session, url: str, partial: Path, size: int, report: Report) -> str | None:
    """One request. Gives what went wrong, if trying again may help."""
    try:
        with _open(session, url, partial) as response:
            start = _start(response, url, partial, size)
            _receive(response, url, partial, start, size, report)
    except _Interrupted as problem:
        return str(problem)
    return None


def _open(session: requests.Session, url: str, partial: Path) -> requests.Response:
    from requests import exceptions

    headers = {"Accept-Encoding": "identity"}
    have, tag = _length(partial), _tag(partial)
    if have:
        headers["Range"] = f"bytes={have}-"
    if have and tag.startswith('"'):  # weak tags are not allowed in If-Range
        headers["If-Range"] = tag
    try:
        return session.get(url, headers=headers, stream=True, timeout=TIMEOUT)
    except exceptions.ProxyError as error:
        raise _refused(url, "the proxy refused or is unreachable", "Check HTTPS_PROXY, or pip's `proxy` setting.") from error
    except exceptions.SSLError as error:
        advice = "Behind a proxy that opens TLS, set REQUESTS_CA_BUNDLE, or pip's `cert` setting, to its certificate."
        raise _refused(url, "the server's certificate was not accepted", advice) from error
    except (exceptions.ConnectionError, exceptions.Timeout) as error:
        raise _Interrupted(_cause(error)) from error
    except exceptions.RequestException as error:
        raise _refused(url, type(error).__name__, "Check HTTPS_PROXY and the address.") from error


def _start(response: requests.Response, url: str, partial: Path, size: int) -> int:
    """Offset at which the body begins: zero, or the length of the partial file."""
    status, tag = response.status_code, response.headers.get("ETag", "")
    if status == 200:
        _check_offer(response.headers.get("Content-Length"), url, size)
        discard(partial)
        _note_tag(partial, tag)
        return 0
    if status == 206:
        have = _length(partial)
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip())
        same = not tag or not _tag(partial) or tag == _tag(partial)
        if span and int(span[1]) == have and same:
            _check_offer(None if span[2] == "*" else span[2], url, size)
            return have
    if status in {206, 416}:
        discard(partial)
        raise _Interrupted("the file on the server changed, so it starts anew")
    if status in _RETRIABLE or status >= 500:
        raise _Interrupted(f"HTTP {status} {response.reason}")
    advice = {
        403: "Access is denied, perhaps by a proxy or firewall.",
        404: "The file has moved.",
        407: "Give the proxy's user and password in HTTPS_PROXY.",
    }
    raise _refused(url, f"HTTP {status} {response.reason}", advice.get(status, "The server does not serve it."))


def _receive(response: requests.Response, url: str, partial: Path, start: int, size: int, report: Report) -> None:
    """Append the body. A body that ends early or a cut connection leaves what came; one that is too long is refused."""
    from requests import exceptions

    have = start
    report(have, size)
    with storing(partial), partial.open("ab" if start else "wb") as stream:
        chunks = response.iter_content(CHUNK)
        while True:
            try:
                chunk: bytes = next(chunks, b"")
            except exceptions.RequestException as error:  # before storing() sees it: it is an OSError too
                raise _Interrupted(f"the connection broke after {have} bytes") from error
            if not chunk:
                break
            have += len(chunk)
            if have > size:
                raise _refused(url, f"more than {size} bytes were sent", "It is another file.")
            stream.write(chunk)
            report(have, size)
    if have < size:
        raise _Interrupted(f"the connection ended after {have} bytes")


def _check_offer(offered: str | None, url: str, size: int) -> None:
    if offered is not None and offered.isdecimal() and int(offered) != size:
        problem = f"{offered} bytes are offered instead of {size}"
        raise _refused(url, problem, "A login page or a proxy may answer in its place, or the file was changed.")


def _session(url: str) -> requests.Session:
    """A session with the environment's proxy and certificates, or where it has none, those configured for pip."""
    import requests
    from requests.utils import should_bypass_proxies

    session = requests.Session()
    environment: dict[str, Any] = session.merge_environment_settings(url, {}, stream=True, verify=None, cert=None)
    has_proxy, has_cert = bool(environment["proxies"]), isinstance(environment["verify"], str)
    if has_proxy and has_cert:
        return session
    settings = configured()
    if not has_proxy and "proxy" in settings and not should_bypass_proxies(url, no_proxy=None):
        session.proxies = {"http": settings["proxy"], "https": settings["proxy"]}
    if not has_cert and "cert" in settings:
        session.verify = settings["cert"]
    return session


def _refused(url: str, problem: str, advice: str) -> DownloadFailed:
    return DownloadFailed(f"{url} could not be fetched ({problem})", expected="the file itself", do=f"{advice} {_BY_HAND}")


def _cause(error: Exception) -> str:
    """The innermost reason, without the address, which may hold a password."""
    text = str(error)
    for sign, words in (
        ("resol", "the host name is unknown here"),
        ("refused", "connection refused"),
        ("timed out", "timed out"),
    ):
        if sign in text:
            return words
    return f"no connection: {type(error).__name__}"


def _length(partial: Path) -> int:
    if partial.is_symlink():  # never write through a link to somewhere else
        discard(partial)
    return partial.stat().st_size if partial.is_file() else 0


def _tag_file(partial: Path) -> Path:
    return partial.with_name(partial.name + ".etag")


def _tag(partial: Path) -> str:
    return _tag_file(partial).read_text(encoding="utf-8") if _tag_file(partial).is_file() else ""


def _note_tag(partial: Path, tag: str) -> None:
    if tag:
        with storing(partial):
            _tag_file(partial).write_text(tag, encoding="utf-8")


def _silent(_have: int, _expected: int | None) -> None:
    pass
