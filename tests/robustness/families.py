"""The families of files that are damaged, each with what has to hold of one that is read all the same."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
from hypothesis import given
from hypothesis import strategies as st

from robustness.damage import (
    DICOM_VALUES,
    damaged_bytes,
    damaged_json,
    damaged_lines,
    damaged_nifti,
    damaged_png,
    damaged_safetensors,
)
from robustness.hunt import Tally
from robustness.sound_files import SHAPE, as_text, bomb_nifti, described, prompts_json, volume, write_images

Family = Callable[[Path, Tally], Callable[[], None]]


def images(folder: Path, tally: Tally) -> Callable[[], None]:
    """Images and masks of every format but DICOM's fields."""
    from promisam.io import read, read_segmentation

    files = {path.name: path.read_bytes() for path in write_images(folder / "sound")}
    for path in files:  # what is sound is read
        read(folder / "sound" / path)

    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(files)))
        content = files[name]
        ways = [damaged_bytes]
        if name.endswith(".nii"):
            ways += [damaged_nifti] * 2
        if name.endswith((".nrrd", ".mha")):
            ways += [damaged_lines] * 2
        if name.endswith(".png"):
            ways += [damaged_png]
        path = folder / f"damaged_{name}"
        path.write_bytes(data.draw(data.draw(st.sampled_from(ways))(content)))
        tally.note(lambda: sound_image(read(path)))
        tally.note(lambda: sound_mask(read_segmentation(path)))
        path.unlink()

    return check


def sound_image(image: object) -> None:
    """An image whose pixels are finite and lie on a finite grid."""
    from promisam.core import Image

    assert isinstance(image, Image)
    assert image.pixels.shape[1:] == image.grid.shape
    assert np.isfinite(image.grid.affine).all()
    assert all(np.isfinite(s) and s > 0 for s in image.grid.spacing)
    assert np.isfinite([float(image.pixels.min()), float(image.pixels.max())]).all()
    assert image.grid.matches(image.grid)
    assert np.isfinite(image.grid.direction).all()


def sound_mask(mask: object) -> None:
    """A mask of labels from 0 on a finite grid."""
    from promisam.core import Segmentation

    assert isinstance(mask, Segmentation)
    assert mask.labels.shape == mask.grid.shape
    assert mask.labels.dtype.kind == "u"
    assert all(np.isfinite(s) and s > 0 for s in mask.grid.spacing)


def dicom(folder: Path, tally: Tally) -> Callable[[], None]:
    """Fields of DICOM, of one slice and of one among others."""
    from promisam.io import read

    pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    whole = {path.name: path.read_bytes() for path in write_images(folder / "sound") if path.suffix == ".dcm"}
    series = folder / "series"
    series.mkdir()
    names = sorted(whole)
    for name in names:
        (series / name).write_bytes(whole[name])
    read(series)

    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        name = names[0]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = pydicom.dcmread(folder / "sound" / name)
            for keyword in data.draw(st.lists(st.sampled_from(sorted(DICOM_VALUES)), min_size=1, max_size=2)):
                value = data.draw(st.sampled_from(DICOM_VALUES[keyword]))
                made.pop(keyword, None)
                if value is not None:
                    try:
                        setattr(made, keyword, value)
                    except (ValueError, TypeError, OverflowError):
                        continue
            try:
                made.save_as(series / name)
            except Exception:
                return
        tally.note(lambda: sound_image(read(series / name)))
        tally.note(lambda: sound_image(read(series)))

    return check


def prompts(folder: Path, tally: Tally) -> Callable[[], None]:
    """Prompt files for a volume."""
    from promisam.core import Grid, Segmentation
    from promisam.io import read_prompts, write

    grid = Grid.from_itk(SHAPE[::-1], (1, 1, 2), (0, 0, 0), np.eye(3))
    write(folder / "mask.nii.gz", Segmentation((volume() > 0).astype(np.uint8), grid))
    path = folder / "prompts.json"
    path.write_text(as_text(prompts_json()))
    assert len(read_prompts(path, grid)) == 2

    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        changed = as_text(data.draw(damaged_json(prompts_json()))).encode()
        path.write_bytes(data.draw(damaged_bytes(changed)) if data.draw(st.integers(0, 4)) == 0 else changed)

        def reading() -> None:
            for one in read_prompts(path, grid):
                assert one.name.strip()
                assert one.prompts.kinds
                assert grid.contains(one.prompts.points_zyx).all()

        tally.note(reading)

    return check


