"""Runs a recipe on a random sample of its pools' parts, to predict rows kept, size and time of the whole.

Parts are clusters of rows, so rates are estimated by ratios over the parts, and their intervals by how the parts
differ (Cochran, Sampling Techniques, 1977, sections 6.3 and 9A.2; Student's t).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from poolwright.core.columns import UID
from poolwright.core.errors import RecipeError, WaitingForPeople
from poolwright.core.runtime.progress import Listener
from poolwright.core.table import RECORD, Table
from poolwright.kernels.selection.hashing import hash64, hash_key
from poolwright.recipe.recipe import Recipe
from poolwright.run.engine.protocol import Engine
from poolwright.run.plan import TablePlan
from poolwright.run.run import Run
from poolwright.run.source import Source


@dataclass(frozen=True)
class Prediction:
    """The prediction for one table.

    Attributes:
        table: its name.
        parts, sampled: parts of the pool it comes from, and how many of them were sampled.
        rows: rows it would read; None if the pool does not know before it is read.
        kept: rows it would keep.
        low, high: bounds of its interval of 95 % confidence.
        bytes: size of its files.
        seconds: time on as many workers as this machine has cores, without training.
        whole: verbs of steps that look at all rows: on a sample their cuts differ, so that `kept` does not hold for
            the whole.
    """

    table: str
    parts: int
    sampled: int
    rows: int | None
    kept: float
    low: float
    high: float
    bytes: float
    seconds: float
    whole: tuple[str, ...]


def dry_run(recipe: Recipe, folder: Path, parts: int, engine: Engine, listener: Listener) -> list[Prediction]:
    """Run a recipe on `parts` random parts of every pool, and in full on those that steps learn from.

    Args:
        folder: the folder for the sample's tables; not the run folder.
        parts: number of parts of each pool; drawn by a hash of their names with the recipe's seed.

    Raises:
        RecipeError: fewer than two parts.
        PoolwrightError: as a run.
    """
    if parts < 2:
        raise RecipeError(f"{parts} parts do not show how parts differ; take 2 or more")
    run = Run(recipe, folder, engine, listener)
    whole = dict(run.pools)
    plans = run.plans()
    in_full = _learned_from(recipe)
    sampled = {
        name: source if name in in_full else _sample(source, parts, hash_key(recipe.seed, name, "dry run"))
        for name, source in whole.items()
    }
    run.__dict__["pools"] = sampled  # what the cached property gives from now on
    tables = _made(run)
    found = []
    for name, table in tables.items():
        pool = _pool_of(recipe, name)
        if pool not in in_full:
            found.append(_predict(recipe, table, whole[pool], sampled[pool], plans, tables))
    return found


def _made(run: Run) -> dict[str, Table]:
    """Make the tables of the sample; if people have to be asked, those before that."""
    try:
        return run.run()
    except WaitingForPeople:
        run.listener.note("people are asked from here on: what they will keep cannot be predicted")
        return {name: run.table(name) for name in run.recipe.order if (run.table_folder(name) / RECORD).exists()}


def _learned_from(recipe: Recipe) -> set[str]:
    """Return the pools of the tables that steps are fitted on, and those that they join."""
    steps = [placed for spec in recipe.tables.values() for placed in spec.steps]
    tables = {name for placed in steps for name in (*placed.learns_from, *placed.joins)}
    return {_pool_of(recipe, name) for name in tables}


def _pool_of(recipe: Recipe, table: str) -> str:
    while table in recipe.tables:
        table = recipe.tables[table].source
    return table


def _sample(source: Source, parts: int, key: int) -> Source:
    if len(source.parts) <= parts:
        return replace(source, part_units=True)
    hashes = hash64(pa.array([part.name for part in source.parts], pa.string()), key)
    chosen = sorted(np.argsort(hashes, kind="stable")[:parts].tolist())
    again = tuple(source.parts[part].model_copy(update={"index": at}) for at, part in enumerate(chosen))
    return replace(source, parts=again, part_units=True)


def _predict(
    recipe: Recipe,
    table: Table,
    whole: Source,
    sample: Source,
    plans: Mapping[str, TablePlan],
    tables: Mapping[str, Table],
) -> Prediction:
    """Scale up by the share of the pool's rows that is in the sample."""
    chain = _chain(recipe, table.name)
    read = np.array([part.rows or 0 for part in tables[chain[0]].record.inputs], np.float64)
    counted = [part.rows for part in whole.parts]
    rows = sum(count for count in counted if count is not None) if None not in counted else None
    total = float(rows) if rows is not None else float(read.mean()) * len(whole.parts)
    scale = total / max(read.sum(), 1.0)
    spread = _spread([tables[name] for name in chain], read, len(whole.parts))
    kept = table.record.rows_kept * scale
    size = sum(path.stat().st_size for path in table.folder.rglob("*.parquet") if "states" not in path.parts)
    seconds = sum(table.timings().get("unit_seconds", [])) / max(1, _workers(table))
    seconds += _prepared(recipe, table)
    looks = tuple(step.step.verb for name in chain for step in plans[name].steps if step.step.fits_rows)
    return Prediction(
        table=table.name,
        parts=len(whole.parts),
        sampled=len(sample.parts),
        rows=rows,
        kept=kept,
        low=max(0.0, kept - spread * total),
        high=min(total, kept + spread * total),
        bytes=size * scale,
        seconds=seconds * scale,
        whole=looks,
    )


def _prepared(recipe: Recipe, table: Table) -> float:
    """Return the seconds that the table's first step took before its rows were read."""
    step = recipe.tables[table.name].source_step
    return float(table.timings().get("fits", {}).get(step.verb, {}).get("seconds", 0.0)) if step else 0.0


def _chain(recipe: Recipe, name: str) -> list[str]:
    """Return the tables from the one that reads a pool down to this one."""
    chain = [name]
    while (source := recipe.tables[chain[0]].source) in recipe.tables:
        chain.insert(0, source)
    return chain


def _spread(chain: Sequence[Table], read: np.ndarray, parts: int) -> float:
    """Return the half-width of the interval of the kept share, from how the kept shares of sampled parts differ."""
    from scipy.stats import t

    n = len(read)
    if n >= parts or n < 2:
        return 0.0
    kept = _kept_by_part(chain)
    rate = kept.sum() / max(read.sum(), 1.0)
    error = sqrt(float(((kept - rate * read) ** 2).sum()) / (n * (n - 1)) * (1 - n / parts))
    return float(t.ppf(0.975, n - 1)) * error / max(float(read.mean()), 1.0)


def _kept_by_part(chain: Sequence[Table]) -> np.ndarray:
    """Count rows of the last table by the part of the pool they are from: the first table has an output for each."""
    first, last = chain[0], chain[-1]
    if first is last:
        return np.array([part.rows for part in first.record.parts], np.float64)
    uids = last.read([UID]).column(UID).cast(pa.string())
    here = [pq.read_table(first.folder / part.file, columns=[UID]).column(UID) for part in first.record.parts]
    return np.array(
        [pc.sum(pc.is_in(uids, value_set=some.cast(pa.string()).combine_chunks())).as_py() or 0 for some in here],
        np.float64,
    )


def _workers(table: Table) -> int:
    return int(table.timings().get("machine", {}).get("workers") or 1)
