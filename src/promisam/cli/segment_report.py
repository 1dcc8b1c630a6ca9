"""What `segment` tells about a mask: its labels, its origin, and what speaks against trusting it."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from promisam import __version__

if TYPE_CHECKING:
    from promisam.core import Image, Segmentation
    from promisam.io import NamedPrompts


def labels_of(segmentation: Segmentation, coding: dict[int, int], qualities: list[float | None]) -> list[dict[str, Any]]:
    """One entry per label: what it is called and coded as, how large it is, where it lies, how sure the method is."""
    grid = segmentation.grid
    unit = {("mm", 3): "mm³", ("mm", 2): "mm²"}.get((grid.unit, grid.ndim), "px")
    return [
        {
            "name": segmentation.name(value),
            "value": value,
            "value_in_file": coding.get(value, value),
            "volume": round(segmentation.volume(value), 4),
            "unit": unit,
            "extent": _extent(segmentation, value),
            "predicted_quality": qualities[value - 1] if value <= len(qualities) else None,
        }
        for value in segmentation.values
    ]


def _extent(segmentation: Segmentation, value: int) -> list[list[int]] | None:
    """Lowest and highest index of a label in x, y[, z] order; None when it is nowhere."""
    import numpy as np

    ranges = []
    for axis in reversed(range(segmentation.grid.ndim)):
        others = tuple(a for a in range(segmentation.grid.ndim) if a != axis)
        ranges.append(np.flatnonzero(segmentation.mask(value).any(axis=others)))
    return [[int(r[0]) for r in ranges], [int(r[-1]) for r in ranges]] if ranges[0].size else None


def doubts(prepared: Image, segmentation: Segmentation, objects: Sequence[NamedPrompts]) -> list[str]:
    """What a person should know before trusting a mask."""
    import numpy as np

    found = []
    for value, named in enumerate(objects, 1):
        if named.prompts.box_zyx is None:
            continue
        low = np.rint(named.prompts.box_zyx[0]).astype(int).clip(0)
        high = np.rint(named.prompts.box_zyx[1]).astype(int).clip(0) + 1
        part = tuple(slice(a, max(a + 1, b)) for a, b in zip(low, high, strict=True))
        inside = prepared.pixels[(slice(None), *part)]
        if inside.size and inside.min() == inside.max():
            found.append(f"{named.name}: the image has no contrast inside the box, so the mask means nothing")
        mask = segmentation.mask(value)
        flat = (low + 1 >= high).any()  # a flat box is followed beyond itself on purpose
        if mask.any() and not (flat and mask.ndim == 3) and mask[part].sum() < 0.7 * mask.sum():
            found.append(f"{named.name}: much of the mask lies outside the box, which may be too small for the model's frame")
    return found


def window_of(prepared: Image) -> dict[str, Any] | None:
    """The intensities shown as black and white, and how they were chosen."""
    levels = prepared.levels
    return None if levels is None else {"low": levels.low, "high": levels.high, "how": levels.how}


def provenance(method: Any, engine: str = "torch") -> dict[str, Any]:  # noqa: ANN401 - any method
    """The options, weights, device and versions that made the mask."""
    import numpy as np
    import torch

    inner = getattr(method, "method", method)
    sam, config = getattr(inner, "sam", None), getattr(inner, "config", None)
    weights = None if sam is None else {"name": sam.traits.name, "sha256": sam.traits.sha256}
    device = "cpu" if sam is None else sam.device.type
    versions = {
        "promisam": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
    if engine == "onnx":
        import onnxruntime

        versions["onnxruntime"] = onnxruntime.__version__
    options = None if config is None else config.model_dump(mode="json")
    return {"config": options, "weights": weights, "device": device, "versions": versions}


def print_report(report: dict[str, Any]) -> None:
    """The report as text; warnings go to the error stream."""
    for label in report["labels"]:
        quality = label["predicted_quality"]
        sure = "" if quality is None else f", predicted quality {quality:.2f}"
        extent = label["extent"]
        where = " (nothing found)"
        if extent:
            low, high = (",".join(str(v) for v in corner) for corner in extent)
            where = f", voxels {low} to {high}"
        typer.echo(f"{label['name']}: {label['volume']:,.6g} {label['unit']}{where}{sure}")
    for warning in report["warnings"]:
        typer.echo(f"promisam: warning: {warning}", err=True)
    if report["window"]:
        typer.echo("window: {low:g} to {high:g} ({how})".format(**report["window"]))
    typer.echo("seconds: " + ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in report["seconds"].items()))
    typer.echo(f"mask: {report['output']}")
    for extra in ("preview", "contours"):
        if report[extra]:
            typer.echo(f"{extra}: {report[extra]}")
