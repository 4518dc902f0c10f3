"""Traces the story of one row, from its pool to the step that dropped it, or to the finished table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import ROW_ERROR, UID, is_vector
from poolwright.core.errors import InputError, PoolwrightError
from poolwright.core.rows import Rows
from poolwright.core.table import RECORD, Table
from poolwright.recipe.recipe import Recipe
from poolwright.run.batches import ADMIT, Flow, apply_step, columns_to_read, refused_rows
from poolwright.run.plan import TablePlan
from poolwright.run.run import Run
from poolwright.run.sources.source import Source


@dataclass(frozen=True)
class StepStory:
    """The effect of one step on the row.

    Attributes:
        verb: the step.
        values: columns it read or gave, as Python values; vectors and bytes in brief.
        dropped: why it dropped the row; None if it kept it.
        explanation: the row's value and what it was compared with.
        learned: what the step learned from all rows.
    """

    verb: str
    values: dict[str, Any]
    dropped: str | None
    explanation: str
    learned: str


@dataclass(frozen=True)
class Story:
    """The story of one row in one table: `kept` is its outcome, `origin` its part and row in the source.

    `changed` lists what differs from what the table was made from. If anything does, the steps are not applied again:
    the chapters hold what the finished table knows.
    """

    table: str
    uid: str
    origin: str
    chapters: tuple[StepStory, ...]
    changed: tuple[str, ...] = ()

    @property
    def kept(self) -> bool:
        """Whether no step dropped the row."""
        return all(chapter.dropped is None for chapter in self.chapters)


def why(run: Run, uid: str) -> list[Story]:
    """Trace a row through every finished table it entered, in order of the recipe.

    Raises:
        InputError: no finished table has read a row with this uid.
    """
    stories: list[Story] = []
    gone_in: set[str] = set()
    uids = _uids(run.recipe, uid)
    for name in run.recipe.order:
        sources = run.recipe.tables[name].sources
        if not (run.table_folder(name) / "table.json").exists() or gone_in.issuperset(sources):
            gone_in.add(name)
            continue
        story = next(filter(None, (_story(run, name, one) for one in uids[name])), None)
        if story is not None:
            stories.append(story)
        if story is None or not story.kept:
            gone_in.add(name)
    if not stories:
        changed = [
            name for name in run.recipe.order if (run.table_folder(name) / RECORD).exists() and run.changed(name)
        ]
        since = f", as far as is known: what {', '.join(changed)} was made from has changed since" if changed else ""
        raise InputError(f"no finished table of {run.folder} has read a row with uid '{uid}'{since}")
    return stories


def _uids(recipe: Recipe, uid: str) -> dict[str, list[str]]:
    """Return what a row may be called in each pool and table, as a union may put names of sources before uids."""
    found = {name: [uid] for name in (*recipe.pools, *recipe.tables)}
    prefixed = [spec for spec in map(recipe.tables.__getitem__, recipe.order) if spec.source.uid_prefix]
    for name in reversed(recipe.order):
        spec = recipe.tables[name]
        for source in spec.sources:
            prefix = f"{source}/" if spec.source.uid_prefix else ""
            found[source] += [one.removeprefix(prefix) for one in found[name] if one.startswith(prefix)]
    if not any(uid.startswith(f"{source}/") for spec in prefixed for source in spec.sources):
        for name in recipe.order:
            spec = recipe.tables[name]
            for source in spec.sources:
                prefix = f"{source}/" if spec.source.uid_prefix else ""
                found[name] += [prefix + one for one in found[source]]
    return {name: list(dict.fromkeys(uids)) for name, uids in found.items()}


def every_story(run: Run, name: str) -> Iterator[Story]:
    """Trace every row of a finished table's source, in order: for tables of few rows."""
    source = run.source(name)
    plan = run.plan(name)
    table = run.table(name)
    for part in source.parts:
        if table.record.inputs[part.index].quarantined is None:
            uids = [uid for rows in source.read(part, [UID], 8_192) for uid in rows.column(UID).to_pylist()]
            yield from (_trace(plan, table, str(uid), part.index, row) for row, uid in enumerate(uids))


def _story(run: Run, name: str, uid: str) -> Story | None:
    changed = run.changed(name)
    if changed:
        return _recorded(run, name, uid, changed)
    source = run.source(name)
    plan = run.plan(name)
    table = run.table(name)
    skipped = {index for index, part in enumerate(table.record.inputs) if part.quarantined}
    stories = [_trace(plan, table, uid, part, row) for part, row in _find(source, uid, skipped)]
    kept = [story for story in stories if story.kept]
    return kept[0] if kept else (stories[0] if stories else None)


def _recorded(run: Run, name: str, uid: str, changed: list[str]) -> Story | None:
    """Return what a finished table knows of a row: whether it kept it, or what its ledger says of its place."""
    table = run.table(name)
    for rows in table.batches([UID]):
        if pc.any(pc.equal(rows.column(UID), uid)).as_py():
            return Story(name, uid, f"the kept rows of table '{name}'", (), tuple(changed))
    inputs = table.record.inputs
    reasons = {reason.code: reason for reason in table.record.reasons}
    skipped = {index for index, part in enumerate(inputs) if part.quarantined}
    for part, row in _places(run, name, uid, skipped):
        ledger = table.ledger()
        here = pc.and_(pc.equal(ledger["part"], part), pc.equal(ledger["row"], row))
        for code in ledger.filter(here)["code"].to_pylist():
            reason = reasons[code]
            words = f"{reason.words}, if it was the row at this place when the table was made"
            origin = f"{inputs[part].name}, row {inputs[part].start + row}, as the source is now"
            return Story(name, uid, origin, (StepStory(reason.verb, {}, words, "", ""),), tuple(changed))
    return None


