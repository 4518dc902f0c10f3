"""Runs one table: admission, fits, stages, units, counts, record. Continues where an earlier run stopped."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from poolwright.core.columns import IMAGE
from poolwright.core.documents import FOLDER as DOCUMENTS
from poolwright.core.errors import BadPart, ChangedError, TooManyBad
from poolwright.core.files import digest_file, make_folder, remove, remove_partials, sync_folder, write_text
from poolwright.core.frame import Context, open_no_table
from poolwright.core.roles import AnnotationStep
from poolwright.core.runtime.progress import Listener, TableProgress
from poolwright.core.state import State
from poolwright.core.step import Step
from poolwright.core.table import RECORD, TABLE_FORMAT, TIMINGS, Generation, InputFile, Table, TableRecord
from poolwright.kernels.selection.hashing import hash_key
from poolwright.models.encoders.load import load_encoder
from poolwright.recipe.released import LearnedState
from poolwright.run.admit import admit
from poolwright.run.batches import ADMIT, BATCH_ROWS, Flow, keep_fitted, stage_folder
from poolwright.run.engine.protocol import Engine
from poolwright.run.fit_frame import RunFrame
from poolwright.run.growth import Growth, outgrown
from poolwright.run.identity import IDENTITY, claim, differences, identity_digest, packages, portable
from poolwright.run.phase import Phase
from poolwright.run.plan import StepPlan, TablePlan
from poolwright.run.record import check_bad, check_counts, make_record, timings_text
from poolwright.run.sources.earlier import EarlierRows, earlier_rows, keep_stages
from poolwright.run.sources.grown import GrownSource
from poolwright.run.sources.inputs import Inputs
from poolwright.run.sources.reached import LastPasses
from poolwright.run.sources.source import Source, units_of
from poolwright.run.sources.union import UnionSource
from poolwright.run.write import UnitResult, WriteStage, WriteUnit, done_units

QUARANTINE = "quarantine.json"
FITS = "work/fits"
"""File with seconds and speeds of fits, below the table's folder, until they are in timings.json."""


