"""From a folder and a method to a server that answers."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from promisam import store
from promisam.app.guard import Rules
from promisam.app.jobs import Jobs, Options
from promisam.app.office import Office
from promisam.app.server import create_app
from promisam.core import Segmenter
from promisam.core.errors import InvalidConfig
from promisam.session import Bench, Project
from promisam.store import Device

LOOPBACK = ("127.0.0.1", "localhost", "::1")
WEIGHTS = "promisam-click"
_SHORTEST = 16  # characters of a token


@dataclass(frozen=True)
class Wish:
    """What is to be served.

    Attributes:
        path: a folder or a file.
        method: a run folder, a checkpoint, or the name of weights.
        weights: where the SAM is, of a run whose SAM moved, or a file in place of a name.
        like: the known weights that this file was trained like.
        device: where to compute.
        offline: never touch the network.
        keep: encodings in memory.
        precision: of the image encoder below weights; bfloat16 encodes a picture in half the time on an ordinary processor.
    """

    path: Path
    method: str = WEIGHTS
    weights: str | None = None
    like: str | None = None
    device: Device = "auto"
    offline: bool = False
    keep: int = 64
    precision: str = "bfloat16"


def load(wish: Wish, method: str, report: Callable[[int, int | None], None] | None = None) -> Segmenter:
    """The method: of a run, or SAM as it is on these weights."""
    more = {"device": wish.device, "like": wish.like, "offline": wish.offline, "report": report}
    if store.checkpoint_of(method) is not None:
        return store.load(wish.weights, method=method, **more)  # type: ignore[arg-type]
    if wish.weights is not None and method not in (WEIGHTS, wish.weights):
        raise InvalidConfig(
            f"the method {method} beside the weights {wish.weights}",
            expected="a run folder that is there, or one of both names of weights",
            do="Check the path of the run, or leave --method out.",
        )
    return store.load(wish.weights or method, method="plain_sam", config={"precision": wish.precision}, **more)  # type: ignore[arg-type]


def build(wish: Wish, rules: Rules, report: Callable[[int, int | None], None] | None = None) -> FastAPI:
    """The server of a folder.

    Raises:
        PromisamError: for a folder without images or open in another server, and weights or methods that cannot be had.
    """
    project = Project.open(wish.path)
    bench = Bench(load(wish, wish.method, report), Path(wish.method).name, wish.keep)
    project.claim()

    def use(run: Path) -> None:
        bench.use(load(wish, str(run)), run.name)

    jobs = Jobs(project, use, Options(_anywhere(wish.weights), wish.like, wish.device, wish.offline))
    return create_app(Office(project, bench), jobs, rules)


def _anywhere(weights: str | None) -> str | None:
    """Weights as commands that work in another folder find them: a file by its whole path."""
    return str(Path(weights).resolve()) if weights is not None and Path(weights).is_file() else weights


def listen(host: str, port: int) -> socket.socket:
    """A socket on an address, so that the port is known before anybody is told of it.

    Raises:
        InvalidConfig: when the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise InvalidConfig(
            f"the address {host}:{port} ({error.strerror})", expected="one that is free", do="Choose another --port."
        ) from None
    return bound


def rules_for(host: str, port: int, token: str | None) -> Rules:
    """Who may use the server; beyond this machine only with a token that somebody chose.

    Raises:
        InvalidConfig: for a weak token, and without one on an address that others can reach.
    """
    if host not in LOOPBACK and token is None:
        raise InvalidConfig(
            f"--host {host} without a token",
            expected="a token of your own",
            do="Add --token, and mind that others can reach it.",
        )
    if token is not None and not (
        len(token) >= _SHORTEST and token.isascii() and token.replace("-", "").replace("_", "").isalnum()
    ):
        raise InvalidConfig(
            "the token",
            expected=f"at least {_SHORTEST} letters, digits, - and _",
            do="Leave it out on this machine: one is made.",
        )
    return Rules.of(token or secrets.token_urlsafe(24), host, port)


def serve(app: FastAPI, bound: socket.socket) -> None:
    """Answer until somebody ends it."""
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=3)
    uvicorn.Server(config).run(sockets=[bound])
