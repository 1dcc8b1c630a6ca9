"""`python -m promisam`."""

from promisam.cli.main import run

run()
