"""docs/results.md, docs/results/ and the tables of the methods' pages from what `promisam report` wrote; nothing is measured.

promisam report DATA -o OUT --profile full
python recipes/results.py OUT
"""

from __future__ import annotations

import argparse
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from promisam.evidence import Tables, choosing, read_tables, render
from promisam.evidence.cells import MARK, number_cell, row_cells
from promisam.evidence.contestants import CONTESTANTS, SAM_BOXES, UNET
from promisam.evidence.sections import FAST, sections
from promisam.evidence.tables import Figure
from promisam.evidence.writing import PICTURES, markdown, table
from promisam.io import atomic_text

DOCS = Path(__file__).parents[1] / "docs"
RESULTS = "results"
BLOCK = re.compile(r"(<!-- from the report -->\n).*?(<!-- to here -->)", re.DOTALL)


def page(folder: Path) -> str:
    """The text of docs/results.md, of the tables and pictures in docs/results/."""
    pictures = {one.name for one in (folder / PICTURES).glob("*.png")}
    return markdown(sections(read_tables(folder)), pictures, f"{RESULTS}/{PICTURES}")


def pages() -> Iterator[Path]:
    """The methods' own, where such a table stands."""
    return (path for path in sorted((DOCS / "methods").glob("*.md")) if BLOCK.search(path.read_text()))


def with_table(path: Path, tables: Tables) -> str:
    """The text of a method's page, with its figures of now beside those of plain SAM and the U-Net."""
    titles = {one.title for one in CONTESTANTS if one.method == path.stem}
    own = [f for f in choosing.main(tables) if f.method in titles]
    text = "\n".join(_told(own, choosing.whole(tables))) if own else "Nothing was measured yet."
    return BLOCK.sub(lambda found: f"{found[1]}{text}\n\n{found[2]}", path.read_text())


def _told(own: list[Figure], whole: list[Figure]) -> Iterator[str]:
    if any(f.profile == "fast" for f in own):
        yield f"{FAST}\n"
    yield f"{MARK} prompted from the true mask. From [summary.csv](../results/summary.csv); tests, costs, and how it was made:"
    yield "[What every method reaches](../results.md).\n"
    others = [(key, {f.dataset: f for f in whole if f.key == key}) for key in (SAM_BOXES, UNET)]
    shown = [(key, of) for key, of in others if not all(f.key == key for f in own)]
    titles = {SAM_BOXES: f"plain SAM, box{MARK}", UNET: "U-Net, all labels"}
    head = ("set", "method", "labels", "prompt", "Dice", "95 %", *(titles[key] for key, _ in shown))
    rows = [(*row_cells(f), *(number_cell(of[f.dataset].dice) if f.dataset in of else "" for _, of in shown)) for f in own]
    yield table(head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path, help="the folder that `promisam report` wrote")
    tables = read_tables(parser.parse_args().report)
    with tempfile.TemporaryDirectory(dir=DOCS) as place:  # whole before the former goes
        made = render(tables, Path(place) / RESULTS)
        for text in made:  # the page of the documentation takes their place
            text.unlink()
        shutil.rmtree(DOCS / RESULTS, ignore_errors=True)
        shutil.move(Path(place) / RESULTS, DOCS / RESULTS)
    print(atomic_text(DOCS / f"{RESULTS}.md", page(DOCS / RESULTS)))
    written = read_tables(DOCS / RESULTS)  # with the digits of the files
    for path in pages():
        print(atomic_text(path, with_table(path, written)))


if __name__ == "__main__":
    main()
