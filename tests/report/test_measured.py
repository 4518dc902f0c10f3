"""What was measured, on the page."""

from __future__ import annotations

import re
from pathlib import Path

from poolwright.core.results.measured import Matrix, Measured
from poolwright.report.measured import matrices
from poolwright.report.page import write_report
from poolwright.report.view import TableView
from tests.report.made import make_table, photos

MATRIX = Matrix(
    down="trained on",
    across="tested on",
    rows=("Africa", "<b>Asia</b>"),
    columns=("Africa", "<b>Asia</b>"),
    values=((0.9123, 0.5), (0.4, 0.8)),
    row_counts=(20000, 30),
    column_counts=(40, 50),
    summary={"in-domain mean": 0.8562, "gap": 0.4062},
)


def page(folder: Path, *measured: Measured) -> str:
    table = make_table(folder / "table", photos(60))
    return write_report([TableView(table, measured=measured)], folder / "report.html", "world").read_text("utf-8")


def test_matrices_are_shaded_tables_and_numbers_stand_alone(tmp_path: Path) -> None:
    gap = Measured(name="gap & all", table="kept", measure="domain_gap", value=MATRIX, words="How <it> was done.")
    number = Measured(name="probe", table="kept", measure="probe", value=0.6554, words="A probe.")
    html = page(tmp_path, number, gap)
    section = html.split('<section id="t1-measured"')[1].split("</section>")[0]
    cells = re.findall(r'<td style="--shade:([\d.]+)">(?:<b>)?([\d.]+)', section)
    assert cells == [("1.0", "0.912"), ("0.195", "0.500"), ("0.0", "0.400"), ("0.781", "0.800")]
    assert section.count("<b>0.912</b>") == section.count("<b>0.800</b>") == 1
    assert "<b>0.655</b>" in section
    assert "gap &amp; all" in section
    assert "How &lt;it&gt; was done." in section
    assert "&lt;b&gt;Asia&lt;/b&gt;" in section
    assert "in-domain mean 0.856 · gap 0.406" in section
    assert "20,000" in section
    assert 'href="#t1-measured"' in html


def test_without_figures_there_is_no_section(tmp_path: Path) -> None:
    assert "t1-measured" not in page(tmp_path)


def test_a_matrix_of_equal_numbers() -> None:
    even = MATRIX.model_copy(update={"values": ((0.5, 0.5), (0.5, 0.5))})
    (table,) = matrices([Measured(name="gap", table="kept", measure="domain_gap", value=even, words="")])
    assert [cell.shade for _, cells, _ in table.lines for cell in cells] == [1.0] * 4


def test_small_differences_have_like_colours() -> None:
    close = MATRIX.model_copy(update={"values": ((0.99, 0.98), (0.97, 1.0))})
    assert close.limits() == (0.75, 1.0)
    assert MATRIX.model_copy(update={"values": ((0.2, 0.9), (0.6, 0.8))}).limits() == (0.2, 0.9)


def test_an_interval_of_no_width_says_that_all_were_looked_at(tmp_path: Path) -> None:
    exact = Measured(name="precision", table="kept", measure="verdicts", value=0.85, low=0.85, high=0.85, words="")
    wide = Measured(name="recall", table="kept", measure="verdicts", value=0.5, low=0.4, high=0.6, words="")
    html = page(tmp_path, exact, wide)
    assert "<b>0.850 (all looked at)</b>" in html
    assert "<b>0.500 (0.400 to 0.600)</b>" in html


def test_sections_fold_and_maps_have_land(tmp_path: Path) -> None:
    html = page(tmp_path)
    assert html.count('<details class="fold" open>') == html.count('<section id="t1-funnel"') == 1
    assert html.count('<details class="fold">') == html.count('<section id="t1-') - 1 > 3
    assert re.search(r'<svg class="globe" [^>]*><path class="land" transform="scale\([\d.]+\)" d="M\d', html)
