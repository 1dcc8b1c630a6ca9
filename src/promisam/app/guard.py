"""Who may speak to the server: this machine's pages that know the token, and nobody else.

A page of another site that the same browser shows could send requests here: its `Origin` gives it away. One that makes its own
name lead to this machine (DNS rebinding) is given away by `Host`.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Any
from urllib.parse import parse_qs

from promisam.app.wire import sentence

Scope = dict[str, Any]
HEADER = b"x-promisam-token"
PAGE = re.compile(r"/(index\.html|page\.(js|css)|favicon\.ico|THIRD_PARTY\.txt)?")
MONAI = re.compile(r"/monai/([^/]+)(/.*)?")
_BODY = 16 << 20  # bytes of a request
_TOO_LARGE = "The request is too large."
_UPLOAD = 1 << 30  # bytes of an image or a mask that another program sends
_HTTP = 80  # the port that browsers leave out
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
_ANY = frozenset({"0.0.0.0", "[::]"})  # noqa: S104 - names to compare with
_SECURITY = {
    b"content-security-policy": b"default-src 'self'; img-src 'self' blob: data:; style-src 'self' 'unsafe-inline'; "
    b"script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; connect-src 'self'; frame-ancestors 'none'; "
    b"base-uri 'none'; form-action 'none'",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",  # the address holds the token
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
}


@dataclass(frozen=True)
class Rules:
    """What is asked of a request.

    Attributes:
        token: what it must know.
        hosts: what browsers may call the server, as in `Host`: names in lower case, with the port unless it is 80; "*" for any.
        beyond: whether other machines reach it; then a proxy may stand before it, and pages come with https.
    """

    token: str
    hosts: frozenset[str]
    beyond: bool = False

    @classmethod
    def of(cls, token: str, host: str, port: int) -> Rules:
        """For a server on this address."""
        name = _called(host)
        if name in _ANY:  # then any name of this machine is one of its own; the token remains
            return cls(token, frozenset({"*"}), beyond=True)
        names = _LOOPBACK if name in _LOOPBACK else {name}
        hosts = frozenset({f"{name}:{port}" for name in names} | (names if port == _HTTP else set()))
        return cls(token, hosts, beyond=name not in _LOOPBACK)

    def host_fits(self, host: str) -> bool:
        """Whether the server is called by a name of its own."""
        return "*" in self.hosts or host.lower() in self.hosts

    def origin_fits(self, origin: str, host: str) -> bool:
        """Whether a page that sends a request came from here; other programs send no origin."""
        schemes = ("http", "https") if self.beyond else ("http",)
        return origin == "" or origin.lower() in {f"{scheme}://{host}".lower() for scheme in schemes}

    def knows(self, token: str) -> bool:
        """Whether the token is right."""
        return secrets.compare_digest(token.encode(), self.token.encode())


class Guard:
    """ASGI middleware: refuses before anything is read, and adds headers that keep pages in their place."""

    def __init__(self, app: Any, rules: Rules) -> None:  # noqa: ANN401 - any ASGI application
        self.app = app
        self.rules = rules

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:  # noqa: ANN401
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _answer(send, *refusal)
            return
        body = _Body(receive, _UPLOAD if scope["path"].startswith("/monai/") else _BODY)
        await self.app(scope, body.receive, _secured(send, body))

    def _refusal(self, scope: Scope, headers: Mapping[bytes, str]) -> tuple[int, str] | None:
        host = headers.get(b"host", "")
        if not self.rules.host_fits(host):
            return 403, "This server is called by another name; open the address that promisam printed."
        if not self.rules.origin_fits(headers.get(b"origin", ""), host):
            return 403, "A page of another site may not use this server."
        if scope["method"] in ("GET", "HEAD") and PAGE.fullmatch(scope["path"]):
            return None
        if found := MONAI.fullmatch(scope["path"]):
            token = found.group(1)
            scope["path"] = "/monai" + (found.group(2) or "/")
            scope["raw_path"] = scope["path"].encode()
        else:
            token = headers.get(HEADER) or parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if not self.rules.knows(token):
            return 401, "The token is missing or wrong; open the address that promisam printed."
        length = headers.get(b"content-length", "0")
        if not length.isdigit() or int(length) > (_UPLOAD if scope["path"].startswith("/monai/") else _BODY):
            return 413, _TOO_LARGE
        return None


def _called(host: str) -> str:
    """An address as browsers write it in `Host`: IPv6 in its short form and in brackets, without a zone."""
    try:
        return f"[{IPv6Address(host.partition('%')[0])}]"
    except ValueError:
        return host.lower()


class _TooLargeError(Exception):
    """More came than is taken."""


class _Body:
    """A request's body, of which no more is read than is taken."""

    def __init__(self, receive: Any, limit: int) -> None:  # noqa: ANN401 - ASGI's own callables
        self._receive = receive
        self._left = limit

    @property
    def too_large(self) -> bool:
        """Whether more came; what the application makes of the broken body does not matter then."""
        return self._left < 0

    async def receive(self) -> dict[str, Any]:
        """The next part."""
        message: dict[str, Any] = await self._receive()
        self._left -= len(message.get("body", b""))
        if self.too_large:
            raise _TooLargeError
        return message


def _secured(send: Any, body: _Body) -> Any:  # noqa: ANN401
    async def secured(message: dict[str, Any]) -> None:
        if body.too_large:
            if message["type"] == "http.response.start":
                await _answer(send, 413, _TOO_LARGE)
            return
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *_SECURITY.items()]
        await send(message)

    return secured


async def _answer(send: Any, status: int, text: str) -> None:  # noqa: ANN401
    body = json.dumps(sentence(text)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *_SECURITY.items()]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
