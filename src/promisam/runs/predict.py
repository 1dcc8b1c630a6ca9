"""A whole folder of images through one method: what is done stays done, and one bad file stops nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from promisam.core import Explanation, Grid, Segmentation, Segmenter, answer, encode
from promisam.core.errors import GeometryError, InvalidConfig, PromisamError, UnwritableOutput
from promisam.io import Input, NamedPrompts, aimed, check_writable, folders_of, mask_suffix, mask_suffixes, read_prompts, write
from promisam.io.digest import file_digest
from promisam.runs.explained import BY_HAND, TABLE, write_explained, write_overview
from promisam.runs.explaining import explainer
from promisam.runs.predictions import REPORT, Book, Done, Maker
from promisam.runs.seen import Marks

_AXES = {2: "picture", 3: "volume"}


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

    @property
    def report(self) -> str:
        """Name of its report."""
        return REPORT if self.of == 1 else f"predictions_{self.index}_of_{self.of}.json"

    @property
    def table(self) -> str:
        """Name of its table of explanations."""
        return TABLE if self.of == 1 else f"report_{self.index}_of_{self.of}.csv"

    def names(self, inputs: Mapping[str, Input]) -> list[str]:
        """Its inputs, in order."""
        return sorted(inputs)[self.index :: self.of]


@dataclass(frozen=True)
class Place:
    """Where masks go, and the rules for what is there already.

    Attributes:
        out: the folder of masks, one `<name>` each in a format that keeps the image's geometry, and of the report.
        maker: what makes them, for the report.
        overwrite: do again what is there.
    """

    out: Path
    maker: Maker | None = None
    overwrite: bool = False

    def check(self, inputs: Mapping[str, Input], given: Sequence[Path] = ()) -> None:
        """Refuse, before any work, a folder that images or their masks come from, or that holds another method's masks.

        Raises:
            UnwritableOutput: for a folder of the inputs, or one that holds another program's report.
            InvalidConfig: for the masks of another method.
            UnreadableFile: for a damaged report.
        """
        if self.out.resolve() in folders_of(inputs.values(), given):
            raise UnwritableOutput(
                f"the output {self.out}, a folder of the inputs",
                expected="a folder of its own: masks among images would be taken for images",
                do="Choose another folder.",
            )
        self.book(REPORT)

    def book(self, report: str) -> Book:
        """The report to write to."""
        book = Book(self.out, report, self.maker)
        if not self.overwrite:
            book.check_same()
        return book


def predict_folder(
    methods: Mapping[int, Segmenter],
    inputs: Mapping[str, Input],
    place: Place,
    *,
    shard: Shard | None = None,
    prompts: Path | None = None,
    mark: Callable[[Input], Marks] = lambda _one: Marks(),
) -> Generator[Done]:
    """Segment every image of the shard; yields what became of each, and keeps a report beside the masks.

    What earlier reports said of masks that are skipped, or of other images, is kept. After an interruption the report tells
    of all that was yielded.

    Args:
        methods: by the number of axes of the images that they take.
        inputs: images by name, as `find_inputs` finds them.
        place: where the masks go.
        shard: which part of the inputs; all without it.
        prompts: a folder of prompt files `<name>.json`, for methods that need prompts.
        mark: what tells whether the method has seen an image before.

    Raises:
        PromisamError: as of `Place.check`, before anything is done.
    """
    part = shard or Shard()
    place.check(inputs)
    book = place.book(part.report)
    work = Work(methods, place, prompts, mark, book)
    return recorded((work.row(inputs[name]) for name in part.names(inputs)), book, part)


def recorded(rows: Iterator[Done], book: Book, part: Shard | None = None) -> Generator[Done]:
    """The rows, each noted in the report, and in the end what is made of them all, also after an interruption."""
    made: list[Done] = []
    try:
        for row in rows:
            book.add(row)
            made.append(row)
            yield row
    finally:
        book.write()
        write_overview(book.path.parent, (part or Shard()).table, made)


@dataclass(frozen=True)
class Work:
    """What becomes of one image after another.

    Attributes:
        methods: by the number of axes of the images that they take.
        place: where the masks go.
        prompts: a folder of prompt files.
        mark: what tells whether the method has seen an image before.
        book: what earlier reports say of masks that are there.
    """

    methods: Mapping[int, Segmenter]
    place: Place
    prompts: Path | None
    mark: Callable[[Input], Marks]
    book: Book

    def row(self, one: Input) -> Done:
        """Segment one input, unless it is done."""
        begun = time.perf_counter()
        known = known_of(one, self.mark(one))
        targets = [self.place.out / f"{one.name}{suffix}" for suffix in mask_suffixes(one.path)]
        there = next((target for target in targets if target.exists()), None)
        try:
            if there is not None and not self.place.overwrite:
                self._check_inside(there)
                return self.book.skipped(self._to(known, there), there)
            target, made = self._segment(one, known)
            seconds = round(time.perf_counter() - begun, 3)
            return replace(self._to(made, target), status="done", seconds=seconds, sha256=file_digest(target))
        except (PromisamError, OSError, MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and type(error).__name__ != "OutOfMemoryError":  # torch's own
                raise
            reason = " ".join(str(error).split()) or type(error).__name__
            left = "" if there is None else "; an earlier mask is still there"
            return replace(self._to(known, there or targets[0]), status="failed", reason=reason + left)

    def _to(self, row: Done, target: Path) -> Done:
        return replace(row, output=str(target), mask=target.relative_to(self.place.out).as_posix())

    def _segment(self, one: Input, known: Done) -> tuple[Path, Done]:
        """Write the mask of an image, and before it what explains it; the row says what the method thinks of it."""
        image = one.read()
        method = self._method(one, image.grid)
        target = self.place.out / f"{one.name}{mask_suffix(one.path, image.grid)}"
        self._check_inside(target)
        check_writable(target, image.grid, source=one.path)
        named = self._given(one, method, image.grid)
        given = [each.prompts for each in named]
        shown = method.prepare(image)
        encoded = encode(method, shown, *given)
        found = answer(method, encoded, *given, names=tuple(each.name for each in named))
        explain = explainer(method)
        told = explain(encoded, found) if explain is not None and not given else None
        if explain is not None:
            write_explained(self.place.out, one.name, shown, found, told, given)
            known = _explained(known, told)
        write(target, _by_class(found, named, method.classes), source=one.path)
        return target, known

    def _given(self, one: Input, method: Segmenter, grid: Grid) -> list[NamedPrompts]:
        """Prompts by hand; a method that needs none answers the images without a file by itself."""
        if self.prompts is None:
            return []
        file = self.prompts / f"{one.name}.json"
        if method.automatic and self.prompts.is_dir() and not file.exists():
            return []
        return aimed(read_prompts(file, grid), method.classes)

    def _method(self, one: Input, grid: Grid) -> Segmenter:
        method = self.methods.get(grid.ndim)
        if method is None or method.ndim != grid.ndim:
            able = " or ".join(f"a {_AXES[ndim]}" for ndim, other in sorted(self.methods.items()) if other.ndim == ndim)
            raise GeometryError(
                f"{one.path}, a {_AXES[grid.ndim]}, for a method that never learned from one",
                expected=able or "an image that the method takes",
                do="Leave it out, or use a method that learned from such images.",
            )
        return method

    def _check_inside(self, target: Path) -> None:
        if not target.resolve().is_relative_to(self.place.out.resolve()):
            raise UnwritableOutput(
                f"the mask {target}, outside of {self.place.out}",
                expected="names of cases that stay in the folder",
                do="Give the cases names, such as a column id in the table.",
            )


def known_of(one: Input, seen: Marks) -> Done:
    """A row that says no more than what an image is, and whether it was seen before."""
    return Done(
        str(one.path.parent.resolve() / one.path.name),
        "",
        "",
        trained_on=seen.trained not in ("", "name alone"),
        trained_by=seen.trained,
        validated_on=seen.validated not in ("", "name alone"),
    )


def _explained(row: Done, told: Explanation | None) -> Done:
    if told is None:
        return replace(row, flags=(BY_HAND,))
    measures = {name: float(value) for name, value in told.measures.items()}
    return replace(row, confidence=float(told.confidence), flags=tuple(told.flags), measures=measures)


def _by_class(found: Segmentation, named: Sequence[NamedPrompts], classes: Sequence[str]) -> Segmentation:
    """Prompts of learned classes get the labels of these classes, as in every other image and without prompts."""
    if not named or not all(one.name in classes for one in named):
        return found
    labels = np.array([0, *(classes.index(one.name) + 1 for one in named)], np.min_scalar_type(len(classes)))
    return Segmentation(labels[found.labels], found.grid, dict(enumerate(classes, 1)))
