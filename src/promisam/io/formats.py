"""Which format a path is, by its name and by its first bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from promisam.core.errors import UnreadableFile
from promisam.io.atomic import full_suffix

Format = Literal["NIfTI", "NRRD", "MetaImage", "picture", "DICOM", "DICOM folder"]

BY_SUFFIX: dict[str, Format] = {
    ".nii": "NIfTI",
    ".nii.gz": "NIfTI",
    ".nrrd": "NRRD",
    ".nhdr": "NRRD",
    ".mha": "MetaImage",
    ".mhd": "MetaImage",
    ".png": "picture",
    ".jpg": "picture",
    ".jpeg": "picture",
    ".tif": "picture",
    ".tiff": "picture",
    ".bmp": "picture",
    ".dcm": "DICOM",
}
READABLE = "NIfTI (.nii, .nii.gz), NRRD, MetaImage (.mha, .mhd), PNG, JPEG, TIFF, BMP, a DICOM file or a DICOM folder"
# First bytes of the formats that are mistaken for one another.
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (128, b"DICM", "DICOM"),  # first, since the bytes before it may begin a TIFF
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (0, b"II+\x00", "TIFF"),
    (0, b"MM\x00+", "TIFF"),
    (0, b"BM", "BMP"),
    (0, b"NRRD", "NRRD"),
    (0, b"ObjectType", "MetaImage"),
    (0, b"NDims", "MetaImage"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"PK\x03\x04", "ZIP"),
    (0, b"%PDF", "PDF"),
    (0, b"GIF8", "GIF"),
    (344, b"n+1\x00", "NIfTI"),
    (4, b"n+2\x00", "NIfTI"),
)
PICTURES = ("PNG", "JPEG", "TIFF", "BMP")


def format_of(path: Path) -> Format:
    """The format to read a path as.

    Raises:
        UnreadableFile: when it is missing, empty, of an unknown kind, or not what its name says.
    """
    try:
        if path.is_dir():
            return "DICOM folder"
        if path.exists() and not path.is_file():  # opening a pipe would wait for whoever writes to it
            raise OSError(None, "a device or a pipe")
        head = _head(path)
    except OSError as error:
        raise UnreadableFile(
            f"{path} ({error.strerror or error})", expected="a file or a folder that can be read", do="Check the path."
        ) from error
    if not head:
        raise UnreadableFile(f"{path}, which is empty (0 bytes)", expected=READABLE, do="Copy or export the file again.")
    content = content_of(head)
    if content == "DICOM":
        return "DICOM"
    named = BY_SUFFIX.get(full_suffix(path))
    if named is None:
        seems = f", a {content} by its first bytes" if content else ""
        raise UnreadableFile(f"{path}{seems}", expected=READABLE, do="Convert it, or give it the suffix of what it is.")
    if not _agree(named, content, path):
        is_what = f"a {content}" if content else "nothing known"
        raise UnreadableFile(
            f"{path}, which is {is_what} by its first bytes",
            expected=f"a {named if named != 'picture' else 'PNG, JPEG, TIFF or BMP'} as its name says",
            do="Give it the suffix of what it is, or export it again.",
        )
    return named


def content_of(head: bytes) -> str | None:
    """The format that the first bytes (348 or more) belong to; None when unknown."""
    return next((name for offset, magic, name in _MAGIC if head[offset : offset + len(magic)] == magic), None)


def has_dicom_mark(path: Path) -> bool:
    """Whether a file carries DICOM's mark "DICM"."""
    return content_of(_head(path)) == "DICOM"


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(352)


def _agree(named: Format, content: str | None, path: Path) -> bool:
    if named == "picture":
        return content in PICTURES
    if named == "NIfTI":
        return content == ("gzip" if path.name.lower().endswith(".gz") else "NIfTI")
    if named == "MetaImage":  # a text header whose first line may be any of its fields
        return content in ("MetaImage", None)
    return content == named
