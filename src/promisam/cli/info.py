"""The `info` command."""


def info() -> None:
    """Placeholder."""
