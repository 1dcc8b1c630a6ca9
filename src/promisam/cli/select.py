"""The `select` command: which images a person should annotate."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from promisam.cli.progress import progress_bars
from promisam.cli.terminal import plain

if TYPE_CHECKING:
    from promisam.io import Input
    from promisam.selection import Chosen, Selection, Standing

INCOMPLETE = 2  # exit status when some images could not be read
_FEW = 5  # names in a line


def select(
    images: Annotated[
        list[Path], typer.Argument(help="Images, folders of them, DICOM folders, data sets.", show_default=False)
    ],
    k: Annotated[int, typer.Option("-k", metavar="NUMBER", min=1, help="How many to choose in all.")] = 10,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="CSV", help="The table; a .json and a .png come beside it.")
    ] = Path("chosen.csv"),
    include: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Choose this one in any case; repeatable.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Never choose this one; repeatable.")] = None,
    extend: Annotated[
        Path | None, typer.Option(metavar="CSV", help="An earlier table: keep all of its images and add to them.")
    ] = None,
    features: Annotated[
        Literal["both", "pooled", "grid"],
        typer.Option(help="Compare by what is seen (pooled), by where it is (grid), or both."),
    ] = "both",
    window: Annotated[
        str | None, typer.Option(metavar="L,W|PRESET", help="level,width, lung, abdomen, ... Default: by the image.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="The SAM that compares them. Default: litemedsam.")
    ] = None,
    like: Annotated[str | None, typer.Option(metavar="NAME", help="The known weights that a FILE was trained like.")] = None,
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option(help="Where to compute.")] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Of the random starts.")] = 0,
    keep: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Where features are kept. Default: the cache.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are already there.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Never touch the network.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the record as JSON instead of a table.")] = False,
) -> None:
    """Choose the images to annotate: those that stand best for all, by how a frozen SAM sees them. No mask is needed.

    Writes a table of them, a record of all images with outliers and near-duplicates, and a contact sheet to look at.
    Images that cannot be read are named and left out; then the exit status is 2.
    """
    from promisam.core import Window
    from promisam.io import find_inputs
    from promisam.selection import Place, Request, read_former

    inputs = find_inputs(images)
    former = () if extend is None else read_former(extend)
    request = Request(k, tuple(dict.fromkeys(include or ())), tuple(dict.fromkeys(exclude or ())), former, seed)
    request.check(inputs)
    place = Place(output, overwrite)
    place.check(inputs.values(), images)
    Window.parse(window or "auto")
    with progress_bars() as progress:
        from promisam import zoo
        from promisam.selection import Encoder, contact_sheet, record_of, write_texts
        from promisam.selection import select as selecting
        from promisam.store import Source
        from promisam.training.kept import Kept

        sam, backbone = Source(weights, device, like, offline=offline, report=progress("weights")).sam()
        kept = Kept(keep or zoo.Cache.default().root / "precomputed")
        encoder = Encoder(sam, backbone.fingerprint, window or "auto", kept)
        selected = selecting(inputs, request, encoder, features, progress("encoding"))
        about = {
            "k": k,
            "seed": seed,
            "features": features,
            "window": encoder.window,
            "weights": {"name": backbone.name, "fingerprint": backbone.fingerprint},
        }
        sheet = contact_sheet(selected.selection, _thumbnails(inputs, encoder.window))
    from promisam.io import write_rendered

    record = record_of(selected, inputs, about)
    write_rendered(place.sheet, sheet)
    write_texts(place, selected, inputs, record)
    if as_json:
        typer.echo(json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        _print(selected.selection, place.table, place.sheet)
    for name, reason in selected.failures.items():
        typer.echo(f"promisam: left out {plain(reason if name in reason else f'{name}: {reason}')}", err=True)
    if selected.failures:
        raise typer.Exit(INCOMPLETE)


def _thumbnails(inputs: Mapping[str, Input], window: str) -> Callable[[str], Any]:
    """Pictures by name; each image is read when it is drawn."""
    from promisam.selection import thumbnail

    return lambda name: thumbnail(inputs[name].read(), window)


def _print(selection: Selection, table: Path, sheet: Path) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    rows = Table("rank", "name", "represents", "why", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for one in selection.chosen:
        rows.add_row(str(one.rank), Text(plain(one.name), overflow="fold"), str(one.represents), one.why)
    console.print(rows)
    for line in _remarks(selection):
        typer.echo(plain(line))
    typer.echo(plain(f"Look at {sheet}; the table is {table}"))
    typer.echo("Next: annotate these; put images into images/ and masks of the same names into masks/ beside it; then")
    typer.echo("  promisam check-data FOLDER, and promisam fit METHOD FOLDER -o RUN")


def _remarks(selection: Selection) -> list[str]:
    """What to know beside the table."""
    lines = []
    if selection.outliers:
        lines.append(f"{_counted(selection.outliers, 'outlier')}: {_few([one.name for one in selection.outliers])}")
    alone: list[Chosen] = [one for one in selection.chosen if one.represents == 1 and one.why == "medoid"]
    if alone and len(selection.chosen) < len(selection.images):
        lines.append(f"like no other image: {_few([one.name for one in alone])}; what does not belong here, --exclude")
    if selection.near_duplicates:
        pairs = [f"{one.name} of {one.near_duplicate_of}" for one in selection.near_duplicates]
        lines.append(f"{_counted(selection.near_duplicates, 'near-duplicate')}: {_few(pairs)}")
    return lines


def _counted(found: tuple[Standing, ...], what: str) -> str:
    return f"{len(found)} {what}{'s' if len(found) > 1 else ''}"


def _few(names: list[str]) -> str:
    return ", ".join(names[:_FEW]) + (f" and {len(names) - _FEW} more" if len(names) > _FEW else "")
