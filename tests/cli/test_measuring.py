"""A recipe with a domain gap, from check to report, as a user runs it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright import api
from poolwright.core.results.measured import Matrix
from tests.calling import call
from tests.run.test_domain_gap import rows_of

RECIPE = """\
recipe: 1
name: gap
seed: 5
pools:
  photos: {read: table, path: photos.parquet}
tables:
  all: {from: photos, steps: [derive: {one: "1"}]}
  few: {from: all, steps: [sample: {n: 300}]}
releases:
  - {table: all, layout: huggingface, images: none, domain: continent, to: out/all}
  - {table: few, layout: huggingface, images: none, figures: false, to: out/few}
figures:
  - {name: evenness, table: few, measure: balance, group: [continent]}
  - {name: domain gap, table: all, measure: domain_gap, vectors: clip, truth: class_index, domain: continent}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pq.write_table(rows_of(600), tmp_path / "photos.parquet")
    (tmp_path / "gap.yaml").write_text(RECIPE, encoding="utf-8")
    return tmp_path


def test_the_matrix_is_printed_released_and_reported(folder: Path) -> None:
    called = call("run", "gap.yaml", folder=folder)
    assert called.code == 0, called.err
    lines = called.out.rstrip().splitlines()
    at = next(place for place, line in enumerate(lines) if line.startswith("domain gap of all: in-domain mean 0."))
    assert lines[at - 1].startswith("evenness 0.")
    words = [line.split() for line in lines[at + 2 :]]
    assert words[0] == ["trained", "on,", "tested", "on", "Africa", "Asia", "Europe", "rows"]
    africa = words[2]
    assert (africa[0], len(africa)) == ("Africa", 5)
    card = (folder / "out" / "all" / "README.md").read_text(encoding="utf-8")
    assert f"| Africa | **{africa[1]}** | {africa[2]} | {africa[3]} | {africa[4]} |" in card
    assert "### Classes by domain" in card
    few = (folder / "out" / "few" / "README.md").read_text(encoding="utf-8")
    assert "| evenness |" in few
    assert "domain gap" not in few.split("## Measured")[1]
    assert call("report", "runs/gap", folder=folder).code == 0
    page = (folder / "runs" / "gap" / "report.html").read_text(encoding="utf-8")
    assert f"<b>{africa[1]}</b>" in page


def test_a_run_that_changes_nothing_measures_nothing(folder: Path) -> None:
    first = call("run", "gap.yaml", folder=folder)
    assert first.err.count("measuring ") == 2
    again = call("run", "gap.yaml", folder=folder)
    assert "measuring " not in again.err
    assert again.out.count("unchanged and verified") == 2
    figures = {found.name: found.value for found in api.run(folder / "gap.yaml").figures}
    assert isinstance(figures["domain gap"], Matrix)
    assert isinstance(figures["evenness"], float)


def test_check_names_the_column_and_the_line(folder: Path) -> None:
    called = call("check", "gap.yaml", "--set", "figures.1.domain=continnent", folder=folder)
    assert called.code == 2
    assert "table 'all' has no column 'continnent'; did you mean 'continent'?" in called.err
    text = RECIPE.replace("domain: continent, to", "domain: kontinent, to")
    (folder / "gap.yaml").write_text(text, encoding="utf-8")
    called = call("check", "gap.yaml", folder=folder)
    assert called.code == 2
    assert "gap.yaml:10" in called.err
    assert "'domain' names the column 'kontinent'" in called.err


def test_a_figure_that_cannot_be_measured_is_reported_and_stops_no_release(folder: Path) -> None:
    rows = rows_of(600)
    split = [
        "train" if place == "Asia" else name
        for place, name in zip(*(rows[c].to_pylist() for c in ("continent", "split")), strict=True)
    ]
    pq.write_table(rows.set_column(4, "split", pa.array(split)), folder / "photos.parquet")
    called = call("run", "gap.yaml", folder=folder)
    assert called.code == 0
    reason = "continent 'Asia' has no rows of the split 'test'"
    assert reason in called.out + called.err
    assert reason in (folder / "out" / "all" / "README.md").read_text(encoding="utf-8")
