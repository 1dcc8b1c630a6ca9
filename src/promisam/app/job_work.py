"""The three kinds of background work on a project: what is asked for, how far it is, and what becomes of its files."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from promisam.app.job_progress import Kept, Progress, Said, training
from promisam.app.job_words import (
    HELD_OUT,
    Options,
    learn_words,
    learnable,
    predict_words,
    remember_words,
    select_words,
    write_images,
)
from promisam.core import Segmentation
from promisam.core.errors import InvalidConfig, NotFitted, PromisamError, TrainingStopped, UnwritableOutput
from promisam.io import mask_suffixes, read_segmentation, write
from promisam.runs.predictions import Done, case_of, read_reports
from promisam.runs.record import NAME, read_record
from promisam.session import Project, Status
from promisam.store import find_method, is_few_shot
from promisam.training.checkpoint import MODEL

_PARTLY = 2  # exit status of a command that left images out, and of every refusal
_MAKING = "making"  # folder of runs that are not complete


@dataclass(frozen=True)
class Work:
    """One piece of work.

    Attributes:
        words: of the command line, behind `promisam`.
        progress: how far it is.
        finish: from exit status and last lines: takes what was made into the project, and says so; raises where it failed.
        drop: puts in order what was made by work that was cancelled or failed.
    """

    words: list[str]
    progress: Callable[[Said], Progress]
    finish: Callable[[int, Said], str]
    drop: Callable[[], None]


def select_work(project: Project, source: Options, k: int) -> Work:
    """Choose `k` images to annotate, beside those that are done.

    Raises:
        InvalidConfig: when none is left.
    """
    done = [name for name in project.inputs if project.status(name).state == "done"]
    left = len(project.inputs) - len(done)
    if k < 1 or not left:
        raise InvalidConfig(f"{k} of {left} images", expected="at least one that is not done", do="Add images.")
    folder = project.own / "select"
    table = folder / "chosen.csv"
    images = write_images(project, project.inputs, folder / "images.csv")
    if any(one.channels for one in project.inputs.values()):
        images = project.root  # a table cannot say that a fourth axis holds channels
    former = write_images(project, done, folder / "done.csv") if done else None
    table.unlink(missing_ok=True)
    kept = Kept(project.own / "kept")

    def progress(_said: Said) -> Progress:
        made = kept.made()
        of = len(project.inputs)
        return Progress(f"looking at image {made} of {of}", made, of) if 0 < made <= of else Progress("looking at the images")

    def finish(status: int, said: Said) -> str:
        if status not in (0, _PARTLY) or not table.is_file():
            raise _failed(said, status)
        rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
        names = [row["name"] for row in sorted(rows, key=lambda row: int(row["rank"])) if row["name"] not in done]
        ranks = {name: rank for rank, name in enumerate(names, 1) if name in project.inputs}
        project.update_statuses(list(project.inputs), lambda name, now: replace(now, chosen=ranks.get(name)))
        unread = f"; {said.left_out()} could not be read" if status else ""
        return f"{_counted(len(ranks), 'image')} chosen{unread}"

    words = select_words(images, len(done) + min(k, left), former, table, source, kept.folder)
    return Work(words, progress, finish, lambda: None)


def learn_work(project: Project, source: Options, method: str, use: Callable[[Path], None]) -> Work:
    """Learn a method from the images that are done; `use` is told the run folder.

    A run is made beside the others, and takes its place among them when it is complete.

    Raises:
        InvalidConfig: for a method that cannot learn here, and for too few images.
    """
    able = learnable(project)
    if method not in able:
        raise InvalidConfig(f"the method {method!r}", expected=f"one of {', '.join(able)}", do="Choose one of them.")
    table = project.own / "learn" / "dataset.csv"
    number = project.table(table)
    run = _next_run(project, method)
    making = run.parent / _MAKING / run.name
    _remove(making)
    kept = Kept(project.own / "kept")
    few = is_few_shot(find_method(method)[0])
    epochs = 0
    if few:
        others = [name for name in project.inputs if project.status(name).state != "done"]
        unlabelled = write_images(project, others, table.with_name("others.csv")) if others else None
        words = remember_words(method, table, unlabelled, making, source)
    elif number > 1:
        words = learn_words(project, method, number, table, making, source, kept.folder)
        epochs = next(int(word.removeprefix("--set=epochs=")) for word in words if word.startswith("--set=epochs="))
    else:
        raise InvalidConfig(
            f"{_counted(number, 'image')} to learn {method} from",
            expected=f"at least two: {HELD_OUT[1]} % are held out to validate with",
            do="Segment and save some more.",
        )

    def progress(_said: Said) -> Progress:
        return Progress(f"looking at {_counted(number, 'image')}") if few else training(making, epochs, kept)

    def finish(status: int, said: Said) -> str:
        complete = (making / MODEL).is_file() and (
            making / NAME
        ).is_file()  # a training keeps its best weights while it goes on
        if not complete or status not in ((0, _PARTLY) if few else (0,)):
            raise _failed(said, status)
        making.rename(run)
        _remove(making)
        use(run)
        best = read_record(run).result.get("best_score")
        return f"{run.name} learned from {_counted(number, 'image')}" + (f", validation Dice {best:.2f}" if best else "")

    return Work(words, progress, finish, lambda: _remove(making))


def presegment_work(project: Project, source: Options) -> Work:
    """Segment what nobody has worked on with what was learned last.

    Raises:
        NotFitted: before anything was learned, and when that needs prompts.
        InvalidConfig: when no image is left.
    """
    run = learned(project)
    if run is None:
        raise NotFitted("nothing that was learned", expected="a method of this project", do="Learn from finished images first.")
    record = read_record(run)
    if getattr(find_method(record.method)[0], "automatic", True) is False:
        raise NotFitted(
            f"{record.method}, which answers clicks and boxes",
            expected="a method that finds objects by itself",
            do="Learn another: promise2d, sam_mpa or unet.",
        )
    names = [name for name in project.inputs if _untouched(project, name)]
    if not names:
        raise InvalidConfig("no image without work by hand", expected="at least one", do="Add images.")
    folder = project.own / "presegment"
    table = write_images(project, names, folder / "images.csv")
    made = _Made(project, record.data.labels, folder / "made")
    made.clear()

    def progress(_said: Said) -> Progress:
        number = len(made.taken) + len(made.files(names))
        return Progress(f"image {number} of {len(names)}" if number else "reading the method", number, len(names))

    def finish(status: int, said: Said) -> str:
        made.take(names)
        taken, begun = len(made.taken), len(made.files(names))
        if status not in (0, _PARTLY) or not taken + begun:
            raise _failed(said, status)
        skipped = f"; {begun} begun by hand meanwhile" if begun else ""
        failed = len(names) - taken - begun
        return f"{_counted(taken, 'image')} segmented{skipped}" + (
            f"; {failed} failed: {said.complaint(status)}" if status and failed else ""
        )

    def drop() -> None:
        with suppress(PromisamError):
            made.take(names)

    return Work(predict_words(run, table, made.folder, source), progress, finish, drop)


def learned(project: Project) -> Path | None:
    """The run folder that was made last; None before anything was learned."""
    runs = [run for run in (project.own / "models").glob("*-*") if (run / MODEL).is_file() and (run / NAME).is_file()]
    return max(runs, key=lambda run: ((run / NAME).stat().st_mtime_ns, run.name), default=None)


def _untouched(project: Project, name: str) -> bool:
    """Whether no person has worked on an image: nothing saved, nothing begun."""
    status = project.status(name)
    return status.state != "done" and status.by != "hand" and not project.drafted(name) and not project.mask_files(name)


@dataclass
class _Made:
    """Masks as a command writes them; the project's own only once they have its values.

    Attributes:
        project: that takes them.
        values: of the labels that the method learned.
        folder: that the command writes into.
        taken: names of the images whose masks the project has taken.
    """

    project: Project
    values: tuple[int, ...]
    folder: Path
    taken: set[str] = field(default_factory=set)
    _valued: set[str] = field(default_factory=set)

    def clear(self) -> None:
        """An empty folder.

        Raises:
            UnwritableOutput: when the system refuses.
        """
        try:
            if self.folder.exists():
                shutil.rmtree(self.folder)
            self.folder.mkdir(parents=True)
        except OSError as error:
            raise UnwritableOutput(f"{self.folder} ({error.strerror})", expected="an empty folder", do="Remove it.") from error

    def files(self, names: Iterable[str]) -> dict[str, Path]:
        """Masks that are made and not taken, by image."""
        places = {n: [self.folder / f"{n}{end}" for end in mask_suffixes(self.project.inputs[n].path)] for n in names}
        return {name: file for name, files in places.items() for file in files[::-1] if file.is_file()}

    def take(self, names: Iterable[str]) -> None:
        """Give masks the project's values, then to the project, and their images what the method says of them.

        Images on which somebody draws by now are left to them. What was taken stays so; a second call goes on from there.

        Raises:
            PromisamError: for a mask that cannot be read, after all others were taken.
            OSError: for one that cannot be moved, in the same way.
        """
        rows: dict[str, Done] = {case_of(row): row for report in read_reports(self.folder) for row in report.rows}
        errors: list[Exception] = []
        for name, file in self.files(names).items():
            if self.project.drafted(name):
                continue
            try:
                self._take(name, file)
            except (PromisamError, OSError) as error:
                errors.append(error)
        self.project.update_statuses(sorted(self.taken), lambda name, now: _proposed(now, rows.get(name)))
        if errors:
            raise errors[0]

    def _take(self, name: str, file: Path) -> None:
        if name not in self._valued:
            _revalue(self.project, file, self.values)
            self._valued.add(name)
        target = self.project.predictions / file.relative_to(self.folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        file.replace(target)
        self.taken.add(name)


def _proposed(now: Status, row: Done | None) -> Status:
    """With a mask of the model's; what a person has saved meanwhile stays."""
    if now.state == "done" or now.by == "hand":
        return now
    known = (row.confidence, tuple(row.flags)) if row is not None else (None, ())
    return Status("doubt", "model", *known, now.chosen)


