"""Weights that a method's authors released, made a checkpoint of ours."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from promisam import __version__, zoo
from promisam.core import Task
from promisam.core.errors import InvalidConfig, PromisamError, UnwritableOutput, WeightsError
from promisam.io.digest import file_digest
from promisam.sam.checkpoint import fit, read_state, sam_from_state, write_state
from promisam.sam.model import Sam, Traits, fingerprint
from promisam.store.backbone import Source
from promisam.store.kinds import check_options, find_method
from promisam.store.trained import SAM
from promisam.training.checkpoint import MODEL, Backbone, Header, write_checkpoint
from promisam.training.contract import Released

_PARTS = ("image_encoder.", "prompt_encoder.", "mask_decoder.")


def import_released(
    method: str,
    file: Path,
    out: Path,
    classes: Sequence[str] = ("object",),
    source: Source | None = None,
    trained_on: str | None = None,
) -> Header:
    """Turn a released file into a folder that is used like a run.

    The file holds a whole SAM beside the method's own tensors, or parts of one; the rest is then that of `source`, by default
    of the known weights that the release began with. Where that SAM is, tensor for tensor, the one that `source` names or the
    installed one, the checkpoint refers to it; else it is stored beside it.

    Args:
        method: a name in `METHODS` whose authors released weights.
        file: as released; nothing in it is executed.
        out: the folder to write.
        classes: what it segments.
        source: of the SAM, if it is known where that is.
        trained_on: the data set that it was trained on, for a method whose files differ by it and do not tell.

    Returns:
        What the new checkpoint says of itself.

    Raises:
        InvalidConfig: for a method without released weights, classes that do not fit them, or a data set that is missing,
            unknown, or that the method has no use for.
        WeightsError: for a file that is not the method's, or a `source` with another SAM, naming both fingerprints.
        UnwritableOutput: when the folder holds something already.
    """
    kind, config_type = find_method(method)
    released = getattr(kind, "released", None)
    if released is None:
        raise InvalidConfig(
            f"released weights of the method {method}", expected="a method whose authors released some", do="Try promise2d."
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UnwritableOutput(f"{out}, in which there is something", expected="a new folder", do="Choose another name.")
    found: Released = released(read_state(file), *_data(method, getattr(kind, "releases", ()), trained_on))
    known = zoo.entry(found.like)
    traits = Traits(found.like, known.scaling, known.prompts, multimask=known.multimask)
    sam = sam_from_state(_whole(found, source), traits)
    backbone, installed = _installed(sam, found, source)
    options = check_options(config_type, found.options)
    axes = kind.ndim
    task = Task(tuple(classes), axes, 3 if axes == 2 else 1, (1.0,) * axes, (sam.side,) * axes)
    trained: Any = kind(sam, options, task)
    fit(trained.network, found.own)
    if not installed:
        write_state(out / SAM, sam.state_dict())
    facts = {"imported": file.name, "sha256": file_digest(file)}
    header = Header(method, options.model_dump(mode="json"), task, backbone, __version__, facts)
    write_checkpoint(out / MODEL, trained.network, header)
    return header


def _data(method: str, known: Sequence[str], given: str | None) -> list[str]:
    """What `released` asks for beside the file."""
    if not known and given is not None:
        raise InvalidConfig(
            f"--trained-on {given} for the method {method}", expected="nothing: its file tells all", do="Leave it out."
        )
    if known and given not in known:
        raise InvalidConfig(
            f"a file of the method {method}" + (" alone" if given is None else f" trained on {given}"),
            expected=f"to be told which data set it was trained on, as no file says: {', '.join(known)}",
            do=f"Pass --trained-on {known[0]}, or whichever it was.",
        )
    return [] if given is None else [given]


def _whole(found: Released, source: Source | None) -> dict[str, torch.Tensor]:
    """The tensors of the SAM; where a part of it is not in the file, the rest is of the weights that the release began with."""
    if all(any(name.startswith(part) for name in found.sam) for part in _PARTS):
        return dict(found.sam)
    given = source or Source()
    base = replace(given, weights=given.weights or found.like, side=given.side or found.side).sam()[0].cpu()
    return {**base.state_dict(), **found.sam}


def _installed(sam: Sam, found: Released, source: Source | None) -> tuple[Backbone, bool]:
    """What the checkpoint says of its SAM, and whether that is to be found outside the folder."""
    own = fingerprint(sam)
    beside = Backbone(SAM, own, found.like, sam.side)
    if source is not None and source.weights is not None:
        given = replace(source, side=source.side or found.side).sam()[1]
        if given.fingerprint != own:
            raise WeightsError(
                f"{given.name} (fingerprint {given.fingerprint[:12]}) for a file that holds another SAM ({own[:12]})",
                expected="the SAM that the release was trained on",
                do="Leave --weights out: the file's own SAM is then kept beside the checkpoint.",
            )
        return given, True
    with suppress(PromisamError):  # not installed: then it is kept
        given = Source(found.like, "cpu", side=found.side, offline=True).sam()[1]
        if given.fingerprint == own:
            return given, True
    return beside, False
