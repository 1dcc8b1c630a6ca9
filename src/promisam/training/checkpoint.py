"""Checkpoints: a method's own tensors with all that is needed to use them, and the state from which training goes on."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from promisam.core import Task
from promisam.core.errors import PromisamError, WeightsError
from promisam.sam.checkpoint import check_fit
from promisam.sam.disk import tensor_file

FORMAT = "1"
MODEL, STATE = "model.safetensors", "resume.pt"  # names in a run folder
_KEY = "promisam"


@dataclass(frozen=True)
class Backbone:
    """The frozen SAM that a method was trained on.

    Attributes:
        name: of the weights in the catalogue, or of their file.
        fingerprint: of all its tensors (`promisam.sam.model.fingerprint`).
        like: the known weights that a file was said to be like; empty for known ones.
        side: pixels of its frame.
    """

    name: str
    fingerprint: str
    like: str = ""
    side: int = 0


@dataclass(frozen=True)
class Header:
    """What a checkpoint says of itself.

    Attributes:
        method: a name in `METHODS`, or "package.module:Class".
        options: the method's `Config`.
        task: what it learned.
        backbone: the SAM below it; None for a method without one.
        version: of promisam.
        facts: anything else worth knowing, such as the validation score.
    """

    method: str
    options: Mapping[str, Any]
    task: Task
    backbone: Backbone | None
    version: str
    facts: Mapping[str, Any] = field(default_factory=dict)


def write_checkpoint(path: Path, network: nn.Module, header: Header) -> None:
    """Store a network's tensors and what they belong to: written beside, flushed, renamed.

    Raises:
        UnwritableOutput: when the operating system refuses; an older file is then left as it was.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    text = json.dumps({"format": FORMAT, **asdict(header)}, sort_keys=True)
    with tensor_file(path) as partial:
        save_file(state, partial, metadata={_KEY: text})


def read_header(path: Path) -> Header:
    """What a checkpoint says of itself, without reading its tensors.

    Raises:
        WeightsError: for a file that is no checkpoint of a method, or of a newer format.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_KEY)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise WeightsError(
            f"{path} ({str(error).splitlines()[0][:160]})", expected="a checkpoint of a trained method", do="Check the path."
        ) from None
    if text is None:
        raise WeightsError(
            f"{path}, safetensors without a method's header",
            expected="a checkpoint that `promisam fit` wrote",
            do="Weights of a SAM are given as --weights.",
        )
    try:
        content = json.loads(text)
        if content.pop("format") != FORMAT:
            raise WeightsError(f"{path} of another format", expected=f"format {FORMAT}", do="Use a newer version of promisam.")
        return _header(content)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, PromisamError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(
            f"{path}, whose header is damaged ({type(error).__name__}: {error})",
            expected="a checkpoint that `promisam fit` wrote",
            do="Train again, or copy it again.",
        ) from None


def _header(content: dict[str, Any]) -> Header:
    task: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in content.pop("task").items()}
    backbone = content.pop("backbone")
    found = Header(**content, task=Task(**task), backbone=None if backbone is None else Backbone(**backbone))
    for mapping in (found.options, found.facts):
        if not isinstance(mapping, Mapping):
            raise TypeError(f"{mapping!r} in place of options by name")
    texts = [found.method, found.version, *found.task.classes]
    texts += [] if found.backbone is None else [found.backbone.name, found.backbone.fingerprint, found.backbone.like]
    whole = [
        found.task.ndim,
        found.task.channels,
        *found.task.shape,
        *([] if found.backbone is None else [found.backbone.side]),
    ]
    if not all(isinstance(one, str) for one in texts) or not all(type(one) is int for one in whole):
        raise TypeError("text and whole numbers are mixed up")
    if not all(isinstance(one, int | float) and 0 < one < math.inf for one in found.task.spacing) or min(found.task.shape) < 1:
        raise ValueError(f"a spacing of {found.task.spacing} and {found.task.shape} samples")
    return found


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of a checkpoint's tensors, by name.

    Raises:
        WeightsError: for a file that cannot be read.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{path} ({error})", expected="a complete checkpoint", do="Make or copy it again.") from None


def read_into(path: Path, network: nn.Module) -> None:
    """Copy a checkpoint's tensors into a network's own, every one in its place and none left over.

    Raises:
        WeightsError: naming what is missing, unexpected or of another shape.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            state: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{path} ({error})", expected="a complete checkpoint", do="Train again, or copy it again.") from None
    check_fit(network, state)
    network.load_state_dict(state)


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Store where training stands; an older file stays whole until the new one is.

    Raises:
        UnwritableOutput: when the operating system refuses.
    """
    with tensor_file(path) as partial:
        torch.save(dict(state), partial)


def read_state(path: Path) -> dict[str, Any]:
    """Where training stood.

    Raises:
        WeightsError: when there is nothing, or it is damaged.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on odd files; what matters is raised
            state = torch.load(path, map_location="cpu", weights_only=True)
        missing = {"network", "optimizer", "precision", "standing", "belongs_to"} - set(state)
        if missing:
            raise ValueError(f"without {', '.join(sorted(missing))}")
    except Exception as error:  # the reader raises whatever it meets in damaged data
        reason = f"{error} ".splitlines()[0][:160].strip()
        raise WeightsError(
            f"{path} ({reason})", expected="the state of a run that was interrupted", do="Begin the run anew."
        ) from None
    return dict(state)
