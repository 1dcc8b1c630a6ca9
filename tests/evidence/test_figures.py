"""Figures in the documentation stand in files that a command wrote: tables of measurements are looked up there."""

from __future__ import annotations

import csv
import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from itertools import combinations
from math import isnan
from pathlib import Path
from statistics import mean, median

import pytest

from promisam.evidence.contestants import CONTESTANTS

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md"), ROOT / "README.md"])
MEASURED = re.compile(r"\b(Dice|IoU|NSD|HD95|seconds|minutes|s|ms|MB)\b")  # headings of columns that somebody measured
PUBLISHED = re.compile(r"\b(published|release|official)\b")  # of others, with their source beside them
NAMED = re.compile(r"\b(\w+\.(?:csv|json))\b")
DECIMAL = re.compile(r"(?<![\w.@=])\d+\.\d+(?!\w|\.\d)")
EXACT = re.compile(r"(?<![\w.@=-])0\.\d{3,}(?!\w|\.\d)")  # in a sentence; with two digits people speak of aims and roughly
CODE = re.compile(r"^```.*?^```|`[^`]*`|^\|[^\n]*$", re.DOTALL | re.MULTILINE)  # and tables
GROUPING = ("dataset", "set", "method", "kind", "engine", "prompt", "way")


def tables(page: Path) -> Iterator[list[str]]:
    """Of Markdown, those with a heading of something that is measured."""
    rows: list[str] = []
    for line in [*page.read_text().splitlines(), ""]:
        if line.startswith("|"):
            rows.append(line)
        elif rows:
            if MEASURED.search(rows[0]) and not PUBLISHED.search(rows[0]):
                yield rows
            rows = []


def numbers(value: object) -> Iterator[float]:
    """All that stand in JSON."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from numbers(one)
    elif isinstance(value, int | float):
        yield float(value)


def known(file: Path) -> list[float]:
    """Every number of a file, and of a table also means, medians, least and largest of all and by what tells rows apart."""
    if file.suffix == ".json":
        return list(numbers(json.loads(file.read_text())))
    with file.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    found, grouped = [], {}
    for row in rows:
        named = [(name, row[name]) for name in GROUPING if name in row]
        groups = [(), *combinations(named, 1), *combinations(named, 2)]
        for column, text in row.items():
            try:
                value = float(text)
            except ValueError:
                continue
            found.append(value)
            for group in groups:
                grouped.setdefault((group, column), []).append(value)
    for values in grouped.values():
        found += [mean(values), median(values), min(values), max(values)]
    return [value for value in found if not isnan(value)]


def sources(page: Path) -> list[Path]:
    """Files that a page names and a command wrote."""
    names = set(NAMED.findall(page.read_text()))
    places = [ROOT / "benchmarks", ROOT / "docs" / "results"]
    return [place / name for place in places for name in sorted(names) if (place / name).is_file()]


def unfounded(page: Path) -> list[str]:
    """Figures of a page that no file explains."""
    values = [value for file in sources(page) for value in known(file)]

    def lost(text: str) -> bool:
        half = 0.5000001 * 10.0 ** -len(text.partition(".")[2])
        return not any(abs(abs(value) - float(text)) <= half for value in values)

    of_tables = [
        f"{text} in the table {rows[0]}"
        for rows in tables(page)
        for text in DECIMAL.findall("\n".join(row.split("|", 2)[2] for row in rows[2:]))  # the first cell is a name
        if lost(text)
    ]
    return [*of_tables, *(f"{text} in a sentence" for text in EXACT.findall(CODE.sub("", page.read_text())) if lost(text))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_measured_figures_stand_in_a_file(page):
    assert unfounded(page) == []


def test_an_invented_figure_is_noticed(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "From `few_labels.csv`.\n\n| set | Dice |\n|---|---|\n| hc18 | 0.9275 |\n| x | 0.9276543 |\n\nNot 0.927 but 0.92854.\n"
    )
    assert unfounded(page) == ["0.9276543 in the table | set | Dice |", "0.92854 in a sentence"]


def recipe(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "recipes" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where its dataclasses look for their types
    spec.loader.exec_module(module)
    return module


def test_one_recipe_makes_every_file_of_figures():
    measurements = recipe("evidence").MEASUREMENTS
    files = {one.name for one in (ROOT / "benchmarks").glob("*.*") if one.suffix in {".csv", ".json"}}
    assert files == {one.file for one in measurements}
    for one in measurements:
        script = (ROOT / "benchmarks" / f"{one.name}.py").read_text()
        for command in one.commands(Path("DATA"), Path("WORK")):
            words = [word for word in command[2:] if not re.match(r"DATA|WORK|/|\d+$", word)]
            assert [word for word in words if f'"{word}"' not in script] == []


def test_the_page_of_results_is_what_its_tables_make():
    results = recipe("results")
    page = (ROOT / "docs" / "results.md").read_text()
    assert page == results.page(ROOT / "docs" / "results"), "python recipes/results.py OUT makes it again"
    shown = set(re.findall(r"\((results/plots/\w+\.png)\)", page))
    assert shown
    assert all((ROOT / "docs" / name).is_file() for name in shown)


def test_the_tables_of_the_methods_pages_are_of_the_report():
    results = recipe("results")
    tables, found = results.read_tables(ROOT / "docs" / "results"), list(results.pages())
    assert {path.stem for path in found} == {one.method for one in CONTESTANTS}
    for path in found:
        assert path.read_text() == results.with_table(path, tables), f"{path}: python recipes/results.py OUT makes it again"
