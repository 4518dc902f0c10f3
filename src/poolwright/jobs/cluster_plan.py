"""Plans a run on a cluster: hours, memory, network, disk and cost of the whole pool, from a dry run on a sample of it.

Every step's rows per second and core are measured here, on some parts of the pool; what a run does is proportional to
its rows, so the rest is arithmetic. A fit that looks at rows is counted with them, one that does not as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from poolwright.core.columns import IMAGE
from poolwright.core.errors import RecipeError
from poolwright.core.table import Table
from poolwright.jobs.dry_run import DryRun, size_of, workers_of
from poolwright.run.plan import TablePlan
from poolwright.run.sources.source import IMAGE_UNIT_ROWS, UNIT_ROWS

_DEALT = 8
"""Bytes of a row that admission deals out, the hash of its uid: they are written once and read once."""
_GIGA = 1e9


@dataclass(frozen=True)
class ClusterSize:
    """The nodes of a cluster.

    Attributes:
        count: number of nodes.
        cores: cores of each.
        memory: gigabytes of memory of each.
        bandwidth: gigabytes per second that each reads from shared storage, or writes to it.
        price: of a core for an hour, in any currency.
    """

    count: int
    cores: int = 16
    memory: float = 64.0
    bandwidth: float = 1.0
    price: float | None = None

    def __post_init__(self) -> None:
        if min(self.count, self.cores) < 1 or min(self.memory, self.bandwidth) <= 0 or (self.price or 0) < 0:
            raise RecipeError("a cluster has one node or more, of one core or more, with memory and bandwidth above 0")


@dataclass(frozen=True)
class TimedWork:
    """One kind of work on the rows of a table.

    Attributes:
        name: 'read', 'write', a step such as '02-label', or 'fit 03-top'; for steps whose columns are saved before a
            later fit, 'stage-03 02-label'.
        rows: rows of the whole that go into the table.
        pace: rows per second and core, as measured on the sample; None for work that does not depend on the rows.
        core_hours: for the whole.
    """

    name: str
    rows: float
    pace: float | None
    core_hours: float


@dataclass(frozen=True)
class TableWork:
    """The work that one table takes.

    Attributes:
        table: its name.
        sampled: rows of the sample that went into it.
        rows: rows of the whole.
        work: what is done with them.
        hours: on all cores.
        bound: 'cores' or 'network': what the time depends on.
        read, written: bytes from and to shared storage, at most: each fit is counted as a pass over whole files.
    """

    table: str
    sampled: int
    rows: float
    work: tuple[TimedWork, ...]
    hours: float
    bound: str
    read: float
    written: float


@dataclass(frozen=True)
class ClusterPlan:
    """The plan of a run on a cluster.

    Attributes:
        nodes: the cluster.
        tables: the work of each table.
        hours: of the whole run; tables are made one after the other.
        core_hours: of all work.
        read, written: bytes that all nodes read from shared storage, and write to it.
        disk: bytes of shared storage that the run takes, at most.
        memory: bytes of memory that each node needs, for a worker on each of `workers` cores.
        workers: cores of each node that there is memory for.
        cost: by the price; None without.
        notes: what the plan does not know.
    """

    nodes: ClusterSize
    tables: tuple[TableWork, ...]
    hours: float
    core_hours: float
    read: float
    written: float
    disk: float
    memory: float
    workers: int
    cost: float | None
    notes: tuple[str, ...]


def plan_cluster(sample: DryRun, nodes: ClusterSize, rows: int | None, base: int) -> ClusterPlan:
    """Scale the work of a sample up to a whole pool on the nodes of a cluster.

    Args:
        sample: a dry run; its tables are still there.
        nodes: the cluster.
        rows: rows of all pools together, if not those that they have here.
        base: bytes of memory of this process before the dry run.
    """
    here = sum(_rows_of(sample, name) for name in sample.found if _reads_pools(sample, name))
    more = 1.0 if rows is None else rows / max(here, 1.0)
    each = max(0, peak_memory() - base) / max(map(workers_of, sample.tables.values()), default=1)
    fitting = max(1, min(nodes.cores, int(nodes.memory * _GIGA / (base + each))))
    tables = tuple(_table(sample, name, more, nodes, fitting) for name in sample.found)
    hours = sum(one.hours for one in tables)
    return ClusterPlan(
        nodes=nodes,
        tables=tables,
        hours=hours,
        core_hours=sum(work.core_hours for one in tables for work in one.work),
        read=sum(one.read for one in tables),
        written=sum(one.written for one in tables),
        disk=sum(one.written for one in tables),
        memory=fitting * (base + each),
        workers=fitting,
        cost=None if nodes.price is None else hours * nodes.count * nodes.cores * nodes.price,
        notes=tuple(_notes(sample, tables, nodes, fitting)),
    )


def peak_memory() -> int:
    """Return the most bytes of memory that this process had so far; 0 where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _reads_pools(sample: DryRun, name: str) -> bool:
    return any(source in sample.whole for source in sample.recipe.tables[name].sources)