def bombs(folder: Path, tally: Tally) -> Callable[[], None]:
    """Headers that announce far more than there is, or more than any memory holds."""
    from promisam.io import read

    honest = bomb_nifti((1 << 13, 1 << 12, 32), 1 << 30)  # a GiB of zeros in a MiB
    made = {
        "honest.nii.gz": honest,
        "voxels.nii.gz": bomb_nifti((10_000, 10_000, 10_000), 0),
        "voxels.nii": bomb_nifti((10_000, 10_000, 10_000), 1 << 12, squeezed=False),
        "most.nii.gz": bomb_nifti((2**31 - 1, 2**31 - 1, 2**31 - 1), 1 << 20),
        "tail.nii.gz": bomb_nifti((4, 5, 6), 1 << 28),
        "big.mha": b"NDims = 3\nDimSize = 10000 10000 10000\nElementType = MET_SHORT\nElementDataFile = LOCAL\n" + bytes(99),
        "device.mhd": b"NDims = 3\nDimSize = 9 9 9\nElementType = MET_SHORT\nElementDataFile = /dev/zero\n",
        "big.nrrd": b"NRRD0004\ntype: short\ndimension: 3\nsizes: 10000 10000 10000\nencoding: gzip\n\n" + bytes(99),
        "device.nhdr": b"NRRD0004\ntype: short\ndimension: 3\nsizes: 9 9 9\nencoding: raw\ndata file: /dev/zero\n\n",
    }
    for name, content in made.items():
        (folder / name).write_bytes(content)

    def check() -> None:
        for name in made:
            before = tally.ends["refused"]
            tally.note(lambda name=name: sound_image(read(folder / name)))
            assert name == "tail.nii.gz" or tally.ends["refused"] == before + 1, f"{name} was read"

    return check


def records(folder: Path, tally: Tally) -> Callable[[], None]:
    """The JSON and CSV files that runs, data sets and choices are described by."""
    from promisam.io import find_cases, split_cases
    from promisam.runs.predictions import read_reports
    from promisam.runs.record import read_record
    from promisam.selection.record import read_former
    from promisam.zoo.record import Record

    sound = described(folder)
    cases = [(name, "", "") for name in "abc"]
    reading: dict[str, Callable[[Path], object]] = {
        "run.json": lambda path: read_record(path.parent),
        "split.json": lambda path: split_cases(cases, file=path),
        "predictions.json": lambda path: read_reports(path.parent),
        "list.json": find_cases,
        "record.json": Record.read,
        "cases.csv": find_cases,
        "chosen.csv": read_former,
        "split.csv": lambda path: split_cases(cases, file=path),
    }
    for name, read in reading.items():
        read(sound[name])
    texts = {name: path.read_bytes() for name, path in sound.items()}

    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(reading)))
        content = texts[name]
        if name.endswith(".json") and data.draw(st.integers(0, 4)):
            content = as_text(data.draw(damaged_json(json.loads(content)))).encode()
        elif data.draw(st.integers(0, 20)) == 0:
            content = b"[" * 100_000
        else:
            content = data.draw(damaged_bytes(content))
        sound[name].write_bytes(content)
        tally.note(lambda: reading[name](sound[name]))
        sound[name].write_bytes(texts[name])

    return check


def checkpoints(folder: Path, tally: Tally) -> Callable[[], None]:
    """Checkpoints of methods, and weights of SAMs, in both kinds of files."""
    import torch
    from safetensors.torch import save_file

    from learning import course, trained
    from promisam.sam.checkpoint import read_state, sam_from_state
    from promisam.store import load
    from promisam.training.checkpoint import MODEL
    from tiny_sam import tiny

    trained(course(folder / "run", epochs=1))
    state = {name: value.contiguous() for name, value in tiny().state_dict().items()}
    save_file(state, folder / "sam.safetensors")
    torch.save(state, folder / "sam.pth")
    torch.save(state, folder / "old.pth", _use_new_zipfile_serialization=False)
    model = folder / "run" / MODEL
    files = {model.name: model, **{name: folder / name for name in ("sam.safetensors", "sam.pth", "old.pth")}}
    texts = {name: path.read_bytes() for name, path in files.items()}

    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(files)))
        content = texts[name]
        if name.endswith(".safetensors") and data.draw(st.integers(0, 3)):
            content = data.draw(damaged_safetensors(content))
        else:
            content = data.draw(damaged_bytes(content))
        files[name].write_bytes(content)
        if name == MODEL:
            tally.note(lambda: load(method=folder / "run", device="cpu"))
        else:
            tally.note(lambda: sam_from_state(read_state(files[name])))
        files[name].write_bytes(texts[name])

    return check


FAMILIES: dict[str, Family] = {
    "images": images,
    "dicom": dicom,
    "prompts": prompts,
    "bombs": bombs,
    "records": records,
    "checkpoints": checkpoints,
}
