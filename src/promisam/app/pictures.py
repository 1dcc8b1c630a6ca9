"""Images as a browser takes them: pictures as PNG, volumes as NIfTI."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from promisam.app.display import Display
from promisam.core import Image, Window
from promisam.core.errors import InvalidConfig
from promisam.io.itk_files import write_itk

_THUMBNAIL = 96  # pixels along the longer side
_WHOLE: dict[str, type[np.integer]] = {"b": np.uint8, "u": np.uint16, "i": np.int16}


def picture_png(image: Image, low: float | None, high: float | None) -> bytes:
    """A picture in 8 bits, with the intensities shown as black and white, or as the image itself suggests.

    Raises:
        InvalidConfig: for a volume, and for levels that are none.
    """
    if image.grid.ndim != 2:
        raise InvalidConfig("a volume as a picture", expected="a picture", do="Ask for it as a volume.")
    window = Window() if low is None or high is None else Window((low + high) / 2, high - low)
    return _png(window.apply(image).pixels)


def thumbnail_png(image: Image) -> bytes:
    """A small picture: of a volume, the middle slice along its coarsest axis."""
    if image.grid.ndim == 3:
        axis = image.grid.coarsest_axis
        image = image.slice(axis, image.grid.shape[axis] // 2)
    return _png(Window().apply(image).pixels, _THUMBNAIL)


def volume_nifti(image: Image) -> bytes:
    """A volume in the page's order; of several channels, their mean.

    Raises:
        InvalidConfig: for a picture.
    """
    if image.grid.ndim != 3:
        raise InvalidConfig("a picture as a volume", expected="a volume", do="Ask for it as a picture.")
    display = Display.of(image.grid)
    values = image.pixels[0] if image.channels == 1 else image.pixels.mean(0, dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "volume.nii"
        write_itk(file, np.ascontiguousarray(display.array(_plain(values))), display.grid(image.grid))
        return file.read_bytes()


def _plain(values: Shaped[np.ndarray, "*grid"]) -> Shaped[np.ndarray, "*grid"]:
    """In a type that viewers know: 8- or 16-bit whole numbers where they fit, else single precision."""
    kind = _WHOLE.get(values.dtype.kind)
    if kind is not None:
        info = np.iinfo(kind)
        if values.dtype.itemsize <= np.dtype(kind).itemsize or (values.min() >= info.min and values.max() <= info.max):
            return values.astype(kind)
    return values.astype(np.float32)


def _png(pixels: Shaped[np.ndarray, "c y x"], longest: int | None = None) -> bytes:
    from PIL import Image as Pillow

    shown = Pillow.fromarray(np.ascontiguousarray(pixels[0] if len(pixels) < 3 else np.moveaxis(pixels[:3], 0, 2)))
    if longest is not None:
        shown.thumbnail((longest, longest))
    kept = io.BytesIO()
    shown.save(kept, "PNG", compress_level=1)
    return kept.getvalue()
