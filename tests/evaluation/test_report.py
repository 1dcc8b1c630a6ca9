from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from evaluation.toys import empty, save, square
from promisam.core.errors import UnreadableFile, UnwritableOutput
from promisam.evaluation import Evaluation, evaluate_folders, write_report

EVIL = "<script>alert(1)<&script>\"'"  # a slash cannot stand in a file name


class Page(HTMLParser):
    """What a browser would see: the elements with their attributes, and the texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture
def mixed(tmp_path: Path) -> Evaluation:
    truth = {"a": square(5, 5, 10), "b": square(8, 8, 10), "gone": square(2, 2, 6), "none": empty(), "lost": square(2, 2, 6)}
    predictions = {"a": square(5, 7, 10), "b": square(8, 8, 10), "none": empty(), "lost": empty(), "extra": empty()}
    return evaluate_folders(save(tmp_path / "pred", **predictions), save(tmp_path / "true", **truth), tolerances=(1.0, 2.0))


def test_three_files(mixed: Evaluation, tmp_path: Path):
    written = write_report(mixed, tmp_path / "report")

    assert [p.name for p in written] == ["cases.csv", "summary.json", "report.html"]
    assert sorted(p.name for p in (tmp_path / "report").iterdir()) == ["cases.csv", "report.html", "summary.json"]


def test_csv_parses_back(mixed: Evaluation, tmp_path: Path):
    table = write_report(mixed, tmp_path / "report")[0]
    rows = {row["id"]: row for row in csv.DictReader(table.read_text(encoding="utf-8").splitlines())}

    assert {name: row["status"] for name, row in rows.items()} == {
        "a": "ok", "b": "ok", "gone": "missing", "lost": "prediction_empty", "none": "both_empty",
    }  # fmt: skip
    for score in mixed.scores:
        for column, value in score.metrics("px").items():
            read = rows[score.case][column]
            assert (float(read) if read else None) == value, (score.case, column)
    assert rows["none"]["dice"] == ""
    assert rows["lost"]["hd95"] == "inf"
    assert (rows["a"]["prediction"], rows["a"]["truth"], rows["gone"]["prediction"]) == ("a.png", "a.png", "")


def test_json_is_strict_and_complete(mixed: Evaluation, tmp_path: Path):
    text = write_report(mixed, tmp_path / "report")[1].read_text(encoding="utf-8")
    record = json.loads(text, parse_constant=lambda c: pytest.fail(f"{c} is no JSON"))

    overall = record["overall"]
    assert (record["cases"], overall["rows"], overall["failures"], overall["both_empty"]) == (5, 5, 1, 1)
    assert overall["metrics"]["hd95"]["infinite"] == 2
    assert overall["metrics"]["dice"]["mean"] == pytest.approx((0.8 + 1 + 0 + 0) / 4)
    low, high = overall["metrics"]["dice"]["interval_95"]
    assert low < overall["metrics"]["dice"]["mean"] < high
    assert [f["status"] for f in record["failures"]] == ["missing", "unexpected"]
    assert {"Dice", "HD95", "NSD", "Both empty", "Failure"} <= record["definitions"].keys()
    assert record["settings"]["tolerances"] == [1.0, 2.0]
    assert {"promisam", "numpy", "scipy"} <= record["versions"].keys()


def test_page_says_what_matters(mixed: Evaluation, tmp_path: Path):
    text = write_report(mixed, tmp_path / "report")[2].read_text(encoding="utf-8")
    seen = " ".join(Page(text).texts)

    assert seen.index("Failures: 2") < seen.index("Summary") < seen.index("Cases")
    assert "n/a (both empty)" in seen
    assert "(2 inf)" in seen
    assert "extra.png is a prediction without a truth" in seen
    assert "Hausdorff distance at the 95th percentile" in seen
    assert "Dice of label 1: 4 values" in seen
    assert [t for t, _ in Page(text).elements].count("rect") == 20
    assert {"0.00 to 0.05: 2", "0.80 to 0.85: 1", "0.95 to 1.00: 1"} <= set(Page(text).texts)
    assert text.count("data:image/png;base64,") == 3


def test_page_fetches_nothing(mixed: Evaluation, tmp_path: Path):
    text = write_report(mixed, tmp_path / "report")[2].read_text(encoding="utf-8")

    assert not re.search(r"https?://|//[a-z]|@import|url\(", re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "", text))
    sources = [value for _, given in Page(text).elements for name, value in given.items() if name in ("src", "href", "srcset")]
    assert sources
    assert all(str(source).startswith("data:image/png;base64,") for source in sources)
    assert "default-src 'none'" in text


def test_names_from_outside_stay_text(tmp_path: Path):
    good = square(5, 5, 10)
    names = {EVIL: good, f"{EVIL}2": good}
    unexpected = {f"{EVIL}3": good, f"{EVIL}2": b"junk", EVIL: square(5, 6, 10)}
    found = evaluate_folders(save(tmp_path / EVIL / "pred", **unexpected), save(tmp_path / EVIL / "true", **names))
    text = write_report(found, tmp_path / "report")[2].read_text(encoding="utf-8")
    page = Page(text)

    assert [tag for tag, _ in page.elements].count("script") == 1
    assert not any(name.startswith("on") for _, given in page.elements for name in given)
    images = [given["alt"] for tag, given in page.elements if tag == "img"]
    assert images
    assert all(EVIL in str(alt) for alt in images)
    values = [given["data-value"] for tag, given in page.elements if tag == "td" and "data-value" in given]
    assert {EVIL, f"{EVIL}2"} <= set(values)
    assert sum(EVIL in t for t in page.texts) >= 4


def test_a_name_that_is_no_text_does_not_stop_the_report(tmp_path: Path):
    good = square(5, 5, 10)
    found = evaluate_folders(save(tmp_path / "pred", a=good), save(tmp_path / "true", **{"a": good, "b\udcff": good}))

    assert "b?" in write_report(found, tmp_path / "report")[0].read_text(encoding="utf-8")


def test_an_earlier_report_is_kept(mixed: Evaluation, tmp_path: Path):
    written = write_report(mixed, tmp_path / "report")
    written[0].write_text("mine")

    with pytest.raises(UnwritableOutput, match=r"already holds cases.csv"):
        write_report(mixed, tmp_path / "report")
    assert written[0].read_text() == "mine"
    write_report(mixed, tmp_path / "report", overwrite=True)
    assert written[0].read_text() != "mine"


def test_images_beside_the_truth_are_found(mixed: Evaluation, tmp_path: Path):
    before = write_report(mixed, tmp_path / "one")[2].read_text(encoding="utf-8")
    save(tmp_path / "images", a=square(0, 0, 25), b=square(0, 0, 25), lost=square(0, 0, 25))
    after = write_report(mixed, tmp_path / "two")[2].read_text(encoding="utf-8")

    assert "no image" in before
    assert "no image" not in after
    with pytest.raises(UnreadableFile, match="folder of images"):
        write_report(mixed, tmp_path / "three", images=tmp_path / "nowhere")


def test_two_reports_of_one_evaluation_are_equal(mixed: Evaluation, tmp_path: Path):
    one, two = write_report(mixed, tmp_path / "one"), write_report(mixed, tmp_path / "two")

    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in two]
