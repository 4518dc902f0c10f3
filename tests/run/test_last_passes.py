"""A pass over the rows continues from what the last one found, and gives the same bytes as one that does not."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from poolwright import api
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.core.step import Outcome
from poolwright.run.sources import reached, source
from poolwright.run.sources.reached import LastPasses, Reached
from poolwright.steps.choose.top import Top
from tests.run.pools import STEPS, final_files, make_recipe, make_rows, write_pool

CHOSEN: list[dict[str, Any]] = [
    {"top": {"by": "score", "fraction": 0.8}},
    {"drop_small": {"group": "continent", "below": "4%"}},
    {"rename": {"width": "pixels"}},
    {"derive": {"wide": "pixels > 900"}},
    {"top": {"by": "pixels", "n": 700, "group": "continent"}},
    {"keep_columns": ["uid", "continent", "wide", "text"]},
    {"cap": {"group": ["continent", "wide"], "n": 300}},
    {"sample": {"n": 900}},
]


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pool with values of `score` that do not fit its type, a row without uid and one that repeats one."""
    monkeypatch.setattr(source, "UNIT_ROWS", 64 * 500)
    rows = make_rows(3_000)
    uids, scores = rows["uid"].to_pylist(), np.round(np.random.default_rng(2).random(3_000), 2).astype(str).tolist()
    uids[7], uids[2_000], scores[11], scores[2_500] = None, uids[5], "none", None
    write_pool(tmp_path, rows.set_column(0, "uid", pa.array(uids)).append_column("score", pa.array(scores)))
    return tmp_path


def recipe_of(pool: Path, steps: list[dict[str, Any]]) -> api.Recipe:
    return make_recipe(pool, steps, pools={"rows": {"read": "table", "path": "rows", "types": {"score": "double"}}})


@pytest.mark.parametrize("steps", [CHOSEN, STEPS])
@pytest.mark.parametrize("most", [0, 1_100, 1 << 20])
def test_what_is_remembered_changes_no_byte(
    pool: Path, monkeypatch: pytest.MonkeyPatch, steps: list[dict[str, Any]], most: int
) -> None:
    with monkeypatch.context() as patches:
        patches.setattr(LastPasses, "of", lambda self, unit: None)
        table = api.run(recipe_of(pool, steps), pool / "plain").tables["chosen"]
    monkeypatch.setattr(reached, "_MOST_BYTES", most)
    api.run(recipe_of(pool, steps), pool / "run")
    assert final_files(pool / "run") == final_files(pool / "plain")
    assert 0 < table.record.rows_kept < 2_900
    assert any("score" in remark for remark in table.record.remarks) or "score" not in table.schema.names


def test_a_step_is_not_applied_again_by_later_passes(pool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apply, seen = Top.apply, [0]

    def counted(self: Top, rows: Rows, state: State) -> Outcome:
        seen[0] += len(rows)
        return apply(self, rows, state)

    monkeypatch.setattr(Top, "apply", counted)
    steps = [CHOSEN[0], CHOSEN[1], {"cap": {"group": "continent", "n": 50}}, {"sample": {"n": 60}}]
    record = api.run(recipe_of(pool, steps), pool / "run").tables["chosen"].record
    assert seen[0] == record.funnel[0].kept == 2_998


def test_only_so_much_is_remembered_and_nothing_is_sent_to_other_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reached, "_MOST_BYTES", 10)
    passes = LastPasses()
    first, second, more = (Reached(steps, np.zeros(rows, np.uint8), {}) for steps, rows in ((1, 6), (1, 5), (2, 8)))
    passes.keep(0, first)
    passes.keep(1, second)
    assert passes.of(0) is first
    assert passes.of(1) is None
    passes.keep(0, more)
    assert passes.of(0) is more
    passes.keep(0, first)
    assert passes.of(0) is more, "more steps are known"
    assert pickle.loads(pickle.dumps(passes)).of(0) is None
