"""From the name of weights and of a method, or from a run folder, to a method that is ready to use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from promisam import zoo
from promisam.core import Segmenter
from promisam.core.errors import NotFitted
from promisam.spatial.slices import SliceWise
from promisam.store.backbone import Device, Report, Source
from promisam.store.kinds import check_options, find_method, is_few_shot, is_trainable, uses_sam
from promisam.store.trained import checkpoint_of, open_trained


def load(
    weights: str | Path | None = None,
    *,
    method: str | Path = "plain_sam",
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
        weights: a name (`promisam weights list`) or a file; None for the default, or those that a trained method stands on.
        method: a name in `METHODS`, "package.module:Class", or a trained method: its run folder or checkpoint.
        ndim: of the images; 3 wraps a method of pictures as `SliceWise`.
        device: "auto" takes a GPU where there is one.
        like: for a file that is not in the catalogue: the known weights that it was trained like.
        side: pixels of the model's frame, if not those that the weights were trained on; position tables are then resized.
        offline: never touch the network.
        cache: where weights are kept; the user's own by default.
        config: options of the method; those of a trained method that shape its network cannot change.
        report: called with bytes fetched and their total, when weights must be fetched.
        slices: called with the slices done, while a method of pictures walks a volume.

    Raises:
        WeightsError: for weights that are unknown, damaged, unsafe or foreign.
        InvalidConfig: for an unknown method, option or device, or a frame that the network cannot have.
        NotFitted: for a method that must be trained, or be given supports, first.
    """
    trained = checkpoint_of(method)
    source = Source(zoo.DEFAULT if weights is None and trained is None else weights, device, like, side, offline, cache, report)
    found: Segmenter
    if trained is not None:
        found = open_trained(trained, source, config or {})
    else:
        kind, config_type = find_method(str(method), or_else=", or a run folder that is there")
        options = check_options(config_type, config or {})
        if is_few_shot(kind):
            raise NotFitted(
                f"the method {method} without supports",
                expected="a run folder that `promisam fit` made",
                do=f"promisam fit {method} --support DATASET --images FOLDER -o RUN, then give RUN as the method.",
            )
        if is_trainable(kind):
            raise NotFitted(
                f"the method {method} without training",
                expected="a run folder that `promisam fit` made",
                do=f"Train it: promisam fit {method} DATASET -o RUN, then give RUN as the method.",
            )
        found = kind(source.sam()[0] if uses_sam(kind) else None, options)
    return for_axes(found, ndim, slices)


def for_axes(method: Segmenter, ndim: int, slices: Report | None = None) -> Segmenter:
    """The method for images of that many axes: one of pictures goes through volumes slice by slice."""
    return SliceWise(method, report=slices) if ndim == 3 and method.ndim == 2 else method
