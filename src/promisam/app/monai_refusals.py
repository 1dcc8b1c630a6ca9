"""Refusals in the form that MONAI Label's clients show: a status and `{"detail": "..."}`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import Message

from promisam.app.jobs import Busy
from promisam.core.errors import PromisamError

LIMIT = 2 << 30  # bytes of a request: a volume of 1024 x 1024 x 1000 samples in 16 bits
Answer = Callable[[Request], Coroutine[Any, Any, Response]]


class NotThere(PromisamError):
    """Something that was asked for by a name that nothing has."""


def refusing(root: Path, limit: int) -> type[APIRoute]:
    """Routes that answer errors in that form, name files below `root` without it, and read no more than `limit` bytes."""

    class Refusing(APIRoute):
        def get_route_handler(self) -> Answer:
            answer = super().get_route_handler()

            async def careful(request: Request) -> Response:
                counted = _Counted(request, limit)
                try:
                    return await answer(Request(request.scope, counted.receive))
                except RequestValidationError as error:
                    fields = ", ".join(sorted({str(one["loc"][-1]) for one in error.errors()}))
                    return _refusal(422, f"a request whose {fields} cannot be read")
                except PromisamError as error:
                    return _refusal(_status(error), str(error).replace(f"{root}/", ""))
                except (HTTPException, _TooLarge) as error:
                    if counted.exceeded:
                        return _refusal(413, f"a request of more than {limit} bytes")
                    if isinstance(error, HTTPException):
                        return _refusal(error.status_code, str(error.detail))
                    raise
                except (OSError, MemoryError) as error:
                    return _refusal(500, f"the server could not do it ({type(error).__name__})")

            return careful

    return Refusing


class _TooLarge(Exception):
    """More bytes than are taken."""


class _Counted:
    """What a client sends, as far as it is taken."""

    def __init__(self, request: Request, limit: int) -> None:
        self._receive, self._limit, self._read = request.receive, limit, 0
        told = request.headers.get("content-length", "")
        self.exceeded = told.isdecimal() and int(told) > limit

    async def receive(self) -> Message:
        if self.exceeded:
            raise _TooLarge
        message = await self._receive()
        self._read += len(message.get("body", b""))
        if self._read > self._limit:
            self.exceeded = True
            raise _TooLarge
        return message


def _status(error: PromisamError) -> int:
    if isinstance(error, NotThere):
        return 404
    return 409 if isinstance(error, Busy) else 400


def _refusal(status: int, detail: str) -> Response:
    return JSONResponse({"detail": detail}, status)
