"""Files of MONAI Label's protocol: what is sent to a client, what becomes of its uploads, and images kept for a while."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from starlette.responses import Response

from promisam.app.monai_refusals import NotThere
from promisam.app.monai_uploads import AS_THEY_ARE, Stream, stored
from promisam.core import Image, Segmentation
from promisam.core.errors import InvalidConfig, UnwritableOutput
from promisam.io import Input, atomic_path, find_inputs, read, write
from promisam.io.atomic import full_suffix
from promisam.io.digest import file_digest
from promisam.io.itk_files import write_itk
from promisam.session import Project

ANSWERS = (".nii.gz", ".nii", ".nrrd", ".mha")
_NAME = re.compile(r"\w[\w.-]{0,199}")
BYTES = "application/octet-stream"


def in_parts(params: Mapping[str, object], name: str, content: bytes) -> Response:
    """A `multipart/form-data` answer: `params` as JSON, and a file called `image`."""
    boundary = secrets.token_hex(16)
    head = f"--{boundary}\r\nContent-Disposition: form-data; "
    first = f'{head}name="params"\r\nContent-Type: application/json\r\n\r\n{json.dumps(params)}\r\n'
    second = f'{head}name="image"; filename="{name}"\r\nContent-Type: {BYTES}\r\n\r\n'
    body = first.encode() + second.encode() + content + f"\r\n--{boundary}--\r\n".encode()
    return Response(body, media_type=f"multipart/form-data; boundary={boundary}")


def as_file(name: str, content: bytes) -> Response:
    """A file alone."""
    return Response(content, media_type=BYTES, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def file_name(one: Input) -> str:
    """How an image is called when it is sent: its own file's name, else that of a NIfTI file."""
    stem = re.sub(r"[^A-Za-z0-9_.-]", "_", one.name)
    return f"{stem}{full_suffix(one.path)}" if sent_as_it_is(one) else f"{stem}.nii.gz"


def sent_as_it_is(one: Input) -> bool:
    """Whether an image is one file that viewers read, voxels in the order in which we count them."""
    return len(one.case.images) == 1 and one.path.is_file() and full_suffix(one.path) in AS_THEY_ARE


def image_bytes(project: Project, name: str) -> bytes:
    """An image as it lies there, or, of DICOM folders and channels in files of their own, its first channel as NIfTI."""
    one = project.inputs[name]
    if sent_as_it_is(one):
        return one.path.read_bytes()
    image = project.image(name)
    with _scratch(project) as folder:
        write_itk(folder / "image.nii.gz", _compact(image.pixels[0]), image.grid)
        return (folder / "image.nii.gz").read_bytes()


def mask_bytes(project: Project, segmentation: Segmentation, suffix: str) -> bytes:
    """A label map as a file of that format.

    Raises:
        InvalidConfig: for another format.
    """
    if suffix not in ANSWERS:
        raise InvalidConfig(f"the format {suffix!r}", expected=f"one of {', '.join(ANSWERS)}", do="Ask for one of them.")
    with _scratch(project) as folder:
        return write(folder / f"mask{suffix}", segmentation).read_bytes()


@contextmanager
def uploaded(project: Project, name: str, stream: Stream) -> Iterator[Path]:
    """An upload as a file of the project's own folder, for as long as it is looked at; only the suffix of its name counts.

    Raises:
        UnsupportedFile: for a file of another kind, and for one whose samples would be read from somewhere else.
        InvalidImage: for one of more samples than are taken.
    """
    with _scratch(project) as folder:
        yield stored(folder, name, stream)


