"""`python -m promisam`."""

from promisam.cli.main import run

if __name__ == "__main__":  # processes that are started from here import this module, too
    run()
