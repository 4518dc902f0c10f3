"""Every registered step in a whole run: workers, batches, order and cut of the input change nothing, nor does Ray."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright import api
from poolwright.api import Recipe
from poolwright.core.columns import is_vector
from poolwright.core.errors import PoolwrightError
from poolwright.core.roles import JoiningStep
from poolwright.core.rows import one_array, vector_array, vectors_of
from poolwright.core.table import Table
from poolwright.testing.fixtures import files, labelled_part
from poolwright.testing.tables import make
from tests.run.pools import final_files
from tests.run.ray_cluster import TwoNodes, nodes  # noqa: F401
from tests.steps.cases import Case, cases

RUN_CASES = [case for case in cases() if case.verb != "fetch"]  # tests/fetch/test_step.py has a server for it


def write_rows(folder: Path, table: pa.Table, parts: int) -> None:
    (folder / "rows").mkdir(parents=True)
    for file in files().iterdir():  # what parameters name
        (folder / file.name).symlink_to(file)
    # PyArrow cannot read nulls of a fixed-size list back: NaN stands for a missing vector.
    for index, field in enumerate(table.schema):
        if is_vector(field.type):
            table = table.set_column(index, field, vector_array(vectors_of(one_array(table.column(index)))))
    edges = np.linspace(0, table.num_rows, parts + 1).astype(int)
    for part, (first, last) in enumerate(pairwise(edges)):
        pq.write_table(table.slice(first, last - first), folder / "rows" / f"{part}.parquet", row_group_size=20)


def recipe_of(case: Case) -> dict[str, Any]:
    """A recipe with the one step over all rows of the folder, and the tables it learns from; nothing is too bad."""
    data: dict[str, Any] = {
        "recipe": 1,
        "name": "one-step",
        "max_bad": 1.0,
        "pools": {"rows": {"read": "table", "path": "rows"}},
        "models": {"clip": "onnx:clip"},
        "tables": {"made": {"from": "rows", "steps": [{case.verb: case.parameters}]}},
    }
    step = case.trial.step
    joined = step.others() if isinstance(step, JoiningStep) else ()
    for name in (*step.tables(), *(other for other in joined if isinstance(other, str))):
        for key, part in labelled_part(name).items():
            data[key].update(part)
    return data


def made(folder: Path) -> Table:
    return next(table for table in api.show(folder) if table.name == "made")


def rows_of(case: Case) -> pa.Table:
    trial = case.trial
    return make(7, min(trial.most_rows, 120), "plain", ["ключ", "🌍"], trial.images, trial.columns)


def outcome(recipe: Recipe, folder: Path, **options: Any) -> str:
    """What a run says at its end: nothing, or its error."""
    try:
        api.run(recipe, folder, **options)
    except PoolwrightError as error:
        # A step that waits for people names the files they find in the run folder, and those that the recipe names.
        said = f"{type(error).__name__}: {error}"
        return said.replace(str(folder), "RUN").replace(str(recipe.source.folder), "RECIPE")
    return ""


def kept(folder: Path) -> list[dict[str, Any]]:
    """Kept rows in order of the uid; NaN as text, for it equals nothing."""
    table = made(folder).read().sort_by("uid")
    return [{name: repr(value) for name, value in row.items()} for row in table.to_pylist()]


@pytest.mark.parametrize("case", RUN_CASES, ids=str)
def test_workers_batches_order_and_cut_change_nothing(case: Case, tmp_path: Path) -> None:
    table = rows_of(case)
    one, other = tmp_path / "one", tmp_path / "other"
    write_rows(one, table, parts=3)
    write_rows(other, table.take(np.random.default_rng(3).permutation(table.num_rows)), parts=2)
    recipe, shuffled = (Recipe.from_data(recipe_of(case), folder) for folder in (one, other))
    said = outcome(recipe, one / "run")
    assert outcome(recipe, one / "again", workers=1, batch_rows=7) == said
    assert outcome(shuffled, other / "run") == said
    if not said:
        assert final_files(one / "run") == final_files(one / "again")
        record = made(one / "run").record
        assert record.rows_in == table.num_rows == record.rows_kept + record.rows_dropped
        assert kept(one / "run") == kept(other / "run")
        uid = str(table["uid"][0])
        (story,) = [story for story in api.why(one / "run", uid) if story.table == "made"]
        assert story.kept == (repr(uid) in {row["uid"] for row in kept(one / "run")})


@pytest.mark.ray
@pytest.mark.slow
def test_ray_gives_the_same_bytes_for_every_step(nodes: TwoNodes, tmp_path: Path) -> None:  # noqa: F811
    for case in (case for case in RUN_CASES if case.number == 0):
        folder = tmp_path / case.verb
        write_rows(folder, rows_of(case), parts=2)
        recipe = Recipe.from_data(recipe_of(case), folder)
        said = outcome(recipe, folder / "local")
        assert outcome(recipe, folder / "ray", engine="ray", address=nodes.address) == said
        if not said:
            assert final_files(folder / "ray") == final_files(folder / "local"), case.verb
