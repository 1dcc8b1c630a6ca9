"""The `segment` command."""


def segment() -> None:
    """Placeholder."""
