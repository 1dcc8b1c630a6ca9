"""The `evaluate` command."""


def evaluate() -> None:
    """Placeholder."""
