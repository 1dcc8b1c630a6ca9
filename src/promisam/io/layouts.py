"""How data sets lie on the disk. A further layout is one more function in `LAYOUTS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from promisam.core.errors import UnreadableFile
from promisam.io.atomic import full_suffix
from promisam.io.formats import BY_SUFFIX, has_dicom_mark

IMAGE_FOLDERS = ("images", "imgs", "image")
MASK_FOLDERS = ("masks", "mask", "labels", "label", "annotations", "gt")
MASK_ENDINGS = ("_mask", "_segmentation", "_seg", "_labels", "_label", "_gt")
_SEVERAL = "__"  # <stem>__<class>: one of several masks of an image


@dataclass(frozen=True)
class Case:
    """An image and its masks; either may be missing."""

    name: str
    image: Path | None
    masks: tuple[Path, ...]


@dataclass(frozen=True)
class Dataset:
    """Cases, and whether each of them should have a mask.

    Attributes:
        layout: which of the layouts it is, in words.
        cases: by name.
        paired: whether images and masks belong together.
        passed_over: files that are neither.
        doubled: images whose stem another image has too; they are in no case.
    """

    layout: str
    cases: tuple[Case, ...]
    paired: bool
    passed_over: tuple[Path, ...] = ()
    doubled: tuple[Path, ...] = ()


Layout = Callable[[Path], Dataset | None]


def find_cases(path: Path) -> Dataset:
    """The data set at a path, by the first layout that fits.

    Raises:
        UnreadableFile: when nothing is there, or no layout fits.
    """
    try:
        for layout in LAYOUTS:
            if (found := layout(path)) and found.cases:
                return found
    except OSError as error:
        raise UnreadableFile(
            f"{path} ({error.strerror})", expected="a readable folder or file", do="Check the path."
        ) from error
    raise UnreadableFile(
        f"{path}, {'in which no image was found' if path.is_dir() else 'which does not exist'}",
        expected="a folder with images/ and masks/, a folder of images, or one file",
        do="Check the path.",
    )


def single_file(path: Path) -> Dataset | None:
    """One file: a mask by its name or its folder's name, else an image."""
    if not path.is_file():
        return None
    stem = stem_of(path)
    mask = path.parent.name.lower() in MASK_FOLDERS or stem.lower().endswith(MASK_ENDINGS)
    case = Case(stem, None, (path,)) if mask else Case(stem, path, ())
    return Dataset("one mask" if mask else "one image", (case,), paired=False)


def images_and_masks(path: Path) -> Dataset | None:
    """`images/` and `masks/` side by side: equal stems, or mask stems with an ending such as `_mask` or `__liver`."""
    images, masks = _named(path, IMAGE_FOLDERS), _named(path, MASK_FOLDERS)
    if images is None or masks is None:
        return None
    pictures, rest = _entries(images)
    drawings, more = _entries(masks)
    names: dict[str, Path] = {}
    doubled = [p for p in pictures if names.setdefault(stem_of(p), p) != p]
    found: dict[str, list[Path]] = {name: [] for name in names}
    for mask in drawings:
        found.setdefault(_image_name(stem_of(mask), names), []).append(mask)
    cases = tuple(Case(name, names.get(name), tuple(found[name])) for name in sorted(found))
    return Dataset(f"{images.name}/ and {masks.name}/", cases, paired=True, passed_over=(*rest, *more), doubled=tuple(doubled))


def dicom_folder(path: Path) -> Dataset | None:
    """The slices of one series."""
    if not path.is_dir() or not any(p.is_file() and has_dicom_mark(p) for p in sorted(path.iterdir())):
        return None
    return Dataset("a DICOM folder", (Case(path.name, path, ()),), paired=False)


def folder_of_images(path: Path) -> Dataset | None:
    """Images only; or masks only, where the folder is called so."""
    if not path.is_dir():
        return None
    files, rest = _entries(path)
    if path.name.lower() in MASK_FOLDERS:
        return Dataset("a folder of masks", tuple(Case(stem_of(p), None, (p,)) for p in files), paired=False, passed_over=rest)
    return Dataset("a folder of images", tuple(Case(stem_of(p), p, ()) for p in files), paired=False, passed_over=rest)


LAYOUTS: tuple[Layout, ...] = (single_file, images_and_masks, dicom_folder, folder_of_images)


def stem_of(path: Path) -> str:
    """Name without the suffix of a known format."""
    suffix = full_suffix(path)
    return path.name[: -len(suffix)] if suffix in BY_SUFFIX and path.name != suffix else path.name


def _named(path: Path, names: tuple[str, ...]) -> Path | None:
    if not path.is_dir():
        return None
    folders = {p.name.lower(): p for p in path.iterdir() if p.is_dir()}
    return next((folders[name] for name in names if name in folders), None)


def _image_name(stem: str, names: dict[str, Path]) -> str:
    if stem in names:
        return stem
    shorter = [stem[: -len(ending)] for ending in MASK_ENDINGS if stem.lower().endswith(ending)]
    if _SEVERAL in stem:
        shorter.append(stem.rsplit(_SEVERAL, 1)[0])
    return next((name for name in shorter if name in names), stem)


def _entries(folder: Path) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    known: list[Path] = []
    rest: list[Path] = []
    for entry in sorted(p for p in folder.iterdir() if not p.name.startswith(".")):
        if entry.is_dir():
            series = any(p.is_file() and has_dicom_mark(p) for p in sorted(entry.iterdir()))
        else:
            series = full_suffix(entry) in BY_SUFFIX or has_dicom_mark(entry)
        (known if series else rest).append(entry)
    return tuple(known), tuple(rest)
