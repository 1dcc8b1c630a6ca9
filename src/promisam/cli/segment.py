"""The `segment` command: the one line of data from an image file to a mask file."""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from promisam import __version__
from promisam.cli.prompt_text import TypedBox, TypedPoint, parse_box, parse_point
from promisam.core.errors import InvalidPrompt, UnwritableOutput
from promisam.core.grid import Grid

if TYPE_CHECKING:
    from promisam.core import Image, Prompts, Scores, Segmentation, Segmenter
    from promisam.io import NamedPrompts

Progress = Callable[[int, int | None], None]


def segment(
    image: Annotated[Path, typer.Argument(help="A NIfTI, NRRD, MetaImage, PNG, JPEG, TIFF, BMP or DICOM file or folder.")],
    box: Annotated[list[str] | None, typer.Option(metavar="X0,Y0[,Z0],X1,Y1[,Z1]", help="A box; several give labels.")] = None,
    point: Annotated[list[str] | None, typer.Option(metavar="X,Y[,Z][,+|-]", help="A point on (+) or off (-) it.")] = None,
    prompts: Annotated[Path | None, typer.Option(metavar="FILE.json", help="Prompts of several objects, or masks.")] = None,
    world: Annotated[bool, typer.Option("--world", help="Coordinates are patient millimetres (LPS+), not voxels.")] = False,
    label: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Name of the object; once for each box.")] = None,
    weights: Annotated[str, typer.Option(metavar="NAME|FILE", help="See `promisam weights list`.")] = "litemedsam",
    like: Annotated[str | None, typer.Option(metavar="NAME", help="The known weights that a FILE was trained like.")] = None,
    method: Annotated[str, typer.Option(metavar="NAME", help="A method, or package.module:Class.")] = "plain_sam",
    series: Annotated[str | None, typer.Option(metavar="NUMBER|UID", help="Which series of a DICOM folder.")] = None,
    window: Annotated[
        str | None,
        typer.Option(metavar="L,W|PRESET", help="level,width, lung, abdomen, bone, brain, ... Default: by the image."),
    ] = None,
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option(help="Where to compute.")] = "auto",
    precision: Annotated[
        Literal["float32", "bfloat16"] | None, typer.Option(help="bfloat16 is faster. Default: float32, the reference.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="MASK", help="The mask file to write.")] = None,
    preview: Annotated[Path | None, typer.Option(metavar="PNG", help="A picture with the outline drawn.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are already there.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Never touch the network.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object in place of text.")] = False,
) -> None:
    """Segment an image from boxes, points or masks and write a mask on exactly the image's grid.

    Coordinates are voxel indices x,y[,z] as viewers show them, from 0; both corners of a box are included. A box that is flat
    in one axis of a volume marks one slice, and the object is followed through its neighbours.
    """
    typed = _Typed(
        [parse_box(text) for text in box or []], [parse_point(text) for text in point or []], prompts, world, label or []
    )
    clock = _Clock()
    with clock.stage("read"):
        from promisam import io

        picture = io.read(image, series=series)
        target = _target(image, picture.grid, output)
        objects = typed.on(picture.grid)
        _check_outputs(image, picture.grid, target, preview, overwrite=overwrite)
    with _progress() as progress:
        with clock.stage("load"):
            from promisam import store

            found = store.load(
                weights,
                method=method,
                ndim=picture.grid.ndim,
                device=device,
                like=like,
                offline=offline,
                config={name: value for name, value in (("window", window), ("precision", precision)) if value is not None},
                report=progress("weights"),
                slices=progress("slices"),
            )
        segmentation, prepared, qualities = _compute(found, picture, objects, clock)
    with clock.stage("write"):
        shown = None if preview is None else io.render(prepared, segmentation, [named.prompts for named in objects])
        io.write(target, segmentation, source=image, series=series)
        if preview is not None and shown is not None:
            io.write_rendered(preview, shown)
    report = {
        "image": str(image),
        "output": str(target),
        "preview": None if preview is None else str(preview),
        "labels": _labels(segmentation, io.mask_coding(target, segmentation), qualities),
        "seconds": clock.seconds,
        "window": _window(prepared),
        "warnings": _doubts(prepared, segmentation, objects),
        "method": method,
        **_provenance(found),
    }
    typer.echo(json.dumps(report, indent=2, ensure_ascii=False)) if as_json else _print(report)


def _compute(
    method: Segmenter, picture: Image, objects: Sequence[NamedPrompts], clock: _Clock
) -> tuple[Segmentation, Image, list[float | None]]:
    from promisam.core import to_segmentation

    for named in objects:
        method.check(picture.grid, named.prompts)
    with clock.stage("encode"):
        prepared = method.prepare(picture)
        encoded = method.encode(prepared)
    qualities: list[float | None] = []

    def answers() -> Iterator[Scores]:
        for named in objects:
            answer = method.decode(encoded, named.prompts)
            qualities.append(round(answer.quality[0], 4) if answer.quality else None)
            yield answer

    with clock.stage("decode"):
        return to_segmentation(answers(), [named.name for named in objects]), prepared, qualities


@dataclass(frozen=True)
class _Typed:
    """The prompts of one call before the image is known."""

    boxes: list[TypedBox]
    points: list[TypedPoint]
    file: Path | None
    world: bool
    labels: list[str]

    def on(self, grid: Grid) -> list[NamedPrompts]:
        """The prompts on the image's grid, one entry per object."""
        from promisam import io
        from promisam.core import Prompts

        if self.file is not None:
            self._alone()
            return io.read_prompts(self.file, grid)
        if not self.boxes and not self.points:
            raise InvalidPrompt("no prompt", expected="--box, --point or --prompts", do="Say where the object is.")
        if len(self.boxes) > 1 and self.points:
            raise InvalidPrompt(
                f"{len(self.points)} points beside {len(self.boxes)} boxes",
                expected="points with one box or none",
                do="Say which object each point belongs to in a --prompts file.",
            )
        asked = [self._with_box(Prompts(grid), box) for box in self.boxes] or [Prompts(grid)]
        for point in self.points:
            at = io.to_zyx(grid, [point.xyz], world=self.world)[0]
            asked[0] = asked[0].click(at.tolist(), point.positive)
        names = self._names(len(asked))
        return [io.NamedPrompts(name, one) for name, one in zip(names, asked, strict=True)]

    def _with_box(self, prompts: Prompts, box: TypedBox) -> Prompts:
        from promisam import io

        low, high = io.to_zyx(prompts.grid, [box.low, box.high], world=self.world)
        if self.world:  # patient axes may run against the array's
            low, high = (low.clip(max=high), high.clip(min=low))
        return prompts.with_box(low.tolist(), high.tolist())

    def _names(self, count: int) -> list[str]:
        if self.labels and len(self.labels) != count:
            raise InvalidPrompt(
                f"{len(self.labels)} names for {count} objects", expected="one --label for each", do="Repeat --label in order."
            )
        for name in self.labels:
            if not name.strip() or not name.isprintable():
                raise InvalidPrompt(f"the label {name!r}", expected="a printable name", do="Name the object.")
        return self.labels or (["object"] if count == 1 else [f"object {i}" for i in range(1, count + 1)])

    def _alone(self) -> None:
        if self.boxes or self.points or self.labels or self.world:
            raise InvalidPrompt(
                "--prompts beside --box, --point, --label or --world",
                expected="either the file or the options",
                do="Put everything into the file: it holds names and the coordinate system too.",
            )


@dataclass
class _Clock:
    """Seconds by stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - begun, 3)


def _target(image: Path, grid: Grid, output: Path | None) -> Path:
    """Where the mask goes: as asked, else into the current folder, in a format that keeps the geometry."""
    if output is not None:
        return output
    from promisam.io.atomic import full_suffix

    suffix = full_suffix(image) if image.is_file() else ""
    stem = image.resolve().name[: -len(suffix) or None]
    kept = {".nii": ".nii.gz", ".nii.gz": ".nii.gz", ".nrrd": ".nrrd", ".nhdr": ".nrrd", ".mha": ".mha", ".mhd": ".mha"}
    pixels_only = grid.unit == "px" and grid.ndim == 2
    return Path(f"{stem}_mask{kept.get(suffix, '.png' if pixels_only else '.nii.gz')}")


def _check_outputs(image: Path, grid: Grid, target: Path, preview: Path | None, *, overwrite: bool) -> None:
    """Refuse before the work what would fail after it."""
    from promisam import io

    for path in (target, preview):
        if path is None:
            continue
        if path.is_dir():
            raise UnwritableOutput(f"the output {path}, which is a folder", expected="a file", do="Add a file name.")
        if path.exists() and path.resolve() == image.resolve():
            raise UnwritableOutput(f"the output {path}, which is the image", expected="another file", do="Choose another name.")
        if path.exists() and not overwrite:
            raise UnwritableOutput(
                f"the output {path}, which is already there", expected="a new file", do="Choose another, or pass --overwrite."
            )
    io.check_writable(target, grid, source=image)
    if preview is not None:
        if preview.suffix.lower() != ".png":
            raise UnwritableOutput(f"the preview {preview}", expected="a .png", do="Change its suffix.")
        if preview.resolve() == target.resolve():
            raise UnwritableOutput(
                f"{preview} as mask and as preview", expected="two files", do="Give the preview a name of its own."
            )
        io.check_writable(preview, Grid.of_picture((1, 1)))


def _labels(segmentation: Segmentation, coding: dict[int, int], qualities: list[float | None]) -> list[dict[str, Any]]:
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


def _doubts(prepared: Image, segmentation: Segmentation, objects: Sequence[NamedPrompts]) -> list[str]:
    """What a person should know before trusting a mask."""
    import numpy as np

    doubts = []
    for value, named in enumerate(objects, 1):
        if named.prompts.box_zyx is None:
            continue
        low = np.rint(named.prompts.box_zyx[0]).astype(int).clip(0)
        high = np.rint(named.prompts.box_zyx[1]).astype(int).clip(0) + 1
        part = tuple(slice(a, max(a + 1, b)) for a, b in zip(low, high, strict=True))
        inside = prepared.pixels[(slice(None), *part)]
        if inside.size and inside.min() == inside.max():
            doubts.append(f"{named.name}: the image has no contrast inside the box, so the mask means nothing")
        mask = segmentation.mask(value)
        flat = (low + 1 >= high).any()  # a flat box is followed beyond itself on purpose
        if mask.any() and not (flat and mask.ndim == 3) and mask[part].sum() < 0.7 * mask.sum():
            doubts.append(f"{named.name}: much of the mask lies outside the box, which may be too small for the model's frame")
    return doubts


def _window(prepared: Image) -> dict[str, Any] | None:
    levels = prepared.levels
    return None if levels is None else {"low": levels.low, "high": levels.high, "how": levels.how}


def _provenance(method: Any) -> dict[str, Any]:  # noqa: ANN401 - any method; what it knows is reported
    import numpy as np
    import torch

    inner = getattr(method, "method", method)
    sam, config = getattr(inner, "sam", None), getattr(inner, "config", None)
    weights = None if sam is None else {"name": sam.traits.name, "sha256": sam.traits.sha256}
    device = "cpu" if sam is None else next(sam.parameters()).device.type
    versions = {
        "promisam": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
    options = None if config is None else config.model_dump(mode="json")
    return {"config": options, "weights": weights, "device": device, "versions": versions}


def _print(report: dict[str, Any]) -> None:
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
    if report["preview"]:
        typer.echo(f"preview: {report['preview']}")


@contextmanager
def _progress() -> Iterator[Callable[[str], Progress]]:
    """Makes a bar of each name on a terminal when it is first reported, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _name: lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def named(name: str) -> Progress:
            def report(done: int, total: int | None) -> None:
                if name not in tasks:
                    tasks[name] = bar.add_task(name, total=total)
                bar.update(tasks[name], completed=done, total=total)

            return report

        yield named
