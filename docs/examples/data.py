"""Makes the small synthetic files on which every command of the documentation runs.

    python docs/examples/data.py examples/

Nothing in them comes from a patient. The same seed gives the same files.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PIL import Image as Pillow
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from scipy.ndimage import gaussian_filter

SPACING = (2.0, 2.0, 4.0)  # x, y, z of the volumes, in mm
ORIGIN = (-95.0, -79.0, 40.0)


def make(folder: Path) -> None:
    """Everything, into a folder that is made."""
    folder.mkdir(parents=True, exist_ok=True)
    _save(folder / "lesion.png", _skin((240, 320), [(120, 88, 38, 30), (245, 160, 24, 20)], seed=0)[0])
    _save(folder / "image.png", _skin((240, 320), [(160, 120, 52, 40)], seed=2)[0])
    pixels, _ = _skin((200, 300), [(170, 100, 50, 36)], seed=1)
    _save(folder / "sixteen_bit.png", pixels.mean(axis=2).astype(np.uint16) * 200)
    _ct(folder)
    _pictures(folder / "dataset", [f"p{1 + i // 2:02d}_{'ab'[i % 2]}" for i in range(12)], seed=100)
    _pictures(folder / "labelled", [f"few_{i}" for i in range(4)], seed=200)
    _pictures(folder, [f"case_{i}" for i in range(5)], seed=300, masks="truth")
    _volumes(folder / "volumes", [f"v{i}" for i in range(6)])
    _messy(folder / "messy")


def _skin(shape: tuple[int, int], spots: list[tuple[int, int, int, int]], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """An RGB picture of dark spots (x, y and half axes) on a lighter ground, and their mask."""
    random = np.random.default_rng(seed)
    y, x = np.indices(shape)
    inside = np.zeros(shape)
    for at_x, at_y, half_x, half_y in spots:
        angle = np.arctan2(y - at_y, x - at_x)
        wobble = 1 + 0.08 * np.sin(3 * angle + at_x) + 0.05 * np.sin(5 * angle + at_y)
        inside = np.maximum(inside, (((x - at_x) / half_x) ** 2 + ((y - at_y) / half_y) ** 2 < wobble**2).astype(float))
    soft = gaussian_filter(inside, 1.2)[..., None]
    ground, spot = np.array([216.0, 172.0, 150.0]), np.array([104.0, 66.0, 52.0])
    texture = gaussian_filter(random.normal(0, 1, shape), 3)[..., None] * 40 + random.normal(0, 4, (*shape, 1))
    pixels = ground * (1 - soft) + spot * soft + texture
    return np.clip(pixels, 0, 255).astype(np.uint8), inside.astype(bool)


def _pictures(folder: Path, names: list[str], seed: int, masks: str = "masks") -> None:
    """Pictures of one spot each, and their masks (0 and 1)."""
    for number, name in enumerate(names):
        random = np.random.default_rng(seed + number)
        spot = (*random.integers((40, 32), (64, 52)), *random.integers(13, 21, 2))
        pixels, inside = _skin((84, 104), [tuple(int(v) for v in spot)], seed + number)
        _save(folder / "images" / f"{name}.png", pixels)
        _save(folder / masks / f"{name}.png", inside.astype(np.uint8))


def _ct(folder: Path) -> None:
    """A body with two organs in Hounsfield units, as NIfTI and as a DICOM series, with prompts for it."""
    z, y, x = np.indices((10, 80, 96))
    body = ((x - 48) / 44) ** 2 + ((y - 40) / 34) ** 2 < 1
    liver = ((x - 32) / 19) ** 2 + ((y - 38) / 17) ** 2 + ((z - 5) / 2.6) ** 2 < 1
    spleen = ((x - 70) / 11) ** 2 + ((y - 46) / 13) ** 2 + ((z - 5) / 2.6) ** 2 < 1
    values = np.where(body, 0.0, -1000.0) + 110 * liver + 130 * spleen
    values = gaussian_filter(values, (0, 0.6, 0.6)) + np.random.default_rng(0).normal(0, 12, values.shape)
    values = np.round(values).astype(np.int16)
    _volume(folder / "ct.nii.gz", values)
    _volume(folder / "ct_truth.nii.gz", (liver + 2 * spleen).astype(np.uint8))
    rough = ((x - 32) / 16) ** 2 + ((y - 38) / 14) ** 2 < 1
    _volume(folder / "rough.nii.gz", (rough & (z == 5)).astype(np.uint8))
    _series(folder / "ct_series", values)
    objects = [
        {"label": "liver", "box": [13, 21, 3, 51, 55, 7]},
        {"label": "spleen", "points": [{"at": [70, 46, 5]}, {"at": [50, 46, 5], "positive": False}]},
    ]
    (folder / "prompts.json").write_text(json.dumps({"objects": objects}, indent=1) + "\n")


def _volumes(folder: Path, names: list[str]) -> None:
    for number, name in enumerate(names):
        random = np.random.default_rng(number)
        z, y, x = np.indices((16, 24, 28))
        at = random.uniform((6, 9, 11), (10, 15, 17))
        inside = ((z - at[0]) / 4) ** 2 + ((y - at[1]) / 6) ** 2 + ((x - at[2]) / 7) ** 2 < 1
        values = gaussian_filter(300.0 + 250 * inside, 0.7) + random.normal(0, 20, inside.shape)
        _volume(folder / "images" / f"{name}.nii.gz", values.astype(np.float32), (1.0, 1.0, 1.5))
        _volume(folder / "masks" / f"{name}.nii.gz", inside.astype(np.uint8), (1.0, 1.0, 1.5))


def _messy(folder: Path) -> None:
    """Masks as they often come: 0 and 255, of another size, empty, and one that is missing."""
    _pictures(folder, ["a", "b", "c", "d", "e"], seed=400)
    for name in "abc":
        path = folder / "masks" / f"{name}.png"
        _save(path, np.asarray(Pillow.open(path)) * 255)
    _save(folder / "masks" / "c.png", np.zeros((84, 104), np.uint8))
    _save(folder / "masks" / "d.png", np.ones((42, 52), np.uint8))
    (folder / "masks" / "e.png").unlink()


def _volume(path: Path, values: np.ndarray, spacing: tuple[float, float, float] = SPACING) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(spacing)
    image.SetOrigin(ORIGIN)
    sitk.WriteImage(image, str(path))


def _series(folder: Path, values: np.ndarray) -> None:
    """One file for each slice."""
    folder.mkdir(parents=True, exist_ok=True)
    series, frame, study = generate_uid(), generate_uid(), generate_uid()
    for index, plane in enumerate(values):
        made = Dataset()
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = CTImageStorage
        made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        made.SeriesInstanceUID, made.FrameOfReferenceUID, made.StudyInstanceUID = series, frame, study
        made.Modality, made.SeriesNumber, made.SeriesDescription = "CT", 1, "synthetic"
        made.PatientName, made.PatientID, made.PatientBirthDate, made.PatientSex = "Nobody^Made Up", "none", "", ""
        made.StudyDate = made.StudyTime = made.AccessionNumber = made.StudyID = made.ReferringPhysicianName = ""
        made.ImagePositionPatient = [f"{ORIGIN[0]:g}", f"{ORIGIN[1]:g}", f"{ORIGIN[2] + index * SPACING[2]:g}"]
        made.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
        made.PixelSpacing = [str(SPACING[1]), str(SPACING[0])]
        made.SliceThickness, made.InstanceNumber = str(SPACING[2]), index + 1
        made.RescaleSlope, made.RescaleIntercept = "1", "0"
        made.Rows, made.Columns = plane.shape
        made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
        made.BitsAllocated = made.BitsStored = 16
        made.HighBit, made.PixelRepresentation = 15, 1
        made.PixelData = np.ascontiguousarray(plane.astype("<i2")).tobytes()
        made.save_as(folder / f"slice_{index:02d}.dcm", enforce_file_format=True)


def _save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(pixels).save(path)


if __name__ == "__main__":
    make(Path(sys.argv[1] if len(sys.argv) > 1 else "examples"))
