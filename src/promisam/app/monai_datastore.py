"""The images and masks of a project, as MONAI Label's clients fetch, save and choose them."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import Body
from starlette.responses import Response

from promisam.app import monai_answers as answers
from promisam.app import monai_files as files
from promisam.app.monai_refusals import NotThere
from promisam.app.monai_requests import Params, Upload, json_object, sent_file
from promisam.core import Segmentation
from promisam.core.errors import GridMismatch
from promisam.io.cases import read_on
from promisam.io.preview import COLOURS
from promisam.session import Label, Project, Status

STRATEGIES = {
    "promisam": "Chosen images first, then those whose masks are in doubt, the least trusted first.",
    "first": "The first image that is not done.",
    "random": "Any image that is not done.",
}
_FINAL = "final"


class Datastore:
    """What the addresses below `/datastore/` and `/activelearning/` answer."""

    def __init__(self, project: Project) -> None:
        self.project = project

    def datastore(self, output: Literal["stats", "train", "all"] = "stats") -> object:
        """How much is done; with `output`, which images there are, and which have a mask."""
        if output == "stats":
            return self.stats()
        done = {name: self.project.mask_files(name) for name in self.project.inputs}
        if output == "train":
            pairs = {name: masks[0] for name, masks in done.items() if masks and self.project.status(name).state == "done"}
            return [
                {"image": self._relative(name), "label": str(mask.relative_to(self.project.root))}
                for name, mask in pairs.items()
            ]
        return {
            "name": self.project.root.name,
            "description": "",
            "objects": {
                name: {"image": self._about(name, sealed=False), "labels": {_FINAL: {"info": {}}} if masks else {}}
                for name, masks in done.items()
            },
        }

    def image(self, image: str) -> Response:
        """An image's file."""
        self.known(image)
        return files.as_file(files.file_name(self.project.inputs[image]), files.image_bytes(self.project, image))

    def image_info(self, image: str) -> dict[str, object]:
        """What is known of an image."""
        self.known(image)
        return self._about(image)

    def add_image(self, image: str = "", file: Upload = None, params: Params = "{}") -> dict[str, object]:
        """Another image for the project."""
        json_object(params)
        sent = sent_file(file, "file")
        return {"image": files.add_image(self.project, image, sent.filename or "", sent.file)}

    def label(self, image: str = "", label: str = "", tag: str = _FINAL) -> Response:
        """An image's mask: the finished one, or, with the tag "original", the model's."""
        name = image or label
        self.known(name)
        grid = self.project.image(name).grid
        model = self.project.prediction(name)
        if tag != "original" and self.project.mask_files(name):
            found = Segmentation(self.project.labels_before(name, grid), grid)
        elif tag == "original" and model is not None:
            found = read_on(model, grid)
        else:
            raise NotThere(f"a label of {name} with the tag {tag!r}", expected="one that was saved", do="Save it first.")
        return files.as_file("label.nii.gz", files.mask_bytes(self.project, found, ".nii.gz"))

    def save_label(self, image: str, tag: str = _FINAL, label: Upload = None, params: Params = "{}") -> dict[str, object]:
        """Store a mask: with the tag "final" the image is done, with any other it is in doubt."""
        self.known(image)
        named = _named(json_object(params).get("label_info"))
        sent = sent_file(label, "label")
        grid = self.project.image(image).grid
        with files.uploaded(self.project, sent.filename or "", sent.file) as path:
            try:
                labels = read_on(path, grid).labels
            except GridMismatch as error:
                fault = error.given.partition(": ")[2] or error.given
                raise GridMismatch(
                    f"the label of {image}: {fault}",
                    expected="exactly the image's grid",
                    do="Export it on the image's geometry.",
                ) from None
        present, places = np.unique(labels, return_inverse=True)
        values = self._values([int(value) for value in present if value], named)
        table = np.array([values.get(int(value), 0) for value in present], np.uint8)
        self.project.write_mask(image, table[places.reshape(labels.shape)], grid)
        before = self.project.status(image)
        state: Literal["done", "doubt"] = "done" if tag == _FINAL else "doubt"
        self.project.set_statuses({image: Status(state, "hand", before.confidence, (), before.chosen)})
        return {"image": image, "label": image}

    def next_image(self, strategy: str, said: Annotated[dict[str, Any] | None, Body()] = None) -> dict[str, object]:  # noqa: ARG002
        """The image to go on with; nothing when all are done."""
        if strategy not in STRATEGIES:
            raise NotThere(f"the strategy {strategy!r}", expected=f"one of {', '.join(STRATEGIES)}", do="See /info/.")
        open_ = [name for name in self.project.inputs if self.project.status(name).state != "done"]
        if not open_:
            return {}
        if strategy == "promisam":
            chosen = min(open_, key=self._urgency)
        else:
            chosen = open_[0] if strategy == "first" else random.choice(open_)  # noqa: S311 - nobody has to be surprised
        return {**self._about(chosen), "strategy": {strategy: {"ts": int(time.time())}}}

    def stats(self) -> dict[str, object]:
        """How much is done."""
        states = [self.project.status(name).state for name in self.project.inputs]
        done = states.count("done")
        return {"total": len(states), "completed": done, "label_tags": {_FINAL: done}, "train": []}

    def known(self, name: str) -> None:
        """Refuse a name that no image has."""
        if name not in self.project.inputs:
            raise NotThere(f"the image {name[:200]!r}", expected="one of the project", do="See /datastore/?output=all.")

    # --- within -----------------------------------------------------------------------------------------------------------

    def _values(self, present: list[int], named: Mapping[int, str]) -> dict[int, int]:
        """The project's value of each value in a mask, by its name; labels that are new are added."""
        known = {label.name: label.value for label in self.project.labels}
        own = {label.value: label.name for label in self.project.labels}
        names = {value: named.get(value, own.get(value, f"label {value}")) for value in present}
        values = answers.numbered(list(names.values()), known)
        new = [Label(value, name, _colour(value)) for name, value in values.items() if name not in known]
        if new:
            self.project.set_labels([*self.project.labels, *new])
        return {value: values[name] for value, name in names.items()}

    def _about(self, name: str, *, sealed: bool = True) -> dict[str, object]:
        """What a client is told of an image; a checksum takes reading the file."""
        one = self.project.inputs[name]
        told: dict[str, object] = {"id": name, "name": files.file_name(one), "path": self._relative(name)}
        return {**told, "checksum": files.checksum(one)} if sealed and files.sent_as_it_is(one) else told

    def _relative(self, name: str) -> str:
        """Below the project's folder: a client fetches what it does not find."""
        return self.project.inputs[name].path.relative_to(self.project.root).as_posix()

    def _urgency(self, name: str) -> tuple[float, bool, float]:
        status = self.project.status(name)
        return float(status.chosen or np.inf), status.state != "doubt", 1.0 if status.confidence is None else status.confidence


def _named(told: object) -> dict[int, str]:
    """Names by value, as `label_info` gives them."""
    rows = [row for row in told if isinstance(row, dict)] if isinstance(told, list) else []
    return {
        int(row["idx"]): str(row["name"]).strip()
        for row in rows
        if type(row.get("idx")) is int and str(row.get("name", "")).strip()
    }


def _colour(value: int) -> str:
    return "#{:02x}{:02x}{:02x}".format(*COLOURS[(value - 1) % len(COLOURS)])
