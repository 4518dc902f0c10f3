"""Results of benchmarks: written and read back, and compared with a new ratio."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.__main__ import RESULTS, WANTED
from benchmarks.results import TOLERANCE, Result, fallen, lower_is_better, read_results, write_results


def test_the_newest_results_are_read_and_written_as_they_are(tmp_path: Path) -> None:
    found = read_results(RESULTS)
    assert found.keys() <= WANTED.keys()
    assert len(found) > 20
    write_results(tmp_path / "RESULTS.md", found, list(WANTED))
    assert (tmp_path / "RESULTS.md").read_text() == RESULTS.read_text()
    assert read_results(tmp_path / "none.md") == {}


@pytest.mark.parametrize(
    ("words", "ratio", "worse"),
    [
        ("our rows/s over NumPy's; at least 2", 1.7, True),
        ("our rows/s over NumPy's; at least 2", 1.8, False),
        ("our rows/s over NumPy's; at least 2", 4.0, False),
        ("our time over DuckDB's; at most 2", 2.4, True),
        ("our time over DuckDB's; at most 2", 2.2, False),
        ("our time over DuckDB's; under 60 s", 1.0, False),
    ],
)
def test_what_fell(words: str, ratio: float, worse: bool) -> None:
    before = Result(2.0, "", words, "2026-01-01", "here")
    assert (fallen(before, ratio) > TOLERANCE) is worse


def test_which_ratios_are_costs() -> None:
    costs = {name for name, words in WANTED.items() if lower_is_better(words)}
    assert {"selection", "join", "geoyfcc", "memory", "admit", "studio", "tars-open", "explore", "listing"} <= costs
    assert not costs & {"label", "svm", "kmeans", "retrieve", "tars", "dedup", "leak", "text", "clip_score", "hashing"}
