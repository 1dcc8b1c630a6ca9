"""The `check_data` command."""


def check_data() -> None:
    """Placeholder."""
