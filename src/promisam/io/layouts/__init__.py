"""How data sets lie on the disk. A further layout is one more function in `LAYOUTS`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from promisam.core.errors import UnreadableFile
from promisam.io.layouts.folders import dicom_folder, folder_of_images, images_and_masks, single_file
from promisam.io.layouts.listing import DESCRIPTION, listing
from promisam.io.layouts.naming import stem_of
from promisam.io.layouts.nnunet import images_alone, nnunet
from promisam.io.layouts.pickled import pickled
from promisam.io.layouts.table import CLASSES, TABLE, table
from promisam.io.layouts.values import FOLD, SPLIT_WORDS, Case, Dataset, split_word

__all__ = [
    "CLASSES",
    "FOLD",
    "LAYOUTS",
    "SPLIT_WORDS",
    "TABLE",
    "Case",
    "Dataset",
    "Layout",
    "find_cases",
    "folder_of_images",
    "images_alone",
    "split_word",
    "stem_of",
]

Layout = Callable[[Path], Dataset | None]

LAYOUTS: tuple[Layout, ...] = (table, pickled, nnunet, listing, single_file, images_and_masks, dicom_folder, folder_of_images)


def find_cases(path: Path) -> Dataset:
    """The data set at a path, by the first layout that fits.

    Raises:
        UnreadableFile: when nothing is there, when no layout fits, or when two describe it.
        UnsupportedFile: for a description that cannot be followed, such as nnU-Net's regions.
        InvalidConfig: for a table with an unknown split or with one name twice.
    """
    try:
        if (path / TABLE).is_file() and (path / DESCRIPTION).is_file():
            raise UnreadableFile(
                f"{path} with {TABLE} and {DESCRIPTION}",
                expected="one description",
                do="Give the one that is meant as the path.",
            )
        for layout in LAYOUTS:
            if (found := layout(path)) and (found.cases or any(f.severity == "error" for f in found.findings)):
                return found
    except OSError as error:
        raise UnreadableFile(
            f"{path} ({error.strerror})", expected="a readable folder or file", do="Check the path."
        ) from error
    raise UnreadableFile(
        f"{path}, {'in which no image was found' if path.is_dir() else 'which does not exist'}",
        expected="a folder with images/ and masks/, nnU-Net's folders, a CSV or JSON list, a split.pkl, a folder of images, "
        "or one file",
        do="Check the path.",
    )
