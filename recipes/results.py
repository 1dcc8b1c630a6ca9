"""docs/results.md and docs/results/ from the folder that `promisam report` wrote; nothing is measured.

promisam report DATA -o OUT --profile full
python recipes/results.py OUT
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from promisam.evidence import read_tables, render
from promisam.evidence.sections import sections
from promisam.evidence.writing import PICTURES, markdown
from promisam.io import atomic_text

DOCS = Path(__file__).parents[1] / "docs"
RESULTS = "results"


def page(folder: Path) -> str:
    """The text of docs/results.md, of the tables and pictures in docs/results/."""
    pictures = {one.name for one in (folder / PICTURES).glob("*.png")}
    return markdown(sections(read_tables(folder)), pictures, f"{RESULTS}/{PICTURES}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path, help="the folder that `promisam report` wrote")
    tables = read_tables(parser.parse_args().report)
    shutil.rmtree(DOCS / RESULTS, ignore_errors=True)
    made = render(tables, DOCS / RESULTS)
    for text in made:  # the page of the documentation takes their place
        text.unlink()
    print(atomic_text(DOCS / f"{RESULTS}.md", page(DOCS / RESULTS)))


if __name__ == "__main__":
    main()
