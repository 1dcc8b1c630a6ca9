"""Images to segment, found and read as training finds and reads them; masks beside them are not looked at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from promisam.core.errors import InvalidConfig, UnreadableFile
from promisam.core.image import Image
from promisam.io.atomic import full_suffix
from promisam.io.cases import read_image
from promisam.io.digest import image_digest
from promisam.io.formats import BY_SUFFIX
from promisam.io.layouts import Case, Dataset, find_cases, folder_of_images, images_alone


@dataclass(frozen=True)
class Input:
    """An image to segment.

    Attributes:
        case: its name, its files, one for each channel, and its group where the data set gives one.
        channels: names of its channels, where they are known; then a fourth axis of NIfTI holds them.
        masks: where its data set has masks.
        fault: why it cannot be read, where its files' names say so already.
    """

    case: Case
    channels: tuple[str, ...] = ()
    masks: tuple[Path, ...] = field(default=(), repr=False)
    fault: str = ""

    @property
    def name(self) -> str:
        """Unique among the inputs."""
        return self.case.name

    @property
    def path(self) -> Path:
        """The first of its files, whose geometry is that of the image."""
        return self.case.images[0]

    def read(self) -> Image:
        """The image, its channels put together.

        Raises:
            PromisamError: as of `read_image`, and for a fault.
        """
        if self.fault:
            raise UnreadableFile(self.fault, expected="a file for each channel", do="Add what is missing, or remove the case.")
        return read_image(self.case, Dataset("images", (self.case,), paired=False, channels=self.channels))

    def digest(self) -> str:
        """Of its files, as a training record keeps it.

        Raises:
            UnreadableFile: when one cannot be read.
        """
        return image_digest(self.case.images)


def find_inputs(paths: Sequence[Path], channels: Sequence[str] = (), number: int = 1) -> dict[str, Input]:
    """Images by name: data sets in any layout, folders of images, DICOM folders, files.

    Files of one image that are numbered by channel, `<case>_0000` and so on, are one input called `<case>`.

    Args:
        paths: where to look.
        channels: names of the channels that a method learned from, for images beside which nothing names them.
        number: of channels that it learned from.

    Raises:
        UnreadableFile: when a path does not exist or no image is there, and for what is wrong with a data set's description.
        InvalidConfig: when two images have one name.
    """
    every: list[Input] = []
    loose: dict[Path, list[Path]] = {}
    for path in paths:
        dataset = find_cases(path)
        alone = [case.images[0] for case in dataset.cases if case.images]
        if path.is_file() and alone == [path]:
            loose.setdefault(path.parent, []).append(path)
        elif alone and dataset == folder_of_images(path):
            every += _alone(alone, channels, number)
        else:
            every += _of(dataset, path)
    for files in loose.values():
        every += _alone(list(dict.fromkeys(files)), channels, number)
    found: dict[str, Input] = {}
    for one in every:
        other = found.setdefault(one.name, one)
        if [p.resolve() for p in other.case.images] != [p.resolve() for p in one.case.images]:
            raise _twice(one.path, other.path, one.name)
    if not found:
        raise UnreadableFile(", ".join(map(str, paths)) + " without any image", expected="images", do="Check the path.")
    return found


def folders_of(inputs: Iterable[Input], paths: Iterable[Path]) -> set[Path]:
    """Every folder that inputs, or the masks beside them, stand in, and those that were given; resolved."""
    given = {path for path in paths if path.is_dir()}
    files = {file for one in inputs for file in (*one.case.images, *one.masks)}
    dicom = {file for file in files if file.is_dir()}
    return {folder.resolve() for folder in given | dicom | {file.parent for file in files - given}}


def _of(dataset: Dataset, path: Path) -> list[Input]:
    """Of a data set that says itself what belongs together."""
    with_image = [case for case in dataset.cases if case.images]
    listed = {case.name for case in dataset.cases}
    inputs = [
        Input(Case(case.name or path.resolve().name, case.images, (), case.group), dataset.channels, case.masks)
        for case in with_image
    ]
    for finding in dataset.findings:
        if finding.severity != "error" or finding.case in listed:
            continue  # what is wrong with a mask does not matter here
        if not finding.case:
            raise UnreadableFile(f"{finding.file}: {finding.reason}", expected="images that can be told apart", do=finding.do)
        inputs.append(Input(Case(finding.case, (Path(finding.file),), ()), fault=finding.reason))
    return inputs


def _alone(files: Sequence[Path], channels: Sequence[str], number: int) -> list[Input]:
    found = images_alone(files, channels, number)
    inputs = [Input(case, _named(case, found)) for case in found.cases]
    faults = [Input(Case(f.case, (Path(f.file),), ()), fault=f.reason) for f in found.findings if f.severity == "error"]
    return [*inputs, *faults]


def _named(case: Case, dataset: Dataset) -> tuple[str, ...]:
    """The channels' names, but for a picture in one file, which may be grey or in colour as it likes."""
    one_picture = len(case.images) == 1 and BY_SUFFIX.get(full_suffix(case.images[0])) == "picture"
    return () if one_picture else dataset.channels


def _twice(path: Path, other: Path, name: str) -> InvalidConfig:
    return InvalidConfig(
        f"{path} beside {other}, both called {name}",
        expected="names that differ",
        do="Rename one, or give their folders one at a time.",
    )
