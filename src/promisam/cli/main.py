"""The `promisam` command: parses, calls, prints. Heavy modules are imported by the commands that need them."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from promisam import __version__
from promisam.cli.annotate import annotate
from promisam.cli.benchmark import benchmark
from promisam.cli.check_data import check_data
from promisam.cli.demo import demo
from promisam.cli.evaluate import evaluate
from promisam.cli.export import export
from promisam.cli.fit import fit
from promisam.cli.import_method import import_method
from promisam.cli.info import info
from promisam.cli.predict import predict
from promisam.cli.report import report
from promisam.cli.reproduce import reproduce
from promisam.cli.segment import segment
from promisam.cli.select import select
from promisam.cli.weights import weights
from promisam.core.errors import PromisamError

FAILED = 2  # exit status of every refusal
INTERRUPTED = 130  # what the argument parser makes of Ctrl-C

app = typer.Typer(
    name="promisam",
    help="Segment medical images with Segment Anything models: a box, a click or a mask in, a mask on the image's grid out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(segment)
app.command()(annotate)
app.command()(info)
app.command()(check_data)
app.command()(select)
app.command()(fit)
app.command()(predict)
app.command("import")(import_method)
app.command()(export)
app.command()(evaluate)
app.command()(benchmark)
app.command()(reproduce)
app.command()(report)
app.command()(demo)
app.add_typer(weights, name="weights")


def _version(wanted: bool) -> bool:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit
    return wanted


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", is_eager=True, callback=_version)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error (accepted anywhere).")] = False,
) -> None:
    """Hold the options that stand before a command."""


def run(arguments: list[str] | None = None) -> None:
    """Entry point: one line and status 2 for every refusal, no traceback without --debug."""
    given = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in given
    try:
        status = app([a for a in given if a != "--debug"], standalone_mode=False)
        if status == INTERRUPTED:
            raise KeyboardInterrupt
    except (Exception, KeyboardInterrupt) as error:
        if debug or not _expected(error):
            raise
        typer.echo(f"promisam: {_one_line(error)}", err=True)
        sys.exit(FAILED)
    sys.exit(status if isinstance(status, int) else 0)


def _expected(error: BaseException) -> bool:
    deliberate = isinstance(error, PromisamError | OSError | KeyboardInterrupt | typer.Abort) or _is_out_of_memory(error)
    circle = isinstance(error, RuntimeError) and str(error).startswith("Symlink loop")  # Path.resolve, below Python 3.13
    return deliberate or circle or hasattr(error, "format_message")  # the argument parser's own errors


def _one_line(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        text = "interrupted; no file was left half-written"
    elif _is_out_of_memory(error):
        text = "out of memory; use a smaller image, close other programs or choose --device cpu"
    elif hasattr(error, "format_message"):
        text = f"{error.format_message()} See promisam --help."
    else:
        text = str(error)
    return " ".join(text.split())


def _is_out_of_memory(error: BaseException) -> bool:
    """Also torch's own error, by name, since torch is not imported here."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
