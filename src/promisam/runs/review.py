"""The page on which a person looks through masks, the most doubtful first: one file that needs nothing else."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from promisam.core import Image, Prompts, Segmentation
from promisam.evaluation.style import CSS
from promisam.io import atomic_path, render
from promisam.runs.predictions import Done

MOST = 500  # cases on a page
_SIDE = 360  # of a picture, in pixels of the screen
_BYTES = 40_000  # of a picture: 500 of them, as text, then stay below 27 MB
_QUALITIES = (85, 75, 60, 45, 30, 15)
_OWN = """
.row { grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); }
figure { border: 1px solid var(--line); border-radius: 6px; overflow: hidden; }
figure img { height: 300px; object-fit: contain; border: 0; }
figcaption { padding: 8px 12px 10px; color: var(--ink); }
figcaption .flags { color: var(--bad); font-weight: 600; }
meter { width: 100%; height: 10px; }
.none { background: var(--band); height: 300px; display: grid; place-items: center; color: var(--soft); }
"""


def write_picture(path: Path, image: Image, found: Segmentation, prompts: Sequence[Prompts]) -> None:
    """Write a small picture of an answer: outlines, boxes and clicks; of a volume, the middle slice through what was found.

    Raises:
        UnwritableOutput: when the operating system refuses.
    """
    from PIL import Image as Pillow

    large = Pillow.fromarray(_drawn(image, found, prompts))
    scale = min(1.0, _SIDE / max(large.size))
    small = large.resize((max(1, round(large.width * scale)), max(1, round(large.height * scale))), Pillow.Resampling.LANCZOS)
    with atomic_path(path) as temporary:
        for quality in _QUALITIES:
            buffer = io.BytesIO()
            small.save(buffer, "JPEG", quality=quality, optimize=True)
            if buffer.tell() <= _BYTES:
                break
        temporary.write_bytes(buffer.getvalue())


def _drawn(image: Image, found: Segmentation, prompts: Sequence[Prompts]) -> UInt8[np.ndarray, "y x 3"]:
    if image.grid.ndim == 2:
        return render(image, found, prompts)
    axis = image.grid.coarsest_axis
    present = np.flatnonzero(found.mask().any(axis=tuple(a for a in range(3) if a != axis)))
    index = int(present[len(present) // 2]) if present.size else image.grid.shape[axis] // 2
    here = [one.slice(axis, index) for one in prompts]
    return render(image.slice(axis, index), found.slice(axis, index), here)


def page(title: str, cases: Sequence[tuple[Done, str, Path]], failed: Sequence[Done]) -> str:
    """The whole page. Every text that comes from outside is escaped, and a policy forbids it any request and any script.

    Args:
        title: what was segmented.
        cases: rows with a mask, in the order in which they are to be looked at, with their names and pictures.
        failed: rows without one.
    """
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    shown = cases[:MOST]
    more = f" The first {MOST} are shown; report.csv lists all." if len(cases) > len(shown) else ""
    known = [row.confidence for row, _, _ in cases if row.confidence is not None]
    middle = f" Median confidence {np.median(known):.2f}." if known else ""
    flagged = sum(bool(row.flags) for row, _, _ in cases)
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Review of {escape(title)}</title><style>{CSS}{_OWN}</style></head><body>",
            f"<header><h1>Review of {escape(title)}</h1>",
            f"<p><strong>{len(cases)} masks, the most doubtful first</strong>, {flagged} of them flagged.{middle}{more}</p>",
            '<p class="soft">Confidence is the Dice that the method expects. Outlines are masks; white boxes and signs are '
            "what the network was asked; edit them in prompts/ and give them back with --prompts.</p></header>",
            _failures(failed),
            '<div class="row">',
            *(_card(*case) for case in shown),
            "</div></body></html>\n",
        ]
    )


def _failures(failed: Sequence[Done]) -> str:
    if not failed:
        return ""
    items = "".join(f"<li><strong>{escape(Path(row.image).name)}</strong>: {escape(row.reason)}</li>" for row in failed)
    return f'<section class="failures"><h2>Without a mask: {len(failed)}</h2><ul>{items}</ul></section>'


def _card(row: Done, name: str, picture: Path) -> str:
    known = row.confidence is not None
    meter = f'<meter min="0" max="1" low="0.5" high="0.8" optimum="1" value="{row.confidence:.4f}"></meter>' if known else ""
    told = f"confidence {row.confidence:.2f}" if known else "no confidence"
    notes = [*row.flags, *([row.reason] if row.reason else [])]
    flags = f'<div class="flags">{escape("; ".join(notes))}</div>' if notes else ""
    measures = ", ".join(f"{escape(title)} {value:.3g}" for title, value in row.measures.items())
    seen = '<div class="soft">the method learned from this image</div>' if row.trained_on else ""
    return (
        f"<figure>{_image(picture, name)}<figcaption><strong>{escape(name)}</strong><br>{told}{meter}{flags}{seen}"
        f'<div class="soft">{measures}</div></figcaption></figure>'
    )


def _image(picture: Path, name: str) -> str:
    try:
        data = base64.b64encode(picture.read_bytes()).decode("ascii")
    except OSError:
        return '<div class="none">no picture</div>'
    return f'<img loading="lazy" src="data:image/jpeg;base64,{data}" alt="Outline of the mask of {escape(name)}">'
