"""What the command line is asked for: how methods learn from few labels, and which of them can."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from promisam.core.errors import UnsupportedFile
from promisam.io import atomic_text
from promisam.methods import METHODS
from promisam.session import Project
from promisam.store import find_method, is_few_shot, is_trainable, uses_sam

VALIDATIONS = 6  # over a training: enough for a curve and a choice, each costs an answer to every held-out image
HELD_OUT = (80, 20)  # per cent to learn from and to validate with; what is to be tested is what a person corrects next
_FIRST = ("promise2d", "sam_mpa", "unet")  # those that find objects by themselves are what most people want here
_SLICES = 40  # with an object, of a typical volume: a guess that only the length of a training depends on


@dataclass(frozen=True)
class Options:
    """What `promisam annotate` was told about weights and computing, for every command that it starts.

    Attributes:
        weights: name or file of the SAM; None for each command's default.
        like: the known weights that a file was trained like.
        device: where to compute.
        offline: never touch the network.
    """

    weights: str | None = None
    like: str | None = None
    device: str = "auto"
    offline: bool = False

    def words(self, *, sam: bool) -> list[str]:
        """As arguments; with `sam`, those that choose it. A value stays in one word with its name: it may begin with "-"."""
        found = [f"--device={self.device}", *(["--offline"] if self.offline else [])]
        if sam and self.weights is not None:
            found.append(f"--weights={self.weights}")
        if sam and self.like is not None:
            found.append(f"--like={self.like}")
        return found


@dataclass(frozen=True)
class Lesson:
    """How a method is trained here.

    Attributes:
        batch: samples of a step.
        steps: moves of the weights; from them and the number of images follow the epochs.
        options: further ones, as of `--set`.
    """

    batch: int
    steps: int
    options: tuple[str, ...] = ()


# Lengths are such that a processor without a GPU needs some five minutes; steps were timed on one or two cores.
#
# method       batch steps  reason
# imedsam          4    60  its encoder learns too, so each step costs an encoder pass there and back; of its border points half
# interactive      4   120  a decoder on kept embeddings; starts from weights that understand a SAM's prompts already
# promise2d        8    60  the light network for points (5 s a step, the default one 14 s), two variants of each image (each
#                           costs an encoder pass); 66 such steps on 22 images reached a Dice of 0.82 without any prompt
# promise3d        1   250  small cubes and features without enlargement, as trained on hippocampi: 0.87 within six minutes
# unet             8   240  half the default width, a quarter of the cost; small cubes of volumes; 410 steps took 7 minutes
# sam_mpa          -     -  remembers its supports and is not trained
LESSONS: dict[str, Lesson] = {
    "imedsam": Lesson(4, 60, ("variants=2", "points=2048")),
    "interactive": Lesson(4, 120, ("variants=2",)),
    "promise2d": Lesson(8, 60, ("form=light", "variants=2")),
    "promise3d": Lesson(
        1,
        250,
        (
            "patch=48",
            "enlargement=1",
            "neck=32",
            "decoder=16",
            "fineness=2",
            "prompt_mlp=256",
            "foreground=0.8",
            "learning_rate=1e-3",
        ),
    ),
    "unet": Lesson(8, 240, ("width=16", "patch=48,48,48")),
}


def learnable(project: Project, ndim: int | None = None) -> tuple[str, ...]:
    """The methods that can learn from a project's images, the usual ones first: of volumes all, those of pictures by slices.

    Args:
        project: whose images count.
        ndim: axes of its images; without it, of the first image that is done, or else of the first.
    """
    axes = ndim or _axes(project)
    found = []
    for name in METHODS:
        kind = find_method(name)[0]
        learns = is_few_shot(kind) or (is_trainable(kind) and name in LESSONS)
        of_volumes = getattr(kind, "ndim", None) == 3
        if learns and (axes == 3 or not of_volumes):
            found.append(name)
    usual = [name for name in _FIRST if name in found]
    return (*usual, *(name for name in found if name not in usual))


def _axes(project: Project) -> int:
    names = sorted(project.inputs, key=lambda name: project.status(name).state != "done")
    known = (project.ndim(name) for name in names)
    return next((axes for axes in known if axes is not None), 3)


def learn_words(project: Project, method: str, images: int, table: Path, run: Path, source: Options, kept: Path) -> list[str]:
    """`promisam fit` for a method that is trained."""
    lesson = LESSONS[method]
    learned = max(1, round(images * HELD_OUT[0] / sum(HELD_OUT)))
    by_slices = getattr(find_method(method)[0], "ndim", None) == 2 and _axes(project) == 3
    samples = learned * (_SLICES if by_slices else 1)
    batch = min(lesson.batch, samples)
    epochs = math.ceil(lesson.steps * batch / samples)
    numbers = [f"epochs={epochs}", f"batch={batch}", f"validate_every={max(1, epochs // VALIDATIONS)}"]
    settings = [f"--set={option}" for option in (*lesson.options, *numbers)]
    split = f"--split={HELD_OUT[0]},{HELD_OUT[1]}"
    chosen = source.words(sam=uses_sam(find_method(method)[0]))
    return ["fit", *settings, split, f"--keep={kept}", *chosen, "-o", str(run), "--", method, str(table)]


def remember_words(method: str, table: Path, others: Path | None, run: Path, source: Options) -> list[str]:
    """`promisam fit` for a method that remembers supports; it looks at the other images as well."""
    unlabelled = [] if others is None else [f"--images={others}"]
    return ["fit", f"--support={table}", *unlabelled, *source.words(sam=True), "-o", str(run), "--", method]


def select_words(images: Path, number: int, former: Path | None, table: Path, source: Options, kept: Path) -> list[str]:
    """`promisam select`; what a former table names counts as chosen, and is part of the number."""
    extended = [] if former is None else [f"--extend={former}"]
    words = ["select", "-k", str(number), *extended, f"--keep={kept}", "--overwrite", *source.words(sam=True)]
    return [*words, "-o", str(table), "--", str(images)]


def predict_words(run: Path, images: Path, out: Path, source: Options) -> list[str]:
    """`promisam predict`; a run knows its own weights."""
    return ["predict", "--overwrite", *source.words(sam=False), "-o", str(out), "--", str(run), str(images)]


def write_images(project: Project, names: Iterable[str], table: Path) -> Path:
    """A table of images without masks: with it, commands call them as the project does, however many they are.

    Raises:
        UnsupportedFile: for a path that a table cannot hold.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "image"])
    for name in names:
        files = [str(file.absolute()) for file in project.inputs[name].case.images]
        if any(";" in file for file in files):
            raise UnsupportedFile(f"the path {files[0]}", expected="one without semicolons", do="Rename it.")
        writer.writerow([name, ";".join(files)])
    return atomic_text(table, text.getvalue())
