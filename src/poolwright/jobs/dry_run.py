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
from poolwright.recipe.tables import TableSpec
from poolwright.run.engine.protocol import Engine
from poolwright.run.plan import TablePlan
from poolwright.run.run import Run
from poolwright.run.sources.source import Source


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


def dry_run(recipe: Recipe, folder: Path, parts: int, engine: Engine, listener: Listener) -> DryRun:
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
    run = _SampleRun(recipe, folder, engine, listener, remembers=False)  # every step is measured
    whole = dict(run.pools)
    plans = run.plans()
    in_full = _learned_from(recipe)
    sampled = {
        name: source if name in in_full else _sample(source, parts, hash_key(recipe.seed, name, "dry run"))
        for name, source in whole.items()
    }
    run.__dict__["pools"] = sampled  # what the cached property gives from now on
    sample = DryRun(recipe, plans, whole, sampled, _made(run), {})
    for name in sample.tables:
        if not _pools_of(recipe, name) <= in_full:
            sample.found[name] = sample.predict(name)
    return sample


class _SampleRun(Run):
    """A run on a sample, whose unions have an output for each part too."""

    def _united(self, spec: TableSpec, sources: Mapping[str, Source]) -> Source:
        return super()._united(spec, {name: replace(source, part_units=True) for name, source in sources.items()})


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
    return {pool for name in tables for pool in _pools_of(recipe, name)}


def _pools_of(recipe: Recipe, table: str) -> set[str]:
    if table not in recipe.tables:
        return {table}
    return {pool for source in recipe.tables[table].sources for pool in _pools_of(recipe, source)}


def _sample(source: Source, parts: int, key: int) -> Source:
    if len(source.parts) <= parts:
        return replace(source, part_units=True)
    hashes = hash64(pa.array([part.name for part in source.parts], pa.string()), key)
    chosen = sorted(np.argsort(hashes, kind="stable")[:parts].tolist())
    again = tuple(source.parts[part].model_copy(update={"index": at}) for at, part in enumerate(chosen))
    return replace(source, parts=again, part_units=True)


@dataclass(frozen=True)
class SourceStratum:
    """The rows of one source of a table.

    Attributes:
        read: rows of the sample by part, float64 (n,).
        kept: those of them that the table kept.
        total: rows of the whole source.
        parts: parts of the whole source.
        doubt: half-width of the interval of `total`.
    """

    read: np.ndarray
    kept: np.ndarray
    total: float
    parts: int
    doubt: float = 0.0

    @property
    def rate(self) -> float:
        return float(self.kept.sum() / max(self.read.sum(), 1.0))

    @property
    def half_width(self) -> float:
        """Half-width of the interval of the kept rows, from how the kept shares of sampled parts differ."""
        from scipy.stats import t

        n = len(self.read)
        if n >= self.parts or n < 2:
            return self.doubt * self.rate
        square = float(((self.kept - self.rate * self.read) ** 2).sum())
        error = sqrt(square / (n * (n - 1)) * (1 - n / self.parts))
        return float(t.ppf(0.975, n - 1)) * error / max(float(self.read.mean()), 1.0) * self.total


@dataclass(frozen=True)
class DryRun:
    """A dry run: the tables of a sample, and the whole pools.

    Attributes:
        recipe: what was run.
        plans: of its tables.
        whole, sampled: the pools, and the parts of them that were run.
        tables: the tables of the sample.
        found: the predictions for the tables that come from sampled pools, in order.
    """

    recipe: Recipe
    plans: Mapping[str, TablePlan]
    whole: Mapping[str, Source]
    sampled: Mapping[str, Source]
    tables: Mapping[str, Table]
    found: dict[str, Prediction]

    def predict(self, name: str) -> Prediction:
        """Scale up by the share of each source that is in the sample."""
        table, chain = self.tables[name], _chain(self.recipe, name)
        strata = self.strata(name)
        total = sum(stratum.total for stratum in strata)
        scale = self.scale(name)
        kept = sum(stratum.rate * stratum.total for stratum in strata)
        spread = sqrt(sum(stratum.half_width**2 for stratum in strata))
        seconds = sum(table.timings().get("unit_seconds", [])) / max(1, workers_of(table))
        fits = table.timings().get("fits", {})
        seconds += _prepared(self.recipe, table) + sum(pace["seconds"] for pace in fits.values() if "spent" in pace)
        pools = [self.whole[pool] for pool in sorted(_pools_of(self.recipe, name))]
        rows = [_rows(pool) for pool in pools]
        return Prediction(
            table=name,
            parts=sum(len(pool.parts) for pool in pools),
            sampled=sum(len(self.sampled[pool].parts) for pool in _pools_of(self.recipe, name)),
            rows=sum(count for count in rows if count is not None) if None not in rows else None,
            kept=kept,
            low=max(0.0, kept - spread),
            high=min(total, kept + spread),
            bytes=size_of(table) * scale,
            seconds=seconds * scale,
            whole=tuple(step.step.verb for one in chain for step in self.plans[one].steps if step.step.fits_rows),
        )

    def scale(self, name: str) -> float:
        """Return how many times the rows of a table's sample the whole has, and what is proportional to them."""
        strata = self.strata(name)
        return sum(one.total for one in strata) / max(float(sum(one.read.sum() for one in strata)), 1.0)

    def strata(self, name: str) -> list[SourceStratum]:
        """Return the rows of each source of the table that a table's rows come from in the end."""
        return self._strata(_chain(self.recipe, name))

    def _strata(self, chain: Sequence[str]) -> list[SourceStratum]:
        tables = [self.tables[name] for name in chain]
        read = np.array([part.rows or 0 for part in tables[0].record.inputs], np.float64)
        kept, at, strata = _kept_by_part(tables), 0, []
        for source in self.recipe.tables[chain[0]].sources:
            is_pool = source in self.sampled
            count = len(self.sampled[source].parts if is_pool else self.tables[source].record.parts)
            here = slice(at, at + count)
            strata.append(self._stratum(source, read[here], kept[here]))
            at += count
        return strata

    def _stratum(self, source: str, read: np.ndarray, kept: np.ndarray) -> SourceStratum:
        if source in self.whole:
            rows, parts = _rows(self.whole[source]), len(self.whole[source].parts)
            return SourceStratum(read, kept, float(rows) if rows is not None else float(read.mean()) * parts, parts)
        if source not in self.found:
            return SourceStratum(read, kept, float(read.sum()), len(read))
        above = self.found[source]
        return SourceStratum(read, kept, above.kept, len(read), (above.high - above.low) / 2)


def _rows(source: Source) -> int | None:
    counted = [part.rows for part in source.parts]
    return sum(count for count in counted if count is not None) if None not in counted else None


def _prepared(recipe: Recipe, table: Table) -> float:
    """Return the seconds that the table's first step took before its rows were read."""
    step = recipe.tables[table.name].source_step
    return float(table.timings().get("fits", {}).get(step.verb, {}).get("seconds", 0.0)) if step else 0.0


def _chain(recipe: Recipe, name: str) -> list[str]:
    """Return the tables from the one that reads a pool, or a union, down to this one."""
    chain = [name]
    while (spec := recipe.tables[chain[0]]).source.is_plain and spec.sources[0] in recipe.tables:
        chain.insert(0, spec.sources[0])
    return chain


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


def size_of(table: Table) -> int:
    """Return the bytes of a table's files, kept rows and ledger."""
    return sum(path.stat().st_size for path in table.folder.rglob("*.parquet") if "states" not in path.parts)


def workers_of(table: Table) -> int:
    """Return how many workers made a table."""
    return int(table.timings().get("machine", {}).get("workers") or 1)
