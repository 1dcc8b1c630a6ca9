"""The REST protocol of MONAI Label servers over a project, so that its clients, 3D Slicer's above all, can work on it.

Written from the public description: https://docs.monai.io/projects/label. Places are voxel indices of the image's file, i
fastest, as 3D Slicer counts them (IJK).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Body
from fastapi.responses import PlainTextResponse
from starlette.responses import JSONResponse, Response

from promisam import __version__
from promisam.app import monai_answers as answers
from promisam.app import monai_files as files
from promisam.app.jobs import Job, Jobs, learnable
from promisam.app.monai_datastore import STRATEGIES, Datastore
from promisam.app.monai_refusals import LIMIT, NotThere, refusing
from promisam.app.monai_requests import Params, Upload, json_object, sent_file
from promisam.core import Image, Segmentation
from promisam.core.errors import InvalidConfig
from promisam.session import Bench, Project

CLICKS, ALONE = "promisam", "promisam_auto"  # models: one that answers clicks and boxes, and one that needs none
_TRAINING = {"running": "RUNNING", "done": "DONE", "failed": "ERROR", "cancelled": "CANCELED"}
Output = Literal["image", "json", "all"]


def router(project: Project, bench: Bench, jobs: Jobs, *, limit: int = LIMIT) -> APIRouter:
    """The protocol's addresses.

    Args:
        project: whose images they serve.
        bench: what answers.
        jobs: what learns.
        limit: bytes of a request.
    """
    store = Datastore(project)
    protocol = _Protocol(project, bench, jobs, store)
    made = APIRouter(route_class=refusing(project.root, limit))
    for method, path, answer in (
        ("GET", "/info/", protocol.info),
        ("POST", "/infer/{model}", protocol.infer),
        ("GET", "/datastore/", store.datastore),
        ("PUT", "/datastore/", store.add_image),
        ("GET", "/datastore/image", store.image),
        ("GET", "/datastore/image/info", store.image_info),
        ("GET", "/datastore/label", store.label),
        ("PUT", "/datastore/label", store.save_label),
        ("POST", "/activelearning/{strategy}", store.next_image),
        ("POST", "/train/{model}", protocol.train),
        ("POST", "/train/", protocol.train_usual),
        ("GET", "/train/", protocol.training),
        ("DELETE", "/train/", protocol.stop_training),
        ("GET", "/logs/", protocol.logs),
        ("PUT", "/session/", protocol.begin_session),
        ("GET", "/session/{session_id}", protocol.session),
        ("DELETE", "/session/{session_id}", protocol.end_session),
    ):
        for place in dict.fromkeys((path, path.rstrip("/"))):  # clients differ, and a redirection would lose an upload
            made.add_api_route(place, answer, methods=[method], include_in_schema=place == path, response_model=None)
    return made


class _Protocol:
    """What each address answers."""

    def __init__(self, project: Project, bench: Bench, jobs: Jobs, store: Datastore) -> None:
        self.project, self.bench, self.jobs, self.store = project, bench, jobs, store
        self.sessions = files.Sessions()

    def info(self) -> dict[str, object]:
        """What this server can do."""
        labels = [label.name for label in self.project.labels]
        method, axes = self.bench.method, {self.project.ndim(name) for name in self.project.inputs}
        common: dict[str, object] = {
            "labels": labels,
            "dimension": 2 if axes == {2} else 3,
            "description": self.bench.name,
            "config": {},
        }
        models = {}
        if method.accepts & {"points", "box"}:
            models[CLICKS] = {"type": "deepedit", **common}
        if method.automatic:
            models[ALONE] = {"type": "segmentation", **common, "labels": list(method.classes) or labels}
        return {
            "name": f"promisam: {self.project.root.name}",
            "description": "Promptable segmentation of medical images",
            "version": __version__,
            "labels": labels,
            "models": models,
            "trainers": {name: {"description": f"Learn {name}", "config": {}} for name in learnable(self.project)},
            "strategies": {name: {"description": told, "config": {}} for name, told in STRATEGIES.items()},
            "scoring": {},
            "datastore": self.store.stats(),
        }

    def infer(
        self,
        model: str,
        image: str = "",
        session_id: str = "",
        output: Output | None = None,
        params: Params = "{}",
        file: Upload = None,
        label: Upload = None,
    ) -> Response:
        """A label map: of what was clicked, or of all that an automatic method finds."""
        begun = time.perf_counter()
        given = json_object(params)
        if model not in (CLICKS, ALONE):
            raise NotThere(f"the model {model!r}", expected=f"{CLICKS} or {ALONE}", do="See /info/.")
        if label is not None:
            raise InvalidConfig("a label beside the clicks", expected="clicks or a box", do="Leave it out.")
        made = self._asked(model, given, image, session_id, file)
        suffix = f".{str(given.get('result_extension') or 'nii.gz').removeprefix('.')}"
        present = [int(value) for value in np.unique(made.labels) if value]
        told = {
            "label_names": {made.name(value): value for value in present or made.names},  # some clients name segments in order
            "model": model,
            "image": image,
            "latencies": {"total": round(time.perf_counter() - begun, 3)},
        }
        if output == "json":
            return JSONResponse(told)
        content = files.mask_bytes(self.project, made, suffix)
        name = f"label{suffix}"
        return files.as_file(name, content) if output == "image" else files.in_parts(told, name, content)

    def train(self, model: str, said: Annotated[dict[str, Any] | None, Body()] = None) -> dict[str, object]:  # noqa: ARG002
        """Learn from what is done."""
        return _training(self.jobs.start("learn", method=model))

    def train_usual(self, said: Annotated[dict[str, Any] | None, Body()] = None) -> dict[str, object]:  # noqa: ARG002
        """Learn, when a client names no model, the first method that can: there is one training at a time."""
        return _training(self.jobs.start("learn", method=learnable(self.project)[0]))

    def training(self, check_if_running: bool = False) -> dict[str, object]:
        """The latest training."""
        latest = self._latest()
        if latest is None or (check_if_running and latest.state != "running"):
            raise NotThere("no training", expected="one", do="Begin one.")
        return _training(latest)

    def stop_training(self) -> dict[str, object]:
        """End the training that runs."""
        latest = self._latest()
        if latest is None or latest.state != "running":
            raise NotThere("no training that runs", expected="one", do="Begin one.")
        return _training(self.jobs.cancel(latest.id))

    def logs(self, lines: int = 300) -> Response:
        """What the background work says, one line a piece."""
        told = [f"{job.kind} {job.id}: {job.state}, {job.text}" for job in self.jobs.all()]
        return PlainTextResponse("\n".join(told[-max(0, lines) :] if lines > 0 else []))

    def begin_session(self, files: Upload = None, params: Params = "{}", expiry: float = 0.0) -> dict[str, object]:
        """Keep an image that is no part of the project, to ask about."""
        json_object(params)
        sent = sent_file(files, "files")
        made, gone = self.sessions.begin(self.project, sent.filename or "", sent.file, expiry)
        for one in gone:
            self.bench.forget(_called(one))
        return made.to_json()

    def session(self, session_id: str) -> dict[str, object]:
        """A session's image."""
        return self.sessions.get(session_id).to_json()

    def end_session(self, session_id: str) -> dict[str, object]:
        """Forget a session's image."""
        kept = self.sessions.get(session_id)
        self.sessions.end(kept.id)
        self.bench.forget(_called(kept.id))
        return kept.to_json()

    # --- within -----------------------------------------------------------------------------------------------------------

    def _asked(self, model: str, given: Mapping[str, Any], name: str, session_id: str, file: object) -> Segmentation:
        """The answer on the image that is meant: of the project, of a session, or sent along."""
        if file is not None:
            sent = sent_file(file, "file")
            kept, _ = files.Sessions().begin(self.project, sent.filename or "", sent.file, 0.0)
            try:
                return self._answer(model, given, _called(kept.id), kept.image)
            finally:
                self.bench.forget(_called(kept.id))
        if session_id:
            kept = self.sessions.get(session_id)
            return self._answer(model, given, _called(kept.id), kept.image)
        self.store.known(name)
        return self._answer(model, given, name, self.project.image(name))

    def _answer(self, model: str, given: Mapping[str, Any], name: str, image: Image) -> Segmentation:
        self.bench.check(image)
        labels = self.project.labels
        wished = answers.wishes(given, labels, image.grid) if model == CLICKS else []
        if not wished:
            return answers.found(self.bench, name, image, labels)
        values = answers.numbered([wish.label for wish in wished], {label.name: label.value for label in labels})
        whole = np.zeros(image.grid.shape, np.uint8)
        for wish in wished:
            whole[answers.drawn(self.bench, name, image, wish)] = values[wish.label]
        return Segmentation(whole, image.grid, {value: called for called, value in values.items()})

    def _latest(self) -> Job | None:
        return next((job for job in reversed(self.jobs.all()) if job.kind == "learn"), None)


def _training(job: Job) -> dict[str, object]:
    return {"id": job.id, "status": _TRAINING[job.state], "details": [job.text], "seconds": job.seconds}


def _called(session: str) -> str:
    """How an image of a session is called on the bench: no file's name has this form."""
    return f"\0{session}"
