"""The experiments of I-MedSAM in their public layouts, on a few drawn pictures and volumes."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import nibabel
import numpy as np
import pytest
from PIL import Image as Picture
from safetensors.torch import save_file

import promisam as ps
import tiny_sam
import toy_field
from command_line import promisam
from promisam.core import Example, Task
from promisam.core.errors import InvalidConfig, UnreadableFile
from promisam.evaluation.benchmark_table import Spread
from promisam.methods.imedsam.config import Config
from promisam.reproduce import catalogue, study
from promisam.reproduce.boxes import Answer, box_answers, mean_of
from promisam.reproduce.checks import open_run
from promisam.reproduce.data import find, write_table
from promisam.reproduce.run import Request
from promisam.reproduce.values import Facts
from promisam.training.checkpoint import Header, write_checkpoint
from promisam.training.recipe import Recipe

SIZES = {384: 48, 128: 16, 896: 80, 512: 32}  # an answer at 896 takes ten seconds
NAMES = ("kvasir-sessile", "cvc-clinicdb", "bcv", "amos")


def pictured(seed):
    generator = np.random.default_rng(seed)
    y, x = np.indices((40, 52))
    inside = (y - generator.integers(15, 25)) ** 2 + (x - generator.integers(15, 35)) ** 2 < 90
    return np.clip(generator.normal(90, 20, (40, 52, 3)) + 90 * inside[..., None], 0, 255).astype(np.uint8), inside


def draw(image, mask, seed):
    pixels, inside = pictured(seed)
    for path, array in ((image, pixels), (mask, (255 * inside).astype(np.uint8))):
        path.parent.mkdir(parents=True, exist_ok=True)
        Picture.fromarray(array).save(path)


def scan(image, mask, seed, labels):
    """Four slices of 24 x 20; on two of them each label fills a block."""
    values = np.random.default_rng(seed).normal(40, 60, (20, 24, 4)).astype(np.int16)
    drawn = np.zeros(values.shape, np.uint8)
    for place, label in enumerate(labels):
        drawn[2 + 6 * place : 7 + 6 * place, 4 : 14 + seed % 3, 1:3] = label
    for path, array in ((image, values), (mask, drawn)):
        path.parent.mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(array, np.diag([0.8, 0.8, 3, 1])), path)


@pytest.fixture
def sessile(tmp_path):
    """As the authors hand it out: divided."""
    data = tmp_path / "sessile"
    for number, part in enumerate(("train", "train", "train", "val", "test", "test")):
        draw(data / part / f"images/cju{number}.png", data / part / f"masks/cju{number}.png", number)
    return data


@pytest.fixture
def undivided(tmp_path):
    """As sessile-main-Kvasir-SEG: masks in JPEG."""
    data = tmp_path / "public"
    for number in range(10):
        place = data / "sessile-main-Kvasir-SEG"
        draw(place / f"images/cju{number}.jpg", place / f"masks/cju{number}.jpg", number)
    return data


@pytest.fixture
def bcv(tmp_path):
    data = tmp_path / "bcv"
    for number in (1, 5, 6, 7):
        place = data / "RawData/Training"
        scan(place / f"img/img{number:04d}.nii.gz", place / f"label/label{number:04d}.nii.gz", number, (1, 6, 13))
    return data


@pytest.fixture
def words(tmp_path, monkeypatch):
    """The experiments on small squares, and a tiny SAM that learns for one epoch."""
    small = []
    for one in catalogue.STUDIES:
        if one.method != "imedsam":
            continue
        published = tuple(replace(p, side=p.side and SIZES[p.side]) for p in one.published)
        small.append(replace(one, sizes=tuple(SIZES[n] for n in one.sizes), published=published))
    monkeypatch.setattr(catalogue, "STUDIES", tuple(small))
    sam = tmp_path / "tiny.safetensors"
    save_file({k: v.contiguous() for k, v in tiny_sam.tiny().state_dict().items()}, sam)
    own = ["epochs=1", "batch=2", "variants=1", "points=64"]
    return [
        *("--weights", sam, "--like", "sam_vit_b", "--keep", tmp_path / "kept"),
        *(word for option in own for word in ("--set", option)),
    ]


def reproduced(capsys, name, data, out, *more):
    return promisam(capsys, "reproduce", "imedsam", name, data, "-o", out, "--device", "cpu", *more)


def results(out):
    return json.loads((out / "results.json").read_text())


def test_sessile_with_its_components_and_across_to_clinicdb(capsys, tmp_path, sessile, words):
    out = tmp_path / "out"
    done = reproduced(capsys, "kvasir-sessile", sessile, out, *words, "--components")
    assert done.status == 0, done.text
    told = results(out)
    beside = {row["part"]: (row["published"]["dice"], row["published"]["hausdorff"]) for row in told["rows"]}
    assert beside == {
        "Sessile": (0.9149, 11.59),
        "Sessile at 16": (0.9145, 7.91),
        "Sessile at 80": (0.9133, 32.77),
        "Sessile, LoRA": (0.8361, None),
        "Sessile at 16, LoRA": (0.7273, None),
        "Sessile at 80, LoRA": (0.7646, None),
        "Sessile, LoRA + FA": (0.8874, None),
        "Sessile at 16, LoRA + FA": (0.7569, None),
        "Sessile at 80, LoRA + FA": (0.7859, None),
        "Sessile, LoRA + INR": (0.8883, 15.44),
        "Sessile at 16, LoRA + INR": (0.8816, None),
        "Sessile at 80, LoRA + INR": (0.8843, None),
    }
    assert all((row["cases"], row["prompt"], row["from_truth"]) == (2, "box", True) for row in told["rows"])
    assert all(row["dice"]["mean"] is not None and row["hausdorff"]["mean"] > 0 for row in told["rows"])
    assert len({row["dice"]["mean"] for row in told["rows"]}) > 4  # each size and component answers for itself
    page = (out / "results.md").read_text()
    assert "| test part | cases | prompt | Dice | IoU | HD, px | published Dice | published IoU | published HD |" in page
    assert "| Sessile | 2 | box (from the truth) |" in page
    assert "| 0.915 | none found | 11.59 |" in page
    assert "SwIPE 0.851" in page
    assert "6 images with masks in all; the published set has 196" in page
    assert max(map(len, done.out.splitlines())) <= 80
    assert "0.915, HD 11.59" in done.out
    said = " ".join(done.out.split())
    assert "1 epoch of AdamW at 0.001, poly, no warm-up, weight decay 0.01, batch 2" in said
    assert "Ours: at 64 of each image" in said
    assert "prompts made from the truth" in said
    assert "frame of 384" not in said  # it was taken
    for folder, decoder, spectrum in (
        (".", "field", "linear"),
        ("components/lora", "mask", "none"),
        ("components/lora-fa", "mask", "linear"),
        ("components/lora-inr", "field", "none"),
    ):
        run = json.loads((out / folder / "run/run.json").read_text())
        assert (run["options"]["decoder"], run["options"]["spectrum"]) == (decoder, spectrum)
        assert (run["options"]["prior"], run["options"]["injection"], run["backbone"]["side"]) == (False, "half", 384)
        assert (run["options"]["encoder_rate"], run["training"]["learning_rate"]) == (0.05, 0.001)
        with (out / folder / "benchmark/Sessile/answers.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert {(row["side"], row["prompt_from_truth"]) for row in rows} == {("48", "yes"), ("16", "yes"), ("80", "yes")}
    first = [float(row["dice"]) for row in rows if row["side"] == "48"]
    assert np.mean(first) == pytest.approx(told["rows"][9]["dice"]["mean"])

    other = tmp_path / "clinic"
    draw(other / "CVC-ClinicDB/PNG/Original/1.png", other / "CVC-ClinicDB/PNG/Ground Truth/1.png", 70)
    draw(other / "CVC-ClinicDB/PNG/Original/2.png", other / "CVC-ClinicDB/PNG/Ground Truth/2.png", 71)
    for run, part, dice in (("run", "CVC-ClinicDB", 0.8883), ("components/lora/run", "CVC-ClinicDB, LoRA", 0.8257)):
        across = tmp_path / f"across {dice}"
        done = reproduced(capsys, "cvc-clinicdb", other, across, "--run", out / run)
        assert done.status == 0, done.text
        (row,) = results(across)["rows"]
        assert (row["part"], row["cases"], row["published"]["dice"]) == (part, 2, dice)
        assert any("trained on Kvasir-Sessile. Ours: a run on 3 cases" in one for one in results(across)["differences"])
    leak = tmp_path / "leak"
    place = sessile / "train/images/cju0.png"
    (other / "CVC-ClinicDB/PNG/Original/1.png").write_bytes(place.read_bytes())
    done = reproduced(capsys, "cvc-clinicdb", other, leak, "--run", out / "run")
    assert (done.status, leak.exists()) == (2, False)
    assert "trained on" in done.text


def test_organs_slice_by_slice_and_the_liver_elsewhere(capsys, tmp_path, bcv, words):
    out = tmp_path / "out"
    done = reproduced(capsys, "bcv", bcv, out, *words, "--side", "80")
    assert done.status == 0, done.text
    (row,) = results(out)["rows"]
    assert (row["part"], row["cases"], row["published"]["dice"], row["from_truth"]) == ("BCV", 6, 0.8991, True)
    run = json.loads((out / "run/run.json").read_text())
    assert len(run["task"]["classes"]) == 13
    assert run["task"]["classes"][5] == "liver"
    assert set(run["data"]["split"]["test"]) == {"BCV_0001"}
    assert run["options"]["window"] == "75,400"
    assert run["backbone"]["side"] == 80
    assert any("a frame of 512 pixels. Ours: 80" in one for one in results(out)["differences"])
    with (out / "benchmark/BCV/answers.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(r["patient"], r["name"]) for r in rows} == {
        ("BCV_0001", name) for name in ("spleen", "liver", "left adrenal gland")
    }
    assert {r["case"] for r in rows} == {"BCV_0001 z=1", "BCV_0001 z=2"}

    amos = tmp_path / "amos"
    for number in (1, 4, 507):
        scan(amos / f"imagesTr/amos_{number:04d}.nii.gz", amos / f"labelsTr/amos_{number:04d}.nii.gz", number, (6, 15))
    (amos / "dataset.json").write_text("{}")
    across = tmp_path / "across"
    done = reproduced(capsys, "amos", amos, across, "--run", out / "run")
    assert done.status == 0, done.text
    (row,) = results(across)["rows"]
    assert (row["part"], row["cases"], row["published"]["hausdorff"]) == ("AMOS", 4, 37.53)
    assert any("MRI" in note for note in results(across)["data"])
    alone = open_run(study("imedsam", "amos"), out / "run")
    assert "liver" in alone.header.task.classes


def test_an_undivided_set_is_dealt_by_the_seed_and_its_masks_made_exact(tmp_path, undivided):
    experiment = study("imedsam", "kvasir-sessile")
    found = find(experiment, undivided)
    parts = [{line.image.name for line in found.lines if line.split == part} for part in ("train", "val", "test")]
    assert [len(part) for part in parts] == [6, 2, 2]
    assert len(set.union(*parts)) == 10
    assert find(experiment, undivided) == found
    assert find(experiment, undivided, seed=1).lines != found.lines
    assert len([note for note in found.notes if "60:20:20" in note]) == 1
    assert "10 masks in JPEG, which smears edges: values were cut in the middle" in found.notes
    table = write_table(found, tmp_path / "out")
    with table.open() as file:
        rows = list(csv.DictReader(file))
    line = next(line for line in found.lines if line.name == rows[0]["id"])
    _, inside = pictured(int(line.image.stem.removeprefix("cju")))
    assert (ps.read_segmentation(rows[0]["mask"]).mask() == inside).all()


def test_the_seed_of_a_run_divides_the_data_that_it_is_scored_on(tmp_path, undivided):
    from promisam.reproduce.run import _seed

    request = Request(study("imedsam", "kvasir-sessile"), undivided, tmp_path / "out", options={"seed": 3})
    assert _seed(request, None) == 3
    assert _seed(replace(request, options={}), None) == 0


def test_volumes_of_nnunet_names_are_found(tmp_path):
    for number in (1, 2):
        name = f"amos_{number:04d}"
        scan(tmp_path / f"imagesTr/{name}_0000.nii.gz", tmp_path / f"labelsTr/{name}.nii.gz", number, (6,))
    assert [line.name for line in find(study("imedsam", "amos"), tmp_path).lines] == ["AMOS_amos_0001", "AMOS_amos_0002"]


def test_clinicdb_in_tif(tmp_path):
    draw(tmp_path / "TIF/Original/1.tif", tmp_path / "TIF/Ground Truth/1.tif", 1)
    assert [line.name for line in find(study("imedsam", "cvc-clinicdb"), tmp_path).lines] == ["CVC-ClinicDB_1"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("kvasir-sessile", ["train/, val/ and test/", "looked for train/images with train/masks or images with masks"]),
        ("cvc-clinicdb", ["PNG/Original with PNG/Ground Truth"]),
        ("bcv", ["RawData/Training/ with img/img0001.nii.gz and label/label0001.nii.gz"]),
        ("amos", ["imagesTr/ and labelsTr/ with amos_0001.nii.gz"]),
    ],
)
def test_other_layouts_are_refused_with_the_tree_that_is_known(tmp_path, name, shown):
    with pytest.raises(UnreadableFile) as refused:
        find(study("imedsam", name), tmp_path)
    assert [words for words in shown if words not in str(refused.value)] == []


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("cvc-clinicdb", [], "the run that kvasir-sessile makes"),
        ("amos", [], "promisam reproduce imedsam bcv DATA -o OUT, then --run OUT/run"),
        ("bcv", ["--components"], "--components of imedsam bcv"),
        ("kvasir-sessile", ["--draws", "2"], "no chance"),
        ("kvasir-sessile", ["--run", "x", "--side", "256"], "--side for a run"),
    ],
)
def test_what_does_nothing_is_refused_before_anything_is_written(capsys, tmp_path, name, more, message):
    done = reproduced(capsys, name, tmp_path, tmp_path / "out", *more)
    assert done.status == 2
    assert message in " ".join(done.text.split())
    assert not (tmp_path / "out").exists()


def test_runs_on_other_organs_are_refused(tmp_path):
    from torch.nn import Linear

    task = Task(("spleen", "aorta"), 2, 1, (1.0, 1.0), (8, 8))
    write_checkpoint(tmp_path / "model.safetensors", Linear(1, 1), Header("imedsam", {}, task, None, "0"))
    with pytest.raises(InvalidConfig, match="a run that learned liver"):
        open_run(study("imedsam", "amos"), tmp_path)


def ellipse():
    """A picture of 40 x 60 with the ellipse that fills its box."""
    inside = toy_field.disc(19.5, 30, 12, 20)(*np.indices((40, 60))) > 0
    grid = ps.Grid.of_picture((40, 60))
    picture = ps.Image(np.zeros((1, 40, 60), np.uint8), grid)
    return Example.of("a", picture, ps.Segmentation(inside.astype(np.uint8), grid), "patient")


def test_answers_are_scored_on_squares_in_their_pixels():
    method = toy_field.Disc(None, toy_field.Config())
    answers = box_answers(method, [ellipse()], ["object"], [30, 240], continuous=True)
    assert [(one.case, one.patient, one.name, one.side) for one in answers] == [
        ("a", "patient", "object", 30),
        ("a", "patient", "object", 240),
    ]
    assert all(one.dice > 0.95 for one in answers)
    assert answers[0].hausdorff < 2 < answers[1].hausdorff  # stairs of the truth's pixels, six and four times as large
    one, two = (box_answers(method, [ellipse()], ["object"], [240], continuous=c)[0] for c in (True, False))
    assert one.dice != two.dice  # the field itself, and not its samples
    assert two.dice == pytest.approx(one.dice, abs=0.03)


def test_an_empty_answer_is_far():
    class Nothing(toy_field.Disc):
        field = None

        def decode(self, encoded, prompts):
            return ps.Scores(np.full((1, *encoded.grid.shape), -1, np.float32), encoded.grid)

    (answer,) = box_answers(Nothing(None, toy_field.Config()), [ellipse()], ["object"], [30], continuous=True)
    assert (answer.dice, answer.iou, answer.hausdorff) == (0, 0, 100)


def test_means_are_over_answers_and_intervals_over_patients():
    answers = [Answer(f"{n}", "ab"[n // 20], "x", 9, float(n // 20), 0.0, 1.0) for n in range(40)]
    assert mean_of(answers, "dice") == Spread(0.5, None, 0.0, 1.0)
    assert mean_of([], "dice") == Spread()


OURS = Facts("sam_vit_b", "", Config(prior=False, injection="half").model_dump(), Recipe().model_dump(), False, 9, 1, 1, 384)


@pytest.mark.parametrize(
    ("facts", "there", "absent"),
    [
        (
            OURS,
            ["around the truth", "60 epochs", "at 4096 of each", "--set points=0", "--set epochs=1000", "are stretched"],
            ["the SAM", "a frame of", "without the logits", "--set schedule"],
        ),
        (replace(OURS, side=256, weights="litemedsam"), ["frame of 384 pixels. Ours: 256", "Ours: litemedsam."], []),
        (
            replace(OURS, options=Config(spectrum="log", rank=8).model_dump()),
            ["rank=8, spectrum=log, injection=learned, prior=True", "--set prior=False --set injection=half"],
            [],
        ),
        (
            replace(OURS, options=Config(mode="official", points=0).model_dump()),
            [],
            ["mode=official", "taught at all", "stretched"],
        ),
        (replace(OURS, given=True), ["a run on 9 cases, chosen by 1"], ["--set"]),
        (replace(OURS, training=None), ["is not known; perhaps"], ["epochs", "--set", "extent", "taught", "versions"]),
    ],
)
def test_differences_are_those_of_what_was_run(facts, there, absent):
    said = " ".join(study("imedsam", "kvasir-sessile").differing(facts))
    assert [one for one in there if one not in said] == []
    assert [one for one in absent if one in said] == []


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, ""),
        ({"spectrum": "log"}, ""),
        ({"spectrum": "none"}, "LoRA + INR"),
        ({"decoder": "mask"}, "LoRA + FA"),
        ({"decoder": "mask", "spectrum": "none"}, "LoRA"),
    ],
)
def test_a_run_is_known_for_the_component_that_it_is(options, name):
    assert study("imedsam", "cvc-clinicdb").component_of(Config(**options).model_dump()) == name


def test_the_published_frame_is_for_plain_vits(tmp_path):
    from promisam.reproduce.run import _source
    from promisam.store import Source

    sam = tmp_path / "tiny.safetensors"
    save_file({k: v.contiguous() for k, v in tiny_sam.tiny().state_dict().items()}, sam)
    request = Request(study("imedsam", "bcv"), tmp_path, tmp_path / "out", source=Source(sam, like="sam_vit_b"))
    assert _source(request).side == 512
    assert _source(replace(request, source=Source(sam, like="sam_vit_b", side=80))).side == 80
    assert _source(replace(request, source=Source(sam, like="litemedsam"))).side is None
