"""`run.json`: everything that a run was made from, so that anyone can see it and make it again."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from promisam import __version__
from promisam.core.errors import UnreadableFile
from promisam.io import ExampleSet, atomic_text
from promisam.io.json_file import load_json

NAME = "run.json"
_PACKAGES = ("torch", "numpy", "lightning-fabric", "monai", "SimpleITK", "pydicom", "pillow", "scikit-image", "safetensors")


@dataclass(frozen=True)
class DataRecord:
    """Which data, how they were read, and which part each case is in.

    Attributes:
        path: of the data set.
        layout: in words.
        labels: values that were chosen; empty for all.
        group_by: the expression that found groups in names; empty without one.
        classes: names of the labels 1..n.
        split: names of the cases by part: train, val, test.
        how: how the split was made.
        warnings: what to know about it.
        content: fingerprint by case of files, labels and their meaning.
        images: fingerprint by case of the image's files alone; empty in older records, like the two below.
        groups: group by case, where there is one.
        channels: names of the images' channels, where the data set names them.
        unlabelled: images that were looked at without labels: fingerprint by path of the first file.
        unread: why others could not be read, by path.
    """

    path: str
    layout: str
    labels: tuple[int, ...]
    group_by: str
    classes: tuple[str, ...]
    split: Mapping[str, tuple[str, ...]]
    how: str
    warnings: tuple[str, ...]
    content: Mapping[str, str]
    images: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    channels: tuple[str, ...] = ()
    unlabelled: Mapping[str, str] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, path: Path, data: ExampleSet, group_by: str | None, how: str, **parts: tuple[str, ...]) -> DataRecord:
        """Of a data set as it was opened.

        Args:
            path: of it.
            data: what was found there.
            group_by: the expression that groups were found by.
            how: it was divided.
            parts: names of the cases, by part.
        """
        return cls(
            path=str(path.resolve()),
            layout=data.dataset.layout,
            labels=data.labels,
            group_by=group_by or "",
            classes=data.classes,
            split=parts,
            how=how,
            warnings=(),
            content={example.name: example.content for example in data.examples},
            images={example.name: example.image for example in data.examples},
            groups={example.name: example.group for example in data.examples if example.group},
            channels=data.dataset.channels,
        )


@dataclass(frozen=True)
class RunRecord:
    """All choices of a run, resolved.

    Attributes:
        command: as it was typed; empty from Python.
        method: its name.
        options: all options of the method.
        training: all options of training.
        task: what is learned.
        backbone: the frozen SAM; None without one.
        data: what it learns from.
        device: where.
        processes: how many.
        versions: of promisam, Python and what matters below.
        commit: of promisam's source, where it is a git checkout.
        result: best score and step, once there is one.
    """

    command: tuple[str, ...]
    method: str
    options: Mapping[str, Any]
    training: Mapping[str, Any]
    task: Mapping[str, Any]
    backbone: Mapping[str, Any] | None
    data: DataRecord
    device: str
    processes: int
    versions: Mapping[str, str]
    commit: str | None
    result: Mapping[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Store it in a run folder, whole or not at all."""
        atomic_text(folder / NAME, json.dumps({"format": 1, **asdict(self)}, indent=1, ensure_ascii=False) + "\n")


def read_record(folder: Path) -> RunRecord:
    """What a run folder says of itself.

    Raises:
        UnreadableFile: when there is no such file, or it is damaged.
    """
    path = folder / NAME
    try:
        content = load_json(path)
        data = content.pop("data")
        content.pop("format")
        split = {part: tuple(names) for part, names in data.pop("split").items()}
        lists: dict[str, Any] = {name: tuple(data.pop(name)) for name in ("labels", "classes", "warnings")}
        lists["channels"] = tuple(data.pop("channels", ()))
        content["command"] = tuple(content["command"])
        return _checked(RunRecord(data=DataRecord(split=split, **lists, **data), **content))
    except OSError as error:
        raise UnreadableFile(
            f"{path} ({error.strerror})", expected="a run folder that `promisam fit` made", do="Check the path."
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableFile(f"{path} ({error})", expected="a record of a run", do="Make the run again.") from None


def _checked(record: RunRecord) -> RunRecord:
    """The record, if its parts are of their kinds."""
    data = record.data
    tables = {"content": data.content, "images": data.images, "groups": data.groups, "unlabelled": data.unlabelled}
    tables["unread"] = data.unread
    names = {"classes": data.classes, "channels": data.channels, "warnings": data.warnings, "command": record.command}
    names |= {f"split {part}": listed for part, listed in data.split.items()}
    wrong = [name for name, table in tables.items() if not _texts(table, dict) or not _texts(list(table.values()), list)]
    wrong += [name for name, listed in names.items() if not _texts(listed, tuple)]
    wrong += [name for name in ("path", "layout", "group_by", "how") if not isinstance(getattr(data, name), str)]
    wrong += [name for name in ("method", "device") if not isinstance(getattr(record, name), str)]
    wrong += [name for name in ("options", "training", "task", "versions", "result") if not _texts(getattr(record, name), dict)]
    if not (record.backbone is None or _texts(record.backbone, dict)):
        wrong.append("backbone")
    if wrong or not all(type(label) is int for label in data.labels):
        raise ValueError(f"with something else as {(wrong or ['labels'])[0]}")
    return record


def _texts(value: object, kind: type[dict] | type[list] | type[tuple]) -> bool:
    return isinstance(value, kind) and all(isinstance(one, str) for one in value)


def record_beside(checkpoint: Path) -> RunRecord | None:
    """The record of the run that a checkpoint lies in; None for imported weights, which have none.

    Raises:
        UnreadableFile: for a damaged record.
    """
    return read_record(checkpoint.parent) if (checkpoint.parent / NAME).exists() else None


def versions() -> dict[str, str]:
    """Of promisam, Python and the packages that results depend on."""
    found = {"promisam": __version__, "python": platform.python_version(), "system": platform.platform()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str | None:
    """The commit of promisam's own source, with a mark when files differ from it; None where it is installed otherwise."""
    home = Path(__file__).resolve().parent
    try:
        revision = _git(home, "rev-parse", "HEAD")
        changed = _git(home, "status", "--porcelain", "--untracked-files=no", "--", str(home.parent))
    except (OSError, subprocess.SubprocessError):
        return None
    return revision + (" with changes" if changed else "")


def _git(home: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(home), *arguments], capture_output=True, text=True, check=True, timeout=10)  # noqa: S603, S607
    return done.stdout.strip()
