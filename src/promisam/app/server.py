"""The annotator's HTTP interface, described in docs/annotator.md."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import Body, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from promisam import __version__
from promisam.app.display import Display
from promisam.app.guard import Guard, Rules
from promisam.app.jobs import Jobs, learnable
from promisam.app.monai_label import router as monai_label
from promisam.app.office import Office, Unknown
from promisam.app.pictures import picture_png, thumbnail_png, volume_nifti
from promisam.app.wire import Action, act, fault, sentence, view
from promisam.core.errors import PromisamError
from promisam.session import Label, Project, State, Taken

STATIC = Path(__file__).parent / "static"
_LOG = logging.getLogger("promisam.annotate")


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OneLabel(_Body):
    """A label."""

    value: int
    name: Annotated[str, Field(max_length=200)]
    colour: str


class Labels(_Body):
    """All labels."""

    labels: Annotated[list[OneLabel], Field(max_length=255)]


class Open(_Body):
    """Which image."""

    image: str
    take: bool = False


class Save(_Body):
    """How the image is left."""

    state: Literal["open", "doubt", "done"] = "done"
    next: bool = True


class Begin(_Body):
    """A job."""

    kind: Literal["select", "learn", "presegment"]
    k: Annotated[int, Field(ge=1, le=100_000)] = 10
    method: str = ""


def create_app(office: Office, jobs: Jobs, rules: Rules) -> FastAPI:
    """The server of one project; `rules` say who may use it."""

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield
        jobs.close()
        office.close()

    app = FastAPI(
        title="promisam annotate", version=__version__, docs_url=None, redoc_url=None, openapi_url=None, lifespan=life
    )
    app.add_middleware(Guard, rules=rules)
    _faults(app)
    _page(app)
    _project(app, office, jobs)
    _sessions(app, office)
    _images(app, office.project)
    _jobs(app, office, jobs)
    app.include_router(monai_label(office.project, office.bench, jobs), prefix="/monai")
    return app


def _faults(app: FastAPI) -> None:
    @app.exception_handler(PromisamError)
    def refused(_: Request, error: PromisamError) -> JSONResponse:
        status = 409 if isinstance(error, Taken) else 404 if isinstance(error, Unknown) else 400
        return JSONResponse(fault(error), status)

    @app.exception_handler(RequestValidationError)
    def malformed(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        return JSONResponse(sentence(f"The request is malformed{f' at {place}' if place else ''}: {first['msg']}."), 422)

    @app.exception_handler(HTTPException)
    def absent(_: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse(sentence(f"{error.detail}."), error.status_code)

    @app.exception_handler(Exception)
    def broken(request: Request, error: Exception) -> JSONResponse:
        _LOG.error("%s %s failed: %s", request.method, request.url.path, type(error).__name__, exc_info=error)
        return JSONResponse(sentence("promisam failed at this; what was drawn is kept. Its terminal says more."), 500)


def _page(app: FastAPI) -> None:
    @app.get("/")
    @app.get("/index.html")
    def page() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    @app.get("/{name}")
    def part(name: Literal["page.js", "page.css", "THIRD_PARTY.txt"]) -> FileResponse:
        return FileResponse(STATIC / name)

    @app.get("/favicon.ico")
    def icon() -> Response:
        return Response(status_code=204)


def _project(app: FastAPI, office: Office, jobs: Jobs) -> None:
    project = office.project

    def labels() -> list[dict[str, object]]:
        return [{"value": one.value, "name": one.name, "colour": one.colour} for one in project.labels]

    @app.get("/api/project")
    def described() -> dict[str, object]:
        method = office.bench.method
        return {
            "title": project.root.name,
            "version": __version__,
            "labels": labels(),
            "images": [_image(project, name) for name in project.inputs],
            "method": {
                "name": office.bench.name,
                "accepts": sorted(method.accepts),
                "automatic": method.automatic,
                "classes": list(method.classes),
            },
            "learnable": list(learnable(project)),
            "jobs": [job.to_json() for job in jobs.all()],
        }

    @app.put("/api/labels")
    def relabelled(said: Labels) -> list[dict[str, object]]:
        project.set_labels([Label(one.value, one.name.strip(), one.colour.lower()) for one in said.labels])
        return labels()


def _image(project: Project, name: str) -> dict[str, object]:
    status = project.status(name)
    return {
        "name": name,
        "ndim": project.ndim(name),
        "state": status.state,
        "by": status.by,
        "confidence": status.confidence,
        "flags": list(status.flags),
        "chosen": status.chosen,
    }


def _sessions(app: FastAPI, office: Office) -> None:
    @app.post("/api/sessions")
    def entered() -> dict[str, str]:
        return {"session": office.enter()}

    @app.get("/api/sessions/{number}")
    def seen(number: str) -> dict[str, object]:
        session = office.session(number)
        return {"image": None} if session.name is None else view(session, None, 0.0)

    @app.post("/api/sessions/{number}/leave")
    def left(number: str) -> None:
        office.leave(number)

    @app.post("/api/sessions/{number}/open")
    def opened(number: str, said: Open) -> dict[str, object]:
        begun = time.perf_counter()
        session = office.session(number)
        session.open(said.image, take=said.take)
        return view(session, None, 1000 * (time.perf_counter() - begun))

    @app.post("/api/sessions/{number}/actions")
    def acted(number: str, said: Annotated[Action, Body()]) -> dict[str, object]:
        begun = time.perf_counter()
        session = office.session(number)
        change = act(session, said, Display.of(session.image.grid))
        return view(session, change, 1000 * (time.perf_counter() - begun))

    @app.post("/api/sessions/{number}/save")
    def saved(number: str, said: Save) -> dict[str, object]:
        session = office.session(number)
        state: State = said.state
        path = session.save(state)
        following = office.project.next_after(str(session.name)) if said.next else None
        return {"saved": path.relative_to(office.project.root).as_posix(), "next": following}


def _images(app: FastAPI, project: Project) -> None:
    small: dict[str, bytes] = {}  # thumbnails, a few kilobytes each

    @app.get("/api/images/{name:path}/picture")
    def picture(name: str, low: float | None = None, high: float | None = None) -> Response:
        return Response(picture_png(project.image(name), low, high), media_type="image/png")

    @app.get("/api/images/{name:path}/volume")
    def volume(name: str) -> Response:
        return Response(volume_nifti(project.image(name)), media_type="application/octet-stream")

    @app.get("/api/images/{name:path}/thumbnail")
    def thumbnail(name: str) -> Response:
        if name not in small:
            small[name] = thumbnail_png(project.glance(name))
        return Response(small[name], media_type="image/png")


def _jobs(app: FastAPI, office: Office, jobs: Jobs) -> None:
    @app.get("/api/jobs")
    def listed(session: str | None = None) -> Sequence[dict[str, Any]]:
        if session is not None:
            with suppress(Unknown):
                office.session(session)  # so it is there
        return [job.to_json() for job in jobs.all()]

    @app.post("/api/jobs")
    def begun(said: Begin) -> dict[str, Any]:
        options: dict[str, dict[str, Any]] = {"select": {"k": said.k}, "learn": {"method": said.method}, "presegment": {}}
        return jobs.start(said.kind, **options[said.kind]).to_json()

    @app.delete("/api/jobs/{number}")
    def cancelled(number: str) -> dict[str, Any]:
        return jobs.cancel(number).to_json()