def _revalue(project: Project, file: Path, values: tuple[int, ...]) -> None:
    """Methods call their classes 1..n in the order of the labels' values, which need not be 1..n."""
    if values == tuple(range(1, len(values) + 1)):
        return
    found = read_segmentation(file)
    table = np.array([0, *values], np.uint8)
    names = {label.value: label.name for label in project.labels}
    write(file, Segmentation(table[np.minimum(found.labels, len(values))], found.grid, names))


def _next_run(project: Project, method: str) -> Path:
    models = project.own / "models"
    taken = [run.name.rpartition("-")[2] for run in models.glob(f"{method}-*")]
    return models / f"{method}-{max((int(number) for number in taken if number.isdecimal()), default=0) + 1}"


def _remove(making: Path) -> None:
    shutil.rmtree(making, ignore_errors=True)
    with suppress(OSError):
        making.parent.rmdir()


def _failed(said: Said, status: int) -> PromisamError:
    return Failed(said.complaint(status))


class Failed(TrainingStopped):
    """A command that failed, in its own words."""

    def __init__(self, text: str) -> None:
        """Keep its sentence as it is."""
        super().__init__(text, expected="", do="")

    def __str__(self) -> str:
        """The sentence."""
        return self.given

    def __reduce__(self) -> tuple[object, ...]:
        """Survive pickling."""
        return Failed, (self.given,)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
