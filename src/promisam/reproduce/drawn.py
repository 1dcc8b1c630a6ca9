"""Public sets in which one image may have several masks, as they are handed out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from promisam.core import Segmentation
from promisam.core.errors import GridMismatch
from promisam.io import read, read_segmentation, write
from promisam.io.layouts.naming import entries, stem_of


@dataclass(frozen=True)
class Drawn:
    """An image and all masks that were drawn on it.

    Attributes:
        name: unique in its set.
        image: its file.
        masks: of parts of one object, or of several objects of one class.
        part: of the set, as it is called there; empty where there is one.
    """

    name: str
    image: Path
    masks: tuple[Path, ...]
    part: str = ""


Layout = Callable[[Path], list[Drawn]]
"""What finds the images of a set in one layout; empty where the folder has another one."""


def busi(data: Path) -> list[Drawn]:
    """`benign/`, `malignant/` and `normal/` with NAME.png, NAME_mask.png, NAME_mask_1.png, ..."""
    parts = [data / part for part in ("benign", "malignant", "normal")]
    return [one for part in parts if part.is_dir() for one in _beside(part)]


def montgomery(data: Path) -> list[Drawn]:
    """`CXR_png/NAME.png` with `ManualMask/leftMask/NAME.png` and `ManualMask/rightMask/NAME.png`."""
    lungs = [_by_stem(data / "ManualMask" / side) for side in ("leftMask", "rightMask")]
    images = _by_stem(data / "CXR_png")
    return [
        Drawn(stem, path, tuple(lung[stem] for lung in lungs)) for stem, path in images.items() if all(stem in x for x in lungs)
    ]


def shenzhen(data: Path) -> list[Drawn]:
    """`CXR_png/NAME.png` with `mask/NAME_mask.png`."""
    return _paired(data, "CXR_png", "mask", "_mask")


def plain_folders(data: Path) -> list[Drawn]:
    """`images/NAME.*` with `masks/NAME.*`."""
    return _paired(data, "images", "masks", "")


def united(one: Drawn, folder: Path) -> Path:
    """One mask of all that were drawn, in a folder of its own; a lone one stays where it is.

    Raises:
        UnreadableFile: for a file that cannot be read.
        GridMismatch: for masks of another size than the image.
    """
    if len(one.masks) == 1:
        return one.masks[0]
    image = read(one.image)
    whole = np.zeros(image.grid.shape, bool)
    for path in one.masks:
        mask = read_segmentation(path)
        if mask.grid.shape != image.grid.shape:
            raise GridMismatch(
                f"{path} of {mask.grid.shape}", expected=f"{image.grid.shape}, as its image", do="Take it out, or correct it."
            )
        whole |= mask.mask()
    target = folder / f"{one.name}.png"
    write(target, Segmentation(whole.astype(np.uint8), image.grid), source=one.image)
    return target


def _beside(folder: Path) -> Iterator[Drawn]:
    files = _by_stem(folder)
    for stem, path in files.items():
        if "_mask" not in stem:
            masks = tuple(files[other] for other in files if other == f"{stem}_mask" or other.startswith(f"{stem}_mask_"))
            if masks:
                yield Drawn(stem, path, masks, folder.name)


def _paired(data: Path, images: str, masks: str, ending: str) -> list[Drawn]:
    drawn = _by_stem(data / masks)
    found = _by_stem(data / images).items()
    return [Drawn(stem, path, (drawn[stem + ending],)) for stem, path in found if stem + ending in drawn]


def _by_stem(folder: Path) -> dict[str, Path]:
    return {stem_of(path): path for path in entries(folder)[0]} if folder.is_dir() else {}
