"""The worst mistakes on the page: by kind, the surest first, with their pictures."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa

from poolwright.core.table import Table
from poolwright.report.mistakes import PER_KIND, mistake_sheets
from poolwright.report.page import write_report
from poolwright.report.sheets import Budget
from poolwright.report.view import TableView
from tests.release.build import write_table

BUDGET = Budget(100, 9_000)


def table_of(folder: Path, rows: int = 400, cuts: tuple[int, ...] = (150,), **more: pa.Array) -> Table:
    draw = np.random.default_rng(2)
    decision = draw.normal(size=rows).astype(np.float32)
    truth = np.where(draw.random(rows) < 0.5, "map", "<b>other</b>")
    columns = {
        "uid": [f"row-{row:03d}" for row in range(rows)],
        "decision": decision,
        "predicted": np.where(decision > 0, "map", "<b>other</b>"),
        "truth": truth,
    }
    return write_table(folder, pa.table({**columns, **more}), cuts=cuts)


def test_the_surest_of_each_kind_come_first(tmp_path: Path) -> None:
    table = table_of(tmp_path / "decided")
    rows = table.read().to_pylist()
    sheets = mistake_sheets(TableView(table), "predicted", "truth", BUDGET)
    assert {sheet.title for sheet in sheets} == {
        "taken for map, is <b>other</b>",
        "taken for <b>other</b>, is map",
    }
    for sheet in sheets:
        said = "map" if sheet.title.startswith("taken for map") else "<b>other</b>"
        wrong = [row for row in rows if row["predicted"] == said != row["truth"]]
        wrong.sort(key=lambda row: -abs(row["decision"]))
        assert sheet.rows == len(wrong)
        assert [card.uid for card in sheet.cards] == [row["uid"] for row in wrong[:PER_KIND]]


def test_the_page_has_them_where_a_figure_compares(tmp_path: Path) -> None:
    table = table_of(tmp_path / "decided")
    view = TableView(table, compared=(("predicted", "truth"),))
    html = write_report([view], tmp_path / "report.html", "maps").read_text("utf-8")
    section = html.split('<section id="t1-mistakes"')[1].split("</section>")[0]
    assert "taken for &lt;b&gt;other&lt;/b&gt;, is map" in section
    assert 'href="#t1-mistakes"' in html
    assert len(re.findall("row-", section)) >= 2 * PER_KIND
    plain = write_report([TableView(table)], tmp_path / "plain.html", "maps").read_text("utf-8")
    assert "t1-mistakes" not in plain


def test_without_mistakes_or_columns_there_is_nothing(tmp_path: Path) -> None:
    table = table_of(tmp_path / "decided")
    assert mistake_sheets(TableView(table), "truth", "truth", BUDGET) == []
    assert mistake_sheets(TableView(table), "gone", "truth", BUDGET) == []


def test_order_and_cut_of_the_parts_change_nothing(tmp_path: Path) -> None:
    one, two = table_of(tmp_path / "one"), table_of(tmp_path / "two", cuts=(3, 77, 300))
    found = [mistake_sheets(TableView(table), "predicted", "truth", BUDGET) for table in (one, two)]
    assert found[0] == found[1]