def _rows_of(sample: DryRun, name: str) -> float:
    return sum(stratum.total for stratum in sample.strata(name))


def _table(sample: DryRun, name: str, more: float, nodes: ClusterSize, workers: int) -> TableWork:
    table, plan, scale = sample.tables[name], sample.plans[name], sample.scale(name) * more
    rows = table.record.rows_in * scale
    work = tuple(_works(table, plan, scale))
    passes = 1 + sum(one.pace is not None for one in work if one.name.startswith("fit "))
    dealt = 0.0 if plan.source.unique else rows * _DEALT
    read = passes * scale * _input_bytes(sample, name) + dealt
    written = scale * size_of(table) + dealt
    by_cores = sum(one.core_hours for one in work) / min(nodes.count * workers, _units(plan, rows))
    by_network = (read + written) / (nodes.count * nodes.bandwidth * _GIGA) / 3600
    return TableWork(
        table=name,
        sampled=table.record.rows_in,
        rows=rows,
        work=work,
        hours=max(by_cores, by_network),
        bound="network" if by_network > by_cores else "cores",
        read=read,
        written=written,
    )


def _works(table: Table, plan: TablePlan, scale: float) -> Iterator[TimedWork]:
    """Yield what is done with the rows of a table, scaled up."""
    rows, timings, steps = table.record.rows_in, table.timings(), {one.name: one.step for one in plan.steps}
    for name, seconds in timings.get("spent", {}).items():
        yield _work(name, seconds, rows, scale)
    for name, pace in timings.get("fits", {}).items():
        if "spent" in pace:  # a stage: costly steps before a fit
            yield from (_work(f"{name} {what}", seconds, rows, scale) for what, seconds in pace["spent"].items())
            continue
        seconds, step = float(pace["seconds"]) * workers_of(table), steps.get(name)
        scaled = step is None or step.fits_rows
        if scaled or seconds > 1:  # others only set something up
            yield _work(f"fit {name}", seconds, rows, scale if scaled else None)


def _input_bytes(sample: DryRun, name: str) -> float:
    """Return the bytes of the parts that a table of the sample was read from."""
    size, share = sum(file.size for file in sample.tables[name].record.files), 1.0
    for source in sample.recipe.tables[name].sources:
        if source in sample.whole:  # a file may have parts that are not in the sample
            parts = sample.sampled[source].parts
            files = {file for part in parts for file in part.files}
            share = len(parts) / max(sum(not files.isdisjoint(part.files) for part in sample.whole[source].parts), 1)
    return size * share


def _units(plan: TablePlan, rows: float) -> float:
    """Return the number of units of a table, as `units_of` cuts it."""
    most = IMAGE_UNIT_ROWS if any(IMAGE in one.reads for one in plan.steps) else UNIT_ROWS
    return max(1.0, rows / min(most, max(most / 64, rows / 32)))


def _work(name: str, seconds: float, rows: int, scale: float | None) -> TimedWork:
    if scale is None:
        return TimedWork(name, rows, None, seconds / 3600)
    return TimedWork(name, rows * scale, rows / seconds if seconds else None, seconds * scale / 3600)


def _notes(sample: DryRun, tables: tuple[TableWork, ...], nodes: ClusterSize, workers: int) -> Iterator[str]:
    if workers < nodes.cores:
        yield f"memory suffices for {workers} of the {nodes.cores} cores of a node; the others are idle"
    for one in tables:
        units = _units(sample.plans[one.table], one.rows)
        if units < nodes.count * workers:
            yield f"{one.table}: {units:,.0f} units of work, fewer than the {nodes.count * workers:,} cores"
        whole = ", ".join(dict.fromkeys(sample.found[one.table].whole))
        if whole:
            yield f"{one.table}: {whole} look at all rows; a sample does not show how many they keep"
