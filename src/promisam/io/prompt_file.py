"""Prompts in a JSON file.

    {
      "coordinates": "voxel",
      "objects": [
        {
          "label": "liver",
          "points": [{"at": [120, 88, 40]}, {"at": [10, 12, 40], "positive": false}],
          "box": [100, 60, 30, 180, 140, 52],
          "mask": "rough/liver.nii.gz"
        }
      ]
    }

`coordinates` is "voxel" (the default: sample indices from 0, in x, y[, z] order, as viewers show them) or "world" (patient
millimetres, LPS+, always three). Every object has at least one of `points`, `box` and `mask`. `box` is x0, y0[, z0], x1, y1
[, z1]: its lowest and highest sample, both included. `positive` is true unless it says false. `mask` is a file, its path
relative to the JSON file, on the image's own grid. An unknown key is an error.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from promisam.core.errors import InvalidPrompt, PromisamError, UnreadableFile
from promisam.core.grid import Grid
from promisam.core.prompts import Prompts
from promisam.core.segmentation import Segmentation
from promisam.io.atomic import atomic_text
from promisam.io.coordinates import to_xyz, to_zyx
from promisam.io.json_file import load_json
from promisam.io.reading import flattened, read_segmentation
from promisam.io.writing import write


@dataclass(frozen=True)
class NamedPrompts:
    """The prompts of one object and the name that its label shall have."""

    name: str
    prompts: Prompts


def read_prompts(path: str | Path, grid: Grid) -> list[NamedPrompts]:
    """Prompts for an image on `grid`, in array order, one entry per object.

    Raises:
        UnreadableFile: when the file is missing or no JSON.
        InvalidPrompt: for unknown keys, text in place of numbers, and prompts off the image; the message names the object.
        GridMismatch: for a mask on another grid.
    """
    path = Path(path)
    content = _keys(_load(path), {"coordinates", "objects"}, f"the prompt file {path}")
    system = content.get("coordinates", "voxel")
    if system not in ("voxel", "world"):
        raise InvalidPrompt(f"{path}: coordinates {system!r}", expected='"voxel" or "world"', do="Correct it.")
    objects = content.get("objects")
    if not isinstance(objects, list) or not objects:
        raise InvalidPrompt(f"{path} with no list of objects", expected='"objects": [...], at least one', do="Add an object.")
    reader = _Reader(path.parent, grid, world=system == "world")
    named: list[NamedPrompts] = []
    for number, entry in enumerate(objects, 1):
        try:
            named.append(reader.read(entry, number))
        except PromisamError as error:
            given = f"{path}, object {number}: {error.given}"
            raise type(error)(given, expected=error.expected, do=error.do) from error
    return named


def aimed(objects: Sequence[NamedPrompts], classes: Sequence[str]) -> list[NamedPrompts]:
    """Prompts whose name is a class that a method learned mean that class."""
    return [replace(o, prompts=replace(o.prompts, target=o.name)) if o.name in classes else o for o in objects]


def write_prompts(path: str | Path, objects: Sequence[NamedPrompts], *, world: bool = False) -> Path:
    """Write a file that `read_prompts` reads back to the same prompts; masks become files beside it.

    Args:
        path: the JSON file; masks are called `<stem>_mask<number>` with the suffix .nii.gz, or .png for pictures in pixels.
        objects: what to write.
        world: whether to write patient millimetres in place of sample indices.

    Raises:
        UnwritableOutput: when the operating system refuses.
    """
    path = Path(path)
    entries = [_entry(path, number, one, world) for number, one in enumerate(objects, 1)]
    content = {"coordinates": "world" if world else "voxel", "objects": entries}
    return atomic_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


_OF_AN_OBJECT = {"label", "points", "box", "mask"}


@dataclass(frozen=True)
class _Reader:
    folder: Path
    grid: Grid
    world: bool

    def read(self, entry: object, number: int) -> NamedPrompts:
        """One object of the list."""
        fields = _keys(entry, _OF_AN_OBJECT, "an object")
        name = fields.get("label", f"object {number}")
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise InvalidPrompt(f"label {name!r}", expected="a name in quotes", do="Name the object.")
        prompts = Prompts(self.grid)
        points = fields.get("points", [])
        if not isinstance(points, list):
            raise InvalidPrompt(f"points {points!r}", expected='a list of {"at": [x, y, z]}', do="Put them in brackets.")
        for point in points:
            prompts = self._click(prompts, point)
        if "box" in fields:
            prompts = self._box(prompts, fields["box"])
        if "mask" in fields:
            prompts = self._mask(prompts, fields["mask"])
        if not prompts.kinds:
            raise InvalidPrompt("no prompt", expected="points, box or mask", do="Say where the object is.")
        return NamedPrompts(name, prompts)

    def _click(self, prompts: Prompts, point: object) -> Prompts:
        fields = _keys(point, {"at", "positive"}, "a point")
        positive = fields.get("positive", True)
        if not isinstance(positive, bool):
            raise InvalidPrompt(f"positive: {positive!r}", expected="true or false", do="Write it without quotes.")
        at = to_zyx(self.grid, [_numbers(fields.get("at"), "at")], world=self.world)[0]
        return prompts.click(at.tolist(), positive)

    def _box(self, prompts: Prompts, box: object) -> Prompts:
        values = _numbers(box, "box")
        half = len(values) // 2
        if len(values) % 2 or half not in (2, 3):
            raise InvalidPrompt(
                f"a box of {len(values)} numbers", expected="x0,y0,x1,y1 or x0,y0,z0,x1,y1,z1", do="Give two corners."
            )
        corners = to_zyx(self.grid, [values[:half], values[half:]], world=self.world)
        low, high = np.sort(corners, axis=0) if self.world else corners  # an index axis may run against its world axis
        return prompts.with_box(low.tolist(), high.tolist())

    def _mask(self, prompts: Prompts, name: object) -> Prompts:
        if not isinstance(name, str) or not name.isprintable():
            raise InvalidPrompt(f"mask {name!r}", expected="the name of a file", do="Give a path relative to this file.")
        mask = flattened(read_segmentation(self.folder / name), self.grid)
        if len(mask.values) > 1:
            raise InvalidPrompt(
                f"mask {name!r} with the labels {', '.join(str(v) for v in mask.values)}",
                expected="one label, since an object has one mask",
                do="Write each label to a file of its own.",
            )
        return prompts.with_mask(mask.mask(), mask.grid)


def _entry(path: Path, number: int, one: NamedPrompts, world: bool) -> dict[str, Any]:
    prompts = one.prompts
    entry: dict[str, Any] = {"label": one.name}
    if len(prompts.points_zyx):
        at = to_xyz(prompts.grid, prompts.points_zyx, world=world).tolist()
        entry["points"] = [{"at": p, "positive": bool(label)} for p, label in zip(at, prompts.labels, strict=True)]
    if prompts.box_zyx is not None:
        entry["box"] = to_xyz(prompts.grid, prompts.box_zyx, world=world).ravel().tolist()
    if prompts.mask is not None:
        picture = prompts.grid.ndim == 2 and prompts.grid.unit == "px"
        name = f"{path.stem}_mask{number}{'.png' if picture else '.nii.gz'}"
        write(path.parent / name, Segmentation(prompts.mask.astype(np.uint8), prompts.grid))
        entry["mask"] = name
    return entry


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of a JSON file, whose keys must differ: the last of two equal ones would win unseen."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for i, (key, _) in enumerate(pairs) if key in {k for k, _ in pairs[:i]})
        raise InvalidPrompt(f"the key {twice!r} twice in one object", expected="every key once", do="Make two objects of it.")
    return found


def _load(path: Path) -> object:
    try:
        return load_json(path, pairs=_once)
    except OSError as error:
        raise UnreadableFile(f"{path} ({error.strerror})", expected="a prompt file (JSON)", do="Check the path.") from error
    except ValueError as error:
        raise UnreadableFile(
            f"{path}, which is no JSON ({error})", expected="a prompt file", do="Correct its syntax."
        ) from error


def _keys(value: object, known: Collection[str], what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidPrompt(f"{what} {value!r}", expected=f"{{...}} with {', '.join(sorted(known))}", do="Use braces.")
    for key in value:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            misplaced = "Put it into an object of `objects`." if key in _OF_AN_OBJECT else "Remove it."
            do = f"Did you mean {near[0]!r}?" if near else misplaced
            raise InvalidPrompt(f"the unknown key {key!r} in {what}", expected=", ".join(sorted(known)), do=do)
    return value


def _numbers(value: object, what: str) -> list[float]:
    if not isinstance(value, list) or any(isinstance(v, bool) or not isinstance(v, int | float) for v in value):
        raise InvalidPrompt(f"{what}: {value!r}", expected="a list of numbers", do="Write them without quotes: [120, 88, 40].")
    try:
        return [float(v) for v in value]
    except OverflowError:
        raise InvalidPrompt(f"{what} with a number too large", expected="voxel indices or mm", do="Correct it.") from None
