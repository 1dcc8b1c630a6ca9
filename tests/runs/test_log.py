"""What a run leaves to look at: tables, event files, curves, previews."""

from __future__ import annotations

import csv
import struct
from pathlib import Path

import pytest
from PIL import Image as Pillow

from learning import course, ellipses
from promisam.core.errors import UnwritableOutput
from promisam.runs.log import Log
from promisam.training.events import Step, Validated
from promisam.training.loop import train


def logged(folder: Path, *, upto: int | None = None, preview_every: int = 1, resume: bool = False, since: tuple = (), **recipe):
    """A training whose events are logged; left after so many."""
    made = course(folder, **recipe)
    step, validated = since or (-1, -1)
    events = train(made, resume=resume)
    with Log(folder, since=step, validated=validated, preview_every=preview_every) as log:
        for number, event in enumerate(e for e in events if isinstance(e, Step | Validated)):
            log.write(event)
            if number + 1 == upto:
                break
    events.close()


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """By name, from all event files in order of their making, as TensorBoard shows them: restarts hide what was beyond them."""
    from tensorboardX.proto.event_pb2 import Event, SessionLog

    found: dict[str, list[tuple[int, float]]] = {}
    for path in sorted(folder.glob("*tfevents*"), key=lambda path: path.stat().st_mtime_ns):
        content, at = path.read_bytes(), 0
        while at < len(content):
            (size,) = struct.unpack("<Q", content[at : at + 8])
            event = Event.FromString(content[at + 12 : at + 12 + size])
            at += 16 + size
            if event.session_log.status == SessionLog.START:
                found = {name: [v for v in values if v[0] < event.step] for name, values in found.items()}
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def test_tables_have_a_row_for_every_step_and_validation(tmp_path):
    logged(tmp_path)
    rows = table(tmp_path / "metrics.csv")
    assert list(rows[0]) == ["step", "epoch", "loss", "bce", "dice", "learning_rate", "seconds"]
    assert [int(r["step"]) for r in rows] == list(range(1, 7))
    assert [float(r["epoch"]) for r in rows] == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    assert all(float(r["loss"]) == pytest.approx(float(r["bce"]) + float(r["dice"]), rel=1e-4) for r in rows)
    scored = table(tmp_path / "validation.csv")
    assert list(scored[0]) == ["step", "dice", "cases", "best", "seconds"]
    assert [r["step"] for r in scored] == ["0", "2", "4", "6"]
    assert scored[0]["best"] == "True"


def test_event_files_hold_the_same(tmp_path):
    logged(tmp_path)
    found = scalars(tmp_path / "tensorboard")
    assert set(found) == {"loss", "loss/bce", "loss/dice", "learning_rate", "validation/dice", "validation/dice_object"}
    written = [(int(r["step"]), float(r["loss"])) for r in table(tmp_path / "metrics.csv")]
    assert [v[0] for v in found["loss"]] == [v[0] for v in written]
    assert [v[1] for v in found["loss"]] == pytest.approx([v[1] for v in written], rel=1e-4)
    assert [v[0] for v in found["validation/dice"]] == [0, 2, 4, 6]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A training that was not interrupted."""
    folder = tmp_path_factory.mktemp("uninterrupted") / "whole"
    logged(folder, epochs=2, preview_every=2)
    return folder


@pytest.mark.parametrize(("upto", "since"), [(4, (2, 2)), (5, (3, 2)), (3, (2, 0))])
def test_going_on_leaves_the_logs_of_a_training_that_was_not_interrupted(tmp_path, whole, upto, since):
    """Left after a validation; after a step that asks for none; after a step whose validation is made up for."""
    logged(tmp_path / "part", epochs=2, preview_every=2, upto=upto)
    logged(tmp_path / "part", epochs=2, preview_every=2, resume=True, since=since)
    for name in ("metrics.csv", "validation.csv"):
        of_whole, of_part = ([{**r, "seconds": ""} for r in table(run / name)] for run in (whole, tmp_path / "part"))
        assert of_part == of_whole
    assert scalars(tmp_path / "part" / "tensorboard") == scalars(whole / "tensorboard")
    previews = [sorted(p.name for p in (run / "previews").iterdir()) for run in (whole, tmp_path / "part")]
    assert previews[0] == previews[1]


def test_rows_beyond_the_state_and_torn_ones_are_dropped(tmp_path):
    logged(tmp_path, upto=8)
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("7,3.5,0.")  # killed while it wrote
    with Log(tmp_path, since=4, validated=4):
        pass
    assert [r["step"] for r in table(tmp_path / "metrics.csv")] == ["1", "2", "3", "4"]
    assert [r["step"] for r in table(tmp_path / "validation.csv")] == ["0", "2", "4"]


@pytest.mark.parametrize(("every", "steps"), [(0, []), (1, [0, 2, 4, 6]), (2, [0, 4])])
def test_previews_come_every_so_many_validations(tmp_path, every, steps):
    logged(tmp_path, preview_every=every)
    assert sorted(p.name for p in tmp_path.glob("previews/*")) == [f"step_{step:06d}.png" for step in steps]


def test_curve_and_preview_are_pictures(tmp_path):
    logged(tmp_path)
    for path in (tmp_path / "learning_curve.png", tmp_path / "previews" / "step_000006.png"):
        with Pillow.open(path) as picture:
            picture.load()
            assert picture.format == "PNG"
            assert min(picture.size) > 300
            assert len(picture.convert("L").getcolors()) > 20


def test_validations_without_anything_to_find_leave_an_empty_score(tmp_path):
    logged(tmp_path, validation=ellipses(2, 4, empty=True))
    assert {r["dice"] for r in table(tmp_path / "validation.csv")} == {""}
    assert "validation/dice" not in scalars(tmp_path / "tensorboard")
    assert (tmp_path / "learning_curve.png").is_file()


@pytest.mark.parametrize("taken", ["metrics.csv", "validation.csv", "tensorboard"])
def test_a_folder_that_cannot_be_written_is_said(tmp_path, taken):
    if taken == "tensorboard":
        (tmp_path / taken).write_text("a file")
    else:
        (tmp_path / taken).mkdir()
    with pytest.raises(UnwritableOutput, match=taken), Log(tmp_path):
        pass
