"""A whole folder of images through one method: what is done stays done, and one bad file stops nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from promisam.core import Image, Prompts, Segmenter, predict
from promisam.core.errors import InvalidConfig, PromisamError, UnreadableFile
from promisam.io import atomic_text, check_writable, find_cases, read, read_prompts, write
from promisam.io.atomic import full_suffix

REPORT = "predictions.json"


@dataclass(frozen=True)
class Shard:
    """Every `of`-th input, from number `index`."""

    index: int = 0
    of: int = 1

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not 0 <= self.index < self.of:
            raise InvalidConfig(f"shard {self.index}/{self.of}", expected="i/n with i from 0 to n - 1", do="Correct --shard.")

    @classmethod
    def parse(cls, text: str) -> Shard:
        """From "i/n".

        Raises:
            InvalidConfig: for anything else.
        """
        index, _, of = text.partition("/")
        try:
            return cls(int(index), int(of))
        except ValueError:
            raise InvalidConfig(f"shard {text!r}", expected="i/n, such as 0/4", do="Correct --shard.") from None


@dataclass(frozen=True)
class Done:
    """What became of one input.

    Attributes:
        image: its path.
        output: of the mask.
        status: "done", "skipped" (there already) or "failed".
        reason: why it failed.
        seconds: that it took.
        trained_on: whether the method learned from an image of that name.
    """

    image: str
    output: str
    status: str
    reason: str = ""
    seconds: float = 0.0
    trained_on: bool = False


def inputs_of(paths: Sequence[Path]) -> dict[str, Path]:
    """Images by name: files as they are, folders by their layout (masks are not looked at).

    Raises:
        UnreadableFile: when nothing is there.
        InvalidConfig: when two images have one name.
    """
    found: dict[str, Path] = {}
    for path in paths:
        for case in find_cases(path).cases:
            if len(case.images) > 1:
                raise InvalidConfig(
                    f"{case.name} of {len(case.images)} channel files",
                    expected="one file for each image",
                    do="Join the channels first.",
                )
            for image in case.images:
                if found.setdefault(case.name, image) != image:
                    raise InvalidConfig(
                        f"{image} beside {found[case.name]}", expected="names that differ", do="Predict them into two folders."
                    )
    if not found:
        raise UnreadableFile(", ".join(map(str, paths)) + " without any image", expected="images", do="Check the path.")
    return found


def predict_folder(
    methods: Mapping[int, Segmenter],
    inputs: Mapping[str, Path],
    out: Path,
    *,
    shard: Shard | None = None,
    prompts: Path | None = None,
    overwrite: bool = False,
    trained_on: Sequence[str] = (),
) -> Iterator[Done]:
    """Segment every image of the shard into `out`; yields what became of each, and writes a report at the end.

    Args:
        methods: by the number of axes of the images that they take.
        inputs: images by name.
        out: the folder of masks, one `<name>` each in a format that keeps the image's geometry.
        shard: which part of the inputs; all without it.
        prompts: a folder of prompt files `<name>.json`, for methods that need prompts.
        overwrite: do again what is there.
        trained_on: names of the cases that the method learned from; they are marked.
    """
    part = shard or Shard()
    rows: list[Done] = []
    for name in sorted(inputs)[part.index :: part.of]:
        begun = time.perf_counter()
        image = inputs[name]
        target = out / f"{name}{_suffix(image)}"
        known = name in trained_on
        if target.exists() and not overwrite:
            row = Done(str(image), str(target), "skipped", trained_on=known)
        else:
            try:
                target = _one(methods, image, name, out, prompts)
                row = Done(str(image), str(target), "done", "", round(time.perf_counter() - begun, 3), known)
            except (PromisamError, OSError, MemoryError) as error:
                row = Done(str(image), str(target), "failed", " ".join(str(error).split()), trained_on=known)
        rows.append(row)
        yield row
    report = REPORT if part.of == 1 else f"predictions_{part.index}_of_{part.of}.json"
    atomic_text(out / report, json.dumps({"predictions": [asdict(row) for row in rows]}, indent=1, ensure_ascii=False) + "\n")


def _one(methods: Mapping[int, Segmenter], path: Path, name: str, out: Path, prompts: Path | None) -> Path:
    image = read(path)
    method = methods[image.grid.ndim]
    target = out / f"{name}{_suffix(path)}"
    check_writable(target, image.grid, source=path)
    asked, names = _asked(image, name, prompts)
    write(target, predict(method, image, *asked, names=names), source=path)
    return target


def _asked(image: Image, name: str, prompts: Path | None) -> tuple[list[Prompts], tuple[str, ...]]:
    if prompts is None:
        return [], ()
    found = read_prompts(prompts / f"{name}.json", image.grid)
    return [one.prompts for one in found], tuple(one.name for one in found)


def _suffix(image: Path) -> str:
    """Of a mask that keeps the geometry of this image."""
    kept = {".nii": ".nii.gz", ".nii.gz": ".nii.gz", ".nrrd": ".nrrd", ".nhdr": ".nrrd", ".mha": ".mha", ".mhd": ".mha"}
    pictures = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
    suffix = full_suffix(image) if image.is_file() else ""
    return kept.get(suffix, ".png" if suffix in pictures else ".nii.gz")
