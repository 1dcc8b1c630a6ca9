"""A histogram as a drawing inside a page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

_BINS = 20
_WIDTH, _HEIGHT = 420, 180
_LEFT, _BOTTOM, _TOP = 40, 34, 12


def histogram(values: Sequence[float], title: str, axis: str) -> str:
    """Counts of values from 0 to 1 in steps of 0.05, as SVG; the last bin includes 1.

    Args:
        values: from 0 to 1.
        title: for readers who cannot see it, and on hovering.
        axis: name of the horizontal axis.
    """
    counts, edges = np.histogram(values, bins=_BINS, range=(0, 1))
    top = max(int(counts.max()), 1)
    plot_width, plot_height = _WIDTH - _LEFT - 8, _HEIGHT - _BOTTOM - _TOP
    floor = _HEIGHT - _BOTTOM
    step = plot_width / _BINS
    bars = "".join(
        f'<rect x="{_LEFT + i * step + 0.5:.1f}" y="{floor - plot_height * n / top:.1f}" width="{step - 1:.1f}" '
        f'height="{plot_height * n / top:.1f}"><title>{edges[i]:.2f} to {edges[i + 1]:.2f}: {n}</title></rect>'
        for i, n in enumerate(int(c) for c in counts)
    )
    ticks = "".join(
        f'<text x="{_LEFT + plot_width * t:.1f}" y="{floor + 14}" text-anchor="middle">{t:g}</text>'
        for t in (0, 0.25, 0.5, 0.75, 1)
    )
    summary = escape(f"{title}: {len(values)} values")
    return (
        f'<svg class="histogram" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{summary}"><title>{summary}</title>'
        f'<g class="bars">{bars}</g><path d="M{_LEFT} {_TOP}V{floor}H{_WIDTH - 8}"/>{ticks}'
        f'<text x="{_LEFT - 6}" y="{_TOP + 8}" text-anchor="end">{top}</text>'
        f'<text x="{_LEFT - 6}" y="{floor}" text-anchor="end">0</text>'
        f'<text x="{_LEFT + plot_width / 2:.0f}" y="{_HEIGHT - 4}" text-anchor="middle">{escape(axis)}</text></svg>'
    )
