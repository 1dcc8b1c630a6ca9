"""Trained methods: made to be trained, and opened from a run folder or a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from promisam import __version__
from promisam.core import Task
from promisam.core.errors import InvalidConfig, WeightsError
from promisam.store.backbone import Source, choose_device
from promisam.store.kinds import check_options, find_method, is_few_shot, is_trainable, uses_sam
from promisam.training.checkpoint import MODEL, Backbone, Header, read_header, read_into, read_shapes
from promisam.training.contract import FewShot, Trainable

SAM = "sam.safetensors"  # beside a checkpoint that stands on a SAM of its own


def checkpoint_of(method: str | Path) -> Path | None:
    """The checkpoint of a run folder, or the checkpoint itself; None for what names a method.

    Raises:
        WeightsError: for a folder without a checkpoint.
    """
    path = Path(method)
    if path.is_dir():
        if not (path / MODEL).is_file():
            raise WeightsError(
                f"the folder {path} without {MODEL}",
                expected="a run folder that `promisam fit` made",
                do="Check the path, or go on with the run: promisam fit --resume.",
            )
        return path / MODEL
    return path if path.is_file() else None


def create(method: str, task: Task, source: Source, config: Mapping[str, object], seed: int = 0) -> tuple[Any, Header]:
    """A method that is to learn, and what its checkpoint says of it.

    Args:
        method: a name in `METHODS`, or "package.module:Class".
        task: what it is to learn.
        source: of the SAM, if the method stands on one.
        config: options of the method.
        seed: of a network's first weights.

    Returns:
        A `Trainable` with a new network on its device, or a `FewShot` that remembers nothing yet.

    Raises:
        InvalidConfig: for an unknown method or option, or a method that does not learn.
    """
    kind, config_type = find_method(method)
    if not (is_trainable(kind) or is_few_shot(kind)):
        raise InvalidConfig(f"the method {method}, which does not learn", expected="one that learns", do="Use it as it is.")
    options = check_options(config_type, config)
    sam, backbone = source.sam() if uses_sam(kind) else (None, None)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        found: Trainable | FewShot = kind(sam, options, task)
    if is_trainable(kind):
        found.network.to(choose_device(source.device))
    return found, Header(method, options.model_dump(mode="json"), task, backbone, __version__)


def open_trained(path: Path, source: Source, config: Mapping[str, object]) -> Trainable | FewShot:
    """The method in a checkpoint, on the SAM that it was made on.

    Args:
        path: of the checkpoint.
        source: where the SAM is, if not where the checkpoint says; it must be the very same SAM.
        config: options in place of those that it was trained with; those that shape the network cannot change.

    Raises:
        WeightsError: for a damaged checkpoint, or another SAM, naming both fingerprints.
        InvalidConfig: for an unknown option.
    """
    header = read_header(path)
    kind, config_type = find_method(header.method)
    options = check_options(config_type, {**header.options, **config})
    sam: Any = None
    if header.backbone is not None:
        sam, given = _same(header.backbone, source, path.parent).sam()
        if given.fingerprint != header.backbone.fingerprint:
            raise WeightsError(
                f"{path}, trained on {header.backbone.name} (fingerprint {header.backbone.fingerprint[:12]}), "
                f"with {given.name} (fingerprint {given.fingerprint[:12]})",
                expected="the very same SAM",
                do=f"Give --weights {header.backbone.name}, or train on {given.name}.",
            )
    with torch.random.fork_rng():
        found: Any = kind(sam, options, header.task)
    if is_few_shot(kind):
        found.make_room(read_shapes(path))
    found.network.to(choose_device(source.device))
    read_into(path, found.network)
    found.network.eval()
    opened: Trainable | FewShot = found
    return opened


def _same(backbone: Backbone, source: Source, folder: Path) -> Source:
    """The source, with what it leaves open taken from the checkpoint; a SAM may lie in the folder beside it."""
    beside = folder / backbone.name
    named = beside if backbone.name == SAM and beside.is_file() else backbone.name
    return replace(
        source,
        weights=named if source.weights is None else source.weights,
        like=source.like or (backbone.like or None if source.weights is None else None),
        side=source.side or backbone.side or None,
    )
