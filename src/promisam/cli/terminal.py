"""Text from outside on a terminal."""

from __future__ import annotations


def plain(text: str) -> str:
    """Text that cannot steer a terminal: names of files come from outside."""
    return "".join(c if c.isprintable() else "?" for c in text)
