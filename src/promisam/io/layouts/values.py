"""Cases and data sets, before any of their files is decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from promisam.core.errors import InvalidConfig
from promisam.io.findings import Finding

SPLIT_WORDS = {
    **dict.fromkeys(("train", "training", "tr"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "ts"), "test"),
}
FOLD = "fold "  # how the split of a case begins whose data set is cut into numbered folds


@dataclass(frozen=True)
class Case:
    """An image and its masks; either may be missing.

    Attributes:
        name: unique in its data set.
        images: one file or DICOM folder, or one file per channel, in order.
        masks: one file whose values are the labels, or one file per entry of `values`.
        group: patient, video or scanner that it shares with other cases; empty when unknown.
        split: "train", "val", "test", "fold <number>", or empty where the data set does not say.
        values: the label that each mask draws wherever it is not 0; empty where the values in the file are the labels.
    """

    name: str
    images: tuple[Path, ...]
    masks: tuple[Path, ...]
    group: str = ""
    split: str = ""
    values: tuple[int, ...] = ()

    @property
    def paired(self) -> bool:
        """Whether there is an image and a mask."""
        return bool(self.images and self.masks)


@dataclass(frozen=True)
class Dataset:
    """Cases, and whether each of them should have a mask.

    Attributes:
        layout: which of the layouts it is, in words.
        cases: by name.
        paired: whether images and masks belong together.
        classes: label value to name, where the layout names its labels.
        channels: names of the images' channels, where the layout names them. With more than one, a fourth axis of NIfTI holds
            the channels.
        findings: what is known without opening an image: files passed over, doubled names, missing channels. A case that is
            not listed for an error is named by it.
    """

    layout: str
    cases: tuple[Case, ...]
    paired: bool
    classes: Mapping[int, str] = field(default_factory=dict)
    channels: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


def split_word(text: str, where: str) -> str:
    """The split that a word or a number of a fold means.

    Raises:
        InvalidConfig: for any other word.
    """
    word = text.strip().lower()
    if not word or word in SPLIT_WORDS:
        return SPLIT_WORDS.get(word, "")
    number = word.removeprefix("fold").strip(" _-")
    if number.isdecimal():
        return f"{FOLD}{int(number)}"
    raise InvalidConfig(
        f"{where} with the split {text!r}",
        expected=f"one of {', '.join(SPLIT_WORDS)}, the number of a fold, or nothing",
        do="Rename it.",
    )
