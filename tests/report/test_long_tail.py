"""The sets of a generalized long tail on the page."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from poolwright.report.page import write_report
from poolwright.report.set_charts import set_charts
from poolwright.report.view import TableView
from tests.release.build import write_table
from tests.report.made import make_table, photos
from tests.steps.split.glt_rows import counts, glt, rows_of


def _rows(classes: int) -> pa.Table:
    cells = {f"class {at:03d}": (60, 30, 20) for at in range(classes)}
    numbers = {"test_bbl": 4, "test_bl": 10, "test_lt": 6, "val": 3, "balanced": 30}
    return glt(rows_of(cells), **numbers, sizes={"shape": "exponential", "largest": 60, "imbalance": 5})[0]


def test_every_set_has_its_classes_and_attributes(tmp_path: Path) -> None:
    rows = _rows(20)
    rows = rows.filter(pc.or_(pc.is_valid(rows.column("split_glt")), pc.is_valid(rows.column("split_cbl"))))
    table = write_table(tmp_path / "toy", rows)
    html = write_report([TableView(table)], tmp_path / "report.html", "toy").read_text("utf-8")
    section = html.split('<section id="t1-sets"')[1].split("</section>")[0]
    titles = ["Train-GLT", "Val-GLT", "Test-GLT", "Train-CBL", "Val-CBL", "Test-CBL", "Test-GBL"]
    assert re.findall(r"<h4><bdi>([A-Z][^<]*)</bdi></h4>", section) == titles
    train = counts(rows, "split_glt")["train"]
    largest = sum(count for (label, _), count in train.items() if label == "class 000")
    assert f'<td>class 0</td><td class="right">{largest}</td>' in section
    balanced = section.split("<bdi>Test-CBL</bdi>")[1].split("<bdi>Test-GBL</bdi>")[0]
    assert [f"<title>class {number}: 10 rows</title>" in balanced for number in range(20)] == [True] * 20
    assert "200 rows; largest class 10, smallest 10" in section
    cells = re.findall(r'<th scope="row"><bdi>(Test-[CG]BL)</bdi></th>((?:<td[^>]*>[\d,]+</td>)+)', section)
    assert {name: re.findall(r">([\d,]+)<", line) for name, line in cells} == {
        "Test-CBL": ["140", "40", "20"],
        "Test-GBL": ["80", "80", "80"],
    }
    assert section.count(">medium</span>") == section.count(">few</span>") == 7
    assert 'href="#t1-sets"' in html


def test_many_classes_are_drawn_together(tmp_path: Path) -> None:
    found = set_charts(write_table(tmp_path / "toy", _rows(230)))
    assert found is not None
    plot = found.classes[-1]
    assert plot.meaning == "Mean rows of classes, by number"
    assert len(plot.numbers) == 100
    assert plot.numbers[0] == ("classes 0 to 1", "24")
    assert sum(int(rows) for _, rows in plot.numbers) == 230 * 12


def test_tables_without_sets_have_no_section(tmp_path: Path) -> None:
    table = make_table(tmp_path / "table", photos(30))
    assert set_charts(table) is None
    assert "t1-sets" not in write_report([TableView(table)], tmp_path / "r.html", "x").read_text("utf-8")
    nothing = write_table(tmp_path / "nothing", _rows(3).slice(0, 0))
    assert set_charts(nothing) is None
