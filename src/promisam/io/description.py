"""What a file is, in numbers, without a word about the patient."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np

from promisam.core.grid import Grid
from promisam.io.formats import format_of
from promisam.io.reading import read, read_segmentation

# Ends of the patient's X, Y, Z axes in LPS+: towards the negative, the positive.
_ENDS = (("R", "L"), ("A", "P"), ("I", "S"))


@dataclass(frozen=True)
class Description:
    """Facts about an image or mask file; sizes, spacings and axes in x, y[, z] order.

    Attributes:
        path: as given.
        format: by content, such as "NIfTI", "PNG" or "DICOM".
        kind: in words, such as "volume" or "DICOM series of 120 CT slices".
        size: samples along each axis.
        spacing: distance between samples, in `unit`.
        unit: "mm", or "px" where the file carries no scale.
        orientation: the end of the patient that each index axis runs towards, as nibabel's `aff2axcodes` writes it ("RAS" has x
            rising to the right); empty without physical scale.
        origin: position of the first sample in patient millimetres, LPS+ (as in DICOM and ITK); empty without physical scale.
        type: of the samples.
        channels: 1 for grey, 3 for colour.
        low: lowest value.
        high: highest value.
        notes: what was done to the values, and what else is worth knowing.
    """

    path: str
    format: str
    kind: str
    size: tuple[int, ...]
    spacing: tuple[float, ...]
    unit: str
    orientation: str
    origin: tuple[float, ...]
    type: str
    channels: int
    low: float
    high: float
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def describe(path: str | Path) -> Description:
    """Read a file as `read` does (a DICOM-SEG as `read_segmentation` does) and tell what it is.

    Raises:
        PromisamError: what `read` raises.
    """
    path = Path(path)
    name, kind, notes = _kind(path)
    if kind.startswith("DICOM-SEG"):
        segmentation = read_segmentation(path)
        notes = tuple(f"segment {value}: {segmentation.name(value)}" for value in segmentation.values)
        samples, grid = segmentation.labels[None], segmentation.grid
    else:
        image = read(path)
        samples, grid = image.pixels, image.grid
    placed = grid.unit == "mm"
    return Description(
        path=str(path),
        format=name,
        kind=kind or ("picture" if grid.ndim == 2 else "volume"),
        size=tuple(reversed(grid.shape)),
        spacing=tuple(round(s, 6) for s in reversed(grid.spacing)),
        unit=grid.unit,
        orientation=axis_codes(grid) if placed else "",
        origin=tuple(round(v, 6) for v in grid.origin) if placed else (),
        type=str(samples.dtype),
        channels=len(samples),
        low=float(samples.min()),
        high=float(samples.max()),
        notes=notes,
    )


def axis_codes(grid: Grid) -> str:
    """The end of the patient that each index axis, x first, runs towards: R, L, A, P, I or S."""
    direction = grid.direction[:, : grid.ndim]  # columns: x, y[, z]
    strength = np.abs(direction)
    best = max(permutations(range(3), grid.ndim), key=lambda order: sum(strength[w, i] for i, w in enumerate(order)))
    return "".join(_ENDS[world][int(direction[world, index] > 0)] for index, world in enumerate(best))


def _kind(path: Path) -> tuple[str, str, tuple[str, ...]]:
    form = format_of(path)
    if form == "picture":
        from promisam.io.pictures import alpha_state, picture_facts

        name, mode = picture_facts(path)
        alpha = {"none": (), "opaque": ("opaque alpha channel dropped",), "used": ("transparent parts composited on black",)}
        return name, "", (f"stored as {mode}", *alpha[alpha_state(path)])
    if form in ("DICOM", "DICOM folder"):
        return "DICOM", *_dicom_kind(path)
    return form, "", ()


def _dicom_kind(path: Path) -> tuple[str, tuple[str, ...]]:
    from promisam.io.dicom_seg import is_dicom_seg
    from promisam.io.dicom_series import find_series

    if path.is_file() and is_dicom_seg(path):
        return "DICOM-SEG", ()
    files, grid = find_series(path)
    modality = files[0].text("Modality") or "unknown"
    inverted = files[0].text("PhotometricInterpretation") == "MONOCHROME1"
    notes = ("MONOCHROME1: high values mean dark; kept as stored",) if inverted else ()
    if grid.ndim == 2:
        return f"DICOM picture ({modality})", notes
    return f"DICOM series of {len(files)} {modality} slices", notes
