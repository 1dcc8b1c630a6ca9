"""A mended copy of a data set; the source is never touched."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from promisam.core.errors import InvalidConfig, PromisamError, UnwritableOutput
from promisam.core.image import Image
from promisam.core.segmentation import Segmentation
from promisam.io.atomic import atomic_path, atomic_text, full_suffix
from promisam.io.cases import chosen_labels, read_image
from promisam.io.dataset import Progress, Seen
from promisam.io.digest import files_of
from promisam.io.findings import Finding, refused
from promisam.io.formats import BY_SUFFIX, format_of
from promisam.io.itk_files import write_itk
from promisam.io.layouts import CLASSES, TABLE, Case, Dataset, find_cases
from promisam.io.layouts.table import JOINED
from promisam.io.mending import MendedCase, mend_case
from promisam.io.writing import write

_RECORD = "fixes.json"


@dataclass(frozen=True)
class Fix:
    """What was done to one file of a case."""

    case: str
    file: str
    done: str


@dataclass(frozen=True)
class FixReport:
    """A copy and what became of each case.

    Attributes:
        source: the data set.
        out: the folder of the copy.
        labels: the labels that the copy was cut down to; empty for all.
        cases: names of the cases in the copy.
        fixes: what was changed on the way.
        dropped: cases that show an image and a mask that the copy already has.
        left_out: why the other cases are not in the copy.
    """

    source: str
    out: str
    labels: tuple[int, ...]
    cases: tuple[str, ...]
    fixes: tuple[Fix, ...]
    dropped: tuple[Fix, ...]
    left_out: tuple[Finding, ...]


def fix(
    path: str | Path,
    out: str | Path,
    labels: Sequence[int] = (),
    progress: Progress = lambda done, of: None,  # noqa: ARG005 - the names document the call
) -> FixReport:
    """Copy a data set into `images/`, `masks/` and `dataset.csv`, with what `check` proposes applied.

    Images are copied byte by byte, except for a transparency channel that hides nothing, and for channels in a fourth axis,
    which become files. Masks are written anew: one label map per image, or one file per class where the source has that.

    Args:
        path: a data set with images and masks.
        out: a folder that does not exist or is empty.
        labels: the only labels to keep, with their values; all without them.
        progress: called before each case and at the end.

    Returns:
        What was done, which `fixes.json` in the copy holds too.

    Raises:
        UnreadableFile: when nothing is there, or its description cannot be followed.
        UnwritableOutput: when `out` holds something, or lies within the source.
        InvalidConfig: for a data set without masks, and for labels that it does not name.
    """
    source, target = Path(path), Path(out)
    dataset = find_cases(source)
    if not dataset.paired:
        raise InvalidConfig(f"{path}, {dataset.layout}", expected="images and their masks", do="Give the folder above both.")
    if dataset.classes:
        chosen_labels(labels, dataset.classes, path)
    _refuse_place(source, target)
    copy = _Copy(dataset, target, tuple(labels))
    copy.left_out.extend(finding for finding in dataset.findings if finding.severity == "error")
    known = {finding.case for finding in copy.left_out}
    for done, case in enumerate(dataset.cases):
        progress(done, len(dataset.cases))
        if case.name not in known:
            copy.add(case)
    progress(len(dataset.cases), len(dataset.cases))
    return copy.close(str(path))


@dataclass
class _Copy:
    dataset: Dataset
    out: Path
    labels: tuple[int, ...]
    rows: list[tuple[str, str, str, str, str]] = field(default_factory=list)
    fixes: list[Fix] = field(default_factory=list)
    dropped: list[Fix] = field(default_factory=list)
    left_out: list[Finding] = field(default_factory=list)
    seen: Seen = field(default_factory=Seen)
    drawn: dict[str, str] = field(default_factory=dict)  # case to the content of its masks
    stems: set[str] = field(default_factory=set)

    def add(self, case: Case) -> None:
        """Mend and write one case, or say why not."""
        if not case.paired:
            there, missing = ("image", "mask") if case.images else ("mask", "image")
            path = (*case.images, *case.masks)[0]
            reason, do = f"the {there} has no {missing}", f"Add the {missing} {case.name}."
            self.left_out.append(Finding(str(path), "error", reason, do, case=case.name))
            return
        try:
            image = read_image(case, self.dataset)
            mended = mend_case(case, self.dataset.classes, image.grid, self.labels)
        except PromisamError as error:
            files = [path for path in (*case.images, *case.masks) if str(path) in error.given]
            path = max(files or case.images[:1], key=lambda path: len(str(path)))
            self.left_out.append(replace(refused(path, error), case=case.name))
            return
        if not self._doubled(case, image, mended):
            stem = self._stem(case)
            images = self._images(case, image, stem)
            masks = [self._mask(stem, name, mask) for name, mask in mended.masks.items()]
            self.rows.append((case.name, JOINED.join(images), JOINED.join(masks), case.group, case.split))
            self.fixes.extend(Fix(case.name, str(path), what) for path, what in mended.done)

    def close(self, source: str) -> FixReport:
        """Write the table and the record."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("id", "image", "mask", "group", "split"))
        writer.writerows(self.rows)
        atomic_text(self.out / TABLE, text.getvalue())
        drawn = any(case.values for case in self.dataset.cases)
        kept = {v: name for v, name in self.dataset.classes.items() if not drawn and (v in self.labels or not self.labels)}
        if kept:
            atomic_text(self.out / CLASSES, json.dumps(kept, indent=2, ensure_ascii=False))
        cases = tuple(row[0] for row in self.rows)
        done = tuple(self.fixes), tuple(self.dropped), tuple(self.left_out)
        report = FixReport(source, str(self.out), self.labels, cases, *done)
        atomic_text(self.out / _RECORD, json.dumps(asdict(report), indent=2, ensure_ascii=False))
        return report

    def _doubled(self, case: Case, image: Image, mended: MendedCase) -> bool:
        """Whether the copy has the image already; then the mask must be the same, or a person has to choose."""
        digest = hashlib.sha256()
        for name, mask in sorted(mended.masks.items()):
            digest.update(f"\0{name}\0{mask.labels.dtype}\0".encode() + np.ascontiguousarray(mask.labels).tobytes())
        self.drawn[case.name] = digest.hexdigest()
        first = self.seen.first(case, image)
        if first is case:
            return False
        path = str(case.images[0])
        if self.drawn[first.name] == digest.hexdigest():
            self.dropped.append(Fix(case.name, path, f"dropped: the same image and mask as {first.name}"))
        else:
            reason = f"the same image as {first.name}, with another mask"
            self.left_out.append(
                Finding(path, "error", reason, "Decide which mask is right, and remove the other.", case=case.name)
            )
        return True

    def _stem(self, case: Case) -> str:
        """A name for files; two underscores in a row would name a class."""
        wanted = re.sub(r"_{2,}", "_", re.sub(r"[^\w.-]", "_", case.name)).strip("._") or "case"
        stem, number = wanted, 1
        while stem.lower() in self.stems:  # folders that ignore case would overwrite
            number += 1
            stem = f"{wanted}-{number}"
        self.stems.add(stem.lower())
        return stem

    def _images(self, case: Case, image: Image, stem: str) -> list[str]:
        folder = self.out / "images"
        stacked = (
            len(case.images) == 1 and len(self.dataset.channels) > 1 and full_suffix(case.images[0]) in (".nii", ".nii.gz")
        )
        if stacked:
            names = [f"{stem}_{number:04d}.nii.gz" for number in range(image.channels)]
            for name, samples in zip(names, image.pixels, strict=True):
                with atomic_path(folder / name) as temporary:
                    write_itk(temporary, samples, image.grid)
            self.fixes.append(Fix(case.name, str(case.images[0]), f"its {image.channels} channels written as files"))
            return [f"images/{name}" for name in names]
        several = len(case.images) > 1
        return [
            f"images/{self._image(case, path, image, f'{stem}_{number:04d}' if several else stem)}"
            for number, path in enumerate(case.images)
        ]

    def _image(self, case: Case, path: Path, image: Image, stem: str) -> str:
        folder = self.out / "images"
        files = files_of(path)
        if path.is_dir() or len(files) > 1:
            for file in files:
                _copy_file(file, folder / stem / file.name)
            return stem if path.is_dir() else f"{stem}/{path.name}"
        if _hides_nothing(path) and image.pixels.dtype == np.uint8 and len(case.images) == 1:
            _write_opaque(folder / f"{stem}.png", image)
            self.fixes.append(Fix(case.name, str(path), "a transparency channel that hides nothing removed"))
            return f"{stem}.png"
        suffix = full_suffix(path) if full_suffix(path) in BY_SUFFIX else ".dcm"  # known by its mark
        _copy_file(path, folder / f"{stem}{suffix}")
        return f"{stem}{suffix}"

    def _mask(self, stem: str, name: str, mask: Segmentation) -> str:
        pixels = mask.grid.unit == "px" and int(mask.labels.max()) < 1 << 16
        suffix = (".png" if mask.grid.ndim == 2 else ".tif") if pixels else ".nii.gz"
        called = f"masks/{stem}__{name}{suffix}" if name else f"masks/{stem}{suffix}"
        write(self.out / called, mask)
        return called


def _refuse_place(source: Path, out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UnwritableOutput(
            f"the output {out}, which holds something", expected="a new or empty folder", do="Choose another."
        )
    folder = source if source.is_dir() else source.parent
    if out.resolve() == folder.resolve() or folder.resolve() in out.resolve().parents:
        raise UnwritableOutput(
            f"the output {out}, which lies within the source {folder}", expected="a folder elsewhere", do="Choose another."
        )


def _copy_file(source: Path, target: Path) -> None:
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)


def _hides_nothing(path: Path) -> bool:
    from promisam.io.pictures import alpha_state

    return format_of(path) == "picture" and alpha_state(path) == "opaque"


def _write_opaque(path: Path, image: Image) -> None:
    from PIL import Image as Pillow

    pixels = np.moveaxis(image.pixels, 0, -1) if image.channels == 3 else image.pixels[0]
    with atomic_path(path) as temporary:
        Pillow.fromarray(np.ascontiguousarray(pixels)).save(temporary)
