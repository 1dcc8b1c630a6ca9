"""DICOM series made on the spot, with the faults that real ones have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

OBLIQUE = (0.8, 0.6, 0.0, -0.36, 0.48, 0.8)
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def make_series(
    folder: Path,
    pixels: np.ndarray,
    *,
    orientation: Sequence[float] = OBLIQUE,
    spacing: tuple[float, float] = (0.7, 0.9),
    step: float = 2.5,
    first: Sequence[float] = (-10.0, 20.0, 30.0),
    depths: Sequence[float] | None = None,
    aside: float = 0.0,
    slopes: Sequence[float] | None = None,
    intercept: float = -1024.0,
    name: str = "slice",
    **header: object,
) -> list[Path]:
    """One file per slice, names in no order of the slices; `header` overrides any element."""
    folder.mkdir(parents=True, exist_ok=True)
    series, frame, study = generate_uid(), generate_uid(), generate_uid()
    along_x, along_y = np.reshape(orientation, (2, 3))
    normal = np.cross(along_x, along_y)
    paths = []
    for index, plane in enumerate(pixels):
        depth = index * step if depths is None else depths[index]
        position = np.asarray(first) + depth * normal + index * aside * along_y
        made = _dataset(plane, series, frame, study)
        made.ImagePositionPatient = [f"{v:.6f}" for v in position]
        made.ImageOrientationPatient = [f"{v:.6f}" for v in orientation]
        made.PixelSpacing = [str(s) for s in spacing]
        made.InstanceNumber = index + 1
        made.RescaleSlope = str(1 if slopes is None else slopes[index])
        made.RescaleIntercept = str(intercept)
        for keyword, value in header.items():
            setattr(made, keyword, value)
        paths.append(folder / f"{name}_{(index * 7) % 11:02d}_{index}")
        made.save_as(paths[-1], enforce_file_format=True)
    return paths


def edit(path: Path, remove: Sequence[str] = (), **header: object) -> Path:
    """Change a file in place."""
    made = dcmread(path)
    for keyword in remove:
        delattr(made, keyword)
    for keyword, value in header.items():
        setattr(made, keyword, value)
    made.save_as(path)
    return path


def _dataset(plane: np.ndarray, series: str, frame: str, study: str) -> Dataset:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = CTImageStorage
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    made.SeriesInstanceUID, made.FrameOfReferenceUID, made.StudyInstanceUID = series, frame, study
    made.Modality, made.SeriesNumber, made.SeriesDescription = "CT", 3, "made for tests"
    made.PatientName, made.PatientID, made.PatientBirthDate, made.PatientSex = "Secret^Name", "secret-id", "", ""
    made.StudyDate = made.StudyTime = made.AccessionNumber = made.StudyID = made.ReferringPhysicianName = ""
    made.Rows, made.Columns = plane.shape
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 16
    made.HighBit = 15
    made.PixelRepresentation = int(plane.dtype.kind == "i")
    made.PixelData = np.ascontiguousarray(plane.astype(plane.dtype.newbyteorder("<"))).tobytes()
    return made