def add_image(project: Project, name: str, filename: str, stream: Stream) -> str:
    """Put an upload among the project's images, under a name of its own.

    Raises:
        UnwritableOutput: where a file is not all that an image takes: projects with a table, or with files by channel.
        InvalidConfig: for a name that is taken, or none.
        PromisamError: for what is no image.
    """
    stem = name or filename[: len(filename) - len(full_suffix(filename))]
    folders = {one.path.parent for one in project.inputs.values()}
    plain = all(sent_as_it_is(one) and one.path.name == f"{one.name}{full_suffix(one.path)}" for one in project.inputs.values())
    if len(folders) != 1 or not plain:
        raise UnwritableOutput(
            f"an image for {project.root.name}",
            expected="a folder of images, one file each",
            do="Add it to the data set by hand.",
        )
    if not _NAME.fullmatch(stem):
        raise InvalidConfig(f"the name {stem[:80]!r}", expected="letters, digits, - and _", do="Rename it.")
    if stem in project.inputs:
        raise InvalidConfig(f"the name {stem}, which is taken", expected="a new one", do="Rename it.")
    with uploaded(project, filename, stream) as file:
        read(file)
        target = folders.pop() / f"{stem}{full_suffix(file)}"
        if target.exists():
            raise InvalidConfig(f"the name {target.name}, which is taken", expected="a new one", do="Rename it.")
        with atomic_path(target) as partial:
            shutil.copyfile(file, partial)
    project.inputs = {**project.inputs, **find_inputs([target])}
    return stem


@dataclass
class Kept:
    """An image that is no part of the project, for a while."""

    id: str
    name: str
    image: Image
    expiry: float
    begun: float = field(default_factory=time.time)
    used: float = field(default_factory=time.time)

    def to_json(self) -> dict[str, object]:
        """For the client."""
        return {
            "session_id": self.id,
            "image": self.name,
            "expiry": self.expiry,
            "create_ts": int(self.begun),
            "last_access_ts": int(self.used),
        }


class Sessions:
    """Images that clients uploaded to ask about, in memory: at most so many, each until nobody asked for a while."""

    def __init__(self, most: int = 4, longest: float = 24 * 3600.0) -> None:
        """None yet."""
        self.most, self.longest = most, longest
        self._kept: dict[str, Kept] = {}
        self._lock = threading.Lock()

    def begin(self, project: Project, name: str, stream: Stream, expiry: float) -> tuple[Kept, list[str]]:
        """Keep an image; also answers which others had to go.

        Raises:
            InvalidConfig: for an impossible time.
            PromisamError: for what is no image.
        """
        if not 0 <= expiry <= self.longest:
            raise InvalidConfig(f"an expiry of {expiry:g}", expected=f"0 to {self.longest:g} seconds", do="Choose another.")
        with uploaded(project, name, stream) as file:
            image = read(file)
        made = Kept(secrets.token_hex(16), f"image{full_suffix(name)}", image, expiry or 3600.0)
        with self._lock:
            gone = self._expired()
            while len(self._kept) >= self.most:
                gone.append(self._kept.pop(min(self._kept, key=lambda one: self._kept[one].used)).id)
            self._kept[made.id] = made
        return made, gone

    def get(self, id: str) -> Kept:  # noqa: A002 - the protocol's word
        """A session's image.

        Raises:
            NotThere: when there is none, or no more.
        """
        with self._lock:
            self._expired()
            if id not in self._kept:
                raise NotThere("that session", expected="one that goes on", do="Upload the image again.")
            self._kept[id].used = time.time()
            return self._kept[id]

    def end(self, id: str) -> None:  # noqa: A002
        """Forget an image."""
        with self._lock:
            self._kept.pop(id, None)

    def _expired(self) -> list[str]:
        now = time.time()
        gone = [one.id for one in self._kept.values() if now > one.used + one.expiry]
        for one in gone:
            del self._kept[one]
        return gone


def checksum(one: Input) -> str:
    """Of the bytes that are sent."""
    return f"SHA256:{file_digest(one.path)}"


@contextmanager
def _scratch(project: Project) -> Iterator[Path]:
    folder = project.own / "exchange" / secrets.token_hex(8)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _compact(samples: np.ndarray) -> np.ndarray:
    """In a type that every viewer reads."""
    if samples.dtype.kind == "f":
        return samples.astype(np.float32)
    if samples.dtype.itemsize <= 2 and samples.dtype.kind != "b":
        return np.ascontiguousarray(samples)
    small = np.iinfo(np.int16).min <= samples.min() and samples.max() <= np.iinfo(np.int16).max
    return samples.astype(np.int16 if small else np.int32)
