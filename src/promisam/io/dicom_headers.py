"""The headers of a DICOM file or folder, and the one image series among them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promisam.core.errors import UnreadableFile, UnsupportedFile
from promisam.io.formats import has_dicom_mark

if TYPE_CHECKING:
    from pydicom import Dataset

_SOUND, _AGAIN = "a whole, sound DICOM file", "Export it again."
# Objects with rows and columns that are no images of the patient: Segmentation, RT Dose, Label Map Segmentation.
_DERIVED = {"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.481.2", "1.2.840.10008.5.1.4.1.1.66.7"}


@dataclass(frozen=True)
class DicomFile:
    """A file and its header, pixels left on the disk."""

    path: Path
    header: Dataset

    def text(self, keyword: str) -> str:
        """A header value as text; empty when absent."""
        value = self._value(keyword)
        return "" if value is None else str(value)

    def size(self) -> tuple[int, int]:
        """Rows and columns.

        Raises:
            UnreadableFile: when they are no numbers from 1.
        """
        found = self._value("Rows"), self._value("Columns")
        rows, columns = (value if isinstance(value, int) else 0 for value in found)
        if rows < 1 or columns < 1:
            raise UnreadableFile(
                f"{self.path} with {found[0]!r} rows and {found[1]!r} columns", expected="whole numbers from 1", do=_AGAIN
            )
        return rows, columns

    def numbers(self, keyword: str) -> tuple[float, ...]:
        """A header value as numbers; empty when absent or malformed."""
        value: Any = self._value(keyword)
        if value is None or value == "":
            return ()
        try:
            values = [value] if isinstance(value, str | float | int) else list(value)
            return tuple(float(v) for v in values)
        except (TypeError, ValueError, OverflowError):
            return ()

    def _value(self, keyword: str) -> Any:  # noqa: ANN401 - of many types
        """Converted from the file's bytes only now, which fails in as many ways as they can be wrong."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # remarks on odd values, which may quote the patient
                return self.header.get(keyword)
        except Exception as error:
            raise UnreadableFile(
                f"{self.path}, whose element {keyword} is damaged ({type(error).__name__})", expected=_SOUND, do=_AGAIN
            ) from error


def read_header(path: Path) -> DicomFile:
    """Header of one file.

    Raises:
        UnreadableFile: when it is no DICOM file, or damaged in its header.
    """
    import pydicom

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on odd values, which may quote the patient
            return DicomFile(path, pydicom.dcmread(path, stop_before_pixels=True))
    except Exception as error:  # the parser raises whatever it meets in damaged data, a MemoryError for an absurd length
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UnreadableFile(f"{path}, whose DICOM header cannot be read ({reason})", expected=_SOUND, do=_AGAIN) from error


def image_files(folder: Path) -> list[DicomFile]:
    """The images of a folder; SEG, RT objects, reports, DICOMDIR and files of other kinds are passed over.

    Raises:
        UnreadableFile: when there is none, or when a DICOM file is damaged.
    """
    try:
        paths = sorted(p for p in folder.iterdir() if p.is_file())
        found = [read_header(p) for p in paths if has_dicom_mark(p)]
        below = sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError as error:
        raise UnreadableFile(f"{folder} ({error.strerror})", expected="a folder that can be read", do="Check it.") from error
    _refuse_unmarked(folder, [p for p in paths if _seems_dicom(p) and not has_dicom_mark(p)])
    images = [f for f in found if is_image(f)]
    if not images:
        where = f"Give one of its folders ({', '.join(below[:5])})." if below else "Give the folder that holds the slices."
        where = where if found or below else "Give one file; `promisam predict` takes folders of other images."
        raise UnreadableFile(
            f"the folder {folder} with {len(paths)} files, of which {len(found)} are DICOM and none a DICOM image",
            expected="the files of one DICOM series",
            do=where,
        )
    return images


def _seems_dicom(path: Path) -> bool:
    """By its suffix, or by its first bytes: an element of group 2 or 8, as where the preamble was lost."""
    with path.open("rb") as file:
        head = file.read(6)
    return path.suffix.lower() in (".dcm", ".ima") or (head[:2] in (b"\x02\x00", b"\x08\x00") and head[4:6].isupper())


def _refuse_unmarked(folder: Path, unmarked: Sequence[Path]) -> None:
    """A slice that were passed over would be missing from the volume without a word."""
    if unmarked:
        raise UnreadableFile(
            f"the folder {folder}: {len(unmarked)} files seem to be DICOM but do not begin so (first {unmarked[0].name})",
            expected="whole DICOM files, with their preamble",
            do="Export them again, or move what is no slice elsewhere.",
        )


def is_image(file: DicomFile) -> bool:
    """Whether the object is an image of the patient, not something derived from one."""
    return "Rows" in file.header and "Columns" in file.header and file.text("SOPClassUID") not in _DERIVED


def one_series(folder: Path, files: Sequence[DicomFile], wanted: str | None) -> list[DicomFile]:
    """The files of the only series, or of the one with this number or UID.

    Raises:
        UnsupportedFile: when several are there and none is named, or none has that name.
    """
    series: dict[str, list[DicomFile]] = {}
    for file in files:
        series.setdefault(file.text("SeriesInstanceUID"), []).append(file)
    if wanted is not None:
        chosen = [s for uid, s in series.items() if wanted in (uid, s[0].text("SeriesNumber"))]
    else:
        chosen = list(series.values())
    if len(chosen) == 1:
        return chosen[0]
    in_order = sorted(series.items(), key=lambda item: item[1][0].numbers("SeriesNumber"))
    listed = "; ".join(_series_line(uid, members) for uid, members in in_order)
    asked = f", asked for {wanted!r}" if wanted is not None else ""
    raise UnsupportedFile(
        f"the folder {folder} with {len(series)} image series ({listed}){asked}",
        expected="one series",
        do="Name it by its number or UID (--series, or read(path, series=...)), or give it a folder of its own.",
    )


def _series_line(uid: str, members: Sequence[DicomFile]) -> str:
    first = members[0]
    number, description = first.text("SeriesNumber") or "-", first.text("SeriesDescription") or "no description"
    return f"number {number}, {first.text('Modality')}, {description!r}, {len(members)} images, UID {uid}"
