"""A folder of images at work: labels, where each image stands, and where its mask is."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from filelock import BaseFileLock, FileLock, Timeout
from jaxtyping import UInt8

from promisam.core import Grid, Image, Segmentation
from promisam.core.errors import (
    InvalidConfig,
    InvalidImage,
    InvalidSegmentation,
    PromisamError,
    UnreadableFile,
    UnwritableOutput,
)
from promisam.io import Input, atomic_text, find_cases, find_inputs, mask_suffix, mask_suffixes, write
from promisam.io.atomic import full_suffix, writing
from promisam.io.cases import read_labels
from promisam.io.json_file import load_json
from promisam.io.layouts import Case
from promisam.io.preview import COLOURS
from promisam.session.encodings import Encodings
from promisam.session.journal import Journal

Mark = tuple[tuple[str, int, int], ...]
"""Files, with what changes when they are written anew."""
State = Literal["open", "doubt", "done"]
Maker = Literal["hand", "model"]
FORMAT = 1
OWN = ".promisam"  # folder of everything that is no mask
STATE = "annotation.json"
LARGEST = 255  # labels
SAMPLES = 600_000_000  # of an image, all channels together
_IMAGES = 4  # kept in memory
_FLAT = {".png", ".jpg", ".jpeg", ".bmp"}
_MASKS = {"imagestr": "labelsTr"}  # folder of images, in lower case, to that of masks; else masks/
_COLOUR = re.compile(r"#[0-9a-f]{6}")


@dataclass(frozen=True)
class Label:
    """A value of the masks.

    Attributes:
        value: 1..255.
        name: for people.
        colour: "#rrggbb".
    """

    value: int
    name: str
    colour: str

    def __post_init__(self) -> None:
        """Refuse what cannot be written or shown."""
        if not (1 <= self.value <= LARGEST and self.name.strip() and _COLOUR.fullmatch(self.colour)):
            raise InvalidConfig(
                f"the label {self.value} {self.name!r} {self.colour!r}",
                expected=f"a value of 1 to {LARGEST}, a name, and a colour like #56b4e9",
                do="Correct it.",
            )


@dataclass(frozen=True)
class Status:
    """Where an image stands.

    Attributes:
        state: "open", "doubt" (to be looked at again) or "done".
        by: who made the mask here; None without one, and for one that was there before.
        confidence: the Dice that the model expects of its own mask.
        flags: what a person should know of it.
        chosen: rank among those to annotate first.
    """

    state: State = "open"
    by: Maker | None = None
    confidence: float | None = None
    flags: tuple[str, ...] = ()
    chosen: int | None = None


@dataclass
class Project:
    """One folder. Masks go to `masks/` in it (or where its data set has them), everything else to `.promisam/`.

    Attributes:
        root: the folder; nothing outside it is read or written.
        inputs: images by name.
        labels: in order.
    """

    root: Path
    inputs: Mapping[str, Input]
    labels: tuple[Label, ...]
    _statuses: dict[str, Status]
    _masks: Path
    _cases: Mapping[str, Case]
    _classes: Mapping[int, str]
    _absent: Mapping[str, Status] = field(default_factory=dict, repr=False)  # of images that were not opened this time
    _claimed: BaseFileLock | None = field(default=None, repr=False)
    _axes: dict[str, int] = field(default_factory=dict, repr=False)
    _images: Encodings = field(default_factory=lambda: Encodings(_IMAGES), repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    @classmethod
    def open(cls, path: Path) -> Project:
        """A folder of images, a data set in any layout, a DICOM folder, or one file.

        Raises:
            UnreadableFile: when no image is there, or what was kept of the folder is damaged.
        """
        given = path.resolve()
        inputs = find_inputs([given])
        dataset = find_cases(given)
        root = given.parent if given.is_file() or dataset.layout == "a DICOM folder" else given
        for one in inputs.values():
            for file in (*one.case.images, *one.masks):
                _inside(root, file)
        names = {folder.name.lower() for one in inputs.values() for folder in (one.path.parent,)}
        masks = root / next((_MASKS[name] for name in names if name in _MASKS), "masks")
        cases = {case.name: case for case in dataset.cases}
        project = cls(root, inputs, _first_labels(dataset.classes), {}, masks, cases, dict(dataset.classes))
        project._load()
        for name in inputs:
            project.status(name)  # refuses masks that lie elsewhere
        return project

    def claim(self) -> None:
        """Keep other servers off this folder, until this process ends however it ends.

        Raises:
            InvalidConfig: when another one works on it.
            UnwritableOutput: when the folder cannot be written to.
        """
        place = self.own / "lock"
        with writing(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            self._claimed = FileLock(place)
            try:
                self._claimed.acquire(timeout=0)
            except Timeout:
                raise InvalidConfig(
                    f"{self.root}, open in another server", expected="one server a folder", do="Use that one's address."
                ) from None

    @property
    def own(self) -> Path:
        """The folder of what is no mask."""
        return _inside(self.root, self.root / OWN)

    def status(self, name: str) -> Status:
        """Of an image; one with a mask that was there before counts as done."""
        self._known(name)
        with self._lock:
            if name not in self._statuses:
                found = bool(self.mask_files(name))
                self._statuses[name] = Status("done") if found else Status()
            return self._statuses[name]

    def update_statuses(self, names: Iterable[str], change: Callable[[str, Status], Status]) -> None:
        """Note where images stand, from where they stand now; nobody else's note comes between.

        Raises:
            UnwritableOutput: when that fails; then nothing is noted.
        """
        with self._lock:
            self.set_statuses({name: change(name, self.status(name)) for name in names})

    def set_statuses(self, statuses: Mapping[str, Status]) -> None:
        """Note where images stand, on the disk as well.

        Raises:
            UnwritableOutput: when that fails; then nothing is noted.
        """
        for name in statuses:
            self._known(name)
        with self._lock:
            after = {**self._statuses, **statuses}
            self._keep(self.labels, after)
            self._statuses = after

    def set_labels(self, labels: Sequence[Label]) -> None:
        """Other labels.

        Raises:
            InvalidConfig: for none, for values or names that occur twice, and when one is missing that a mask has or may have.
        """
        values, names = [label.value for label in labels], [label.name.strip() for label in labels]
        if not labels or len(set(values)) < len(values) or len(set(names)) < len(names):
            raise InvalidConfig("labels " + ", ".join(names), expected="at least one, each named once", do="Rename one.")
        with self._lock:
            gone = sorted({label.value for label in self.labels} - set(values))
            worked_on = any(self.mask_files(name) or self.drafted(name) for name in self.inputs)
            if gone and worked_on:
                raise InvalidConfig(
                    f"labels without {gone[0]}", expected="all that masks may hold", do="Rename it instead of removing it."
                )
            self._keep(labels, self._statuses)
            self.labels = tuple(labels)

    def image(self, name: str) -> Image:
        """The image, read once while it is of use.

        Raises:
            PromisamError: for one that cannot be read, or that is too large to be annotated.
        """
        return self._images.get(name, lambda: self.glance(name))  # type: ignore[no-any-return]

    def glance(self, name: str) -> Image:
        """The image, not kept: those at work are not to leave for it."""
        for file in self._known(name).case.images:
            _inside(self.root, file)  # it may have become a link since
        image = self.inputs[name].read()
        if image.pixels.size > SAMPLES:
            raise InvalidImage(
                f"{name} with {image.pixels.size:,} samples",
                expected=f"at most {SAMPLES:,}",
                do="Crop it, or take it in parts.",
            )
        self._axes[name] = image.grid.ndim
        return image

    def ndim(self, name: str) -> int | None:
        """2 for a picture, 3 for a volume; None where that is not known before the file is read."""
        suffix = full_suffix(self._known(name).path)
        return self._axes.get(name, 2 if suffix in _FLAT else None)

    def next_after(self, name: str) -> str | None:
        """The image to go on with: chosen ones first, then by order, those after this one before those ahead of it."""
        names = list(self.inputs)
        place = names.index(name) if name in names else -1
        waiting = [n for n in (*names[place + 1 :], *names[: max(0, place)]) if self.status(n).state != "done"]
        return min(waiting, key=lambda n: self.status(n).chosen or len(names) + 1, default=None)

    def mask_files(self, name: str) -> tuple[Path, ...]:
        """What holds an image's finished mask: the data set's files, or our own."""
        one = self._known(name)
        if one.masks:
            return one.masks
        places = (self._masks / f"{name}{suffix}" for suffix in mask_suffixes(one.path))
        return tuple(_inside(self.root, place) for place in places if place.is_file())[:1]

    def labels_before(self, name: str, grid: Grid) -> UInt8[np.ndarray, "*grid"]:
        """The label map to begin with: the finished mask, or the model's, or nothing.

        Raises:
            InvalidSegmentation: for more labels than can be shown.
            GridMismatch: for a mask that lies elsewhere.
        """
        model = self.prediction(name)
        files = self.mask_files(name) or (() if model is None else (model,))
        if not files:
            return np.zeros(grid.shape, np.uint8)
        values = self._cases[name].values if name in self._cases and files == self._cases[name].masks else ()
        found = read_labels(Case(name, (), files, values=values), grid, self._classes if values else {})
        if int(found.labels.max()) > LARGEST:
            raise InvalidSegmentation(
                f"{files[0]} with labels up to {found.labels.max()}",
                expected=f"labels up to {LARGEST}",
                do="Instances by the hundred are not for this page.",
            )
        with self._lock:
            known = {label.value for label in self.labels}
            new = [value for value in found.values if value not in known]
            if new:
                self.set_labels((*self.labels, *(Label(v, found.name(v), _colour(v)) for v in new)))
        return found.labels.astype(np.uint8)

    def mark(self, name: str) -> Mark:
        """Of an image's finished mask: another one as soon as anything was written there; empty without a mask."""
        return tuple((str(file), file.stat().st_ino, file.stat().st_mtime_ns) for file in self.mask_files(name))

    def write_mask(self, name: str, labels: UInt8[np.ndarray, "*grid"], grid: Grid, seen: Mark | None = None) -> Path:
        """Store a finished mask on exactly the image's grid.

        What another program had made is kept in `.promisam/before/`: what was there before the first of ours, and what was
        written since `seen`, the mark of what the new mask was drawn over.

        Raises:
            UnwritableOutput: when the data set has this image's classes in several files, and when the system refuses.
        """
        files = self.mask_files(name)
        if len(files) > 1:
            raise UnwritableOutput(
                f"the mask of {name}, which its data set keeps in {len(files)} files",
                expected="one file, into which all labels fit",
                do="Join them first, or annotate a folder of the images alone.",
            )
        target = files[0] if files else self._masks / f"{name}{mask_suffix(self.inputs[name].path, grid)}"
        _inside(self.root, target)
        if files and (name not in self._made() or (seen is not None and self.mark(name) != seen)):
            _copied(target, _inside(self.root, self.own / "before" / target.relative_to(self.root)))
        write(target, Segmentation(labels, grid, {label.value: label.name for label in self.labels}), source=None)
        return target

    def prediction(self, name: str) -> Path | None:
        """The model's mask of an image that no person has finished."""
        places = (self.predictions / f"{name}{suffix}" for suffix in mask_suffixes(self._known(name).path))
        return next((_inside(self.root, place) for place in places if place.is_file()), None)

    def drafted(self, name: str) -> bool:
        """Whether something was drawn on an image that is not in a mask yet."""
        self._known(name)
        return self._draft(name).exists()

    @property
    def predictions(self) -> Path:
        """Where a model's masks go."""
        return self.own / "predictions"

    def journal(self, name: str, grid: Grid) -> Journal:
        """Where unfinished drawings are kept."""
        return Journal(self._draft(name), grid)

    def table(self, path: Path) -> int:
        """Write what is done as a data set to learn from; how many images that are.

        Raises:
            InvalidConfig: when nothing is done, and for a path that a table cannot hold.
        """
        rows = [(n, self.inputs[n].case.images, self.mask_files(n)) for n in self.inputs if self.status(n).state == "done"]
        rows = [row for row in rows if row[2]]
        if not rows:
            raise InvalidConfig("no image that is done", expected="at least one", do="Segment some first, and save them.")

        def relative(files: Sequence[Path]) -> str:
            found = [os.path.relpath(file.resolve(), path.parent.resolve()) for file in files]
            if any(";" in file for file in found):
                raise InvalidConfig(f"the path {found[0]}", expected="one without semicolons", do="Rename it.")
            return ";".join(found)

        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("name", "image", "mask"))
        writer.writerows((name, relative(images), relative(masks)) for name, images, masks in rows)
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_text(path.parent / "classes.json", json.dumps({str(la.value): la.name for la in self.labels}))
        atomic_text(path, text.getvalue())
        return len(rows)

    def _known(self, name: str) -> Input:
        if name not in self.inputs:
            raise UnreadableFile(f"the image {name!r}", expected="one of this folder", do="Choose it from the list.")
        return self.inputs[name]

    def _draft(self, name: str) -> Path:
        return _inside(self.root, self.own / "drafts" / f"{name}.jsonl")

    def _made(self) -> set[str]:
        with self._lock:
            return {name for name, status in self._statuses.items() if status.by is not None}

    def _keep(self, labels: Sequence[Label], statuses: Mapping[str, Status]) -> None:
        kept = {
            "format": FORMAT,
            "labels": [asdict(label) for label in labels],
            "images": {name: asdict(status) for name, status in {**self._absent, **statuses}.items()},
        }
        atomic_text(self.own / STATE, json.dumps(kept, indent=1, ensure_ascii=False, allow_nan=False))

    def _load(self) -> None:
        file = self.own / STATE
        if not file.is_file():
            return
        try:
            kept = load_json(file)
            if kept["format"] != FORMAT:
                raise ValueError(f"format {kept['format']}")
            self.labels = tuple(Label(**label) for label in kept["labels"])
            found = {name: Status(**{**one, "flags": tuple(one["flags"])}) for name, one in kept["images"].items()}
            self._statuses = {name: status for name, status in found.items() if name in self.inputs}
            self._absent = {name: status for name, status in found.items() if name not in self.inputs}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, PromisamError) as error:
            raise UnreadableFile(
                f"{file} ({error})", expected="what promisam wrote there", do="Move it away: masks and drafts are kept."
            ) from error


def _first_labels(classes: Mapping[int, str]) -> tuple[Label, ...]:
    named = {value: name for value, name in classes.items() if 1 <= value <= LARGEST} or {1: "object"}
    return tuple(Label(value, name, _colour(value)) for value, name in sorted(named.items()))


def _colour(value: int) -> str:
    return "#{:02x}{:02x}{:02x}".format(*COLOURS[(value - 1) % len(COLOURS)])


def _copied(file: Path, place: Path) -> None:
    """Keep a file under a name that is not taken."""
    free, number = place, 0
    while free.exists():
        number += 1
        free = place.with_name(f"{place.name.partition('.')[0]}-{number}{full_suffix(place)}")
    free.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(file, free)


def _inside(root: Path, file: Path) -> Path:
    """The path, if it lies in the folder also after every link."""
    if not file.resolve().is_relative_to(root.resolve()):
        raise UnreadableFile(f"{file}, which leads out of {root}", expected="files inside it", do="Open the folder above.")
    return file
