"""What a run leaves to look at: metrics as CSV and for TensorBoard, the learning curve, previews of validated cases."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from promisam.io import atomic_path, atomic_text, render
from promisam.io.atomic import writing
from promisam.runs.board import Board
from promisam.training.events import Event, Step, Validated
from promisam.training.validation import Shown

METRICS, VALIDATION, CURVE, PREVIEWS = "metrics.csv", "validation.csv", "learning_curve.png", "previews"


class Log:
    """Writes what happens into a run folder; going on from a step drops what was written beyond it."""

    def __init__(self, folder: Path, *, since: int = -1, validated: int = -1, preview_every: int = 1) -> None:
        """Open the logs.

        Args:
            folder: of the run.
            since: the step that training goes on from; -1 to begin anew.
            validated: the step after which the latest validation was; -1 if there was none.
            preview_every: validations between preview pictures; 0 for none.

        Raises:
            UnwritableOutput: when the operating system refuses, here and in every other call.
        """
        self.folder, self.preview_every = folder, preview_every
        with ExitStack() as opened:
            self._steps = opened.enter_context(closing(_Table(folder / METRICS, since)))
            self._validations = opened.enter_context(closing(_Table(folder / VALIDATION, min(since, validated))))
            self._board = opened.enter_context(closing(Board(folder / "tensorboard", since)))
            self._opened = opened.pop_all()

    def __enter__(self) -> Log:
        """Itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        """Close, with an up-to-date curve."""
        with self._opened:
            self.curve()

    def write(self, event: Event) -> None:
        """Record one event."""
        if isinstance(event, Step):
            parts = {name: f"{value:.6g}" for name, value in event.parts.items()}
            row = {"step": event.number, "epoch": f"{event.epoch:.3f}", "loss": f"{event.loss:.6g}", **parts}
            self._steps.add({**row, "learning_rate": f"{event.learning_rate:.6g}", "seconds": f"{event.seconds:.3f}"})
            named = {f"loss/{name}": value for name, value in event.parts.items()}
            self._board.add(event.number, {"loss": event.loss, **named, "learning_rate": event.learning_rate})
        elif isinstance(event, Validated):
            self._validated(event)

    def curve(self) -> None:
        """Draw loss and validation Dice over the steps."""
        steps, validations = self._steps.rows, self._validations.rows
        if not steps and not validations:
            return
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 4.5), layout="constrained")
        left = figure.add_subplot()
        left.plot(
            [int(r["step"]) for r in steps], [float(r["loss"]) for r in steps], color="#999999", lw=0.8, label="training loss"
        )
        left.set_xlabel("step")
        left.set_ylabel("loss")
        left.set_ylim(bottom=0)
        right = left.twinx()
        scored = [r for r in validations if r["dice"] not in ("", "nan")]
        right.plot(
            [int(r["step"]) for r in scored], [float(r["dice"]) for r in scored], "o-", color="#0072B2", label="validation Dice"
        )
        for row in [r for r in scored if r["best"] == "True"][-1:]:
            right.plot(
                int(row["step"]), float(row["dice"]), "*", color="#D55E00", ms=14, label=f"best {float(row['dice']):.3f}"
            )
        right.set_ylabel("Dice")
        right.set_ylim(0, 1)
        handles = [*left.get_legend_handles_labels()[0], *right.get_legend_handles_labels()[0]]
        figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False)
        with atomic_path(self.folder / CURVE) as partial:
            figure.savefig(partial, format="png", dpi=120)

    def _validated(self, event: Validated) -> None:
        number = len(self._validations.rows)
        by_class = {f"dice {name}": f"{value:.6f}" for name, value in event.dice.items()} if len(event.dice) > 1 else {}
        score = "" if math.isnan(event.score) else f"{event.score:.6f}"
        row = {
            "step": event.step,
            "dice": score,
            "cases": len(event.cases),
            "best": event.best,
            "seconds": f"{event.seconds:.2f}",
        }
        self._validations.add({**row, **by_class})
        named = {f"validation/dice {name}": value for name, value in event.dice.items()}
        self._board.add(event.step, {**({"validation/dice": event.score} if score else {}), **named})
        self.curve()
        if self.preview_every and number % self.preview_every == 0 and event.shown:
            by_name = {case.name: case.dice for case in event.cases}
            with atomic_path(self.folder / PREVIEWS / f"step_{event.step:06d}.png") as partial:
                _sheet(event, by_name).savefig(partial, format="png", dpi=100)


class _Table:
    """A CSV file that grows row by row; its columns are those of the first row."""

    def __init__(self, path: Path, since: int) -> None:
        self.path = path
        self.rows: list[dict[str, str]] = []
        if since >= 0 and path.exists():
            with path.open(newline="", encoding="utf-8") as file:
                self.rows = [row for row in csv.DictReader(file) if _whole(row) and int(row["step"]) <= since]
        text = io.StringIO()
        if self.rows:
            writer = csv.DictWriter(text, list(self.rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)
        atomic_text(path, text.getvalue())
        with writing(path):
            self._file = path.open("a", newline="", encoding="utf-8")

    def add(self, row: Mapping[str, Any]) -> None:
        """Append a row and hand it to the operating system at once."""
        with writing(self.path):
            if not self.rows:
                csv.writer(self._file, lineterminator="\n").writerow(row)
            columns = list(self.rows[0]) if self.rows else list(row)
            self.rows.append({name: str(row.get(name, "")) for name in columns})
            csv.DictWriter(self._file, columns, lineterminator="\n").writerow(self.rows[-1])
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        with writing(self.path):
            self._file.close()


def _whole(row: Mapping[str, str | None]) -> bool:
    """Whether a row was written to its end before the process was killed."""
    return None not in row.values() and str(row.get("step", "")).isdigit()


def _sheet(event: Validated, dice: Mapping[str, Mapping[str, float]]) -> Any:  # noqa: ANN401 - a matplotlib figure
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2 * len(event.shown)), layout="constrained")
    axes = np.atleast_2d(figure.subplots(len(event.shown), 2))
    for row, one in zip(axes, event.shown, strict=True):
        found = dice.get(one.name, {})
        values = ", ".join(f"{v:.3f}" + (f" ({name})" if len(found) > 1 else "") for name, v in found.items())
        for place, (title, picture) in zip(row, _pictures(one), strict=True):
            place.imshow(picture)
            place.set_title(
                f"{one.name}: {title}" + (f", Dice {values}" if title == "prediction" and values else ""), fontsize=9
            )
            place.set_axis_off()
    return figure


def _pictures(one: Shown) -> list[tuple[str, np.ndarray]]:
    image = one.labelled.image
    return [("prediction", render(image, one.prediction, one.prompts)), ("truth", render(image, one.labelled.truth))]
