"""What a classifier decided, on the page: the histogram over all rows, the pace of candidates, where time went."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from poolwright.core.state import State
from poolwright.report.decisions import decision_plots
from poolwright.report.story import shares_of_time
from tests.conftest import MadeDemo
from tests.report.made import make_table, photos, step


def test_every_counted_row_is_drawn_once(tmp_path: Path) -> None:
    edges = np.unique([*np.linspace(-2, 3, 255), 0.1234]).tolist()
    counts = np.random.default_rng(4).integers(0, 50, len(edges) + 1).tolist()
    counts[7] = 40_000
    table = make_table(
        tmp_path / "table",
        photos(20),
        steps=[step(0, "classify", {}, state_kind="classifier")],
        states={0: State({"edges": edges, "threshold": 0.1234})},
        tallies={"00-classify.decisions": counts},
    )
    (plot,) = decision_plots(table)
    assert sum(int(rows.replace(",", "")) for _, rows in plot.numbers) == sum(counts)
    above = sum(count for index, count in enumerate(counts) if index > edges.index(0.1234))
    assert f"{above:,} rows above the threshold" in plot.facts
    assert math.isclose(plot.lines[0].position, 100 * 2.1234 / 5, abs_tol=0.01)


def test_shares_of_time() -> None:
    assert shares_of_time({"read": 1.0, "02-classify": 2.5, "write": 0.5}) == "02-classify 62%, read 25%, write 12%"


def test_the_demo_shows_decisions_and_pace(made_demo: MadeDemo) -> None:
    page = (made_demo.folder / "demo" / "run" / "report.html").read_text(encoding="utf-8")
    section = re.search(r'<section id="t\d+-classifier".*?</section>', page, re.DOTALL)
    assert section
    assert "rows/s, one core" in section[0]
    assert "Decisions of step 2, classify" in section[0]
    assert "time spent on" in page
