"""Extends finished tables by new parts of their sources: what was made is kept, and states decide about new rows."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from poolwright.core.documents import FOLDER as DOCUMENTS
from poolwright.core.errors import ChangedError
from poolwright.core.files import PARTIAL, make_folder, remove, sync_folder, write_text
from poolwright.core.roles import SourceStep
from poolwright.core.state import State
from poolwright.core.table import RECORD, Generation, Table, TableRecord
from poolwright.run.identity import IDENTITY, differences_between
from poolwright.run.plan import TablePlan
from poolwright.run.sources.grown import GrownSource, generations_of
from poolwright.run.write import UnitResult, done_mark

EXTENDING = "extending"
"""Folder of the run with tables that are being extended; each takes the place of the old one once it is finished."""

REFITTING = "refitting"
"""Folder of the run with tables that were made anew, until they are accepted: it is then renamed to `EXTENDING`."""


@dataclass(frozen=True)
class Growth:
    """A finished table that is extended.

    Attributes:
        table: the table.
    """

    table: Table

    @property
    def parts(self) -> int:
        """Parts of the source that it has."""
        return len(self.table.record.inputs)

    @property
    def earlier(self) -> tuple[Generation, ...]:
        """Its generations."""
        return generations_of(self.table.record)

    def check(self, plan: TablePlan, identity: Mapping[str, Any]) -> None:
        """Check that only new parts differ, and that all steps can decide about new rows by what they learned.

        Args:
            plan: the plan of the table with its new parts.
            identity: what the table would be made from without them.

        Raises:
            ChangedError: something else differs, or a step has to see all rows.
        """
        path = self.table.folder / IDENTITY
        before = json.loads(path.read_text(encoding="utf-8"))
        found = differences_between(_without_records(before), _without_records(identity))
        found = _but_new_inputs(found, identity)
        if not found and not isinstance(plan.source, GrownSource):
            found.append("inputs: their parts are cut otherwise than before")
        found += _schema_changes(self.table.schema, plan.schema)
        if _roots(self.table.image_root) != _roots(plan.source.image_root):
            found.append(f"image paths: relative to {plan.source.image_root}, before to {self.table.image_root}")
        found += [
            f"step {placed.index + 1} ({placed.step.verb}): {placed.step.needs_refit}"
            for placed in plan.steps
            if placed.step.needs_refit
        ]
        if found:
            raise _refused(self.table.name, "cannot be extended by new rows alone", found)

    def carry_over(self, folder: Path, quarantined: Mapping[int, str]) -> None:
        """Put what was made into the folder of the extended table: rows, ledger, states, marks of units.

        Raises:
            InputError: a file of the table is damaged.
        """
        old, record = self.table.folder, self.table.record
        for part in record.parts:
            for name in (part.file, part.ledger):
                _link(old / name, folder / name)
        for step in record.steps:
            if not (folder / "states" / f"{step.state_name}.json").exists():
                State.copy(old / "states", step.state_name, folder / "states", step.state_name)
        if (old / DOCUMENTS).is_dir():
            shutil.copytree(old / DOCUMENTS, folder / DOCUMENTS, dirs_exist_ok=True)
        for result in _results(record, sorted(quarantined)):
            write_text(done_mark(folder, result.unit), result.to_json())

    def quarantined(self) -> dict[int, str]:
        """Return the parts that were quarantined, with the reason."""
        return {at: part.quarantined for at, part in enumerate(self.table.record.inputs) if part.quarantined}

    def extended(self, record: TableRecord) -> TableRecord:
        """Return the record of the extended table with its generations, and what was noted of earlier rows."""
        old = self.table.record
        last = Generation(
            plan=record.plan,
            parts=len(record.inputs) - self.parts,
            units=len(record.parts) - len(old.parts),
            rows_in=record.rows_in - old.rows_in,
            rows_kept=record.rows_kept - old.rows_kept,
        )
        remarks = dict.fromkeys([*record.remarks, *old.remarks])
        return record.model_copy(update={"generations": (*self.earlier, last), "remarks": tuple(remarks)})


def outgrown(table: Table, plan: TablePlan, identity: Mapping[str, Any], parents: Collection[str]) -> bool:
    """Whether a finished table lacks new parts of its source, or has parts that its steps have not learned from.

    Args:
        plan: the plan of the table with all parts.
        identity: what it would be made from now.
        parents: tables that it comes from, or learns from, and that were made anew.

    Raises:
        ChangedError: something besides new parts differs, or a step cannot be fitted anew next to the finished table.
    """
    before = json.loads((table.folder / IDENTITY).read_text(encoding="utf-8"))
    if before == json.loads(json.dumps(identity)):
        return False
    was, now = (_without_inputs_of(_without_records(one), parents) for one in (before, identity))
    all_found = differences_between(was, now)
    found = _but_new_inputs(all_found, identity)
    found += [
        f"step {placed.index + 1} ({placed.step.verb}): {placed.step.needs_refit}"
        for placed in plan.steps
        if isinstance(placed.step, SourceStep)
    ]
    if found:
        raise _refused(table.name, "cannot be fitted anew, since more than its new files differs", found)
    return True


def _without_inputs_of(identity: Mapping[str, Any], tables: Collection[str]) -> dict[str, Any]:
    """Return an identity without the files of some tables, and without the order in which files came."""
    above = tuple(f"{name}/part-" for name in tables)
    kept = sorted(one for one in identity["inputs"] if not one[0].startswith(above))
    return {name: value for name, value in identity.items() if name != "grown"} | {"inputs": kept}


def _but_new_inputs(found: Sequence[str], identity: Mapping[str, Any]) -> list[str]:
    new = {f"input {name}: new" for name, _ in identity["inputs"]}
    return [line for line in found if line not in new]


def _refused(name: str, what: str, found: Sequence[str]) -> ChangedError:
    listed = "\n".join(f"  - {difference}" for difference in found[:12])
    more = f"\n  - and {len(found) - 12} more" if len(found) > 12 else ""
    return ChangedError(
        f"table '{name}' {what}:\n{listed}{more}\n"
        "the table was left as it is. Undo the change; or make the table anew, in another folder with --run DIR, to be "
        f"compared with `poolwright diff`, or in its place with --fresh {name}"
    )


def _link(path: Path, to: Path) -> None:
    """Give a file, which is never written to again, a second name; copy it where there are no such links."""
    if to.exists():
        return
    make_folder(to.parent)
    partial = to.with_name(to.name + PARTIAL)
    partial.unlink(missing_ok=True)
    try:
        os.link(path, partial)
    except OSError:
        shutil.copyfile(path, partial)
    os.replace(partial, to)


def _results(record: TableRecord, quarantined: list[int]) -> Iterator[UnitResult]:
    """Yield the results of units as far as the record of the whole table has them: only their sums are right."""
    codes = {(reason.step, reason.name): reason.code for reason in record.reasons}
    left = {codes[row.step, name]: rows for row in record.funnel for name, rows in row.dropped.items()}
    rows = {at: part.rows or 0 for at, part in enumerate(record.inputs) if not part.quarantined}
    tallies = {name: list(counts) for name, counts in record.tallies.items()}
    for unit, part in enumerate(record.parts):
        dropped, wanted = dict[int, int](), part.dropped
        for code in left:
            if taken := min(left[code], wanted):
                dropped[code], left[code], wanted = taken, left[code] - taken, wanted - taken
        yield UnitResult(
            unit,
            rows if unit == 0 else {},
            part.rows,
            dropped,
            part.digest,
            part.ledger_digest,
            0.0,
            tallies if unit == 0 else {},
            quarantined=quarantined,
        )


def _without_records(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return an identity without the digests of whole tables, whose rows are compared part by part."""
    return {name: _pruned(value) for name, value in identity.items() if name != "tables"}


