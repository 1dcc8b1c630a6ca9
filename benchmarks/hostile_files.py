"""Inputs for `robustness.py`: small sound files of every kind, and things that are none."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813 - its usual name
import torch
from PIL import Image as Pillow
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from promisam.sam.architecture import SamShape, build
from promisam.sam.checkpoint import write_state
from promisam.sam.mask_decoder import DecoderShape
from promisam.sam.prompt_encoder import PromptShape
from promisam.sam.vit import VitShape


def make(folder: Path) -> None:
    """Everything, by name, in a new folder."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    _pictures(folder, rng)
    _volumes(folder, rng)
    _series(folder / "series", rng)
    _weights(folder / "tiny.safetensors")
    _none(folder)
    prompts = {"objects": [{"label": "a", "box": [2, 3, 20, 25]}, {"label": "b", "points": [{"at": [9, 9]}]}]}
    (folder / "prompts.json").write_text(json.dumps(prompts))
    (folder / "options.yaml").write_text("epochs: 1\nbatch: 2\n")
    (folder / "split.json").write_text(json.dumps({"train": ["p0", "p1"], "val": ["p2"], "test": ["p3"]}))


def _pictures(folder: Path, rng: np.random.Generator) -> None:
    y, x = np.indices((32, 40))
    for part in ("data/images", "data/masks", "predicted"):
        (folder / part).mkdir(parents=True)
    for i in range(4):
        inside = (y - 14 - i) ** 2 + (x - 20) ** 2 < 80
        pixels = (60 + 100 * inside + rng.integers(0, 40, inside.shape)).astype(np.uint8)
        Pillow.fromarray(pixels).save(folder / "data" / "images" / f"p{i}.png")
        Pillow.fromarray((inside * 255).astype(np.uint8)).save(folder / "data" / "masks" / f"p{i}.png")
        Pillow.fromarray((np.roll(inside, 2) * 255).astype(np.uint8)).save(folder / "predicted" / f"p{i}.png")
    Pillow.fromarray(rng.integers(0, 255, (32, 40, 3), dtype=np.uint8)).save(folder / "picture.png")
    Pillow.fromarray((inside * 255).astype(np.uint8)).save(folder / "mask.png")
    Pillow.fromarray(rng.integers(0, 255, (32, 40), dtype=np.uint8)).save(folder / "a 'b' \"c\"\nd.png")


def _volumes(folder: Path, rng: np.random.Generator) -> None:
    values = rng.integers(-900, 900, (3, 20, 24)).astype(np.int16)
    for name, array in (("volume.nii.gz", values), ("labels.nii.gz", (values > 0).astype(np.uint8)), ("volume.mha", values)):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((0.8, 0.9, 3.0))
        sitk.WriteImage(image, str(folder / name))


def _series(folder: Path, rng: np.random.Generator) -> None:
    folder.mkdir()
    series, study, frame = generate_uid(), generate_uid(), generate_uid()
    for index in range(3):
        made = Dataset()
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.SOPClassUID, made.SOPInstanceUID = CTImageStorage, generate_uid()
        made.SeriesInstanceUID, made.StudyInstanceUID, made.FrameOfReferenceUID = series, study, frame
        made.Modality, made.PatientName, made.PatientID = "CT", "A", "1"
        made.Rows, made.Columns, made.PixelSpacing = 16, 20, ["1", "1"]
        made.ImagePositionPatient, made.ImageOrientationPatient = ["0", "0", str(2 * index)], ["1", "0", "0", "0", "1", "0"]
        made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
        made.BitsAllocated = made.BitsStored = 16
        made.HighBit, made.PixelRepresentation = 15, 1
        made.PixelData = rng.integers(-900, 900, (16, 20)).astype(np.int16).tobytes()
        made.save_as(folder / f"s{index}.dcm", enforce_file_format=True)


def _weights(path: Path) -> None:
    """A SAM of a few thousand weights."""
    image = VitShape(side=80, width=24, depth=2, heads=2, global_blocks=(1,), patch=16, window=3, mlp_width=40, out_channels=32)
    decoder = DecoderShape(width=32, heads=8, mlp_width=48, depth=2, masks=4, quality_width=20)
    torch.manual_seed(0)
    sam = build(SamShape(image, PromptShape(width=32, side=80, grid=5, mask_width=8), decoder))
    write_state(path, sam.state_dict())


def _none(folder: Path) -> None:
    """What stands in a folder of data and is no image."""
    (folder / "empty").write_bytes(b"")
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.nii.gz").write_text("only text " * 50)
    (folder / "cut.png").write_bytes((folder / "picture.png").read_bytes()[:300])
    (folder / "cut.nii.gz").write_bytes((folder / "volume.nii.gz").read_bytes()[:900])
    (folder / "deep.json").write_text("[" * 50_000)
    (folder / "bad.pth").write_bytes(b"\x80\x02}q\x00.")
    (folder / "folder.png").mkdir()
    (folder / "nothing").mkdir()
    os.mkfifo(folder / "pipe.png")
    (folder / "loop").symlink_to("loop")
    (folder / "dangling.png").symlink_to("gone.png")
