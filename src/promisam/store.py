"""From the name of weights and of a method to a method that is ready to use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import pydantic
import torch

from promisam import zoo
from promisam.core import Segmenter
from promisam.core.errors import InvalidConfig, UnwritableOutput, WeightsError
from promisam.methods import METHODS
from promisam.sam.architecture import SamShape, infer
from promisam.sam.checkpoint import read_state, sam_from_state, write_state
from promisam.sam.model import Sam, Traits
from promisam.sam.vit import VitShape
from promisam.spatial.slices import SliceWise

Device = Literal["auto", "cpu", "cuda", "mps"]
Report = Callable[[int, int | None], None]
VIT_WIDTHS = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}


def load(
    weights: str | Path = zoo.DEFAULT,
    *,
    method: str = "plain_sam",
    ndim: int = 2,
    device: Device = "auto",
    like: str | None = None,
    side: int | None = None,
    offline: bool = False,
    cache: zoo.Cache | None = None,
    config: Mapping[str, object] | None = None,
    report: Report | None = None,
    slices: Report | None = None,
) -> Segmenter:
    """A method on a SAM, ready to use.

    Args:
        weights: a name (`promisam weights list`) or a file.
        method: a name in `METHODS`, or "package.module:Class".
        ndim: of the images; 3 wraps a method of pictures as `SliceWise`.
        device: "auto" takes a GPU where there is one.
        like: for a file that is not in the catalogue: the known weights that it was trained like.
        side: pixels of the model's frame, if not those that the weights were trained on; position tables are then resized.
        offline: never touch the network.
        cache: where weights are kept; the user's own by default.
        config: options of the method.
        report: called with bytes fetched and their total, when weights must be fetched.
        slices: called with the slices done, while a method of pictures walks a volume.

    Raises:
        WeightsError: for weights that are unknown, damaged, unsafe or foreign.
        InvalidConfig: for an unknown method, option or device, or a frame that the network cannot have.
    """
    kind, config_type = _method(method)
    options = _options(config_type, config or {})
    place = cache or zoo.Cache.default()
    resolved = zoo.resolve(weights, place, like=like, offline=offline, report=report)
    found: Segmenter = kind(load_sam(resolved, place, side).to(choose_device(device)), options)
    return SliceWise(found, report=slices) if ndim == 3 and found.ndim == 2 else found


def load_sam(resolved: zoo.Resolved, cache: zoo.Cache, side: int | None = None) -> Sam:
    """The SAM in a verified file; a file of the cache is converted to safetensors once and read from there later."""
    entry = resolved.entry
    traits = Traits(resolved.name, entry.scaling, entry.prompts, resolved.sha256)
    state = _state(resolved, cache)
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


def _method(name: str) -> tuple[Any, type[pydantic.BaseModel]]:
    """The class of a method and the `Config` of its module."""
    place = METHODS.get(name, name if ":" in name else "")
    if not place:
        near = get_close_matches(name, METHODS, n=1, cutoff=0.0)[0]
        raise InvalidConfig(
            f"the method {name!r}", expected=f"one of {', '.join(METHODS)}, or package.module:Class", do=f"Did you mean {near}?"
        )
    module, _, attribute = place.partition(":")
    try:
        found = import_module(module)
        return getattr(found, attribute), found.Config
    except (ImportError, AttributeError, ValueError) as error:
        raise InvalidConfig(
            f"the method {name!r}, which cannot be imported ({error})",
            expected="package.module:Class of an installed package",
            do="Check the spelling and that the package is installed.",
        ) from error


def _options(config_type: type[pydantic.BaseModel], given: Mapping[str, object]) -> pydantic.BaseModel:
    known = list(config_type.model_fields)
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, n=1, cutoff=0.0)
            raise InvalidConfig(f"the option {name!r}", expected=f"one of {', '.join(known)}", do=f"Did you mean {near[0]}?")
    try:
        return config_type.model_validate(given)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        option = ".".join(str(part) for part in first["loc"])
        raise InvalidConfig(f"{option} = {first['input']!r}", expected=first["msg"], do="Correct the option.") from None
