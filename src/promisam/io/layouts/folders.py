"""Data sets that are folders of files and nothing more."""

from __future__ import annotations

from pathlib import Path

from promisam.io.findings import Finding
from promisam.io.formats import has_dicom_mark
from promisam.io.layouts.naming import (
    IMAGE_FOLDERS,
    MASK_ENDINGS,
    MASK_FOLDERS,
    by_class,
    entries,
    image_stem,
    passed_over,
    stem_of,
)
from promisam.io.layouts.values import Case, Dataset


def single_file(path: Path) -> Dataset | None:
    """One file: a mask by its name or its folder's name, else an image."""
    if not path.is_file():
        return None
    stem = stem_of(path)
    mask = path.parent.name.lower() in MASK_FOLDERS or stem.lower().endswith(MASK_ENDINGS)
    case = Case(stem, (), (path,)) if mask else Case(stem, (path,), ())
    return Dataset("one mask" if mask else "one image", (case,), paired=False)


def images_and_masks(path: Path) -> Dataset | None:
    """`images/` and `masks/` side by side: equal stems, or mask stems with an ending such as `_mask` or `__liver`."""
    images, masks = _named(path, IMAGE_FOLDERS), _named(path, MASK_FOLDERS)
    if images is None or masks is None:
        return None
    pictures, rest = entries(images)
    drawings, more = entries(masks)
    names: dict[str, Path] = {}
    doubled = [p for p in pictures if names.setdefault(stem_of(p), p) != p]
    found: dict[str, list[Path]] = {name: [] for name in names}
    for mask in drawings:
        found.setdefault(image_stem(stem_of(mask), names), []).append(mask)
    pairs = [Case(name, (names[name],) if name in names else (), tuple(found[name])) for name in sorted(found)]
    classed = by_class(pairs)
    findings = (*passed_over((*rest, *more)), *_tables_beside(path), *map(_doubled, doubled), *classed.findings)
    return Dataset(f"{images.name}/ and {masks.name}/", classed.cases, paired=True, classes=classed.classes, findings=findings)


def dicom_folder(path: Path) -> Dataset | None:
    """The slices of one series."""
    if not path.is_dir() or not any(p.is_file() and has_dicom_mark(p) for p in sorted(path.iterdir())):
        return None
    return Dataset("a DICOM folder", (Case(path.name, (path,), ()),), paired=False)


def folder_of_images(path: Path) -> Dataset | None:
    """Images only; or masks only, where the folder is called so."""
    if not path.is_dir():
        return None
    files, rest = entries(path)
    masks = path.name.lower() in MASK_FOLDERS
    cases = tuple(Case(stem_of(p), () if masks else (p,), (p,) if masks else ()) for p in files)
    return Dataset(f"a folder of {'masks' if masks else 'images'}", cases, paired=False, findings=passed_over(rest))


def _named(path: Path, names: tuple[str, ...]) -> Path | None:
    if not path.is_dir():
        return None
    folders = {p.name.lower(): p for p in path.iterdir() if p.is_dir()}
    return next((folders[name] for name in names if name in folders), None)


def _tables_beside(path: Path) -> list[Finding]:
    return [
        Finding(
            str(p), "note", "a table beside the folders; not used", "Give it as the data set, if it holds groups or splits."
        )
        for p in sorted(path.glob("*.csv"))
    ]


def _doubled(path: Path) -> Finding:
    return Finding(
        str(path), "error", "another image has the same stem, so masks cannot tell them apart", "Rename one of them."
    )
