"""Pictures of a result, to be looked at before it is trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Shaped, UInt8

from promisam.core.errors import GridMismatch, UnwritableOutput
from promisam.core.grid import Grid
from promisam.core.image import Image
from promisam.core.prompts import Prompts
from promisam.core.segmentation import Segmentation
from promisam.core.window import Window
from promisam.io.atomic import atomic_path, full_suffix

if TYPE_CHECKING:
    import PIL.ImageDraw

# Okabe and Ito's palette (2008), told apart with every kind of colour vision; without its black. Sky blue leads, since it
# stands out on grey as well as on the reds of skin, gut and retina.
COLOURS = (
    (86, 180, 233),
    (230, 159, 0),
    (240, 228, 66),
    (204, 121, 167),
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
)
_POSITIVE, _NEGATIVE, _BOX = (0, 220, 60), (255, 40, 40), (255, 255, 255)
_PANELS = 6  # slices of a volume
_NAMED = 8  # names written into a panel
_SMALLEST, _LARGEST = 512, 2048  # pixels along the longer side of one panel


def render(image: Image, segmentation: Segmentation, prompts: Sequence[Prompts] = ()) -> UInt8[np.ndarray, "y x 3"]:
    """The image, each label's outline and name in its own colour, boxes in white, clicks as green plus and red minus.

    Physical proportions are kept, small pictures enlarged. A volume is shown as slices through the objects (of their largest
    area, before and behind it, those that were prompted, and one of each object), with slice numbers from 0; patient images
    are turned as radiologists look at them (patient's right on the left, front or head up).

    Raises:
        GridMismatch: when image and segmentation lie on different grids.
    """
    if not image.grid.matches(segmentation.grid):
        raise GridMismatch(f"a segmentation on {segmentation.grid}", expected=f"the image's {image.grid}", do="Resample it.")
    shown = Window().apply(image)
    if image.grid.ndim == 2:
        return _panel(shown, segmentation, prompts, "")
    axis = image.grid.coarsest_axis
    last = image.grid.shape[axis] - 1
    panels = [
        _panel(
            shown.slice(axis, index),
            segmentation.slice(axis, index),
            [p.slice(axis, index) for p in prompts],
            f"{'zyx'[axis]} {index} of 0-{last}",
        )
        for index in _slices(segmentation, prompts, axis)
    ]
    gap = np.zeros((panels[0].shape[0], 4, 3), np.uint8)
    return np.concatenate([part for panel in panels for part in (panel, gap)][:-1], axis=1)


def write_preview(path: str | Path, image: Image, segmentation: Segmentation, prompts: Sequence[Prompts] = ()) -> Path:
    """Write `render`'s picture as PNG or JPEG.

    Raises:
        UnwritableOutput: for another suffix, and where the operating system refuses.
    """
    return write_rendered(path, render(image, segmentation, prompts))


def write_rendered(path: str | Path, picture: UInt8[np.ndarray, "y x 3"]) -> Path:
    """Write a rendered picture as PNG or JPEG.

    Raises:
        UnwritableOutput: for another suffix, and where the operating system refuses.
    """
    from PIL import Image as Pillow

    if full_suffix(path) not in (".png", ".jpg", ".jpeg"):
        raise UnwritableOutput(f"the preview {path}", expected="a name that ends in .png or .jpg", do="Rename it.")
    with atomic_path(path) as temporary:
        Pillow.fromarray(picture).save(temporary)
    return Path(path)


@dataclass(frozen=True)
class _View:
    """How the samples of a picture are turned and enlarged for the eye."""

    shape: tuple[int, int]
    transposed: bool
    flipped: tuple[bool, bool]
    scale: tuple[float, float]

    @classmethod
    def of(cls, grid: Grid) -> _View:
        """The view of a picture's grid."""
        transposed, flipped = _turn(grid)
        order = [1, 0] if transposed else [0, 1]
        shape = (grid.shape[order[0]], grid.shape[order[1]])
        spacing = np.array([grid.spacing[a] for a in order])
        extent = float(max(spacing * shape))
        zoom = min(max(1 / spacing.min(), _SMALLEST / extent), max(_LARGEST / extent, 1e-9))
        size = np.maximum(np.rint(spacing * shape * zoom), 1)
        return cls(shape, transposed, flipped, (float(size[0] / shape[0]), float(size[1] / shape[1])))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the panel."""
        return round(self.shape[0] * self.scale[0]), round(self.shape[1] * self.scale[1])

    def turn(self, samples: Shaped[np.ndarray, "y x *c"]) -> Shaped[np.ndarray, "h w *c"]:
        """Samples in the order of the panel."""
        samples = np.swapaxes(samples, 0, 1) if self.transposed else samples
        samples = samples[::-1] if self.flipped[0] else samples
        return np.ascontiguousarray(samples[:, ::-1] if self.flipped[1] else samples)

    def place(self, points_yx: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """Sample indices to panel pixels, x before y as Pillow draws."""
        points = points_yx[:, ::-1] if self.transposed else points_yx
        high = np.asarray(self.shape) - 1
        points = np.where(self.flipped, high - points, points)
        return np.asarray((points + 0.5) * self.scale - 0.5)[:, ::-1]


def _panel(image: Image, segmentation: Segmentation, prompts: Sequence[Prompts], title: str) -> UInt8[np.ndarray, "y x 3"]:
    from PIL import Image as Pillow
    from PIL import ImageDraw, ImageFont

    view = _View.of(image.grid)
    height, width = view.size
    base = Pillow.fromarray(view.turn(_colour(image.pixels)))
    method = Pillow.Resampling.BILINEAR if min(view.scale) >= 1 else Pillow.Resampling.BOX
    picture = base.resize((width, height), method)
    _draw_boxes(ImageDraw.Draw(picture), prompts, view)
    canvas = np.array(picture)
    for value in segmentation.values:
        mask = Pillow.fromarray(view.turn(segmentation.mask(value)).astype(np.uint8) * 255)
        enlarged = np.asarray(mask.resize((width, height), Pillow.Resampling.NEAREST)) > 0
        edge = _outline(enlarged, width=max(1, max(height, width) // 500))
        rim = _outline(enlarged, width=max(2, max(height, width) // 300)) & ~edge
        canvas[rim] //= 2  # parts the line from bright tissue
        canvas[edge] = _colour_of(value)
    picture = Pillow.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    _draw_clicks(draw, prompts, view, max(5, max(height, width) // 90))
    size = max(12, height // 32)
    font = ImageFont.load_default(size=size)
    draw.text((6, 4), title, fill=(255, 255, 255), font=font, stroke_width=2, stroke_fill=(0, 0, 0))
    named = [v for v in segmentation.values if v in segmentation.names][:_NAMED]
    for line, value in enumerate(reversed(named), 1):
        place = (6, height - 4 - line * (size + 4))
        draw.text(place, segmentation.name(value), fill=_colour_of(value), font=font, stroke_width=2, stroke_fill=(0, 0, 0))
    return np.asarray(picture)


def _draw_boxes(draw: PIL.ImageDraw.ImageDraw, prompts: Sequence[Prompts], view: _View) -> None:
    for one in prompts:
        if one.box_zyx is not None:
            edges = np.rint(view.place(one.box_zyx + np.array([[-0.5], [0.5]])))
            (left, top), (right, bottom) = edges.min(axis=0), edges.max(axis=0)
            draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=(0, 0, 0), width=4)
            draw.rectangle((left, top, right, bottom), outline=_BOX, width=2)


def _draw_clicks(draw: PIL.ImageDraw.ImageDraw, prompts: Sequence[Prompts], view: _View, arm: int) -> None:
    for one in prompts:
        for (x, y), label in zip(np.rint(view.place(one.points_zyx)), one.labels, strict=True):
            for rim, colour in ((2, (0, 0, 0)), (0, _POSITIVE if label else _NEGATIVE)):
                long, short = arm + rim, arm // 3 + rim
                draw.rectangle((x - long, y - short, x + long, y + short), fill=colour)
                if label:
                    draw.rectangle((x - short, y - long, x + short, y + long), fill=colour)


def _colour_of(value: int) -> tuple[int, int, int]:
    return COLOURS[(value - 1) % len(COLOURS)]


def _outline(mask: Bool[np.ndarray, "y x"], width: int) -> Bool[np.ndarray, "y x"]:
    """The samples within `width` of the mask's border, on both sides of it."""
    from scipy.ndimage import binary_dilation, binary_erosion

    return np.asarray(binary_dilation(mask, iterations=width) & ~binary_erosion(mask, iterations=width, border_value=1))


def _colour(pixels: UInt8[np.ndarray, "c y x"]) -> UInt8[np.ndarray, "y x 3"]:
    channels = pixels[:3] if len(pixels) >= 3 else np.repeat(pixels[:1], 3, axis=0)
    return np.moveaxis(channels, 0, -1)


def _slices(segmentation: Segmentation, prompts: Sequence[Prompts], axis: int) -> list[int]:
    others = tuple(a for a in range(3) if a != axis)
    area = segmentation.mask().sum(axis=others)
    if not area.any():  # where the prompts are, else the middle
        at = [p.points_zyx[:, axis] for p in prompts] + [p.box_zyx[:, axis] for p in prompts if p.box_zyx is not None]
        places = np.concatenate(at) if at else np.zeros(0)
        return [round(float(places.mean()))] if places.size else [len(area) // 2]
    present = np.flatnonzero(area)
    largest = int(area.argmax())
    chosen = [largest]
    for one in prompts:  # the slices that somebody looked at
        if one.box_zyx is not None and one.box_zyx[0, axis] == one.box_zyx[1, axis]:
            chosen.append(round(float(one.box_zyx[0, axis])))
        chosen += [round(float(place)) for place in one.points_zyx[:1, axis]]
    chosen += [(int(present[0]) + largest) // 2, (largest + int(present[-1]) + 1) // 2]
    for value in segmentation.values:  # no object that is named goes unseen
        own = segmentation.mask(value).sum(axis=others)
        if own.any() and not own[list(set(chosen))].any():
            chosen.append(int(own.argmax()))
    return sorted(list(dict.fromkeys(chosen))[:_PANELS])


def _turn(grid: Grid) -> tuple[bool, tuple[bool, bool]]:
    """Whether to swap the axes, and which of the swapped ones to flip: head or front up, patient's left on the right."""
    if grid.unit == "px":
        return False, (False, False)
    axes = grid.affine[:3, 1:3] / np.linalg.norm(grid.affine[:3, 1:3], axis=0)
    along = [int(np.abs(axis).argmax()) for axis in axes.T]
    transposed = along[1] > along[0]  # the higher of x, y, z goes down the panel
    order = [1, 0] if transposed else [0, 1]
    down, right = (axes[along[a], a] for a in order)
    head_up = along[order[0]] == 2
    return transposed, (bool(down > 0) if head_up else bool(down < 0), bool(right < 0))
