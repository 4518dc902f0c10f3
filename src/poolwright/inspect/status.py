"""Reports the status of a run: what is done, what is left, and how long it will take."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poolwright.core.columns import IMAGE
from poolwright.core.roles import AnnotationStep
from poolwright.core.table import RECORD, Table
from poolwright.inspect.stale import stale
from poolwright.run.identity import IDENTITY
from poolwright.run.plan import TablePlan
from poolwright.run.run import Run
from poolwright.run.sources.source import units_of
from poolwright.run.table_run import numbered_by_verb, worklist_of
from poolwright.run.write import read_mark


def outlook(run: Run, plans: Mapping[str, TablePlan]) -> list[dict[str, Any]]:
    """Return one entry per table, with the values of `poolwright.api.results.TableOutlook`."""
    entries: list[dict[str, Any]] = []
    anew: dict[str, tuple[str, ...]] = {}
    for name in run.recipe.order:
        entry = _outlook_of(run, plans[name])
        if outdated := _outdated(run, name, anew):
            entry, anew[name] = {**entry, **outdated}, outdated["fresh"]
        entries.append(entry)
    return entries


def _outlook_of(run: Run, plan: TablePlan) -> dict[str, Any]:
    folder = run.table_folder(plan.name)
    if (folder / RECORD).exists():
        record = Table(folder).record
        return _entry(plan, "done", record.rows_in, len(record.parts), len(record.parts), 0.0)
    parents = [one for one in run.recipe.tables[plan.name].sources if one in run.recipe.tables]
    if not all((run.table_folder(parent) / RECORD).exists() for parent in parents):
        return _entry(plan, "waits", None, 0, 0, None)
    source = run.source(plan.name)
    reads_images = any(IMAGE in step.reads for step in plan.steps)
    units = len(units_of(source, reads_images))
    seconds = [mark.seconds for unit in range(units) if (mark := read_mark(folder, unit))]
    counts = [part.rows for part in source.parts]
    rows = sum(count for count in counts if count is not None) if None not in counts else None
    left = sum(seconds) / len(seconds) * (units - len(seconds)) / run.engine.workers if seconds else None
    return _entry(plan, _state(plan, folder), rows, units, len(seconds), left)


def _outdated(run: Run, name: str, anew: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Return what is to be said of a table that was made from something else than it would be now; {} if it was not.

    Args:
        anew: the tables to make anew for each table before it that is outdated.
    """
    folder = run.table_folder(name)
    if not (folder / IDENTITY).exists():
        return {}
    above = [one for one in run.recipe.tables[name].reads if one in anew]
    older = stale(folder)
    if above or older:
        since = dict.fromkeys([*above, *(older.since if older else ())])
        fresh = [one for parent in above for one in anew[parent]] or (older.fresh if older else ())
        return {"state": "stale", "differences": tuple(since), "fresh": tuple(dict.fromkeys(fresh))}
    found = run.changed(name)
    return {"state": "changed", "differences": tuple(found), "fresh": (name,)} if found else {}


def _state(plan: TablePlan, folder: Path) -> str:
    """Return the state of a table that is not done; 'asks' if people were asked and the step still waits for them."""
    if not folder.exists():
        return "new"
    numbered = zip(plan.steps, numbered_by_verb([one.step for one in plan.steps]), strict=True)
    asked = any(
        isinstance(step, AnnotationStep)
        and not (folder / "states" / f"{placed.name}.json").exists()
        and step.asks(worklist_of(folder, number))
        for placed, (number, step) in numbered
    )
    return "asks" if asked else "begun"


def _entry(
    plan: TablePlan, state: str, rows: int | None, units: int, units_done: int, seconds_left: float | None
) -> dict[str, Any]:
    return {
        "name": plan.name,
        "source": plan.source.name,
        "state": state,
        "rows": rows,
        "units": units,
        "units_done": units_done,
        "seconds_left": seconds_left,
        "steps": tuple(step.step.verb for step in plan.steps),
    }
