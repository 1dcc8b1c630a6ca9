"""PNG, JPEG, TIFF and BMP.

How each kind becomes channels: grey and 1-bit (as 0 and 255) one channel; colour, palette and CMYK three channels R, G, B; a
palette of greys only one channel. Alpha is dropped where the picture is fully opaque; otherwise the picture is composited on
black, since what is transparent was not meant to be seen. EXIF orientation is applied (refused in TIFF). 16 bits stay 16 bits.
Pages of one size in grey (a TIFF stack) are a volume; none of these files is trusted for a physical scale: the unit is "px".
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Shaped

from promisam.core.errors import InvalidSegmentation, UnreadableFile, UnsupportedFile
from promisam.core.grid import Grid
from promisam.io.itk_files import read_colour_deep
from promisam.io.native import unheard

if TYPE_CHECKING:
    import PIL.Image

_GREY = ("1", "L", "I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_EXIF_ORIENTATION = 0x0112
_MANY_SMEARED = 8  # more grey values than this between 0 and 255, most samples near the ends: a blurred mask


def read_picture(path: Path) -> tuple[Shaped[np.ndarray, "c *grid"], Grid]:
    """Raw samples, channels first, on a grid in pixels.

    Raises:
        UnreadableFile: for a damaged file.
        UnsupportedFile: for pages that are no stack, or an animation.
    """
    with _opened(path) as picture:
        pages = _page_count(path, picture)
        samples = _stack(path, picture, pages)[None] if pages > 1 else _samples(path, picture)
    return samples, Grid.of_picture(samples.shape[1:])


def read_picture_labels(path: Path) -> tuple[Shaped[np.ndarray, "*grid"], Grid]:
    """Label values: palette indices where there is a palette; 0 and 255 alone (8-bit grey) and 1-bit as 0 and 1.

    Raises:
        UnreadableFile: for a damaged file.
        InvalidSegmentation: for a colour picture, and for a mask that was blurred or compressed lossily.
    """
    with _opened(path) as picture:
        pages = _page_count(path, picture)
        if pages > 1:
            labels = _stack(path, picture, pages)
        elif picture.mode == "P":
            labels = np.asarray(_upright(picture))
            return labels, Grid.of_picture(labels.shape)
        else:
            labels = _one_channel(path, _samples(path, picture))
        lossy = picture.format in ("JPEG", "MPO")
    labels = _binary_coding(path, labels, lossy) if labels.dtype == np.uint8 else labels
    return labels, Grid.of_picture(labels.shape)


def write_picture(path: Path, labels: Shaped[np.ndarray, "*grid"]) -> None:
    """Write 8-bit or 16-bit grey, losslessly; a volume as the pages of one TIFF.

    Raises:
        OSError: when the operating system refuses.
    """
    from PIL import Image

    pages = [Image.fromarray(np.ascontiguousarray(page)) for page in (labels if labels.ndim == 3 else labels[None])]
    if path.suffix.lower() in (".tif", ".tiff"):
        pages[0].save(path, compression="tiff_deflate", save_all=True, append_images=pages[1:])
    else:
        pages[0].save(path)


def picture_facts(path: Path) -> tuple[str, str]:
    """Format by content and Pillow's name of the pixel kind, such as ("PNG", "RGBA")."""
    with _opened(path) as picture:
        return str(picture.format), f"{picture.mode}, 16 bit" if _cut_to_8_bits(picture) else picture.mode


def alpha_state(path: Path) -> Literal["none", "opaque", "used"]:
    """Whether a picture has transparency, and whether any pixel uses it."""
    with _opened(path) as picture:
        see_through = picture.mode in ("L", "P", "RGB") and "transparency" in picture.info
        if not (picture.mode in ("LA", "RGBA", "PA", "La", "RGBa") or see_through):
            return "none"
        low, _ = picture.convert("RGBA").getchannel("A").getextrema()
        return "opaque" if low == 255 else "used"


@contextmanager
def _opened(path: Path) -> Iterator[PIL.Image.Image]:
    from PIL import Image

    broken = (OSError, EOFError, SyntaxError, ValueError, TypeError, KeyError, IndexError, struct.error, zlib.error)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata and on large pictures
            with unheard(), Image.open(path, formats=("PNG", "JPEG", "TIFF", "BMP")) as picture:
                yield picture
    except Image.DecompressionBombError as error:
        raise UnsupportedFile(f"{path}, a picture of {error}", expected="fewer pixels", do="Cut it into tiles.") from error
    except MemoryError as error:
        raise UnsupportedFile(
            f"{path}, a picture that announces more pixels than fit into memory",
            expected="fewer pixels",
            do="Cut it into tiles.",
        ) from error
    except broken as error:
        raise UnreadableFile(
            f"{path}, which cannot be read as a picture ({' '.join(str(error).split()) or type(error).__name__})",
            expected="a whole, sound PNG, JPEG, TIFF or BMP",
            do="Copy or export it again.",
        ) from error


