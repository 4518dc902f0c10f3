"""Dry run: predictions for the whole from a few shards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from poolwright import api
from poolwright.core.errors import RecipeError
from tests.calling import call
from tests.run.pools import STEPS, make_recipe, make_rows, recipe_data, write_pool

FILTER = [STEPS[0], {"where": "similarity > 0.3"}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dry")
    write_pool(folder, make_rows(24_000), parts=24)
    return folder


def test_the_interval_holds_what_the_whole_keeps(folder: Path, tmp_path: Path) -> None:
    tables = {
        "filtered": {"from": "rows", "steps": FILTER},
        "fewer": {"from": "filtered", "steps": [{"where": "width > 2000"}]},
    }
    whole = make_recipe(folder, tables=tables).run(tmp_path / "whole").tables
    missed = 0
    for seed in range(10):
        found = api.dry_run(make_recipe(folder, tables=tables, seed=seed), parts=6)
        assert [one.table for one in found] == ["filtered", "fewer"]
        for one in found:
            table = whole[one.table]
            assert (one.parts, one.sampled, one.rows) == (24, 6, 24_000)
            assert one.kept == pytest.approx(table.record.rows_kept, rel=0.1)
            size = sum(path.stat().st_size for path in table.folder.glob("part-*.parquet"))
            assert one.bytes == pytest.approx(size, rel=0.5)
            missed += not one.low <= table.record.rows_kept <= one.high
    assert missed <= 4


def test_all_parts_tell_exactly(folder: Path, tmp_path: Path) -> None:
    recipe = make_recipe(folder, FILTER)
    (found,) = api.dry_run(recipe, parts=100)
    kept = recipe.run(tmp_path / "run").tables["chosen"].record.rows_kept
    assert found.low == found.kept == found.high == kept


def test_steps_that_look_at_all_rows_are_named(folder: Path) -> None:
    (found,) = api.dry_run(make_recipe(folder), parts=4)
    assert "top" in found.whole
    assert "label" not in found.whole


def test_the_command_prints_it_and_leaves_nothing(folder: Path) -> None:
    import yaml

    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe_data(FILTER)))
    called = call("plan", folder / "recipe.yaml", "--sample", "5")
    assert called.code == 0, called.err
    assert "5/24" in called.out
    assert not (folder / "runs").exists()
    with pytest.raises(RecipeError, match="take 2 or more"):
        api.dry_run(make_recipe(folder), parts=1)


def test_where_people_are_asked_the_tables_before_are_predicted(folder: Path) -> None:
    tables = {
        "filtered": {"from": "rows", "steps": FILTER},
        "good": {"from": "filtered", "steps": [{"verify": {"class": "label"}}]},
    }
    assert [one.table for one in api.dry_run(make_recipe(folder, tables=tables), parts=4)] == ["filtered"]


def test_a_cluster_is_planned_from_what_the_sample_took(folder: Path) -> None:
    """What depends on rows grows with them, and time falls with cores until units or the network bound it."""
    recipe = make_recipe(folder, [STEPS[0], {"top": {"by": "similarity", "n": 100}}])
    one = api.plan_cluster(recipe, 1, cores=1, parts=4, price=0.5)
    (table,) = one.tables
    assert (table.rows, table.sampled, table.bound) == (24_000, 4_000, "cores")
    assert {"read", "stage-01 01-label", "02-top", "write", "fit 00-admit", "fit 02-top"} <= {
        work.name for work in table.work
    }
    assert one.core_hours == pytest.approx(sum(work.core_hours for work in table.work))
    assert one.hours == pytest.approx(one.core_hours)
    assert one.cost == pytest.approx(one.hours * 0.5)
    many = api.plan_cluster(recipe, 100, cores=32, memory=1_000, parts=4, rows=24_000_000, bandwidth=1e-9)
    assert many.tables[0].rows == pytest.approx(24_000_000)
    assert many.tables[0].bound == "network"
    assert many.read > many.written > 24_000_000
    assert any("fewer than the 3,200 cores" in note for note in many.notes)
    assert any("top look at all rows" in note for note in many.notes)
    with pytest.raises(RecipeError, match="one node or more"):
        api.plan_cluster(recipe, 0)


def test_the_command_plans_a_cluster(folder: Path) -> None:
    import yaml

    (folder / "cluster.yaml").write_text(yaml.safe_dump(recipe_data(FILTER)))
    said = call("plan", folder / "cluster.yaml", "--nodes", "4", "--sample", "3", "--rows", "1e9", "--price", "0.02")
    assert "1,000,000,000" in said.out
    assert "4 nodes of 16 cores" in said.out
    found = json.loads(call("--json", "plan", folder / "cluster.yaml", "--nodes", "2").out)
    assert found["cluster"]["nodes"]["count"] == 2
    assert found["cluster"]["tables"][0]["work"][0]["name"] == "read"
