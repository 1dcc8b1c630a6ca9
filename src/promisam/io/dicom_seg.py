"""DICOM Segmentation objects, through highdicom (the optional extra `dicom`).

Segments are numbered 1, 2, ... in the order of the labels, as the standard asks, and carry their names as segment labels.
Every frame of the source is written, empty or not, so that the geometry survives and an empty mask is a valid object.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from promisam import __version__
from promisam.core.errors import InvalidSegmentation, MissingExtra, UnreadableFile, UnwritableOutput
from promisam.core.grid import Grid
from promisam.core.segmentation import Segmentation
from promisam.io.dicom_headers import DicomFile, read_header
from promisam.io.dicom_series import find_series
from promisam.io.formats import format_of

if TYPE_CHECKING:
    from pydicom import Dataset

_SEG_CLASSES = {"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"}
_LONGEST_LABEL = 64  # characters of DICOM's value representation LO


def is_dicom_seg(path: Path) -> bool:
    """Whether a DICOM file is a segmentation object.

    Raises:
        UnreadableFile: when its header cannot be read.
    """
    return read_header(path).text("SOPClassUID") in _SEG_CLASSES


def read_dicom_seg(path: Path) -> Segmentation:
    """Labels are segment numbers, names are segment labels; the grid is that of the frames, slices along the normal.

    Raises:
        MissingExtra: without highdicom.
        UnreadableFile: for a damaged object, or one whose frames are no regular stack.
        InvalidSegmentation: for overlapping segments and for probabilities.
    """
    highdicom = _highdicom()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stored = highdicom.seg.segread(path)
            names = {int(n): str(stored.get_segment_description(n).segment_label) for n in stored.segment_numbers}
            volume = stored.get_volume(combine_segments=True)
    except Exception as error:  # highdicom and pydicom raise many kinds on damaged or unusual objects
        kind = InvalidSegmentation if "overlap" in str(error).lower() or "fractional" in str(error).lower() else UnreadableFile
        raise kind(
            f"{path}, a DICOM-SEG that is no label map ({' '.join(str(error).split())[:200]})",
            expected="segments that do not overlap, on one regular stack of slices",
            do="Export the segments as separate objects, or as NIfTI.",
        ) from error
    labels, affine = np.asarray(volume.array), np.array(volume.affine, np.float64)
    if labels.shape[0] == 1:
        affine[:3, 0] = np.cross(affine[:3, 2], affine[:3, 1])
        affine[:3, 0] /= np.linalg.norm(affine[:3, 0])
        return Segmentation(labels[0], Grid(labels.shape[1:], affine), names)
    if np.cross(affine[:3, 2], affine[:3, 1]) @ affine[:3, 0] < 0:  # slices in the order of `read`
        labels = labels[::-1]
        affine[:3, 3] += affine[:3, 0] * (labels.shape[0] - 1)
        affine[:3, 0] *= -1
    return Segmentation(np.ascontiguousarray(labels), Grid(labels.shape, affine), names)


def check_source(path: Path, source: Path | None) -> None:
    """Refuse early what `write_dicom_seg` would refuse: no highdicom, or a source that is no DICOM image.

    Raises:
        MissingExtra: without highdicom.
        UnwritableOutput: for another kind of source.
    """
    _highdicom()
    if source is None or format_of(source) not in ("DICOM", "DICOM folder"):
        raise UnwritableOutput(
            f"the output {path}, a DICOM-SEG, for {source}", expected="a source image in DICOM", do="Write .nii.gz or .png."
        )


def write_dicom_seg(path: Path, segmentation: Segmentation, source: Path, series: str | None = None) -> None:
    """Write a binary segmentation that refers to the series it was made on.

    Raises:
        MissingExtra: without highdicom.
        UnwritableOutput: when the segmentation does not lie on the source's grid, or the source has no place in the patient.
    """
    highdicom = _highdicom()
    files, grid = find_series(source, series)
    if not grid.matches(segmentation.grid):
        raise UnwritableOutput(
            f"a segmentation on {segmentation.grid} for the DICOM source {source} on {grid}",
            expected="the grid of the source",
            do="Name the very folder or file that the image was read from.",
        )
    headers = [_complete(file, grid) for file in files]
    values = segmentation.values or (1,)
    numbered = np.searchsorted(np.asarray((0, *values)), segmentation.labels)
    numbered = numbered.astype(np.uint8 if len(values) < 256 else np.uint16)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            built = highdicom.seg.Segmentation(
                source_images=headers,
                pixel_array=numbered if numbered.ndim == 3 else numbered[None],
                segmentation_type="BINARY",
                segment_descriptions=[_segment(highdicom, i, segmentation.name(v)) for i, v in enumerate(values, 1)],
                series_instance_uid=highdicom.UID(),
                series_number=300,
                sop_instance_uid=highdicom.UID(),
                instance_number=1,
                omit_empty_frames=False,
                **_equipment(),
            )
            built.save_as(path)
    except OSError:
        raise
    except Exception as error:  # highdicom raises what it finds wrong in the source's headers as many kinds
        raise UnwritableOutput(
            f"a DICOM-SEG for {source} ({' '.join(str(error).split())[:200]})",
            expected="source images with a place in the patient and complete headers",
            do="Write NIfTI, NRRD or PNG instead.",
        ) from error


def segment_numbers(segmentation: Segmentation) -> dict[int, int]:
    """Label to segment number."""
    return {value: number for number, value in enumerate(segmentation.values, 1)}


def _complete(file: DicomFile, grid: Grid) -> Dataset:
    """The header with what highdicom needs and the standard lets be empty."""
    header = file.header
    if not header.get("SpecificCharacterSet"):
        header.pop("SpecificCharacterSet", None)
    if not file.numbers("SliceThickness"):
        header.SliceThickness = str(round(grid.spacing[0], 6)) if grid.ndim == 3 else "1"
    return header


def _segment(highdicom: Any, number: int, name: str) -> Any:  # noqa: ANN401 - an optional, untyped package
    from pydicom.sr.codedict import codes

    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=name[:_LONGEST_LABEL],
        segmented_property_category=codes.SCT.Tissue,  # as 3D Slicer codes a segment whose kind it does not know
        segmented_property_type=codes.SCT.Tissue,
        algorithm_type="SEMIAUTOMATIC",
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name="promisam", version=__version__, family=codes.DCM.ArtificialIntelligence
        ),
    )


def _equipment() -> dict[str, str]:
    return {
        "manufacturer": "promisam",
        "manufacturer_model_name": "promisam",
        "software_versions": __version__,
        "device_serial_number": "none",
        "series_description": "promisam segmentation",
    }


def _highdicom() -> Any:  # noqa: ANN401 - an optional, untyped package
    try:
        import highdicom
    except ImportError as error:
        raise MissingExtra(
            "a DICOM-SEG file, without the package highdicom", expected="the extra 'dicom'", do="pip install 'promisam[dicom]'"
        ) from error
    return highdicom
