"""Draws the figures of the documentation, from images that installed packages carry and from synthetic ones.

    python docs/figures/make.py             # all, into this folder
    python docs/figures/make.py clicks.png  # these only

Masks are real answers of the default weights.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from PIL import Image as Pillow
from pydicom.data import get_testdata_file
from skimage import data

import promisam as ps

HERE = Path(__file__).parent
ON, OFF, BOX = "#2e7d32", "#c62828", "#f9a825"
COLOURS = ("#00e5ff", "#ff4081", "#ffd740")
mpl.use("Agg")
mpl.rcParams.update({"font.family": "DejaVu Sans", "font.size": 10, "axes.titlesize": 10})


def home() -> Figure:
    """A fundus photograph and a CT slice, each with a box and what it gives."""
    figure, axes = plt.subplots(1, 2, figsize=(7.6, 3.6))
    method = ps.load()
    eye = _picture(data.retina()[::2, ::2].copy())
    _show(axes[0], eye, _ask(method, eye, _box(eye, 59, 270, 163, 381)))
    _outlined(axes[0], 59, 270, 163, 381)
    axes[0].set_xlim(0, 420)
    axes[0].set_ylim(530, 110)
    axes[0].set_title("fundus: a box around the optic disc")
    ct = ps.read(get_testdata_file("CT_small.dcm"))
    looked = ps.Window.parse("mediastinum").apply(ct)
    boxes = ((70, 0, 110, 28), (47, 42, 71, 62))
    answer = ps.predict(ps.load(config={"window": "mediastinum"}), ct, *[_box(ct, *box) for box in boxes])
    _show(axes[1], looked, answer)
    for box in boxes:
        _outlined(axes[1], *box)
    axes[1].set_title("CT: two boxes, two labels")
    return figure


def indices() -> Figure:
    """Where pixel 0,0 lies, what a box covers, and how arrays name the same pixel."""
    figure, axis = plt.subplots(figsize=(6.6, 3.9))
    wide, high = 9, 6
    for x in range(wide + 1):
        axis.plot([x - 0.5] * 2, [-0.5, high - 0.5], color="#b0bec5", lw=0.8)
    for y in range(high + 1):
        axis.plot([-0.5, wide - 0.5], [y - 0.5] * 2, color="#b0bec5", lw=0.8)
    axis.add_patch(Rectangle((1.5, 0.5), 4, 3, facecolor=BOX, alpha=0.25, edgecolor="none"))
    axis.add_patch(Rectangle((1.5, 0.5), 4, 3, fill=False, edgecolor=BOX, lw=2.2))
    for x, y, text in ((2, 1, "2,1"), (5, 3, "5,3")):
        axis.text(x, y, text, ha="center", va="center", weight="bold")
    axis.text(3.5, 2, "--box 2,1,5,3\n4 x 3 pixels", ha="center", va="center", family="DejaVu Sans Mono", fontsize=9)
    axis.plot(7, 4, "o", color=ON, ms=13, mec="white")
    axis.text(7, 4, "+", color="white", ha="center", va="center", weight="bold")
    axis.annotate(
        "--point 7,4\nPython: (4, 7)\narray[4, 7]",
        (7.15, 4.15),
        (9.2, 3.1),
        family="DejaVu Sans Mono",
        fontsize=9,
        arrowprops={"arrowstyle": "-", "color": "#546e7a"},
    )
    axis.text(0, 0, "0,0", ha="center", va="center", color="#546e7a")
    for start, end, name, at in (((-0.5, -1.1), (3, -1.1), "x", (3.3, -1.1)), ((-1.1, -0.5), (-1.1, 3), "y", (-1.1, 3.4))):
        axis.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=14, color="#37474f"))
        axis.text(*at, name, ha="center", va="center", fontsize=12)
    axis.set(xlim=(-1.6, 12.3), ylim=(high, -1.6), aspect="equal")
    axis.axis("off")
    return figure


def world() -> Figure:
    """Voxel indices and patient millimetres of one sample of an axial slice."""
    figure, axis = plt.subplots(figsize=(6.6, 3.7))
    ct = ps.Window.parse("mediastinum").apply(ps.read(get_testdata_file("CT_small.dcm")))
    axis.imshow(ct.pixels[0], cmap="gray")
    row, column = 66, 92
    at = ct.grid.to_mm(np.array([[row, column]]))[0]
    axis.plot(column, row, "o", color=ON, mec="white", ms=9)
    axis.annotate(
        f"voxel   {column},{row}\nworld   {at[0]:.1f}, {at[1]:.1f}, {at[2]:.1f} mm",
        (column, row),
        (140, 62),
        family="DejaVu Sans Mono",
        fontsize=9,
        va="center",
        arrowprops={"arrowstyle": "-", "color": "#546e7a"},
    )
    axis.text(
        140,
        20,
        "LPS+\nx grows to the patient's Left\ny grows to Posterior (the back)\nz grows to Superior (the head)",
        fontsize=9,
    )
    for start, end, name, place in (((4, 6), (34, 6), "L", (38, 7)), ((4, 6), (4, 36), "P", (3.5, 42))):
        axis.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=12, color="#ffd740", lw=1.6))
        axis.text(*place, name, color="#ffd740", ha="center", va="center", weight="bold")
    axis.set(xlim=(-0.5, 260), ylim=(127.5, -0.5))
    axis.axis("off")
    return figure


def clicks() -> Figure:
    """The optic disc asked for by a click that is answered with too much, by a correcting click, and by a box."""
    figure, axes = plt.subplots(1, 3, figsize=(9.6, 3.5))
    method = ps.load()
    image = _picture(data.retina())
    one = ps.Prompts(image.grid).click((650, 220))
    two = one.click((500, 400), positive=False)
    box = (118, 540, 326, 762)
    texts = ("--point 220,650", "--point 220,650 --point 400,500,-", "--box 118,540,326,762")
    for axis, prompts, text in zip(axes, (one, two, _box(image, *box)), texts, strict=True):
        _show(axis, image, _ask(method, image, prompts))
        for (y, x), label in zip(prompts.points_zyx, prompts.labels, strict=True):
            axis.plot(x, y, "o", color=ON if label else OFF, mec="white", ms=12)
            axis.text(x, y, "+" if label else "\N{MINUS SIGN}", color="white", ha="center", va="center", weight="bold")
        axis.set_title(text, family="DejaVu Sans Mono", fontsize=8)
        axis.set_xlim(0, 900)
        axis.set_ylim(1000, 250)
    _outlined(axes[2], *box)
    return figure


def following() -> Figure:
    """A box on one slice of a volume, followed through its neighbours."""
    image = ps.read(_examples() / "ct.nii.gz")
    window = ps.Window.parse("abdomen")
    method = ps.load(ndim=3, config={"window": "abdomen"})
    prompts = ps.Prompts(image.grid).with_box((5, 21, 13), (5, 55, 51))
    answer = ps.predict(method, image, prompts)
    shown = window.apply(image)
    figure, axes = plt.subplots(1, 7, figsize=(10.5, 1.9))
    for axis, z in zip(axes, range(2, 9), strict=True):
        axis.imshow(shown.pixels[0, z], cmap="gray", vmin=0, vmax=255)
        mask = answer.labels[z] > 0
        if mask.any():
            axis.contour(mask, [0.5], colors=[COLOURS[0]], linewidths=1.4)
        if z == 5:
            _outlined(axis, 13, 21, 51, 55)
        axis.set_title(f"z = {z}" + (" (box)" if z == 5 else ""), fontsize=9)
        axis.axis("off")
    return figure


def _examples() -> Path:
    """The files of docs/examples/data.py."""
    import runpy
    import tempfile

    folder = Path(tempfile.mkdtemp())
    runpy.run_path(str(HERE.parent / "examples/data.py"))["make"](folder)
    return folder


def _picture(pixels: np.ndarray) -> ps.Image:
    return ps.Image(np.ascontiguousarray(pixels.transpose(2, 0, 1)), ps.Grid.of_picture(pixels.shape[:2]))


def _box(image: ps.Image, x0: float, y0: float, x1: float, y1: float) -> ps.Prompts:
    return ps.Prompts(image.grid).with_box((y0, x0), (y1, x1))


def _ask(method: ps.Segmenter, image: ps.Image, *prompts: ps.Prompts) -> ps.Segmentation:
    return ps.predict(method, image, *prompts)


def _show(axis: Axes, image: ps.Image, answer: ps.Segmentation) -> None:
    pixels = image.pixels
    axis.imshow(pixels[0] if len(pixels) == 1 else pixels[:3].transpose(1, 2, 0), cmap="gray")
    for value in answer.values:
        colour = COLOURS[(value - 1) % len(COLOURS)]
        axis.contour(answer.labels == value, [0.5], colors=[colour], linewidths=1.8)
        axis.contourf(answer.labels == value, [0.5, 1.5], colors=[colour], alpha=0.25)
    axis.axis("off")


def _outlined(axis: Axes, x0: float, y0: float, x1: float, y1: float) -> None:
    axis.add_patch(Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0 + 1, y1 - y0 + 1, fill=False, edgecolor=BOX, lw=1.6, ls="--"))


FIGURES: dict[str, Callable[[], Figure]] = {
    "home.png": home,
    "indices.png": indices,
    "world.png": world,
    "clicks.png": clicks,
    "following.png": following,
}


def save(name: str) -> None:
    """Draw one figure; few colours, so that it stays small."""
    figure = FIGURES[name]()
    memory = BytesIO()
    figure.savefig(memory, dpi=130, bbox_inches="tight", pad_inches=0.05, facecolor="white")
    plt.close(figure)
    Pillow.open(memory).convert("RGB").quantize(128, dither=Pillow.Dither.NONE).save(HERE / name, optimize=True)


if __name__ == "__main__":
    for wanted in sys.argv[1:] or FIGURES:
        save(wanted)
