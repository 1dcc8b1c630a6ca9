"""The `weights` commands."""

import typer

weights = typer.Typer(help="Fetch, import and check model weights.", no_args_is_help=True)


@weights.command("list")
def list_weights() -> None:
    """Placeholder."""
