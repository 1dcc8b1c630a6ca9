"""The `demo` command: real images out of installed packages, segmented like a user's own."""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from promisam.cli.segment import segment
from promisam.core.errors import UnreadableFile


@dataclass(frozen=True)
class _Case:
    """One image to show: where it lies, what is boxed in it, and what comes out."""

    title: str
    package: str
    member: str
    boxes: tuple[str, ...]
    labels: tuple[str, ...]
    window: str
    mask: str


_CASES = (
    _Case(
        "Fundus photograph (retina.jpg of scikit-image, 1411 x 1411 RGB): the optic disc",
        "skimage",
        "data/retina.jpg",
        ("118,540,326,762",),
        ("optic disc",),
        "auto",
        "retina_mask.png",
    ),
    _Case(
        "CT slice (CT_small.dcm of pydicom, 128 x 128, Hounsfield units): aorta and spinal canal",
        "pydicom",
        "data/test_files/CT_small.dcm",
        ("70,0,110,28", "47,42,71,62"),
        ("aorta", "spinal canal"),
        "mediastinum",
        "ct_mask.nii.gz",
    ),
)


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where the results go.")] = Path("demo-out"),
    offline: Annotated[bool, typer.Option("--offline", help="Never touch the network.")] = False,
) -> None:
    """Segment two real images that come with installed packages, and show where the results lie."""
    begun = time.perf_counter()
    for case in _CASES:
        image, preview = _image(case), output / f"{Path(case.mask).name.split('.')[0]}_preview.png"
        shown = " ".join(f'--box {box} --label "{label}"' for box, label in zip(case.boxes, case.labels, strict=True))
        typer.echo(f"{case.title}\n$ promisam segment {image.name} {shown} --window {case.window} -o {output / case.mask}")
        segment(
            image,
            box=list(case.boxes),
            label=list(case.labels),
            window=case.window,
            output=output / case.mask,
            preview=preview,
            overwrite=True,
            offline=offline,
        )
        typer.echo("")
    typer.echo(f"Done in {time.perf_counter() - begun:.1f} s. Look at the previews in {output.resolve()}.")


def _image(case: _Case) -> Path:
    spec = find_spec(case.package)
    path = Path(spec.origin or "").parent / case.member if spec else Path(case.member)
    if not path.is_file():
        raise UnreadableFile(
            f"{case.member} of {case.package}", expected="the image that the package carries", do=f"Reinstall {case.package}."
        )
    return path
