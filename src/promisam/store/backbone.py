"""The frozen SAM below a method: from a name or a file to a network on its device."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from promisam import zoo
from promisam.core.errors import InvalidConfig, UnwritableOutput, WeightsError
from promisam.sam.architecture import FOR_BOXES, SamShape, infer
from promisam.sam.checkpoint import read_state, sam_from_state, write_state
from promisam.sam.model import Sam, Traits, fingerprint
from promisam.sam.vit import VitShape
from promisam.training.checkpoint import Backbone

Device = Literal["auto", "cpu", "cuda", "mps"]
Report = Callable[[int, int | None], None]
_ANSWERING = ("prompt_encoder.", "mask_decoder.")
VIT_WIDTHS = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}


@dataclass(frozen=True)
class Source:
    """Where a SAM comes from and where it is to run; arguments as of `load`, but that no weights mean those to learn on."""

    weights: str | Path | None = None
    device: Device = "auto"
    like: str | None = None
    side: int | None = None
    offline: bool = False
    cache: zoo.Cache | None = None
    report: Report | None = None

    def sam(self) -> tuple[Sam, Backbone]:
        """The SAM and what a checkpoint says of it."""
        place = self.cache or zoo.Cache.default()
        wanted = zoo.BACKBONE if self.weights is None else self.weights
        resolved = zoo.resolve(wanted, place, like=self.like, offline=self.offline, report=self.report)
        sam = load_sam(resolved, place, self.side)
        name = resolved.name if self.like is None else str(Path(wanted).resolve())
        return sam.to(choose_device(self.device)), Backbone(name, fingerprint(sam), self.like or "", sam.side)


def load_sam(resolved: zoo.Resolved, cache: zoo.Cache, side: int | None = None) -> Sam:
    """The SAM in a verified file; a file of the cache is converted to safetensors once and read from there later."""
    entry = resolved.entry
    traits = Traits(resolved.name, entry.scaling, entry.prompts, resolved.sha256, entry.multimask)
    state = _state(resolved, cache)
    if isinstance(entry.source, zoo.Packaged):  # in half precision, and without an image encoder
        below = _state(zoo.resolve(entry.source.base, cache, offline=True), cache)
        boxes = {f"{FOR_BOXES}{name}": value for name, value in below.items() if name.startswith(_ANSWERING)}
        state = {**below, **boxes, **{name: value.float() for name, value in state.items()}}
    _check_family(infer(state), entry)
    return sam_from_state(state, traits, side)


def _check_family(shape: SamShape, entry: zoo.Entry) -> None:
    """Refuse weights of another architecture than the known ones that they are said to be like."""
    if isinstance(shape.image, VitShape):
        found = VIT_WIDTHS.get(shape.image.width, "vit")  # a width of its own may be like any ViT
        fits = found == entry.family or (found == "vit" and entry.family in VIT_WIDTHS.values())
    else:
        found = "tinyvit"
        fits = (found, shape.image.side) == (entry.family, entry.side)
    if not fits:
        raise WeightsError(
            f"a {found} for a frame of {shape.image.side} pixels as weights like {entry.name}",
            expected=f"a {entry.family} for {entry.side}",
            do="Name with --like the known weights that it was trained from.",
        )


def choose_device(device: Device) -> torch.device:
    """The device of that name; "auto" takes CUDA, then MPS, then the CPU.

    Raises:
        InvalidConfig: when it is not there.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return torch.device(next(name for name, found in there.items() if found))
    if not there.get(device):
        able = [name for name, found in there.items() if found]
        raise InvalidConfig(f"device {device!r}", expected=f"one of {', '.join(['auto', *able])}", do="Use --device auto.")
    return torch.device(device)


def _state(resolved: zoo.Resolved, cache: zoo.Cache) -> dict[str, torch.Tensor]:
    kept = resolved.path.parent == cache.root / resolved.name and cache.record(resolved.name) is not None
    if not kept or resolved.path.suffix == ".safetensors":
        return read_state(resolved.path)
    if cache.has_converted(resolved.name):
        return read_state(cache.converted(resolved.name))
    state = read_state(resolved.path)
    with suppress(UnwritableOutput), cache.lock(resolved.name):  # a read-only cache still serves its originals
        if not cache.has_converted(resolved.name):
            write_state(cache.converted(resolved.name), state)
            cache.keep_converted(resolved.name)
    return state