def _pruned(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _pruned(inner) for name, inner in value.items() if name != "record"}
    return value


def _schema_changes(old: pa.Schema, new: pa.Schema) -> list[str]:
    was, now = ({field.name: field.type for field in schema} for schema in (old, new))
    found = [f"column '{name}' is new" for name in now if name not in was]
    found += [f"column '{name}' is gone" for name in was if name not in now]
    return found + [
        f"column '{name}': {was[name]} -> {now[name]}" for name in now if was.get(name, now[name]) != now[name]
    ]


def _roots(root: Any) -> Any:
    if isinstance(root, Mapping):
        return {name: _roots(one) for name, one in root.items()}
    return root if root is None or "://" in root else os.path.normpath(os.path.abspath(root))


def extending_folder(run_folder: Path, name: str) -> Path:
    """Return the folder in which a table is extended."""
    return run_folder / EXTENDING / name


def put_in_place(run_folder: Path, name: str) -> None:
    """Give an extended table the name of the old one, which is removed; may be repeated after a kill."""
    new, old = extending_folder(run_folder, name), extending_folder(run_folder, f".{name}")
    table = run_folder / "tables" / name
    if (new / RECORD).exists():
        if table.exists():
            remove(old)
            os.replace(table, old)
        os.replace(new, table)
        sync_folder(table.parent)
    remove(old)
    with suppress(OSError):
        (run_folder / EXTENDING).rmdir()


def accept_refit(run_folder: Path) -> None:
    """Put the tables that were made anew in place, all or none of them: a kill in between is made up for later."""
    remove(run_folder / EXTENDING)
    os.replace(run_folder / REFITTING, run_folder / EXTENDING)
    sync_folder(run_folder)
    finish_extending(run_folder)


def finish_extending(run_folder: Path) -> None:
    """Put tables in place that were extended, or accepted, when a run was killed."""
    for folder in sorted((run_folder / EXTENDING).glob("*")):
        name = folder.name.removeprefix(".")
        if folder.is_dir() and ((extending_folder(run_folder, name) / RECORD).exists() or folder.name != name):
            put_in_place(run_folder, name)