@dataclass
class TableRun:
    """One table of a run.

    Attributes:
        plan: its steps over its source.
        folder: the folder it is written to.
        engine: runs functions over units.
        listener: receives progress.
        recipe_name, recipe_text, seed, max_bad: of the recipe.
        parameters: of each step, as written in the recipe.
        inputs: per part of the source, the files it comes from.
        joined: the files of the rows that steps join.
        joined_identity: identity of those rows besides the content of their files, by the index of the step.
        step_files: digest of every file that a step reads besides the rows.
        weights: digest of every encoder that a step uses.
        recipe_folder: the folder that recorded paths are relative to.
        source_identity: identity of the source, besides the content of its files.
        looked: the files of its inputs, as they were when they were looked at.
        hide: puts names of environment variables in place of their values, in texts and data.
        environment: what tells a changed value of such a variable, by its name.
        batch_rows: rows per batch.
        full_ledger: whether every dropped row is listed.
        open_table: opens a finished table of the run.
        learned: what steps learned when a release was made, by their index; those are not fitted.
        earlier: the generations before the last one, if the table was extended.
        growth: the finished table that is extended, in `folder`; no step is fitted then.
        reused: rows of an earlier table, whose costly columns are not computed again.
        keep_stages: whether the columns of costly steps are kept for rows that are dropped later.
        remembers: whether a pass over the rows continues from what the pass before it found.
    """

    plan: TablePlan
    folder: Path
    engine: Engine
    listener: Listener
    recipe_name: str
    recipe_text: str
    seed: int
    max_bad: float
    parameters: Sequence[Mapping[str, Any]]
    inputs: Sequence[Sequence[InputFile]]
    joined: Sequence[InputFile]
    joined_identity: Mapping[str, Any]
    step_files: Mapping[str, str]
    weights: Mapping[str, str]
    recipe_folder: Path
    source_identity: Mapping[str, Any]
    looked: Inputs
    hide: Callable[[Any], Any]
    environment: Mapping[str, str]
    batch_rows: int = BATCH_ROWS
    full_ledger: bool = True
    open_table: Callable[[str], Table] = open_no_table
    learned: Mapping[int, LearnedState] = field(default_factory=dict)
    earlier: tuple[Generation, ...] = ()
    growth: Growth | None = None
    reused: EarlierRows | None = None
    keep_stages: bool = False
    remembers: bool = True

    def run(self) -> Table:
        """Make the table, or the part of it that is still missing.

        Raises:
            ChangedError: an input changed while the table was made.
            TooManyBad: more bad rows than `max_bad` allows.
            CountError: counts do not reconcile.
        """
        claim(self.folder, self._identity())
        if (self.folder / RECORD).exists():
            self._clear()  # after a kill between writing the record and this
            table = Table(self.folder)
            self._note_unread_answers(table)
            self.listener.table_done(table.record, fresh=False)
            return table
        while True:
            try:
                return self._attempt()
            except BadPart as bad:
                self._quarantine(bad)

    @property
    def reads_images(self) -> bool:
        """Whether a step reads image files."""
        return any(IMAGE in plan.reads for plan in self.plan.steps)

    def differences(self) -> list[str]:
        """List what differs from what the existing table was made from; empty if there is none."""
        return differences(self.folder, self._identity(), self.looked.changed)

    def extending(self, folder: Path) -> TableRun:
        """Return the run that extends the finished table by new parts of its source, in another folder.

        Raises:
            ChangedError: something besides new parts differs, or a step has to see all rows.
        """
        growth = Growth(Table(self.folder))
        old = replace(self, inputs=self.inputs[: growth.parts], earlier=growth.earlier[:-1])
        growth.check(self.plan, old._identity())
        growth.table.check_files()
        work = replace(self, folder=folder, earlier=growth.earlier, growth=growth)
        if differences(folder, work._identity(), set()):
            start_over(folder)
        return work

    def made_anew(self, old: Table, folder: Path, parents: Collection[str], source: Source) -> TableRun | None:
        """Return the run that makes the finished table anew in another folder; None if its source has not grown.

        Args:
            old: the finished table.
            folder: the folder of the new one.
            parents: tables that it comes from, or learns from, and that were made anew.
            source: its source, with the parts of the finished table first if they are all there.

        Raises:
            ChangedError: something besides new parts differs.
        """
        work = replace(self, folder=folder)
        if not outgrown(old, self.plan, work._identity(), parents):
            return None
        old.check_files()
        if isinstance(source, GrownSource) and not set(parents) & set(old.record.parents):
            work = replace(work, reused=earlier_rows(old, self.plan, source, self.reads_images))
        if differences(folder, work._identity(), set()):
            start_over(folder)
        return work

    def _attempt(self) -> Table:
        begun, started = perf_counter(), datetime.now(UTC)
        remove_partials(self.folder)
        if self.growth:
            self.growth.carry_over(self.folder, self._quarantined())
        flow = self._flow()
        if not self.plan.source.unique:
            self._fit_once(ADMIT, "read", partial(admit, flow), flow)
        for plan in () if self.growth else self.plan.steps:
            if plan.index in self.learned:
                self._take_learned(plan)
                continue
            if plan.index in self.plan.stages:
                self._make_stage(flow, plan.index)
            self._fit_once(plan.name, f"fit {plan.name}", partial(self._fit, flow, plan), flow)
        results = self._write_units(flow)
        remove_partials(self.folder)  # of units whose node died
        record = self._record(results)
        check_counts(record)
        self._check_bad(record.rows_in, results)
        self._check_inputs()
        seconds = perf_counter() - begun
        timings = timings_text(record.rows_in, results, self._fits(), seconds, started, self.engine)
        write_text(self.folder / TIMINGS, timings)
        write_text(self.folder / RECORD, record.model_dump_json(indent=1) + "\n")
        self._clear()
        self.listener.table_done(record, fresh=True)
        return Table(self.folder)

    def _clear(self) -> None:
        """Remove what a finished table no longer needs."""
        if self.keep_stages:
            keep_stages(self.folder)
        remove(self.folder / "work")

    def _check_inputs(self) -> None:
        """Check that the record names what was read: that no input was replaced since its digest was taken."""
        if changed := self.looked.changed_since():
            start_over(self.folder)
            named = ", ".join(changed[:5]) + (f" and {len(changed) - 5:,} more" if len(changed) > 5 else "")
            raise ChangedError(
                f"table '{self.plan.name}': an input changed while it was read: {self.hide(named)}. Rows of the old "
                "and the new content may be mixed, so the table was removed; run again once the input is complete"
            )

    def _identity(self) -> dict[str, Any]:
        identity = {
            "format": TABLE_FORMAT,
            "seed": self.seed,
            "source": dict(self.source_identity),
            "inputs": [[file.path, file.digest] for part in (*self.inputs, self.joined) for file in part]
            + [[file, digest] for file, digest in sorted(self.step_files.items())],
            "steps": [
                {"verb": plan.step.verb, "parameters": plan.step.model_dump(mode="json", by_alias=True)}
                for plan in self.plan.steps
            ],
            "models": dict(self.weights),
        }
        if used := packages(self.plan, self.weights):
            identity["packages"] = used
        if self.joined_identity:
            identity["joined"] = dict(self.joined_identity)
        if self.environment:
            identity["environment"] = dict(self.environment)
        if not self.full_ledger:
            identity["ledger"] = "counts"
        if self.learned:
            identity["released"] = {str(index): state.digest for index, state in self.learned.items()}
        fitted = [plan for plan in self.plan.steps if plan.index not in self.learned]
        learned_from = {name for plan in fitted for name in plan.step.tables()}
        if self.earlier:
            identity["grown"] = [[generation.plan, generation.parts] for generation in self.earlier]
        if learned_from:
            records = {name: digest_file(self.open_table(name).folder / RECORD) for name in sorted(learned_from)}
            identity["tables"] = records
        return {name: self.hide(portable(value, self.recipe_folder)) for name, value in identity.items()}

    def _note_unread_answers(self, table: Table) -> None:
        """Note that people answered after the table was finished, since it is not made again."""
        for plan in self.plan.steps:
            if isinstance(plan.step, AnnotationStep) and plan.index not in self.learned:
                found = plan.step.unread(table.state(plan.index), self._worklist(plan))
                if found:
                    self.listener.note(
                        f"{table.name}: finished with earlier verdicts; not read: {', '.join(found)}. "
                        f"To use them, start it over with: --fresh {table.name}"
                    )

    def _worklist(self, plan: StepPlan) -> Path:
        return worklist_of(self.folder, self._number(plan))

    def _number(self, plan: StepPlan) -> int:
        numbers = dict(enumerate(number for number, _ in numbered_by_verb([one.step for one in self.plan.steps])))
        return numbers[plan.index]

    def _flow(self) -> Flow:
        units = units_of(self.plan.source, self.reads_images)
        quarantined = frozenset(self._quarantined())
        passes = LastPasses() if self.remembers else None
        return Flow(self.plan, self.folder, units, quarantined, self.batch_rows, self.reused, passes)

    def _fit_once(self, name: str, phase: str, fit: Callable[[Phase], State], flow: Flow) -> None:
        if (self.folder / "states" / f"{name}.json").exists():
            return
        begun = perf_counter()
        state = fit(self._phase(flow, phase))
        note_pace(self.folder, name, {"seconds": round(perf_counter() - begun, 3), **state.speeds})
        digest = state.save(self.folder / "states", name)
        if not state.mapped:  # these are mapped from a file without a name: from now on, they are from the saved one
            keep_fitted(self.folder / "states", name, digest, state)

    def _fits(self) -> dict[str, dict[str, Any]]:
        found = sorted((self.folder / FITS).glob("*.json"))
        return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in found}

    def _take_learned(self, plan: StepPlan) -> None:
        states, learned = self.folder / "states", self.learned[plan.index]
        if not (states / f"{plan.name}.json").exists():
            State.copy(learned.folder, learned.name, states, plan.name)

    def _fit(self, flow: Flow, plan: StepPlan, phase: Phase) -> State:
        number = self._number(plan)
        use = (plan.step.verb, str(number))
        key, shared_key = (hash_key(self.seed, table, *use) for table in (self.plan.name, ""))
        context = Context(
            key,
            load_encoder,
            shared_key,
            self.open_table,
            self._worklist(plan),
            self.folder / DOCUMENTS,
            partial(self.plan.others.__getitem__, plan.index),
            self.folder / "work",
            number,
        )
        return plan.step.fit(RunFrame(flow, plan.index, phase), context)

    def _make_stage(self, flow: Flow, stage: int) -> None:
        final = self.folder / stage_folder(stage)
        if not final.exists():
            partial = final.with_name(final.name + ".partial")
            make_folder(partial)
            spent, begun = Counter[str](), perf_counter()
            for _, seconds in self._phase(flow, "describe").map(WriteStage(flow, stage)):
                spent.update(seconds)
            pace = {"seconds": round(perf_counter() - begun, 3), "spent": dict(spent)}
            note_pace(self.folder, final.name, pace)
            sync_folder(partial)
            os.replace(partial, final)

    def _phase(self, flow: Flow, name: str) -> Phase:
        return Phase(self.engine, self.listener, self.plan.name, name, len(flow.units), self.plan.resources)

    def _write_units(self, flow: Flow) -> dict[int, UnitResult]:
        results = done_units(self.folder, len(flow.units), flow.quarantined)
        left = [unit for unit in range(len(flow.units)) if unit not in results]
        words = {reason.code: reason.words for reason in self.plan.reasons}
        total = sum(part.rows or 0 for part in self.plan.source.parts)
        progress = TableProgress(self.plan.name, "write", len(left), rows_total=total)
        if results:
            self.listener.note(f"{self.plan.name}: continuing; {len(results)} of {len(flow.units)} units are done")
        self.listener.table_started(self.plan.name, "write", len(left))
        begun = perf_counter()
        with closing(self.engine.map(WriteUnit(flow, self.full_ledger), left, self.plan.resources)) as done:
            for unit, result in done:
                results[unit] = result
                progress.units_done += 1
                progress.rows += sum(result.part_rows.values())
                progress.kept += result.kept
                for code, count in result.dropped.items():
                    progress.dropped[words[code]] = progress.dropped.get(words[code], 0) + count
                progress.seconds = perf_counter() - begun
                self.listener.progress(progress)
                self._check_bad(total, results)
        return results

    def _check_bad(self, rows: int, results: Mapping[int, UnitResult]) -> None:
        dropped = Counter({reason.words: 0 for reason in self.plan.reasons if reason.bad})
        codes = {reason.code: reason.words for reason in self.plan.reasons if reason.bad}
        for result in results.values():
            for code in codes.keys() & result.dropped.keys():
                dropped[codes[code]] += result.dropped[code]
        source = self.plan.source
        names = (
            [one.name for one in source.members] if isinstance(source, UnionSource) and not source.uid_prefix else []
        )
        check_bad(self.plan.name, rows, dropped, self.max_bad, source.schema.names, names)

    def _quarantined(self) -> dict[int, str]:
        path = self.folder / QUARANTINE
        if self.growth and not path.exists():
            return self.growth.quarantined()
        return {int(part): reason for part, reason in json.loads(path.read_text()).items()} if path.exists() else {}

    def _quarantine(self, bad: BadPart) -> None:
        """Leave a shard out, and start the table over: anything fitted with half of it is void."""
        known = self._quarantined()
        if bad.part in known or (self.growth and bad.part < self.growth.parts):
            raise bad
        known[bad.part] = self.hide(bad.reason)
        self._check_quarantine(known, bad)
        for name in ("states", "work", "dropped"):
            remove(self.folder / name)
        for path in self.folder.glob("part-*.parquet"):
            remove(path)
        write_text(self.folder / QUARANTINE, json.dumps(known, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
        self.listener.note(self.hide(f"{self.plan.name}: quarantined {bad.name}: {bad.reason}"))

    def _check_quarantine(self, known: Mapping[int, str], bad: BadPart) -> None:
        parts = self.plan.source.parts
        lost = _share_of_parts(parts, [sum(file.size for file in files) for files in self.inputs], known)
        if lost > self.max_bad or len(known) == len(parts):
            raise TooManyBad(
                f"table '{self.plan.name}': {bad.name}: {bad.reason}\n"
                f"{len(known)} of {len(parts)} input parts cannot be read, {lost:.2%} of the rows; "
                f"max_bad is {self.max_bad:.2%}. Repair or remove the file, or raise max_bad"
            )

    def _record(self, results: Mapping[int, UnitResult]) -> TableRecord:
        record = make_record(
            self.plan,
            results,
            folder=self.folder,
            recipe_folder=self.recipe_folder,
            recipe_name=self.recipe_name,
            recipe_text=self.recipe_text,
            seed=self.seed,
            identity=identity_digest(self._identity()),
            parameters=self.parameters,
            input_files=self.inputs,
            joined_files=self.joined,
            quarantined=self._quarantined(),
            released=self.learned.keys(),
            packages=packages(self.plan, self.weights),
        )
        record = self.growth.extended(record) if self.growth else record
        data = self.hide(record.model_dump(mode="json", exclude={"recipe_text"}))
        return TableRecord.model_validate({**data, "recipe_text": record.recipe_text})


def note_pace(folder: Path, name: str, pace: Mapping[str, Any]) -> None:
    """Record the pace of something that a table needs once, for its timings."""
    write_text(folder / FITS / f"{name}.json", json.dumps(pace))


def numbered_by_verb(steps: Sequence[Step]) -> Iterator[tuple[int, Step]]:
    """Yield each step with the number of steps of the same verb before it, or of those that ask people if it does."""
    seen: Counter[str | type] = Counter()
    for step in steps:
        kind = AnnotationStep if isinstance(step, AnnotationStep) else step.verb
        yield seen[kind], step
        seen[kind] += 1


def worklist_of(folder: Path, number: int = 0) -> Path:
    """Return the folder of the questions to people about a table, and of their answers, next to the run's tables.

    Args:
        number: number of steps that ask people before this one.
    """
    return folder.parent.parent / "verify" / (f"{folder.name}.{number + 1}" if number else folder.name)


def start_over(folder: Path) -> None:
    """Remove a table, its record first, so that a kill in between does not leave a table that looks finished."""
    for name in (RECORD, IDENTITY):
        remove(folder / name)
    remove(folder)


def _share_of_parts(parts: Sequence[Any], sizes: Sequence[int], known: Mapping[int, str]) -> float:
    """Return the share of the rows in quarantined parts.

    A part of unknown length is estimated by its bytes, and as no shorter than the others are on average: it may be cut.
    """
    counted = [part.index for part in parts if part.rows is not None]
    rows_there, bytes_there = sum(parts[at].rows for at in counted), sum(sizes[at] for at in counted)
    density = rows_there / bytes_there if rows_there and bytes_there else 1.0
    usual = rows_there / max(len(counted), 1)
    rows = [
        max(size * density, usual) if part.rows is None else part.rows for part, size in zip(parts, sizes, strict=True)
    ]
    return float(sum(rows[part] for part in known) / max(sum(rows), 1))
