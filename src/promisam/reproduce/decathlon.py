"""Volumes of the Medical Segmentation Decathlon as they are handed on, divided as a published `split.pkl` says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from promisam.io.layouts.naming import entries, stem_of
from promisam.io.pickled_split import ListedCase, read_fold
from promisam.reproduce.values import Lying
from promisam.runs.seen import some

SPLIT = "split.pkl"
_PARTS = ("train", "val", "test")
_CHANNEL = "_0000"  # nnU-Net's number of the only channel


@dataclass(frozen=True)
class Division:
    """How a set is found and divided; called with the data's folder and a seed, it answers every part that holds a case.

    Attributes:
        top: the folder that the Decathlon's archive unpacks to.
        sizes: published numbers of cases of train, val and test, in whose proportion a set without `split.pkl` is divided.
    """

    top: str
    sizes: tuple[int, int, int]

    def __call__(self, data: Path, seed: int) -> Mapping[str, Lying]:
        """The parts by name.

        Raises:
            UnreadableFile: for a `split.pkl` that is none; nothing in it is executed.
        """
        place = data / self.top if (data / self.top).is_dir() else data
        images, masks = _flat(place) if (place / "imagesTr").is_dir() else _by_case(place)
        file = next((path for path in (data / SPLIT, place / SPLIT) if path.is_file()), None)
        parts = self._dealt(images, masks, seed) if file is None else _listed(file, place, images, masks)
        return {name: lying for name, lying in parts.items() if lying.pairs}

    def _dealt(self, images: Mapping[str, Path], masks: Mapping[str, Path], seed: int) -> dict[str, Lying]:
        names = sorted(set(images) & set(masks))
        order = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
        share = len(names) / sum(self.sizes)
        val, test = (max(1, round(size * share)) for size in self.sizes[1:])
        cuts = (0, len(names) - val - test, len(names) - test, len(names))
        shown = ":".join(map(str, self.sizes))
        note = (
            f"no {SPLIT} lies beside them: divided at random with seed {seed}, {shown} as published; with the authors' file in "
            "DATA it is the published division"
        )
        alone = sorted(set(images) ^ set(masks))
        notes = (note, *([f"{len(alone)} with an image or a mask only, left out: {some(alone)}"] if alone else []))
        return {
            part: Lying({name: (images[name], masks[name]) for name in sorted(order[max(0, low) : max(0, high)])}, notes=notes)
            for part, low, high in zip(_PARTS, cuts, cuts[1:], strict=False)
        }


def _listed(file: Path, place: Path, images: Mapping[str, Path], masks: Mapping[str, Path]) -> dict[str, Lying]:
    """As the first fold says; a file that is not where it says is looked for by the name of its case."""
    fold = read_fold(file).parts
    known = {one.name for cases in fold.values() for one in cases}
    spare = sorted((set(images) & set(masks)) - known)
    notes = (f"{len(spare)} on the disk and in no part of {SPLIT}, left out: {some(spare)}",) if spare else ()
    return {part: _part(part, cases, place, images, masks, notes) for part, cases in fold.items()}


def _part(
    part: str,
    cases: tuple[ListedCase, ...],
    place: Path,
    images: Mapping[str, Path],
    masks: Mapping[str, Path],
    notes: tuple[str, ...],
) -> Lying:
    there = {one.name: (_there(place / one.image, images, one), _there(place / one.mask, masks, one)) for one in cases}
    absent = [name for name, found in there.items() if found == (None, None)]
    if absent:
        notes = (*notes, f"{part}: {len(absent)} of {SPLIT} not on the disk, left out: {some(absent)}")
    return Lying(
        {name: (image, mask) for name, (image, mask) in there.items() if image and mask},
        tuple(name for name, (image, mask) in there.items() if image and not mask),
        tuple(name for name, (image, mask) in there.items() if mask and not image),
        notes,
    )


def _there(path: Path, by_case: Mapping[str, Path], case: ListedCase) -> Path | None:
    return path if path.is_file() else by_case.get(case.name)


def _flat(place: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """`imagesTr/colon_001.nii.gz` with `labelsTr/colon_001.nii.gz`, as the Decathlon hands them out."""
    images, masks = (
        {stem_of(path).removesuffix(_CHANNEL): path for path in entries(folder)[0]} if folder.is_dir() else {}
        for folder in (place / "imagesTr", place / "labelsTr")
    )
    return images, masks


def _by_case(place: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """`Training/pancreas_331/` with `image.nii.gz` and `segmentation.nii.gz`, as 3DSAM-adapter's authors arrange them."""
    images, masks = (
        {path.parent.name: path for path in sorted(place.glob(f"Training/*/{name}.nii.gz"))}
        for name in ("image", "segmentation")
    )
    return images, masks
