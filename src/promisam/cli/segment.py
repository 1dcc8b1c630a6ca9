"""The `segment` command: the one line of data from an image file to a mask file."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from promisam.cli.any_size import AnySize
from promisam.cli.engine import Engine
from promisam.cli.found_prompts import suggestions
from promisam.cli.progress import progress_bars
from promisam.cli.prompt_text import TypedPrompts, parse_box, parse_point
from promisam.cli.segment_report import doubts, labels_of, print_report, provenance, window_of
from promisam.core.errors import UnwritableOutput
from promisam.core.grid import Grid

if TYPE_CHECKING:
    from promisam.core import Image, Polygon, Scores, Segmentation, Segmenter
    from promisam.io import NamedPrompts, Outlined


def segment(
    image: Annotated[Path, typer.Argument(help="A NIfTI, NRRD, MetaImage, PNG, JPEG, TIFF, BMP or DICOM file or folder.")],
    box: Annotated[list[str] | None, typer.Option(metavar="X0,Y0[,Z0],X1,Y1[,Z1]", help="A box; several give labels.")] = None,
    point: Annotated[list[str] | None, typer.Option(metavar="X,Y[,Z][,+|-]", help="A point on (+) or off (-) it.")] = None,
    prompts: Annotated[Path | None, typer.Option(metavar="FILE.json", help="Prompts of several objects, or masks.")] = None,
    world: Annotated[bool, typer.Option("--world", help="Coordinates are patient millimetres (LPS+), not voxels.")] = False,
    label: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Name of the object; once for each box.")] = None,
    weights: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="`promisam weights list`. Default: promisam-click, or the run's.")
    ] = None,
    like: Annotated[str | None, typer.Option(metavar="NAME", help="The known weights that a FILE was trained like.")] = None,
    method: Annotated[
        str, typer.Option(metavar="NAME", help="A method, package.module:Class, a run folder, or FILE.onnx of an export.")
    ] = "plain_sam",
    engine: Annotated[
        Literal["torch", "onnx"] | None, typer.Option(help="onnx: onnxruntime, exporting first where needed. Default: torch.")
    ] = None,
    series: Annotated[str | None, typer.Option(metavar="NUMBER|UID", help="Which series of a DICOM folder.")] = None,
    window: Annotated[
        str | None,
        typer.Option(metavar="L,W|PRESET", help="level,width, lung, abdomen, bone, brain, ... Default: by the image."),
    ] = None,
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option(help="Where to compute.")] = "auto",
    precision: Annotated[
        Literal["float32", "bfloat16"] | None, typer.Option(help="bfloat16 is faster. Default: float32, the reference.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="MASK", help="The mask file. Default: IMAGE_mask, here.")
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Pixels of the mask, of a method that answers at any size (imedsam).")
    ] = None,
    scale: Annotated[float | None, typer.Option(metavar="F", help="The same as a factor of the image's size.")] = None,
    contour: Annotated[
        Path | None, typer.Option(metavar="FILE.json|.geojson", help="Write smooth outlines (same methods).")
    ] = None,
    preview: Annotated[Path | None, typer.Option(metavar="PNG", help="A picture with the outline drawn.")] = None,
    show_prompts: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Write the points that the method found; edit, give as --prompts.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are already there.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Never touch the network.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object in place of text.")] = False,
) -> None:
    """Segment an image from boxes, points or masks and write a mask on exactly the image's grid.

    Coordinates are voxel indices x,y[,z] as viewers show them, from 0; both corners of a box are included. A box that is flat
    in one axis of a volume marks one slice, and the object is followed through its neighbours.
    """
    typed = TypedPrompts(
        [parse_box(text) for text in box or []], [parse_point(text) for text in point or []], prompts, world, label or []
    )
    any_size = AnySize.parse(size, scale, contour)
    chosen = Engine(engine, method, weights, device, like, offline)
    clock = _Clock()
    with clock.stage("read"):
        from promisam import io

        picture = io.read(image, series=series)
        grid = any_size.grid(picture.grid)
        target = _target(image, picture.grid, output)
        objects = typed.on(picture.grid, needed=method == "plain_sam")
        any_size.check_mask(target, picture.grid)
        outputs = {"mask": target, "preview": preview, "contours": contour}
        _check_outputs(image, grid, outputs, show_prompts, overwrite=overwrite)
    with progress_bars() as progress:
        with clock.stage("load"):
            any_size.check_name(method)
            options = {name: value for name, value in (("window", window), ("precision", precision)) if value is not None}
            found = chosen.load(picture.grid.ndim, options, progress("weights"), progress("slices"))
            any_size.check_method(found, method)
        objects = io.aimed(objects, found.classes)
        made = _compute(found, picture, objects, any_size, clock, wanted=show_prompts is not None)
    with clock.stage("write"):
        drawn = [named.prompts for named in [*objects, *made.placed]]
        on_picture = made.segmentation if grid is picture.grid else made.segmentation.resample(picture.grid)
        shown = None if preview is None else io.render(made.prepared, on_picture, drawn)
        io.write(target, made.segmentation, source=image, series=series)
        if preview is not None and shown is not None:
            io.write_rendered(preview, shown)
        if contour is not None:
            io.write_contours(contour, made.outlined, picture.grid)
        if show_prompts is not None:
            io.write_prompts(show_prompts, made.placed)
    report = {
        "image": str(image),
        "output": str(target),
        "size": list(reversed(grid.shape)),
        "preview": None if preview is None else str(preview),
        "contours": None if contour is None else str(contour),
        "labels": labels_of(made.segmentation, io.mask_coding(target, made.segmentation), made.by_label),
        "seconds": clock.seconds,
        "window": window_of(made.prepared),
        "warnings": doubts(made.prepared, on_picture, objects),
        "method": method,
        "engine": chosen.chosen,
        **provenance(found, chosen.chosen),
    }
    typer.echo(json.dumps(report, indent=2, ensure_ascii=False)) if as_json else print_report(report)


@dataclass(frozen=True)
class _Made:
    """What came of an image.

    Attributes:
        segmentation: the labels.
        prepared: what the method looked at.
        names: of the objects, several of which may be one label.
        qualities: the method's own estimates, object by object.
        placed: the points that it found, if they are wanted.
        polygons: each object's outlines, if they are wanted.
    """

    segmentation: Segmentation
    prepared: Image
    names: Sequence[str]
    qualities: list[float | None]
    placed: list[NamedPrompts]
    polygons: list[tuple[Polygon, ...]]

    @property
    def outlined(self) -> list[Outlined]:
        """The outlines with the labels' numbers and names."""
        from promisam.io import Outlined

        return [
            Outlined(value, self.segmentation.name(value), parts)
            for value, parts in zip(self._values, self.polygons, strict=False)
        ]

    @property
    def by_label(self) -> list[float | None]:
        """The estimates label by label: of several objects the lowest."""
        found: list[list[float | None]] = [[] for _ in self.segmentation.names]
        for value, quality in zip(self._values, self.qualities, strict=False):
            found[value - 1].append(quality)
        return [min((q for q in own if q is not None), default=None) for own in found]

    @property
    def _values(self) -> list[int]:
        """Each object's label."""
        values = {name: value for value, name in self.segmentation.names.items()}
        return [values[name] for name in self.names]