def _page_count(path: Path, picture: PIL.Image.Image) -> int:
    pages = int(getattr(picture, "n_frames", 1))
    _refuse_turned_tiff(path, picture)
    if pages > 1 and picture.format == "PNG":
        raise UnsupportedFile(f"{path}, an animation of {pages} frames", expected="one picture", do="Export the one frame.")
    return pages if picture.format == "TIFF" else 1


def _refuse_turned_tiff(path: Path, picture: PIL.Image.Image) -> None:
    """Pillow 13 shuffles the samples of such files (seen with uncompressed ones)."""
    if picture.format == "TIFF" and picture.getexif().get(_EXIF_ORIENTATION, 1) != 1:
        raise UnsupportedFile(
            f"{path}, a TIFF turned by its orientation tag", expected="upright pixels", do="Turn and save it."
        )


def _stack(path: Path, picture: PIL.Image.Image, pages: int) -> np.ndarray:
    slices: list[np.ndarray] = []
    for page in range(pages):
        picture.seek(page)
        _refuse_turned_tiff(path, picture)
        if picture.mode not in _GREY or (slices and slices[0].shape != (picture.height, picture.width)):
            raise UnsupportedFile(
                f"{path}, whose page {page + 1} of {pages} is {picture.width} x {picture.height} {picture.mode}",
                expected="one page, or a stack of grey pages of one size",
                do="Export the page that you mean as a file of its own.",
            )
        slices.append(_native(np.asarray(picture)))
    return np.stack(slices)


def _samples(path: Path, picture: PIL.Image.Image) -> np.ndarray:
    if _cut_to_8_bits(picture):
        if picture.getexif().get(_EXIF_ORIENTATION, 1) != 1:
            raise UnsupportedFile(f"{path}, 16-bit colour turned by EXIF", expected="upright pixels", do="Turn and save it.")
        picture.load()
        return _composited(read_colour_deep(path), np.iinfo(np.uint16).max)
    upright = _upright(picture)
    if upright.mode in _GREY and not (upright.mode == "L" and "transparency" in upright.info):
        return _native(np.asarray(upright))[None]
    if upright.mode in ("P", "PA", "LA", "RGBA", "La", "RGBa") or "transparency" in upright.info:
        grey = upright.mode in ("L", "LA", "La")
        colour = np.moveaxis(np.asarray(upright.convert("RGBA")), -1, 0)
        samples = _composited(colour, np.iinfo(np.uint8).max)
        grey = grey or (upright.mode in ("P", "PA") and bool((samples == samples[:1]).all()))
        return samples[:1] if grey else samples
    return np.ascontiguousarray(np.moveaxis(np.asarray(upright.convert("RGB")), -1, 0))


def _upright(picture: PIL.Image.Image) -> PIL.Image.Image:
    from PIL import ImageOps

    picture.load()
    return ImageOps.exif_transpose(picture)


def _cut_to_8_bits(picture: PIL.Image.Image) -> bool:
    tiles = getattr(picture, "tile", ())
    return picture.mode in ("RGB", "RGBA", "LA") and any(";16" in str(tile[3]) for tile in tiles)


def _native(samples: np.ndarray) -> np.ndarray:
    if samples.dtype == np.bool_:
        return samples.astype(np.uint8) * 255
    return samples.astype(samples.dtype.newbyteorder("="))


def _composited(samples: np.ndarray, opaque: int) -> np.ndarray:
    if len(samples) not in (2, 4):
        return samples
    colour, alpha = samples[:-1], samples[-1:]
    if (alpha == opaque).all():
        return np.ascontiguousarray(colour)
    return np.rint(colour * (alpha / opaque)).astype(colour.dtype)


def _one_channel(path: Path, samples: np.ndarray) -> np.ndarray:
    if not (samples == samples[:1]).all():
        raise InvalidSegmentation(
            f"{path}, a colour picture of {len(samples)} unequal channels as a mask",
            expected="grey values or palette indices that are the labels",
            do="Save it as grey or palette PNG, one value per label.",
        )
    return np.asarray(samples[0])


def _binary_coding(path: Path, labels: np.ndarray, lossy: bool) -> np.ndarray:
    values, counts = np.unique(labels, return_counts=True)
    if set(values.tolist()) <= {0, 255}:
        return (labels // 255).astype(np.uint8)
    near_ends = counts[(values <= 8) | (values >= 247)].sum() / labels.size
    if lossy or (len(values) > _MANY_SMEARED and values[-1] >= 247 and near_ends > 0.8):
        raise InvalidSegmentation(
            f"{path}, a mask with values that are not labels: {values[0]}..{values[-1]} with {len(values) - 2} others between"
            f"{', from JPEG, which smears edges' if lossy else ', most samples near black and white'}",
            expected="few exact values, one per label",
            do="Threshold it at 128 and save it as PNG.",
        )
    return labels
