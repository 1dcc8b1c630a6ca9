"""NRRD and MetaImage, and the writing of NIfTI, through SimpleITK with exactly the grid given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from promisam.core.errors import GeometryError, UnreadableFile, UnsupportedFile, UnwritableOutput
from promisam.core.grid import Grid
from promisam.io.formats import Format
from promisam.io.native import unheard
from promisam.io.nifti_file import read_nifti
from promisam.io.text_headers import Squeezed, check_metaimage, check_nrrd

_READER = {"NRRD": "NrrdImageIO", "MetaImage": "MetaImageIO", "picture": ""}


def read_itk(path: Path, kind: Format) -> tuple[Shaped[np.ndarray, "c *grid"], Grid]:
    """Raw samples of an NRRD or MetaImage file, channels first, and their grid.

    Raises:
        UnreadableFile: for a damaged file.
        UnsupportedFile: for 4-D or sheared geometry.
    """
    packed: Squeezed | None = None
    if kind == "MetaImage":
        packed = check_metaimage(path)
    else:
        check_nrrd(path)
    image = _squeezed(path, _load(path, _READER[kind]) if packed is None else _unpacked(path, packed))
    samples = _channels_first(image)
    _check_axes(path, image)
    axes = image.GetDimension()
    direction = np.reshape(image.GetDirection(), (axes, axes))
    try:
        return samples, Grid.from_itk(image.GetSize(), image.GetSpacing(), image.GetOrigin(), direction)
    except GeometryError as error:
        raise UnreadableFile(f"{path}, with {error.given}", expected=error.expected, do=error.do) from error


def write_itk(path: Path, labels: Shaped[np.ndarray, "*grid"], grid: Grid) -> None:
    """Write labels on their grid, and read them back to be sure (full disks pass unnoticed through some writers).

    A picture at Z = 0 whose axes lie in that plane is written with two axes, any other as a volume of one slice.

    Raises:
        UnwritableOutput: when what stands on the disk is not what was given.
    """
    flat = grid.ndim == 2 and _in_plane_of_z0(grid)
    image = _itk().GetImageFromArray(labels if flat or grid.ndim == 3 else labels[None])
    axes = image.GetDimension()
    spacing = (*reversed(grid.spacing), 1.0)[:axes]
    image.SetSpacing(spacing)
    image.SetOrigin(grid.origin[:axes])
    image.SetDirection(grid.direction[:axes, :axes].ravel().tolist())
    try:
        with _quiet():
            _itk().WriteImage(image, str(path), useCompression=True)
        nifti = path.name.endswith((".nii", ".nii.gz"))
        written, placed = read_nifti(path) if nifti else read_itk(path, "MetaImage" if path.suffix == ".mha" else "NRRD")
    except RuntimeError as error:
        raise _not_written(path, _reason(error)) from error
    except UnreadableFile as error:
        raise _not_written(path, "what was written cannot be read back; is the disk full?") from error
    same_place = placed.matches(Grid(placed.shape, grid.affine)) and placed.shape[-grid.ndim :] == grid.shape
    if not same_place or not np.array_equal(written.ravel(), labels.ravel()):
        raise _not_written(path, "what was written reads back differently; is the disk full?")


def read_colour_deep(path: Path) -> Shaped[np.ndarray, "c y x"]:
    """Colours of 16 bits (PNG, TIFF), which Pillow would cut to 8."""
    return _channels_first(_load(path, _READER["picture"]))


def read_frame(path: Path) -> Shaped[np.ndarray, "c y x"]:
    """The only frame of a DICOM file, after rescaling, through GDCM (compressed transfer syntaxes included)."""
    samples = _channels_first(_load(path, "GDCMImageIO"))
    return np.asarray(samples[:, 0] if samples.ndim == 4 else samples)


@contextmanager
def _quiet() -> Iterator[None]:
    before = _itk().ProcessObject.GetGlobalWarningDisplay()
    _itk().ProcessObject.SetGlobalWarningDisplay(False)
    try:
        with unheard():
            yield
    finally:
        _itk().ProcessObject.SetGlobalWarningDisplay(before)


def _load(path: Path, reader_name: str) -> Any:  # noqa: ANN401 - SimpleITK carries no types
    reader = _itk().ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO(reader_name)
    try:
        with _quiet():
            return reader.Execute()
    except RuntimeError as error:
        raise UnreadableFile(
            f"{path}, which cannot be read ({_reason(error)})", expected="a whole, sound file", do="Copy or export it again."
        ) from error


def _unpacked(path: Path, packed: Squeezed) -> Any:  # noqa: ANN401 - SimpleITK carries no types
    """The image of a compressed MetaImage: SimpleITK reads the header alone."""
    reader = _itk().ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO(_READER["MetaImage"])
    try:
        with _quiet():
            reader.ReadImageInformation()
    except RuntimeError as error:
        raise UnreadableFile(
            f"{path}, which cannot be read ({_reason(error)})", expected="a whole, sound file", do="Copy or export it again."
        ) from error
    channels = reader.GetNumberOfComponents()
    shape = (*reversed(reader.GetSize()), channels) if channels > 1 else tuple(reversed(reader.GetSize()))
    image = _itk().GetImageFromArray(packed.samples().reshape(shape), isVector=channels > 1)
    image.SetSpacing(reader.GetSpacing())
    image.SetOrigin(reader.GetOrigin())
    image.SetDirection(reader.GetDirection())
    return image


def _squeezed(path: Path, image: Any) -> Any:  # noqa: ANN401 - SimpleITK carries no types
    size = image.GetSize()
    while image.GetDimension() > 3 and image.GetSize()[-1] == 1:
        image = image[..., 0]
    if image.GetDimension() > 3:
        raise UnsupportedFile(
            f"{path}, which has {len(size)} axes ({' x '.join(map(str, size))} samples)",
            expected="a picture or one volume",
            do="Split it into its volumes first, e.g. with FSL's fslsplit, and choose one.",
        )
    if image.GetDimension() < 2:
        raise UnsupportedFile(f"{path}, which has one axis only", expected="a picture or a volume", do="Check the export.")
    return image


def _channels_first(image: Any) -> np.ndarray:  # noqa: ANN401
    samples: np.ndarray = _itk().GetArrayFromImage(image)
    vector = image.GetNumberOfComponentsPerPixel() > 1 or "vector" in image.GetPixelIDTypeAsString()
    return np.ascontiguousarray(np.moveaxis(samples, -1, 0)) if vector else samples[None]


def _check_axes(path: Path, image: Any) -> None:  # noqa: ANN401
    axes = image.GetDimension()
    direction = np.reshape(image.GetDirection(), (axes, axes))
    if np.abs(direction.T @ direction - np.eye(axes)).max() > 1e-3:
        raise UnsupportedFile(
            f"{path}, whose axes are sheared (direction {np.round(direction, 4).tolist()})",
            expected="axes at right angles",
            do="Resample it to such a grid first, e.g. with 3D Slicer.",
        )


def _in_plane_of_z0(grid: Grid) -> bool:
    third = grid.affine[2, 1:]
    return bool(np.allclose(grid.affine[:3, 0], (0, 0, 1), atol=1e-9) and np.allclose(third, 0, atol=1e-9))


def _reason(error: RuntimeError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and not line.startswith("Exception thrown")]
    return " ".join(line.split("ERROR:", 1)[-1].strip() for line in lines)[:300] or str(error)


def _not_written(path: Path, reason: str) -> UnwritableOutput:
    return UnwritableOutput(
        f"the output {path.name} ({reason})",
        expected="a path that can be written, with space left",
        do="Free some space or choose another folder.",
    )


def _itk() -> Any:  # noqa: ANN401 - SimpleITK carries no types
    import SimpleITK

    return SimpleITK