def _compute(
    method: Segmenter, picture: Image, objects: Sequence[NamedPrompts], any_size: AnySize, clock: _Clock, *, wanted: bool
) -> _Made:
    """The line of data from an image to labels; `wanted` are the points that the method finds."""
    from promisam.core import Prompts, to_segmentation

    asked = [named.prompts for named in objects] or [Prompts(picture.grid)]
    for one in asked:
        method.check(picture.grid, one)
    suggest = suggestions(method, wanted=wanted)
    with clock.stage("encode"):
        prepared = method.prepare(picture)
        encoded = method.encode(prepared)
    qualities: list[float | None] = []
    polygons: list[tuple[Polygon, ...]] = []

    def answers() -> Iterator[Scores]:
        for one in asked:
            answer, outlines = any_size.decode(method, encoded, one)
            qualities.extend([round(q, 4) for q in answer.quality] or [None] * len(answer.logits))
            polygons.append(outlines)
            yield answer

    with clock.stage("decode"):
        names = [named.name for named in objects] or method.classes
        segmentation = to_segmentation(answers(), names)
        return _Made(segmentation, prepared, names or list(segmentation.names.values()), qualities, suggest(encoded), polygons)


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


def _check_outputs(
    image: Path, grid: Grid, outputs: Mapping[str, Path | None], prompts: Path | None, *, overwrite: bool
) -> None:
    """Refuse before the work what would fail after it."""
    from promisam import io
    from promisam.io.atomic import check_place

    named = {what: path for what, path in outputs.items() if path is not None}
    for path in named.values():
        if path.is_dir():
            raise UnwritableOutput(f"the output {path}, which is a folder", expected="a file", do="Add a file name.")
        if path.exists() and path.resolve() == image.resolve():
            raise UnwritableOutput(f"the output {path}, which is the image", expected="another file", do="Choose another name.")
        if path.exists() and not overwrite:
            raise UnwritableOutput(
                f"the output {path}, which is already there", expected="a new file", do="Choose another, or pass --overwrite."
            )
    io.check_writable(named["mask"], grid, source=image)
    if "preview" in named and named["preview"].suffix.lower() != ".png":
        raise UnwritableOutput(f"the preview {named['preview']}", expected="a .png", do="Change its suffix.")
    if "contours" in named:
        io.check_contour_name(named["contours"])
    taken: dict[Path, str] = {}
    for what, path in {**named, **({} if prompts is None else {"prompts": prompts})}.items():
        other = taken.setdefault(path.resolve(), what)
        if other != what:
            raise UnwritableOutput(
                f"{path} as {other} and as {what}", expected="two files", do=f"Give the {what} another name."
            )
        check_place(path)
