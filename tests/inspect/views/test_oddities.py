"""Rows with odd labels, outliers, and the rows on both sides of a cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.studio.made import Browser, serving

from poolwright import api
from poolwright.api import Recipe
from poolwright.core.errors import InputError
from poolwright.inspect.views.build import DROPPED_BY
from poolwright.inspect.views.oddities import edges, oddities
from poolwright.inspect.views.view import View
from poolwright.kernels.similarity.unit_length import unit_rows

ROWS, WRONG, FAR = 200, 7, 12


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of vectors, a row with the label of the other, and one that is like neither."""
    folder = tmp_path_factory.mktemp("odd")
    generator = np.random.default_rng(0)
    of = np.arange(ROWS) % 2
    vectors = unit_rows(np.eye(8)[of] + generator.normal(0, 0.05, (ROWS, 8))).astype(np.float32)
    vectors[FAR] = unit_rows(np.eye(8)[[5]])[0]
    labels = np.array(["cat", "dog"])[of]
    labels[WRONG] = "cat"
    table = pa.table(
        {
            "uid": [f"u{row:03d}" for row in range(ROWS)],
            "label": labels,
            "clip": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 8),
            "score": np.arange(ROWS) / ROWS,
        }
    )
    pq.write_table(table, folder / "rows.parquet")
    data = {
        "recipe": 1,
        "name": "odd",
        "pools": {"rows": {"read": "table", "path": "rows.parquet"}},
        "tables": {"good": {"from": "rows", "steps": [{"where": "score < 0.75"}]}},
    }
    api.run(Recipe.from_data(data, folder), folder / "run")
    return folder / "run"


@pytest.fixture
def view(run: Path) -> View:
    return api.explore(run, "good")


def test_the_oddest_rows_come_first(view: View) -> None:
    wrong, far = (oddities(view, "clip", "label", kind) for kind in ("mislabelled", "outliers"))
    assert (wrong.rows, far.rows) == (ROWS, ROWS)
    assert view.read([int(wrong.scores.argmax())], ["uid"])[0]["uid"] == f"u{WRONG:03d}"
    assert wrong.scores.max() > 0.5
    assert (np.sort(wrong.scores)[:-2] < -0.5).all()
    assert {view.read([int(at)], ["uid"])[0]["uid"] for at in far.scores.argsort()[-2:]} == {
        f"u{WRONG:03d}",
        f"u{FAR:03d}",
    }
    with pytest.raises(InputError, match="classes; choose a column of 2 to"):
        oddities(view, "clip", DROPPED_BY, "mislabelled")


def test_cuts_show_in_the_rows(view: View) -> None:
    (edge,) = edges(view, DROPPED_BY)
    assert (edge.column, edge.cut) == ("score", (0.75 * ROWS - 1) / ROWS)
    assert (edge.low, edge.high) == ((0.75 * ROWS - 30) / ROWS, (0.75 * ROWS + 29) / ROWS)


def test_galleries_lead_to_their_rows(run: Path) -> None:
    with serving(run) as (port, _):
        anna = Browser(port, "Anna")
        page = anna.get("/explore/good/galleries")[2].decode()
        assert [title in page for title in ("Most wrong labels", "Outliers", "Both sides of score 0.745")] == [True] * 3
        rows = anna.get("/explore/good?vec=clip&odd=mislabelled+label")[2].decode()
        assert rows.split('data-uid="')[1].startswith(f"u{WRONG:03d}")
        assert "- remove: {file: uids.txt}" in rows
        assert b"names no kind of odd rows" in anna.get("/explore/good?vec=clip&odd=strange")[2]
