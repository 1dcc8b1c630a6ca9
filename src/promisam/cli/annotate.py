"""The `annotate` command: a page on this machine, on which a person segments."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated, Literal

import typer

from promisam.cli.progress import progress_bars
from promisam.cli.terminal import plain
from promisam.core.errors import MissingExtra


def annotate(
    path: Annotated[
        Path, typer.Argument(help="A folder of images, a data set, a DICOM folder, or one file.", show_default=False)
    ],
    method: Annotated[
        str, typer.Option(metavar="RUN|WEIGHTS", help="What answers: a run folder, or the name of weights.")
    ] = "promisam-click",
    weights: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="A file of weights, or where the SAM of a run is.")
    ] = None,
    like: Annotated[str | None, typer.Option(metavar="NAME", help="The known weights that a FILE was trained like.")] = None,
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option(help="Where to compute.")] = "auto",
    host: Annotated[str, typer.Option(help="The address to listen on; beyond this machine only with --token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 0,
    token: Annotated[str | None, typer.Option(metavar="TEXT", help="What a page must know. Default: a new random one.")] = None,
    keep: Annotated[int, typer.Option(metavar="N", min=1, help="Encoded images in memory, 4 MB each.")] = 64,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page.")] = True,
    offline: Annotated[bool, typer.Option("--offline", help="Never touch the network.")] = False,
) -> None:
    """Segment in a browser: click, correct, save; learn from what is done and pre-segment the rest.

    Masks go to masks/ in the folder, on each image's own grid; drafts and models to .promisam/ in it. The page is served to
    this machine alone, at an address with a random token. 3D Slicer connects to the printed MONAI Label address.
    """
    if any(importlib.util.find_spec(name) is None for name in ("fastapi", "uvicorn", "python_multipart")):
        raise MissingExtra(
            "annotate without a web server", expected="the extra web", do="pip install 'promisam[web]', then try again."
        )
    from promisam.app import start

    bound = start.listen(host, port)
    with bound:
        rules = start.rules_for(host, bound.getsockname()[1], token)
        wish = start.Wish(path, method, weights, like, device, offline, keep)
        with progress_bars() as progress:
            app = start.build(wish, rules, progress("weights"))
        name = f"[{host}]" if ":" in host else host
        base = f"http://{name}:{bound.getsockname()[1]}"
        page = f"{base}/?token={rules.token}"
        bound.listen()  # who follows the address at once is kept waiting, not turned away
        typer.echo(plain(f"{path}: open {page}"))
        typer.echo(f"3D Slicer (MONAI Label server): {base}/monai/{rules.token}/")
        typer.echo("Everything that is drawn is kept at once. Ctrl-C ends the server.")
        if browser:
            import webbrowser

            webbrowser.open(page)
        start.serve(app, bound)
