"""A small web server that misbehaves on demand and remembers what it was asked."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """What the server does, and what it saw.

    Attributes:
        body: the file.
        ranges: whether it understands Range.
        etag: the file's tag; None for a server without tags.
        cut: bytes of body after which the next answers break, one number an answer; the rest are whole.
        length: Content-Length to claim, if not the true one; -1 sends none.
        status: statuses for the next answers, instead of the file.
        pause: seconds between pieces, to be caught in the middle.
        ranges_asked: Range header of each request, None without.
        sent: bytes of body sent in each answer.
    """

    body: bytes
    ranges: bool = True
    etag: str | None = '"one"'
    cut: list[int] = field(default_factory=list)
    length: int | None = None
    status: list[int] = field(default_factory=list)
    pause: float = 0.0
    ranges_asked: list[str | None] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    url: str = ""


PIECE = 1 << 14


class Handler(BaseHTTPRequestHandler):
    """Answers as `served` says."""

    served: Served
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def do_GET(self) -> None:
        self.close_connection = True
        asked = self.headers.get("Range")
        self.served.ranges_asked.append(asked)
        if self.served.status:
            return self._refuse(self.served.status.pop(0))
        begin = self._begin(asked)
        if begin > len(self.served.body):
            return self._refuse(416)
        self._headers(begin)
        return self._send(self.served.body[begin:])

    def _begin(self, asked: str | None) -> int:
        unless = self.headers.get("If-Range")
        if not asked or not self.served.ranges or (unless and unless != self.served.etag):
            return 0
        return int(asked.removeprefix("bytes=").removesuffix("-"))

    def _headers(self, begin: int) -> None:
        whole = len(self.served.body)
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{whole - 1}/{whole}")
        if self.served.etag:
            self.send_header("ETag", self.served.etag)
        length = whole - begin if self.served.length is None else self.served.length
        if length >= 0:
            self.send_header("Content-Length", str(length))
        self.send_header("Connection", "close")
        self.end_headers()

    def _send(self, body: bytes) -> None:
        body = body[: self.served.cut.pop(0)] if self.served.cut else body
        self.served.sent.append(0)
        place = len(self.served.sent) - 1
        for at in range(0, len(body), PIECE):
            self.served.sent[place] += len(body[at : at + PIECE])  # before the client can have it
            try:
                self.wfile.write(body[at : at + PIECE])
                self.wfile.flush()
            except OSError:
                return
            time.sleep(self.served.pause)

    def _refuse(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


def start(served: Served) -> ThreadingHTTPServer:
    """Serve in a thread until `shutdown`; fills in the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Serving", (Handler,), {"served": served}))
    served.url = f"http://127.0.0.1:{server.server_port}/toy.bin"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return server
