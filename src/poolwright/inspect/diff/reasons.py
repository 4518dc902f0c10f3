"""Find out why rows are in one version only: by the ledger of the run of the other, or by what its steps learned."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from poolwright.core.columns import UID
from poolwright.core.errors import PoolwrightError
from poolwright.core.results.changes import NOT_IN_SOURCE, UNKNOWN, Because
from poolwright.inspect.diff.joined import JoinedVersions
from poolwright.inspect.diff.versions import Version
from poolwright.inspect.ledger import ledger_of
from poolwright.run.run import Run

_FOUND = pa.schema(
    [
        pa.field(UID, pa.string()),
        pa.field("tab", pa.string()),
        pa.field("step", pa.int32()),
        pa.field("verb", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("because", pa.string()),
        pa.field("place", pa.int32()),
    ]
)
_WORDS = {
    NOT_IN_SOURCE: "not among the rows that the {} version read",
    UNKNOWN: "not known",
}


def find_reasons(joined: JoinedVersions, side: str, other: Version) -> tuple[tuple[Because, ...], list[str]]:
    """Find out why the rows of one version are not in the other, and keep it in the table `why_<side>`.

    Args:
        side: 'removed' or 'added': which rows.
        other: the version that does not have them.

    Returns:
        Rows by reason, most first; and what is not known, in sentences.
    """
    types = "uid varchar, tab varchar, step int, verb varchar, reason varchar, because varchar, place int"
    joined.base.execute(f"create table found_{side} ({types})")
    notes: list[str] = []
    if joined.count(f"is_{side}"):
        notes = _from_ledgers(joined, side, other) if other.run else _unknown(side, other)
    rest = UNKNOWN if notes else NOT_IN_SOURCE
    because = _WORDS[rest].format("second" if side == "removed" else "first")
    joined.base.execute(
        f"create table why_{side} as select differing.uid, coalesce(tab, '') tab, coalesce(step, 0) step, "
        f"coalesce(verb, '') verb, coalesce(reason, '{rest}') reason, coalesce(because, '{because}') because "
        f"from differing left join (select * from found_{side} qualify row_number() over "
        f"(partition by uid order by reason = 'duplicate_uid', place) = 1) using (uid) where is_{side}"
    )
    rows = joined.query(
        f"select tab, step, verb, reason, because, count(*) n from why_{side} group by all order by n desc, 1, 2, 4"
    )
    return tuple(Because(*row) for row in rows), notes


def _unknown(side: str, other: Version) -> list[str]:
    dropped = sum(record.rows_dropped for record in other.records)
    return [
        f"why {side} rows are not in {other.info.name} is not known row by row: a release counts the {dropped:,} rows "
        "that its tables dropped and does not list them; compare with the table of its run, as RUN/TABLE"
    ]


def _from_ledgers(joined: JoinedVersions, side: str, other: Version) -> list[str]:
    """Look the rows up in the ledgers of the table and of those it comes from; return what could not be read."""
    notes = []
    assert other.run is not None
    for place, (name, prefix) in enumerate(_lineage(other.run, other.info.table)):
        try:
            rows = ledger_of(other.run, name, columns=())
            joined.insert(
                f"found_{side}",
                _named(iter(rows), name, prefix, place),
                _FOUND,
                f"uid in (select uid from differing where is_{side})",
            )
        except PoolwrightError as error:
            notes.append(f"why {side} rows are not in {other.info.name} is not known for all: {error}")
    return notes


def _lineage(run: Run, name: str, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the tables that a table comes from, itself first, with what its uids begin with in front of theirs."""
    yield name, prefix
    spec = run.recipe.tables[name]
    for source in spec.sources:
        if source in run.recipe.tables:
            yield from _lineage(run, source, f"{prefix}{source}/" if spec.source.uid_prefix else prefix)


def _named(rows: Iterator[pa.RecordBatch], name: str, prefix: str, place: int) -> Iterator[pa.RecordBatch]:
    for batch in rows:
        uids = batch.column(UID)
        if prefix:
            uids = pa.array([None if uid is None else prefix + uid for uid in uids.to_pylist()], pa.string())
        repeated = [pa.repeat(pa.scalar(name), len(batch)), *(batch.column(one) for one in _FOUND.names[2:6])]
        arrays = [uids, *repeated, pa.repeat(pa.scalar(place, pa.int32()), len(batch))]
        yield pa.RecordBatch.from_arrays(arrays, schema=_FOUND)