def _places(run: Run, name: str, uid: str, skipped: set[int]) -> list[tuple[int, int]]:
    """Return the places of a row in a source that has changed; none if it cannot be read any more."""
    known = len(run.table(name).record.inputs)
    try:
        return [(part, row) for part, row in _find(run.source(name), uid, skipped) if part < known]
    except PoolwrightError:
        return []


def _find(source: Source, uid: str, skipped: set[int]) -> Iterator[tuple[int, int]]:
    """Yield (part, row) of every row with the uid."""
    wanted = pa.scalar(uid, pa.string())
    for part in source.parts:
        start = 0
        if part.index in skipped:
            continue
        for table in source.read(part, [UID], 262_144):
            hits = np.flatnonzero(pc.fill_null(pc.equal(table.column(UID), wanted), False).to_numpy())
            yield from ((part.index, start + int(row)) for row in hits)
            start += table.num_rows


def _trace(plan: TablePlan, table: Table, uid: str, part: int, row: int) -> Story:
    source = plan.source
    origin = f"{source.parts[part].name}, row {source.parts[part].start + row}"
    refused = _admission(plan, table, part, row)
    if refused:
        return Story(
            plan.name, uid, origin, (StepStory("read", {UID: uid}, refused, _row_error(source, part, row), ""),)
        )
    flow = Flow(plan, table.folder, ())
    wanted = columns_to_read(plan.steps, [UID])
    rows = _one_row(source, part, row, wanted)
    chapters = []
    for step in plan.steps:
        state = flow.state(step.name)
        after, drop, _ = apply_step(step, state, rows)
        code = int(drop[0]) if drop is not None else 0
        shown = after.select([name for name in dict.fromkeys((*step.reads, *step.gives)) if name in after.schema.names])
        values = _values(shown)
        dropped = step.step.reasons[code - 1].words if code else None
        explanation = step.step.explain(_values(shown, brief=False), state)
        chapters.append(StepStory(step.step.verb, values, dropped, explanation, table.record.steps[step.index].learned))
        if code:
            break
        rows = after
    return Story(plan.name, uid, origin, tuple(chapters))


def _admission(plan: TablePlan, table: Table, part: int, row: int) -> str | None:
    if not (table.folder / "states" / f"{ADMIT}.json").exists():
        return None
    state = Flow(plan, table.folder, ()).state(ADMIT)
    if "refused" not in state.tables:
        return None
    rows, codes = refused_rows(state.tables["refused"]).get(part, (np.zeros(0), np.zeros(0)))
    hit = codes[rows == row]
    return plan.reasons[int(hit[0]) - 1].words if len(hit) else None


def _row_error(source: Source, part: int, row: int) -> str:
    """Return the pool's error for a row that it could not read."""
    if ROW_ERROR not in source.schema.names:
        return ""
    return _one_row(source, part, row, [ROW_ERROR]).strings(ROW_ERROR)[0] or ""


def _one_row(source: Source, part: int, row: int, columns: list[str]) -> Rows:
    """Read one row of a part. Images are read for that row alone."""
    start = 0
    for table in source.read(source.parts[part], source.stored(columns), 8_192):
        if start <= row < start + table.num_rows:
            return source.with_images(table.slice(row - start, 1), columns)
        start += table.num_rows
    raise InputError(f"{source.parts[part].name} has no row {row} any more; it changed since the run")


def _values(rows: Rows, brief: bool = True) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for field in rows.schema:
        value = rows.column(field.name)[0].as_py()
        if brief and is_vector(field.type):
            value = f"vector of {field.type.list_size}" if value is not None else None
        elif brief and isinstance(value, bytes):
            value = f"{len(value):,} bytes"
        values[field.name] = value
    return values


def dropped_rows(run: Run, name: str, code: int, limit: int) -> Rows:
    """Read source rows that a table dropped with one ledger code: at most `limit`, spread over the ledger.

    Returns:
        Rows with the columns of the source that are not vectors, including images if there are any.
    """
    table, source = run.table(name), run.source(name)
    columns = [field.name for field in source.schema if not is_vector(field.type)]
    picked: list[pa.Table] = []
    for part, rows in _spread(table, code, limit):
        picked.append(_rows_of_part(source, part, rows, columns))
    if not picked:
        return Rows(pa.schema([source.schema.field(name) for name in columns]).empty_table())
    return Rows(pa.concat_tables(picked))


def _spread(table: Table, code: int, limit: int) -> list[tuple[int, list[int]]]:
    """Pick (part, rows) with the code, evenly over the ledger's files and within them."""
    with_code = [part for part in table.record.parts if part.dropped]
    found: dict[int, list[int]] = {}
    left = limit
    for number, part in enumerate(with_code):
        share = -(-left // (len(with_code) - number))
        ledger = table.read_file(part.ledger)
        hits = np.flatnonzero(ledger.column("code").to_numpy() == code)
        chosen = hits[np.linspace(0, len(hits) - 1, min(share, len(hits))).astype(int)] if len(hits) else hits
        for index in chosen:
            part_index, row = (ledger.column(name)[int(index)].as_py() for name in ("part", "row"))
            found.setdefault(part_index, []).append(row)
        left -= len(chosen)
        if left <= 0:
            break
    return sorted(found.items())


def _rows_of_part(source: Source, part: int, rows: list[int], columns: list[str]) -> pa.Table:
    start, picked = 0, []
    for table in source.read(source.parts[part], source.stored(columns), 8_192):
        here = [row - start for row in rows if start <= row < start + table.num_rows]
        if here:
            picked.append(table.take(here))
        start += table.num_rows
    return source.with_images(pa.concat_tables(picked), columns).table
