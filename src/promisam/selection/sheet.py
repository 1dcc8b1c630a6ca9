"""The contact sheet of a choice: each image to annotate beside some of those that it stands for, and the outliers below."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from promisam.core import Image, Segmentation, Window
from promisam.io import render
from promisam.selection.choose import Chosen, Selection, Standing

if TYPE_CHECKING:
    import PIL.Image
    import PIL.ImageDraw
    import PIL.ImageFont

SHOWN = 5  # images beside a chosen one, at most
ROWS = 60  # chosen images that are drawn, at most
_SIDE = 176  # of a thumbnail
_TEXT = 230  # width of the words beside a chosen image
_GAP = 12
_CAPTION = 40  # below a thumbnail: two lines
_TITLE = 78
_HEAD = 62  # above the outliers
_ROW = _SIDE + _CAPTION + _GAP
_WIDTH = 2 * _GAP + _SIDE + _GAP + _TEXT + SHOWN * (_SIDE + _GAP)
_INK, _FAINT, _PAPER, _MOUNT = (25, 25, 25), (105, 105, 105), (255, 255, 255), (228, 228, 228)
_CHOSEN, _OUTLIER = (0, 114, 178), (213, 94, 0)  # of Okabe and Ito's palette
_WHY = {"medoid": "", "included": "included by you", "former": "chosen before"}


def thumbnail(image: Image, window: str = "auto", side: int = _SIDE) -> UInt8[np.ndarray, "h w 3"]:
    """An image whose longer side is `side` pixels, in its physical proportions; of a volume, its middle slice."""
    from PIL import Image as Pillow

    shown = Window.parse(window).apply(image)
    if shown.grid.ndim == 3:
        axis = shown.grid.coarsest_axis
        shown = shown.slice(axis, shown.grid.shape[axis] // 2)
    large = Pillow.fromarray(render(shown, Segmentation(np.zeros(shown.grid.shape, np.uint8), shown.grid)))
    scale = side / max(large.size)
    size = tuple(max(1, round(n * scale)) for n in large.size)
    return np.asarray(large.resize((size[0], size[1]), Pillow.Resampling.LANCZOS))


def contact_sheet(selection: Selection, picture: Callable[[str], UInt8[np.ndarray, "h w 3"]]) -> UInt8[np.ndarray, "y x 3"]:
    """Draw the sheet.

    Args:
        selection: what was chosen.
        picture: the thumbnail of an image, by its name.
    """
    from PIL import Image as Pillow

    rows = selection.chosen[:ROWS]
    height = _TITLE + len(rows) * _ROW + _HEAD + (_ROW if selection.outliers else 0) + _GAP
    sheet = _Sheet(Pillow.new("RGB", (_WIDTH, height), _PAPER), picture)
    total = len(selection.images)
    sheet.title(len(selection.chosen), total, len(rows))
    for at, one in enumerate(rows):
        sheet.row(_TITLE + at * _ROW, one, selection.members(one.name), total)
    sheet.outliers(_TITLE + len(rows) * _ROW, selection.outliers)
    return np.asarray(sheet.canvas)


def spread_out(members: Sequence[Standing], number: int = SHOWN) -> list[Standing]:
    """Some of the members, from the first to the last in even steps."""
    if len(members) <= number:
        return list(members)
    return [members[i * (len(members) - 1) // (number - 1)] for i in range(number)]


class _Sheet:
    """A canvas and how things are put on it."""

    def __init__(self, canvas: PIL.Image.Image, picture: Callable[[str], UInt8[np.ndarray, "h w 3"]]) -> None:
        from PIL import ImageDraw

        self.canvas, self.picture = canvas, picture
        self.draw = ImageDraw.Draw(canvas)
        self.fonts = {(size, bold): _font(size, bold=bold) for size in (13, 15, 22) for bold in (False, True)}

    def title(self, chosen: int, total: int, drawn: int) -> None:
        what = f"{chosen} of {total} images to annotate" if total > 1 else "1 image to annotate"
        self._words(_GAP, 10, what, 22, bold=True)
        rest = "" if drawn == chosen else f" The first {drawn} are drawn."
        how = "Left, framed: annotate these, in this order. Right: images that each stands for, from like to unlike."
        self._words(_GAP, 44, how + rest, 15, colour=_FAINT)

    def row(self, top: int, one: Chosen, members: Sequence[Standing], total: int) -> None:
        self.draw.line((0, top, _WIDTH, top), fill=_MOUNT, width=2)
        self._mounted(_GAP, top + _GAP, one.name, _CHOSEN)
        left, width = 2 * _GAP + _SIDE + 4, _TEXT - 2 * _GAP
        line = top + _GAP
        for text in _wrapped(f"{one.rank}.  {one.name}", self.fonts[15, True], width, 4):
            self._words(left, line, text, 15, bold=True)
            line += 20
        others = "only for itself" if one.represents == 1 else f"for {one.represents} of {total} images"
        for text in (f"stands {others}", _WHY[one.why]):
            self._words(left, line + 6, text, 15)
            line += 22 if text else 0
        shown = spread_out(members)
        if len(shown) < len(members):
            self._words(left, line + 6, f"{len(shown)} of the {len(members)} others shown", 13, colour=_FAINT)
        for at, member in enumerate(shown):
            self._framed(2 * _GAP + _SIDE + _TEXT + at * (_SIDE + _GAP), top + _GAP, member)

    def outliers(self, top: int, outliers: Sequence[Standing]) -> None:
        self.draw.line((0, top, _WIDTH, top), fill=_MOUNT, width=2)
        if not outliers:
            self._words(_GAP, top + 20, "No image is far from all that are chosen.", 15, colour=_FAINT)
            return
        fit = (_WIDTH - _GAP) // (_SIDE + _GAP)
        number = "1 outlier" if len(outliers) == 1 else f"{len(outliers)} outliers, the farthest first"
        more = f"; {len(outliers) - fit} more in the record" if len(outliers) > fit else ""
        self._words(_GAP, top + 10, number + more, 15, bold=True)
        advice = "No chosen image is much like these. Look at them: do they belong here, and should one be annotated too?"
        self._words(_GAP, top + 32, advice, 15, colour=_FAINT)
        for at, one in enumerate(outliers[:fit]):
            self._framed(_GAP + at * (_SIDE + _GAP), top + _HEAD, one)

    def _framed(self, left: int, top: int, one: Standing) -> None:
        """A thumbnail with its name below."""
        self._mounted(left, top, one.name, _OUTLIER if one.outlier else None)
        for at, text in enumerate(_wrapped(one.name, self.fonts[13, False], _SIDE, 2)):
            self._words(left, top + _SIDE + 4 + 16 * at, text, 13)

    def _mounted(self, left: int, top: int, name: str, frame: tuple[int, int, int] | None) -> None:
        """A thumbnail in the middle of its square."""
        from PIL import Image as Pillow

        picture = Pillow.fromarray(self.picture(name))
        self.draw.rectangle((left, top, left + _SIDE - 1, top + _SIDE - 1), fill=_MOUNT)
        self.canvas.paste(picture, (left + (_SIDE - picture.width) // 2, top + (_SIDE - picture.height) // 2))
        if frame is not None:
            self.draw.rectangle((left - 4, top - 4, left + _SIDE + 3, top + _SIDE + 3), outline=frame, width=4)

    def _words(
        self, left: int, top: int, text: str, size: int, *, bold: bool = False, colour: tuple[int, int, int] = _INK
    ) -> None:
        self.draw.text((left, top), text, fill=colour, font=self.fonts[size, bold])


def _font(size: int, *, bold: bool) -> PIL.ImageFont.FreeTypeFont:
    """A font that comes with matplotlib and knows most alphabets."""
    import matplotlib as mpl
    from PIL import ImageFont

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / name), size)


def _wrapped(text: str, font: PIL.ImageFont.FreeTypeFont, width: int, lines: int) -> list[str]:
    """Text in lines of that width, broken anywhere; what does not fit is left out in the middle, where names differ least."""
    text = "".join(c if c.isprintable() else "?" for c in text)
    for keep in range(len(text), 0, -1):
        half = keep // 2
        trial = text if keep == len(text) else f"{text[: keep - half]}…{text[len(text) - half :]}"
        found = _broken(trial, font, width)
        if len(found) <= lines:
            return found
    return ["…"]


def _broken(text: str, font: PIL.ImageFont.FreeTypeFont, width: int) -> list[str]:
    lines = [""]
    for letter in text:
        if lines[-1] and font.getlength(lines[-1] + letter) > width:
            lines.append("")
        lines[-1] += letter
    return lines
